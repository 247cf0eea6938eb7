/*
 * What LD_PRELOAD can do for a program, and what not. The loader says nothing where it leaves an
 * entry out (a program with more rights than its caller), and where there is no loader (a
 * statically linked program) nobody could: so the file is looked at before it is run.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "run.h"

#define FILE_MOST ((size_t)4 << 30)
#define SCRIPTS_MOST 4 /* interpreters of interpreters; the kernel's own limit */

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#define TRIPLET "x86_64-linux-gnu"
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#define TRIPLET "aarch64-linux-gnu"
#endif

static bool is_file(const char *path, int mode)
{
    struct stat s;

    return stat(path, &s) == 0 && S_ISREG(s.st_mode) && access(path, mode) == 0;
}

/* ---- libkguard.so ---------------------------------------------------------------------------- */

/* The folder of this executable. */
static void here(char *out, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", out, size - 1);
    char *slash;

    out[n > 0 ? n : 0] = 0;
    slash = strrchr(out, '/');
    if (slash)
        *slash = 0;
}

bool kgi_library_find(const char *given, char *out, size_t size)
{
    /* Where `make install` and the packages of distributions put it. */
    static const char *const folders[] = {".", "../lib", "../lib/" TRIPLET, "../lib64",
                                          "/usr/local/lib", "/usr/lib", "/usr/lib/" TRIPLET,
                                          "/usr/lib64"};
    char self[PATH_MAX], path[PATH_MAX + 64];
    bool found = given && is_file(given, R_OK);

    here(self, sizeof self);
    snprintf(path, sizeof path, "%s", given ? given : "");
    for (size_t i = 0; !given && !found && i < KGI_COUNT(folders); i++) {
        bool whole = folders[i][0] == '/';
        snprintf(path, sizeof path, "%s%s%s/libkguard.so", whole ? "" : self, whole ? "" : "/",
                 folders[i]);
        found = is_file(path, R_OK);
    }
    char *full = found ? realpath(path, NULL) : NULL;
    snprintf(out, size, "%s", full ? full : given ? given : "libkguard.so");
    free(full);
    return found;
}

/* ---- the program ----------------------------------------------------------------------------- */

/* The search of execvp: PATH, unless there is a slash. Not found, but found without the right to
 * run it: -EACCES. */
static int find_in_path(const char *name, char *out)
{
    const char *path = getenv("PATH"), *end;
    int result = -ENOENT;

    if (strchr(name, '/') || !*name) {
        snprintf(out, PATH_MAX, "%s", name);
        return is_file(out, X_OK) ? 0 : access(out, F_OK) == 0 ? -EACCES : -ENOENT;
    }
    if (!path)
        path = "/bin:/usr/bin";
    for (;; path = end + 1) {
        end = path + strcspn(path, ":");
        int n = snprintf(out, PATH_MAX, "%.*s%s%s", (int)(end - path), path, end > path ? "/" : "",
                         name);
        if (n < PATH_MAX && is_file(out, X_OK))
            return 0;
        if (n < PATH_MAX && is_file(out, F_OK))
            result = -EACCES;
        if (!*end)
            return result;
    }
}

/* "#!/usr/bin/env python3": the interpreter's path into out. */
static bool script_interpreter(struct kgi_bytes file, char *out, size_t size)
{
    char line[256];
    size_t n = file.size < sizeof line - 1 ? file.size : sizeof line - 1;
    char *start;

    if (n < 2 || memcmp(file.at, "#!", 2) != 0)
        return false;
    memcpy(line, file.at, n);
    line[n] = 0;
    line[strcspn(line, "\n")] = 0;
    start = line + 2 + strspn(line + 2, " \t");
    start[strcspn(start, " \t")] = 0;
    snprintf(out, size, "%s", start);
    return *start != 0;
}

/* Whether running the file gives rights that its caller has not: the loader is then in secure
 * mode, and takes no library named by a path. */
