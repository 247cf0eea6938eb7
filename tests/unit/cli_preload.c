/* LD_PRELOAD's value, and what is seen of a program before it is run. */
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/run.h"

static void values(void **state)
{
    static const struct {
        const char *before, *library, *asan, *want;
    } rows[] = {
        {NULL, "/k/libkguard.so", "", "/k/libkguard.so"},
        {"", "/k/libkguard.so", "", "/k/libkguard.so"},
        {"/a.so /b.so", "/k/libkguard.so", "", "/k/libkguard.so:/a.so /b.so"},
        {NULL, "/k/libkguard.so", "libasan.so.8", "libasan.so.8:/k/libkguard.so"},
        {"/a.so", "/k/libkguard.so", "libasan.so.8", "libasan.so.8:/k/libkguard.so:/a.so"},
        {"/x/libasan.so.6:/a.so", "/k/libkguard.so", "libasan.so.8",
         "/x/libasan.so.6:/a.so:/k/libkguard.so"},
        {"/x/libasan.so.6", "/k/libkguard.so", "", "/x/libasan.so.6:/k/libkguard.so"},
        {"libclang_rt.asan-x86_64.so", "/k/libkguard.so", "",
         "libclang_rt.asan-x86_64.so:/k/libkguard.so"},
        {"/old/libkguard.so:/a.so", "/k/libkguard.so", "", "/old/libkguard.so:/a.so"},
        {"libkguard.so", "/k/libkguard.so", "libasan.so.8", "libasan.so.8:libkguard.so"},
        {"/notlibasan.so", "/k/libkguard.so", "", "/k/libkguard.so:/notlibasan.so"},
    };
    char out[128];

    (void)state;
    for (size_t i = 0; i < KGI_COUNT(rows); i++) {
        assert_true(kgi_preload(rows[i].before, rows[i].library, rows[i].asan, out, sizeof out));
        assert_string_equal(out, rows[i].want);
    }
    assert_false(kgi_preload("/a.so", "/k/libkguard.so", "", out, 21));
    assert_true(kgi_preload("/a.so", "/k/libkguard.so", "", out, 22));
}

static void paths(void **state)
{
    (void)state;
    assert_true(kgi_preloadable("/opt/kguard-1.0/lib/libkguard.so"));
    assert_false(kgi_preloadable("/a b/libkguard.so"));
    assert_false(kgi_preloadable("/a:b/libkguard.so"));
    assert_false(kgi_preloadable("/$LIB/libkguard.so"));
    assert_false(kgi_preloadable("/a\tb/libkguard.so"));
}

static void add(const char *entry, void *context)
{
    strcat(strcat(context, "|"), entry);
}

static void entries(void **state)
{
    char all[64] = "";

    (void)state;
    kgi_preload_each(" /a.so:b.so \n/c.so\t", add, all);
    assert_string_equal(all, "|/a.so|b.so|/c.so");
}

/* ---- programs: an ELF with one segment, changed
 * --------------------------------------------------- */

#ifdef __aarch64__
#define HERE EM_AARCH64
#define ELSEWHERE EM_X86_64
#else
#define HERE EM_X86_64
#define ELSEWHERE EM_AARCH64
#endif

static char folder[] = "/tmp/kguard-preload-XXXXXX", path[64];

static void write_program(const void *bytes, size_t size, mode_t mode)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

static const char *seen(int class, int machine, const char *loader)
{
    struct {
        Elf64_Ehdr head;
        Elf64_Phdr segment;
        char loader[32];
    } elf = {.head = {.e_machine = (uint16_t)machine,
                      .e_phoff = sizeof elf.head,
                      .e_phnum = 1,
                      .e_phentsize = sizeof elf.segment},
             .segment = {.p_type = loader ? PT_INTERP : PT_LOAD,
                         .p_offset = offsetof(__typeof__(elf), loader)}};
    static struct kgi_program program;

    memcpy(elf.head.e_ident, ELFMAG, SELFMAG);
    elf.head.e_ident[EI_CLASS] = (uint8_t) class;
    snprintf(elf.loader, sizeof elf.loader, "%s", loader ? loader : "");
    write_program(&elf, sizeof elf, 0755);
    assert_int_equal(kgi_program_find(path, &program), 0);
    assert_string_equal(program.path, path);
    return program.unseen ? program.unseen : "";
}

static void programs(void **state)
{
    (void)state;
    assert_string_equal(seen(ELFCLASS64, HERE, "/lib64/ld-linux-x86-64.so.2"), "");
    assert_string_equal(seen(ELFCLASS64, HERE, NULL), "is statically linked");
    assert_string_equal(seen(ELFCLASS32, EM_386, "/lib/ld-linux.so.2"), "is a 32-bit program");
    assert_string_equal(seen(ELFCLASS64, ELSEWHERE, "/lib/ld.so"), "is for another processor");
    assert_string_equal(seen(ELFCLASS64, HERE, "/lib/ld-musl-x86_64.so.1"),
                        "uses musl, where the library does nothing");
}

static void odd_programs(void **state)
{
    static struct kgi_program program;
    char loop[80];

    (void)state;
    write_program("\177ELF", 4, 0755); /* cut: for the kernel to refuse */
    assert_int_equal(kgi_program_find(path, &program), 0);
    assert_null(program.unseen);
    write_program("", 0, 0755);
    assert_int_equal(kgi_program_find(path, &program), 0);
    assert_null(program.unseen);
    write_program("#!\n", 3, 0755);
    assert_int_equal(kgi_program_find(path, &program), 0);
    assert_null(program.unseen);
    snprintf(loop, sizeof loop, "#!%s\n", path); /* its own interpreter */
    write_program(loop, strlen(loop), 0755);
    assert_int_equal(kgi_program_find(path, &program), 0);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(kgi_program_find(path, &program), -EACCES);
    assert_int_equal(kgi_program_find(folder, &program), -EACCES);
    assert_int_equal(kgi_program_find("", &program), -ENOENT);
}

static void search(void **state)
{
    static struct kgi_program program;
    char name[96];

    (void)state;
    assert_int_equal(seen(ELFCLASS64, HERE, "/lib/ld.so")[0], 0);
    snprintf(name, sizeof name, "/nowhere:%s:/bin", folder);
    setenv("PATH", name, 1);
    assert_int_equal(kgi_program_find("program", &program), 0);
    assert_string_equal(program.path, path);
    assert_int_equal(kgi_program_find("no-program", &program), -ENOENT);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(kgi_program_find("program", &program), -EACCES);
    assert_int_equal(chmod(path, 0755), 0);
    assert_int_equal(chdir(folder), 0);
    setenv("PATH", "/nowhere:", 1); /* an empty one is the current folder */
    assert_int_equal(kgi_program_find("program", &program), 0);
    assert_string_equal(program.path, "program");
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/program", mkdtemp(folder));
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return unlink(path) | rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),   cmocka_unit_test(paths),        cmocka_unit_test(entries),
        cmocka_unit_test(programs), cmocka_unit_test(odd_programs), cmocka_unit_test(search),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
