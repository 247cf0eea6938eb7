/* Paths, folders, archives and processes: what is met, in which order, under which name. */
#include <zlib.h>

#include "cli_walk.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

static void folders(void **state)
{
    struct log log = {.stop = 7};
    struct kgi_visitor v = visitor(&log);

    (void)state;
    assert_int_equal(mkdir("d", 0755) | mkdir("d/sub", 0755) | mkdir("away", 0755), 0);
    store("d/b.so", text("real"));
    store("d/sub/c.so", text("deep"));
    store("d/empty", text(""));
    store("away/x.so", text("away"));
    assert_int_equal(symlink("b.so", "d/a.so") | symlink("..", "d/sub/up") |
                         symlink("../away", "d/linked") | symlink("nothing", "d/broken") |
                         symlink("loop", "d/loop") | symlink("/proc/self", "d/proc") |
                         link("d/b.so", "d/z.so") | mkfifo("d/pipe", 0600),
                     0);
    alarm(20);
    expect_path("d", "d/b.so = real\n"
                     "d/pipe ~ a FIFO: skipped\n"
                     "d/sub/c.so = deep\n"
                     "d/linked/x.so = away\n"
                     "d/proc ~ a file system without files: skipped\n");
    expect_path("d/pipe",
                "d/pipe ! a FIFO, not a file; - reads a pipe, from standard input\n");
    alarm(0);
    expect_path("d/a.so", "d/a.so = real\n");
    expect_path("d/", "d/b.so = real\n"
                      "d/pipe ~ a FIFO: skipped\n"
                      "d/sub/c.so = deep\n"
                      "d/linked/x.so = away\n"
                      "d/proc ~ a file system without files: skipped\n");
    expect_path("nothing", "nothing ! cannot be read: No such file or directory\n");
    expect_path("/dev/null", "/dev/null ! a device, not a file\n");
    expect_path("/proc/self", "/proc/self ! a file system without files: skipped\n");
    assert_int_equal(kgi_walk("d", &v), 7);
    fclose(log.to);
    assert_string_equal(log.at, "d/b.so = real\n");
    free(log.at);
}

/* The bar reaches its end: hard links count once, archives by their own size. */
static void progress(void **state)
{
    struct log log = {0};
    struct kgi_visitor v = visitor(&log);
    struct made made = PACK(TAR, GZIP, ((struct item[]){FILE_OF("a", "1"), FILE_OF("b", "2")}));

    (void)state;
    assert_int_equal(mkdir("d", 0755) | mkdir("d/e", 0755), 0);
    store("d/e/t", made);
    store("d/f", text("12345"));
    assert_int_equal(link("d/f", "d/g"), 0);
    assert_int_equal(kgi_walk("d", &v), 0);
    fclose(log.to);
    assert_int_equal(log.done, made.size + 5);
    assert_int_equal(kgi_walk_size("d"), log.done);
    free(log.at);
}

static void deep_folders(void **state)
{
    char start[512];
    struct log log = {0};
    struct kgi_visitor v = visitor(&log);

    (void)state;
    assert_non_null(getcwd(start, sizeof start));
    for (int i = 0; i < 300; i++)
        assert_int_equal(mkdir("a", 0755) | chdir("a"), 0);
    store("x", text("too deep"));
    assert_int_equal(chdir(start), 0);
    assert_int_equal(kgi_walk(".", &v), 0);
    fclose(log.to);
    assert_non_null(strstr(log.at, "/a ! a folder inside 256 others: not read\n"));
    assert_null(strstr(log.at, "too deep"));
    free(log.at);
}