static bool gains_rights(const char *path)
{
    struct statvfs fs;
    struct stat s;

    if (stat(path, &s) != 0 || (statvfs(path, &fs) == 0 && fs.f_flag & ST_NOSUID) ||
        prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
        return false;
    return (s.st_mode & S_ISUID && s.st_uid != getuid()) ||
           (s.st_mode & S_ISGID && s.st_mode & S_IXGRP && s.st_gid != getgid()) ||
           (getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0);
}

/* PT_INTERP's text, borrowed; NULL when there is none. */
static const char *loader_of(struct kgi_bytes elf, const Elf64_Ehdr *head)
{
    Elf64_Phdr segment;

    for (unsigned i = 0; i < head->e_phnum; i++)
        if (KGI_GET(elf, head->e_phoff + i * sizeof segment, &segment) &&
            segment.p_type == PT_INTERP)
            return kgi_bytes_string(elf, segment.p_offset);
    return NULL;
}

static const char *unseen_reason(const char *path, struct kgi_bytes elf)
{
    Elf64_Ehdr head;
    const char *loader;

    if (gains_rights(path))
        return "runs with more rights than its caller (set-id or file capabilities)";
    if (!KGI_GET(elf, 0, &head) || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0)
        return NULL; /* a script without "#!", for the shell; or the kernel knows what to do with it
                      */
    if (head.e_ident[EI_CLASS] != ELFCLASS64)
        return "is a 32-bit program";
    if (head.e_machine != MACHINE)
        return "is for another processor";
    loader = loader_of(elf, &head);
    if (!loader)
        return "is statically linked";
    return strstr(loader, "ld-musl") ? "uses musl, where the library does nothing" : NULL;
}

/* The name of AddressSanitizer's shared runtime: gcc's, or clang's with -shared-libasan. It ends
 * the program when any library is loaded before it. */
static void find_asan(struct kgi_bytes elf, char *out, size_t size)
{
    struct kgi_section dynamic, names;
    Elf64_Dyn entry;

    if (kgi_elf_section_typed(elf, SHT_DYNAMIC, &dynamic) < 0 ||
        kgi_elf_section(elf, dynamic.link, &names) < 0)
        return;
    struct kgi_bytes table = kgi_elf_bytes(elf, &dynamic), strings = kgi_elf_bytes(elf, &names);
    for (size_t at = 0; KGI_GET(table, at, &entry) && entry.d_tag != DT_NULL; at += sizeof entry) {
        const char *name =
            entry.d_tag == DT_NEEDED ? kgi_bytes_string(strings, entry.d_un.d_val) : NULL;
        if (name &&
            (strncmp(name, "libasan.so", 10) == 0 || strncmp(name, "libclang_rt.asan", 16) == 0))
            snprintf(out, size, "%s", name);
    }
}

int kgi_program_find(const char *name, struct kgi_program *out)
{
    struct kgi_bytes file;
    int error = find_in_path(name, out->path);

    out->unseen = NULL;
    out->asan[0] = 0;
    if (error)
        return error;
    snprintf(out->binary, sizeof out->binary, "%s", out->path);
    file = kgi_file_map(out->binary, FILE_MOST);
    for (int i = 0; i < SCRIPTS_MOST && script_interpreter(file, out->binary, sizeof out->binary);
         i++) {
        kgi_file_unmap(file);
        file = kgi_file_map(out->binary, FILE_MOST);
    }
    out->unseen = unseen_reason(out->binary, file);
    find_asan(file, out->asan, sizeof out->asan);
    kgi_file_unmap(file);
    return 0;
}

/* ---- LD_PRELOAD ------------------------------------------------------------------------------ */

bool kgi_preloadable(const char *path)
{
    return !strpbrk(path, " :\t\n$");
}

void kgi_preload_each(const char *value, void (*each)(const char *, void *), void *context)
{
    char entry[PATH_MAX];
    size_t n;

    for (; *value; value += n) {
        value += strspn(value, " :\t\n");
        n = strcspn(value, " :\t\n");
        if (n && n < sizeof entry) {
            memcpy(entry, value, n);
            entry[n] = 0;
            each(entry, context);
        }
    }
}

struct named {
    const char *file; /* what an entry's file name starts with */
    bool found;
};

static void look(const char *entry, void *context)
{
    struct named *named = context;
    const char *slash = strrchr(entry, '/');

    named->found |= strncmp(slash ? slash + 1 : entry, named->file, strlen(named->file)) == 0;
}

static bool names(const char *value, const char *file)
{
    struct named named = {file, false};

    kgi_preload_each(value, look, &named);
    return named.found;
}

/* Before the user's own, so that the program's calls are seen as the program makes them; but
 * behind a sanitizer that the user names. */
bool kgi_preload(const char *before, const char *library, const char *asan, char *out, size_t size)
{
    bool sanitized;
    int n;

    if (!before)
        before = "";
    sanitized = names(before, "libasan.so") || names(before, "libclang_rt.asan");
    if (names(before, "libkguard.so"))
        library = "";
    if (sanitized)
        n = snprintf(out, size, "%s%s%s", before, *library ? ":" : "", library);
    else
        n = snprintf(out, size, "%s%s%s%s%s", asan, *asan && *library ? ":" : "", library,
                     *before && (*asan || *library) ? ":" : "", before);
    return n >= 0 && (size_t)n < size;
}
