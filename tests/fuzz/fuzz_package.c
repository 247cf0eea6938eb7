/*
 * Package metadata, by both of its readers: as each file that one of them looks for on disk, and as each
 * that comes by on a walk. The files are names of one file with the data in it, in a folder that stands
 * for the root.
 */
#include "exercise.h"
#include "cli/cli.h"
#include "report/report.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#define SITE "/lib/python3.11/site-packages"
#define EGG "/egg" SITE "/demo_ext-1.2-py3.11-linux-x86_64.egg"
#define LIBRARY "/demo_ext/_C.abi3.so"
#define DPKG "/var/lib/dpkg"

enum { WINDOW = 131072 }; /* report/package.c's */

/* The first few are offered only: nothing looks for them on disk. */
static const char *const names[] = {
    DPKG "/status.d/python3-demo-ext",
    DPKG "/status.d/python3-demo-ext.md5sums",
    "/dist" SITE "/triton/backends/nvidia/bin/ptxas",
    "/dist" SITE "/demo_ext-1.2.dist-info/RECORD",
    "/dist" SITE "/demo_ext-1.2.dist-info/METADATA",
    "/info" SITE "/demo_ext-1.2-py3.11.egg-info/installed-files.txt",
    "/info" SITE "/demo_ext-1.2-py3.11.egg-info/top_level.txt",
    "/info" SITE "/demo_ext-1.2-py3.11.egg-info/PKG-INFO",
    EGG "/EGG-INFO/PKG-INFO",
    "/conda/conda-meta/demo-ext-1.2-py311_0.json",
    DPKG "/info/python3-demo-ext:amd64.list",
    DPKG "/status",
};
static const char *const libraries[] = {
    "/dist" SITE LIBRARY, "/info" SITE LIBRARY, EGG LIBRARY, "/conda" SITE LIBRARY,
    "/usr/lib/python3/dist-packages" LIBRARY,
};

/* ---- the root ---------------------------------------------------------------------------------------- */

static char root[PATH_MAX];

static void in_root(const char *path, char *out, size_t size)
{
    PROMISE(snprintf(out, size, "%s%s", root, path) < (int)size);
}

int kgi_open(const char *path, int flags)
{
    char full[2 * PATH_MAX];

    in_root(path, full, sizeof full);
    return open(full, flags | O_CLOEXEC);
}

void kgi_close(int fd)
{
    close(fd);
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *at)
{
    (void)s;
    (void)type;
    (void)at;
    return remove(path);
}

static void remove_root(void)
{
    nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Returns the descriptor of the one file. */
static int make_root(void)
{
    const char *folder = getenv("TMPDIR");
    char data[2 * PATH_MAX], path[2 * PATH_MAX];

    PROMISE(snprintf(root, sizeof root, "%s/kguard-fuzz-XXXXXX", folder ? folder : "/tmp") < PATH_MAX);
    PROMISE(mkdtemp(root) && atexit(remove_root) == 0);
    in_root("/data", data, sizeof data);
    int fd = open(data, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (size_t i = 0; i < KGI_COUNT(names); i++) {
        in_root(names[i], path, sizeof path);
        for (char *slash = path + strlen(root); (slash = strchr(slash + 1, '/'));) {
            *slash = 0;
            mkdir(path, 0700);
            *slash = '/';
        }
        PROMISE(link(data, path) == 0);
    }
    return fd;
}

/* ---- the readers ------------------------------------------------------------------------------------- */

/* "torch 2.5.1": two words without an odd character. */
static void check_name(const char *name)
{
    size_t length = strcspn(name, " ");

    PROMISE(length && name[length] && name[length + 1]);
    for (size_t i = 0; name[i]; i++)
        PROMISE(i == length || (name[i] > ' ' && name[i] < 127 && !strchr("\"'`$\\/", name[i])));
}

static void search_disk(void)
{
    char name[192];

    for (size_t i = 0; i < KGI_COUNT(libraries); i++)
        if (kgi_package_of(libraries[i], name, sizeof name))
            check_name(name);
}

static void offer_all(const uint8_t *data, size_t size)
{
    struct kgi_packages *packages = kgi_packages_new();
    size_t start = size < 100 ? size : 100, count;

    for (size_t i = 0; i < KGI_COUNT(names); i++) {
        struct feed feed = {data + start, size - start};
        struct kgi_stream stream = {.read = on_read, .context = &feed};
        PROMISE(kgi_packages_offer(packages, names[i], names[i], (struct kgi_bytes){data, start}, &stream));
    }
    for (size_t i = 0; i < KGI_COUNT(libraries); i++) {
        struct kgi_file file = {.inner = (char *)(uintptr_t)libraries[i]};
        kgi_packages_name(packages, &file);
        if (file.package)
            check_name(file.package);
        PROMISE(!file.torch);
        free(file.package);
    }
    const struct kgi_ptxas *ptxas = kgi_packages_ptxas(packages, &count);
    PROMISE(count == 1 && ptxas->cuda >= 0 && ptxas->cuda <= 99990);
    kgi_packages_free(packages);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t padded[WINDOW];
    static int fd = -1;
    size_t pad = size && data[size - 1] & 1 ? WINDOW - size % WINDOW / 2 : 0; /* a text's last is even */

    if (fd < 0) {
        fd = make_root();
        memset(padded, '\n', sizeof padded);
    }
    PROMISE(ftruncate(fd, 0) == 0 && pwrite(fd, padded, pad, 0) == (ssize_t)pad);
    PROMISE(pwrite(fd, data, size, (off_t)pad) == (ssize_t)size);
    search_disk();
    offer_all(data, size);
    return 0;
}