static void not_readable(void **state)
{
    int status = 0;
    pid_t child;

    (void)state;
    assert_int_equal(mkdir("p", 0755) | mkdir("p/closed", 0), 0);
    store("p/secret", text("s"));
    store("p/z", text("still met"));
    assert_int_equal(chmod("p/secret", 0) | chmod(".", 0755), 0);
    child = fork(); /* root may read everything */
    if (child == 0) {
        if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
            _exit(1);
        expect_path("p", "p/closed ! cannot be opened: Permission denied\n"
                         "p/secret ! cannot be opened: Permission denied\n"
                         "p/z = still met\n");
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static const struct item three[] = {
    FOLDER_OF("lib/"),
    FILE_OF("./lib//a.so", "first"),
    FILE_OF("../../etc/passwd", "second"),
    FILE_OF("/lib/\303\251.so", "third"),
    LINK_OF("lib/link", 's', "a.so"),
};

static void tars(void **state)
{
    static const int filters[] = {ARCHIVE_FILTER_NONE, ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_ZSTD,
                                  ARCHIVE_FILTER_XZ, ARCHIVE_FILTER_BZIP2};

    (void)state;
    for (size_t i = 0; i < KGI_COUNT(filters); i++) {
        struct made made = pack(ARCHIVE_FORMAT_TAR, filters[i], three, KGI_COUNT(three));
        store("t", made);
        expect_path("t", "t!/lib/a.so = first\n"
                         "t!/../../etc/passwd = second\n"
                         "t!/lib/\303\251.so = third\n");
        expect_stream(made, "-!/lib/a.so = first\n"
                            "-!/../../etc/passwd = second\n"
                            "-!/lib/\303\251.so = third\n");
    }
}

static void zips(void **state)
{
    struct made made = PACK(ZIP, NONE, three), inner, outer;

    (void)state;
    store("z", made);
    expect_path("z", "z!/lib/a.so = first\n"
                     "z!/../../etc/passwd = second\n"
                     "z!/lib/\303\251.so = third\n");
    /* Only the directory, at the end, tells that a member is a link. */
    expect_stream(made, "-!/lib/a.so = first\n"
                        "-!/../../etc/passwd = second\n"
                        "-!/lib/\303\251.so = third\n"
                        "-!/lib/link = a.so\n");
    inner = PACK(ZIP, NONE, ((struct item[]){FILE_OF("pkg/ext.so", "code")}));
    outer = PACK(TAR, ZSTD, ((struct item[]){{"w.whl", 'f', inner}, FILE_OF("next", "n")}));
    store("o", outer);
    expect_path("o", "o!/w.whl!/pkg/ext.so = code\no!/next = n\n");
}

static void ar(void **state)
{
    static const char gnu[] = "!<arch>\n"
                              "/               0           0     0     0       4         `\n"
                              "\0\0\0\0"
                              "//                                              26        `\n"
                              "a_long_name_of_an_object/\n"
                              "/0              0           0     0     644     3         `\n"
                              "two\n"
                              "three.o/        0           0     0     644     1         `\n"
                              "3\n";
    struct made made =
        PACK(AR_BSD, NONE,
             ((struct item[]){FILE_OF("one.o", "1"), FILE_OF("a_long_name_of_an_object", "2")}));

    (void)state;
    store("lib.a", made);
    expect_path("lib.a", "lib.a!/one.o = 1\n"
                         "lib.a!/a_long_name_of_an_object = 2\n");
    store("lib.a", (struct made){(char *)(uintptr_t)gnu, sizeof gnu - 1});
    expect_path("lib.a", "lib.a!/a_long_name_of_an_object = two\n"
                         "lib.a!/three.o = 3\n");
}

/* Only compressed: nothing is said, unless the user named it. */
static void no_tar(void **state)
{
    struct archive *a = archive_write_new();
    struct archive_entry *e = archive_entry_new();
    struct made made = make();

    (void)state;
    assert_int_equal(archive_write_set_format_raw(a) | archive_write_add_filter_gzip(a), 0);
    assert_int_equal(archive_write_open_memory(a, made.at, MADE, &made.size), 0);
    archive_entry_set_filetype(e, AE_IFREG);
    assert_int_equal(archive_write_header(a, e), 0);
    assert_int_equal(archive_write_data(a, "a manual page", 13), 13);
    archive_entry_free(e);
    archive_write_free(a);
    assert_int_equal(mkdir("n", 0755), 0);
    store("n/page.gz", made);
    expect_path("n", "");
    expect_path("n/page.gz", "n/page.gz ! compressed, but no tar is inside\n");
}

/* Files are in it, and none is read: that is said of one that the user named. */
static void unread_forms(void **state)
{
    struct archive *a = archive_write_new();
    struct made made = make();
    const char *line = "u/a.7z = 7z\xbc\xaf'\n";
    char both[256];

    (void)state;
    assert_int_equal(archive_write_set_format_7zip(a), 0);
    assert_int_equal(archive_write_open_memory(a, made.at, MADE, &made.size), 0);
    archive_write_free(a);
    snprintf(both, sizeof both,
             "u/a.7z ! a 7-Zip archive: not read; unpack or mount it, and scan that\n%s", line);
    assert_int_equal(mkdir("u", 0755), 0);
    store("u/a.7z", made);
    expect_path("u", line);
    expect_path("u/a.7z", both);
}

static void nested_too_deep(void **state)
{
    struct made made = PACK(ZIP, NONE, ((struct item[]){FILE_OF("end", "e")}));

    (void)state;
    for (int i = 0; i < 10; i++) {
        struct made outer = PACK(ZIP, NONE, ((struct item[]){{"z", 'f', made}, FILE_OF("b", "b")}));
        made = outer;
    }
    expect_stream(made, "-!/z!/z!/z!/z!/z!/z!/z!/z ! an archive inside 8 others: not read\n"
                        "-!/z!/z!/z!/z!/z!/z!/z!/b = b\n"
                        "-!/z!/z!/z!/z!/z!/z!/b = b\n"
                        "-!/z!/z!/z!/z!/z!/b = b\n"
                        "-!/z!/z!/z!/z!/b = b\n"
                        "-!/z!/z!/z!/b = b\n"
                        "-!/z!/z!/b = b\n"
                        "-!/z!/b = b\n"
                        "-!/b = b\n");
}

static char noise[20000];                        /* longer than what a visitor is shown at first */
#define NOISE "iyiayedqpeewacbazlzdhhqkwpqfkejq" /* as it begins */

static void make_noise(void)
{
    uint32_t seed = 1;

    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)('a' + (seed = seed * 1103515245 + 12345) % 71 % 26);
}

static struct made with_noise(int format, int filter)
{
    const struct item items[] = {FILE_OF("a", "1"), {"b", 'f', {noise, sizeof noise}}};

    return pack(format, filter, items, KGI_COUNT(items));
}

static void expect_cut(struct made made, size_t size, const char *want)
{
    made.size = size;
    store("cut", made);
    expect_path("cut", want);
}

/* The tar of a tool that writes no padding behind the last file, and no end. */
static void no_padding(void **state)
{
    const struct item one[] = {FILE_OF("a", "1"), FILE_OF("b", "12345")};
    struct made made = PACK(TAR, NONE, one), cut = {made.at, 512 + 512 + 512 + 5};
    struct made packed = make();
    z_stream z = {.next_in = (Bytef *)cut.at, .avail_in = (uInt)cut.size,
                  .next_out = (Bytef *)packed.at, .avail_out = MADE};

    (void)state;
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    packed.size = z.total_out;
    deflateEnd(&z);
    store("t", cut);
    expect_path("t", "t!/a = 1\nt!/b = 12345\n");
    expect_stream(cut, "-!/a = 1\n-!/b = 12345\n");
    store("z", packed);
    expect_path("z", "z!/a = 1\nz!/b = 12345\n");
    expect_cut(made, cut.size - 1,
               "cut!/a = 1\n"
               "cut ! \"b\": Truncated tar archive, at byte 1540; the rest is not read\n");
}

static void damaged(void **state)
{
    struct made made;

    (void)state;
    make_noise();
    made = with_noise(ARCHIVE_FORMAT_TAR, ARCHIVE_FILTER_NONE);
    expect_cut(made, 10000,
               "cut!/a = 1\n"
               "cut ! \"b\": Truncated tar archive, at byte 10000; the rest is not read\n"
               "cut!/b = " NOISE "... 4096, Bad message\n");
    struct item wheel[] = {{"w.whl", 'f', with_noise(ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE)}};
    made = PACK(TAR, NONE, wheel);
    expect_cut(made, 9000,
               "cut!/w.whl!/a = 1\n"
               "cut ! \"w.whl\": Truncated tar archive, at byte 9000; "
               "the rest is not read\n"
               "cut!/w.whl!/b = " NOISE "... 4096, Bad message\n");
    made = with_noise(ARCHIVE_FORMAT_TAR, ARCHIVE_FILTER_GZIP);
    expect_cut(made, 6000, "cut ! truncated gzip input, at byte 6000; the rest is not read\n");
    made = with_noise(ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE);
    expect_cut(made, 6000,
               "cut ! a zip without an end record, as if cut off: read from member to member\n"
               "cut!/a = 1\n"
               "cut ! \"b\": cut off, at byte 6000; the rest is not read\n"
               "cut!/b = " NOISE "... 9096, Bad message\n");
    made = with_noise(ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE);
    made.at[made.size - 22 + 16] ^= 1; /* where the directory starts */
    expect_cut(made, made.size,
               "cut ! no directory at byte 12696, where the end record says: "
               "read from member to member\n"
               "cut!/a = 1\n"
               "cut!/b = " NOISE "... 20000\n");
    made = with_noise(ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE);
    made.at[5000] ^= 1;
    expect_cut(made, made.size,
               "cut!/a = 1\n"
               "cut ! \"b\": ZIP bad CRC: 0x9ec7b8b3 should be 0xb18a4777, "
               "at byte 12681\n");
    made = PACK(TAR, NONE, three);
    made.at[512 + 148] ^= 1; /* the second header's checksum */
    expect_cut(made, made.size,
               "cut ! after \"lib\": Damaged tar archive, at byte 1024\n"
               "cut!/../../etc/passwd = second\n"
               "cut!/lib/\303\251.so = third\n");
    made = with_noise(ARCHIVE_FORMAT_TAR, ARCHIVE_FILTER_NONE);
    memcpy(made.at + 512 + 512 + 124, "77777777777", 11); /* a lying size: 8 GiB */
    expect_cut(made, made.size,
               "cut!/a = 1\n"
               "cut ! after \"a\": Damaged tar archive, at byte 1536\n");
}

/* What nobody reads is skipped, and yet found missing. */
static void cut_while_skipping(void **state)
{
    struct log log = {.skip = true};
    struct kgi_visitor v = visitor(&log);
    const struct item items[] = {{"a", 'f', {calloc(1, 1 << 20), 1 << 20}}};
    struct made made = pack(ARCHIVE_FORMAT_TAR, ARCHIVE_FILTER_NONE, items, 1);

    (void)state;
    made.size = 500000;
    store("t", made);
    assert_int_equal(kgi_walk("t", &v), 0);
    fclose(log.to);
    assert_string_equal(log.at,
                        "t!/a =  of 1048576\n"
                        "t ! \"a\": Truncated input file (needed 1048576 bytes, only 499488 "
                        "available), at byte 500000; the rest is not read\n");
    free(log.at);
    free(items[0].content.at);
}

/* ---- limits --------------------------------------------------------------------------------- */

/* 1.2 GiB of zeros in some 40 KB. */
static void bomb(void **state)
{
    static char zeros[1 << 20];
    struct archive *a = archive_write_new();
    struct archive_entry *e = archive_entry_new();
    struct log log = {.skip = true};
    struct kgi_visitor v = visitor(&log);

    (void)state;
    assert_int_equal(mkdir("d", 0755), 0);
    assert_int_equal(archive_write_set_format_pax_restricted(a) | archive_write_add_filter_zstd(a),
                     0);
    assert_int_equal(archive_write_open_filename(a, "d/bomb"), 0);
    archive_entry_set_pathname(e, "zeros");
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_size(e, (la_int64_t)1200 << 20);
    assert_int_equal(archive_write_header(a, e), 0);
    for (int i = 0; i < 1200; i++)
        assert_int_equal(archive_write_data(a, zeros, sizeof zeros), sizeof zeros);
    archive_entry_free(e);
    archive_write_free(a);
    store("d/next", PACK(TAR, NONE, ((struct item[]){FILE_OF("a", "1")})));
    assert_int_equal(kgi_walk("d", &v), 0); /* nobody reads the zeros: they are passed over */
    fclose(log.to);
    assert_non_null(strstr(log.at,
                           "d/bomb!/zeros =  of 1258291200\n"
                           "d/bomb ! unpacks to more than 200 times its size: 1024 MiB from "));
    assert_non_null(strstr(log.at, "; not read on\nd/next!/a = 1 of 1\n"));
    free(log.at);

    struct made inner = make();
    int fd = open("d/bomb", O_RDONLY);
    inner.size = (size_t)read(fd, inner.at, MADE);
    close(fd);
    store("d/bomb",
          PACK(TAR, NONE, ((struct item[]){{"bomb", 'f', inner}, FILE_OF("behind", "b")})));
    log = (struct log){.skip = true};
    v = visitor(&log);
    assert_int_equal(kgi_walk("d/bomb", &v), 0);
    fclose(log.to);
    assert_non_null(strstr(log.at, "d/bomb!/bomb!/zeros =  of 1258291200\n"
                                   "d/bomb!/bomb ! unpacks to more than 200 times its size"));
    assert_string_equal(strchr(strstr(log.at, " ! "), '\n'), "\n"); /* the end */
    free(log.at);
}

static void put(int fd, uint64_t value, size_t size)
{
    assert_int_equal(write(fd, &value, size), size);
}

static void put_local(int fd, const char *name, uint32_t size, uint64_t large)
{
    put(fd, 0x04034b50, 4);
    put(fd, large ? 45 : 20, 2);
    for (int i = 0; i < 4; i++)
        put(fd, 0, 2);                  /* flags, stored, time, date */
    put(fd, large ? 0 : 0x8cdc1683, 4); /* CRC of "x" */
    put(fd, large ? UINT32_MAX : size, 4);
    put(fd, large ? UINT32_MAX : size, 4);
    put(fd, strlen(name), 2);
    put(fd, large ? 20 : 0, 2);
    assert_int_equal(write(fd, name, strlen(name)), strlen(name));
    if (large) {
        put(fd, 1, 2);
        put(fd, 16, 2);
        put(fd, large, 8);
        put(fd, large, 8);
    }
}

static void put_central(int fd, const char *name, uint64_t size, uint64_t place)
{
    put(fd, 0x02014b50, 4);
    put(fd, 45, 2);
    put(fd, 45, 2);
    for (int i = 0; i < 4; i++)
        put(fd, 0, 2);
    put(fd, size == 1 ? 0x8cdc1683 : 0, 4);
    put(fd, UINT32_MAX, 4);
    put(fd, UINT32_MAX, 4);
    put(fd, strlen(name), 2);
    put(fd, 28, 2);
    for (int i = 0; i < 3; i++)
        put(fd, 0, 2); /* comment, disk, attributes */
    put(fd, 0, 4);
    put(fd, UINT32_MAX, 4);
    assert_int_equal(write(fd, name, strlen(name)), strlen(name));
    put(fd, 1, 2);
    put(fd, 24, 2);
    put(fd, size, 8);
    put(fd, size, 8);
    put(fd, place, 8);
}

/* A zip64 with a member of 5 GiB, which is a hole in the file, and one behind it. */
static void large_zip(void **state)
{
    const uint64_t size = (uint64_t)5 << 30;
    struct log log = {.skip = true};
    struct kgi_visitor v = visitor(&log);
    int fd = open("large", O_RDWR | O_CREAT, 0644);

    (void)state;
    put_local(fd, "hole", 0, size);
    lseek(fd, (off_t)size, SEEK_CUR);
    uint64_t second = (uint64_t)lseek(fd, 0, SEEK_CUR);
    put_local(fd, "behind", 1, 0);
    put(fd, 'x', 1);
    uint64_t directory = (uint64_t)lseek(fd, 0, SEEK_CUR);
    put_central(fd, "hole", size, 0);
    put_central(fd, "behind", 1, second);
    uint64_t end = (uint64_t)lseek(fd, 0, SEEK_CUR);
    put(fd, 0x06064b50, 4);
    put(fd, 44, 8);
    put(fd, 0x002d002d, 4);
    put(fd, 0, 8); /* disks */
    put(fd, 2, 8);
    put(fd, 2, 8);
    put(fd, end - directory, 8);
    put(fd, directory, 8);
    put(fd, 0x07064b50, 4);
    put(fd, 0, 4);
    put(fd, end, 8);
    put(fd, 1, 4);
    put(fd, 0x06054b50, 4);
    put(fd, 0, 4);
    put(fd, UINT32_MAX, 4); /* 65535 members twice */
    put(fd, UINT64_MAX, 8);
    put(fd, 0, 2);
    close(fd);
    assert_int_equal(kgi_walk("large", &v), 0);
    fclose(log.to);
    assert_string_equal(log.at, "large!/hole =  of 5368709120\nlarge!/behind = x of 1\n");
    assert_int_equal(log.done, kgi_walk_size("large"));
    assert_true(log.done > size);
    free(log.at);
}

/* ---- processes ------------------------------------------------------------------------------ */

static void mapping_lines(void **state)
{
    static const struct {
        const char *line, *path;
        bool deleted;
    } lines[] = {
        {"7f12a000-7f12b000 r-xp 00001000 fe:01 1234       /usr/lib/a b.so\n", "/usr/lib/a b.so",
         false},
        {"7f12a000-7f12b000 rw-p 00000000 00:01 5   /memfd:x (deleted)\n", "/memfd:x", true},
        {"7f12a000-7f12b000 rw-p 00000000 00:00 0 \n", NULL, false},
        {"7ffc0000-7ffd0000 rw-p 00000000 00:00 0    [stack]\n", NULL, false},
        {"7f12a000-7f12b000 rw-p 00000000 00:0e 9    anon_inode:[x]\n", NULL, false},
        {"nonsense\n", NULL, false},
        {"\n", NULL, false},
    };

    (void)state;
    for (size_t i = 0; i < KGI_COUNT(lines); i++) {
        char line[128];
        struct kgi_mapping m;
        strcpy(line, lines[i].line);
        assert_int_equal(kgi_maps_line(line, &m), lines[i].path != NULL);
        if (!lines[i].path)
            continue;
        assert_string_equal(m.path, lines[i].path);
        assert_string_equal(m.range, "7f12a000-7f12b000");
        assert_int_equal(m.deleted, lines[i].deleted);
    }
}

static void *map(const char *path)
{
    int fd = open(path, O_RDONLY);
    void *at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);

    assert_true(at != MAP_FAILED);
    close(fd);
    return at;
}

static void process(void **state)
{
    char line[256];
    struct log log = {0};
    struct kgi_visitor v = visitor(&log);
    void *kept, *again, *gone;

    store("kept.so", text("kept"));
    store("gone.so", text("gone"));
    kept = map("kept.so");
    again = map("kept.so");
    gone = map("gone.so");
    unlink("gone.so");
    assert_int_equal(kgi_walk_process(getpid(), &v), 0);
    fclose(log.to);
    snprintf(line, sizeof line, "\n%s/kept.so = kept\n", (char *)*state);
    assert_non_null(strstr(log.at, line));
    assert_null(strstr(strstr(log.at, line) + 1, line)); /* once */
    snprintf(line, sizeof line, "\n%s/gone.so (deleted) ", (char *)*state);
    assert_non_null(strstr(log.at, line));
    const char *said = strstr(log.at, line) + strlen(line);
    assert_true(strncmp(said, "= gone\n", 7) == 0 || /* who may use map_files */
                strncmp(said, "! deleted or replaced since it was mapped", 41) == 0);
    munmap(kept, 4096);
    munmap(again, 4096);
    munmap(gone, 4096);
    free(log.at);
    v = visitor(&log);
    assert_int_equal(kgi_walk_process(0x7fffffff, &v), 0);
    fclose(log.to);
    assert_string_equal(log.at, "/proc/2147483647/maps ! no such process\n");
    free(log.at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, enter_folder, leave_folder)
        T(folders),
        T(progress),
        T(deep_folders),
        T(not_readable),
        T(tars),
        T(zips),
        T(ar),
        T(no_tar),
        T(unread_forms),
        T(nested_too_deep),
        T(damaged),
        T(cut_while_skipping),
        T(no_padding),
        T(bomb),
        T(large_zip),
        T(mapping_lines),
        T(process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
