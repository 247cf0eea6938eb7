/*
 * The cache between users and on file systems of all kinds: needs root, for users to become and for
 * mounts in a name space of its own.
 */
#include "jit_cache.h"

#include <sys/mount.h>
#include <sys/statvfs.h>

enum { ROOT, ALICE = 61001, MALLORY = 61002 };

/* Runs work as a user in a child; its answer is the exit status. */
static int as_user(uid_t user, int (*work)(void))
{
    int status = -1;

    if (fork() == 0) {
        if (setgid(user) != 0 || setresuid(user, user, user) != 0)
            _exit(99);
        _exit(work());
    }
    wait(&status);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

/* ---- P17 ---- */

static struct kgi_cache_key key;
static struct kgi_cache shared_only;

static int user_hits(void)
{
    return hits(&cache, &key);
}

static int shared_hits(void)
{
    return hits(&shared_only, &key);
}

static int user_puts(void)
{
    return put_small(&cache, &key) == 0;
}

/* T tier, D shard, E entry, W the directory above, which anyone may write to. Everything is ALICE's,
 * then `change` is done, and ALICE asks: as the tier that she writes, and as a read-only one. */
static void p17_two_users(void **state)
{
    static const struct {
        const char *change;
        bool own, shared;
    } rows[] = {
        {"true", true, true},
        {"chown -R mallory $T", false, false},
        {"chown mallory $T", false, false},
        {"chown mallory $D", false, false},
        {"chown mallory $E", false, false},
        {"chown root $T; chmod 755 $T", false, true},
        {"chown root $E; chmod 644 $E", false, true},
        {"chown -R root $T; chmod 755 $T $D; chmod 644 $E", false, true},
        {"chown -R root $T; chmod 755 $T $D; chmod 664 $E", false, false},
        {"chown -R root $T; chmod 775 $T", false, false}, /* an ACL shows in these bits as well */
        {"chown -R root $T; chmod 1777 $T", false, false},
        {"chown -R root $T; chmod 777 $D", false, false},
        {"chmod 777 $T", false, false},
        {"chmod 777 $D", false, false},
        {"chmod 666 $E", false, false},
        {"cp -a $E $W/e; rm $E; ln -s $W/e $E", false, false},
        {"mv $T $W/t; ln -s $W/t $T; chown -h mallory $T", false, false},
        {"mv $D $W/d; ln -s $W/d $D", false, false},
        /* mallory's tree, with a hard link to a file of alice's in it */
        {"mkdir -p $W/m/$S; ln $E $W/m/$S/; chown mallory $W/m $W/m/$S; mv $T $W/t; mv $W/m $T", false,
         false},
        {"rm $E; mkfifo $E; chown alice $E", false, false},
        {"rm $E; mknod $E c 1 5; chown alice $E", false, false},
        {"rm $E; mknod $E b 7 200; chown alice $E", false, false},
    };

    (void)state;
    key = key_of(1);
    shared_only = (struct kgi_cache){.shared = {tier_path}};
    for (size_t i = 0; i < KGI_COUNT(rows); i++) {
        bool own, shared;

        shell("rm -rf %s/* && chmod 1777 %s", scratch, scratch);
        assert_int_equal(as_user(ALICE, user_puts), 1);
        shell("alice() { :; }; E=%s; D=$(dirname $E); S=$(basename $D); T=%s; W=%s; "
              "cmd=$(echo '%s' | sed 's/ mallory/ %d/g; s/ alice/ %d/g'); eval \"$cmd\"",
              path_of_entry(&key, &driver_580), tier_path, scratch, rows[i].change, MALLORY, ALICE);
        own = as_user(ALICE, user_hits);
        shared = as_user(ALICE, shared_hits);
        if (own != rows[i].own || shared != rows[i].shared)
            fail_msg("%s: %d %d", rows[i].change, own, shared);
    }
}

/* A directory that another made first: nothing of ours gets into it. */
static void p17_nothing_is_put_into_anothers_directory(void **state)
{
    (void)state;
    key = key_of(1);
    shell("chmod 1777 %s; mkdir -m 777 %s; chown %d %s", scratch, tier_path, MALLORY, tier_path);
    assert_int_equal(as_user(ALICE, user_puts), 0);
    assert_string_equal(output_of("find %s | wc -l", tier_path), "1");
    shell("rmdir %s; ln -s %s/elsewhere %s; chown -h %d %s; mkdir %s/elsewhere; chown %d %s/elsewhere",
          tier_path, scratch, tier_path, MALLORY, tier_path, scratch, ALICE, scratch);
    assert_int_equal(as_user(ALICE, user_puts), 0);
    assert_string_equal(output_of("find %s/elsewhere | wc -l", scratch), "1");
}

static void p21_another_user_hits_a_public_tree(void **state)
{
    (void)state;
    key = key_of(1);
    cache.is_public = true;
    assert_int_equal(put_small(&cache, &key), 0);
    shell("chmod 755 %s", scratch);
    shared_only = (struct kgi_cache){.shared = {tier_path}};
    assert_int_equal(as_user(ALICE, shared_hits), 1);
    assert_int_equal(as_user(ALICE, user_hits), 0);
}

/* ---- P19 ---- */

static void p19_two_users_in_one_process_have_no_cache(void **state)
{
    int status = -1;

    (void)state;
    key = key_of(1);
    assert_int_equal(put_small(&cache, &key), 0);
    shared_only = (struct kgi_cache){.shared = {tier_path}};
    if (fork() == 0) {
        if (setresuid(ALICE, 0, 0) != 0)
            _exit(9);
        _exit(put_small(&cache, &key) != -EPERM || hits(&cache, &key) || hits(&shared_only, &key));
    }
    wait(&status);
    assert_int_equal(status, 0);
}

/* This program again, set-id or with capabilities: it asks for its cache and says whether it has one. */
static int has_cache(void)
{
    const struct kgi_cache *mine = kgi_cache_default();

    return mine->user || mine->shared[0] ? 1 : 0;
}

static char program[128];

static int run_program(void)
{
    char *const arguments[] = {program, "--cache?", NULL};
    char *const environment[] = {"KGUARD_CACHE_DIR=/var/cache/x", "KGUARD_CACHE_RO=/y", "HOME=/root", NULL};

    execve(program, arguments, environment);
    return 97;
}

static void p19_set_id_programs_have_no_cache(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* their runtimes are no set-id programs */
#endif
    snprintf(program, sizeof program, "/tmp/kguard-cache-%d", (int)getpid());
    shell("cp /proc/%d/exe %s && chmod 755 %s", (int)getpid(), program, program);
    assert_int_equal(as_user(ALICE, run_program), 1);
    shell("chmod 4755 %s", program);
    assert_int_equal(as_user(ALICE, run_program), 0);
    shell("chown 0:%d %s && chmod 2755 %s", MALLORY, program, program);
    assert_int_equal(as_user(ALICE, run_program), 0);
    if (system("command -v setcap >/dev/null") == 0) {
        shell("chmod 755 %s && setcap cap_net_raw+ep %s", program, program);
        assert_int_equal(as_user(ALICE, run_program), 0);
    }
    unlink(program);
}

/* ---- P14, P16, P20: file systems ---- */

static bool mount_at(const char *options)
{
    if (mkdir(tier_path, 0700) != 0)
        return false;
    return mount("tmpfs", tier_path, "tmpfs", MS_NOATIME, options) == 0;
}

static int mounted_test(int (*work)(void))
{
    int status = -1;

    if (fork() == 0) {
        if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
            _exit(77);
        _exit(work());
    }
    wait(&status);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("line %d: %s\n", __LINE__, #condition);                                         \
            fflush(stdout);                                                                        \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

static int all_good(unsigned n)
{
    int there = 0;

    for (unsigned i = 0; i < n; i++) {
        struct kgi_cache_key k = key_of(i);

        there += hits(&cache, &k);
    }
    return there;
}

static int fill_a_small_disk(void)
{
    struct statvfs fs;

    EXPECT(mount_at("size=1m,mode=700"));
    for (unsigned i = 0; i < 600; i++) {
        struct kgi_cache_key k = key_of(i);
        int result = put_small(&cache, &k);

        EXPECT(result == 0 || result == -ENOSPC);
        EXPECT(statvfs(tier_path, &fs) == 0 && fs.f_bavail > 0);
    }
    EXPECT(fs.f_bavail * 20 >= fs.f_blocks); /* a twentieth is left alone */
    EXPECT(bad_entries(&cache) == 0 && left_over() == 0);
    EXPECT(all_good(600) > 100); /* the newest ones: old ones made room */
    key = key_of(599);
    EXPECT(hits(&cache, &key));
    /* Full because of another: no harm, and what there is still hits. */
    shell("cat /dev/zero > %s/zeros 2>/dev/null || true", tier_path);
    key = key_of(1000);
    EXPECT(put_small(&cache, &key) <= 0);
    EXPECT(bad_entries(&cache) == 0 && left_over() == 0);
    return 0;
}

/* A tree that was made for others loses nothing to what comes after. */
static int fill_a_tree_for_others(void)
{
    struct kgi_cache tree = cache;
    int stored = 0;

    tree.is_public = true;
    EXPECT(mount_at("size=1m,mode=755"));
    for (unsigned i = 0; i < 600; i++) {
        struct kgi_cache_key k = key_of(i);
        int result = put_small(&tree, &k);

        EXPECT(result == 0 || result == -ENOSPC);
        stored += result == 0;
    }
    EXPECT(stored > 100 && stored < 600 && all_good(600) == stored);
    return 0;
}

static int run_out_of_inodes(void)
{
    int stored = 0;

    EXPECT(mount_at("size=8m,nr_inodes=60,mode=700"));
    for (unsigned i = 0; i < 100; i++) {
        struct kgi_cache_key k = key_of(i);

        stored += put_small(&cache, &k) == 0;
    }
    EXPECT(stored > 10 && stored < 60);
    EXPECT(bad_entries(&cache) == 0 && all_good(100) == stored);
    return 0;
}

static int without_atime(void)
{
    struct timespec old[2] = {{1000000, 0}, {1000000, 0}};
    struct stat st;

    EXPECT(mount_at("size=8m,mode=700"));
    key = key_of(1);
    EXPECT(put_small(&cache, &key) == 0);
    EXPECT(utimensat(AT_FDCWD, path_of_entry(&key, &driver_580), old, 0) == 0);
    EXPECT(hits(&cache, &key));
    EXPECT(stat(path_of_entry(&key, &driver_580), &st) == 0 && st.st_mtime > 1000000);
    return 0;
}

static int read_only_mount(void)
{
    EXPECT(mount_at("size=8m,mode=700"));
    key = key_of(1);
    EXPECT(put_small(&cache, &key) == 0);
    EXPECT(mount(NULL, tier_path, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
    EXPECT(hits(&cache, &key));
    key = key_of(2);
    EXPECT(put_small(&cache, &key) == -EROFS && !hits(&cache, &key));
    EXPECT(kgi_cache_gc(&cache, true) == 0);
    shared_only = (struct kgi_cache){.shared = {tier_path}};
    key = key_of(1);
    EXPECT(hits(&shared_only, &key));
    return 0;
}

static void on_mounts(void **state, int (*work)(void))
{
    int result = mounted_test(work);

    (void)state;
    if (result == 77)
        skip();
    assert_int_equal(result, 0);
}

static void p16_a_small_disk_is_never_filled(void **state)
{
    on_mounts(state, fill_a_small_disk);
}

static void p16_a_tree_for_others_is_whole(void **state)
{
    on_mounts(state, fill_a_tree_for_others);
}

static void p16_no_inodes_left(void **state)
{
    on_mounts(state, run_out_of_inodes);
}

static void p14_noatime(void **state)
{
    on_mounts(state, without_atime);
}

static void p20_read_only_mount(void **state)
{
    on_mounts(state, read_only_mount);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(p17_two_users),
        TEST(p17_nothing_is_put_into_anothers_directory),
        TEST(p21_another_user_hits_a_public_tree),
        TEST(p19_two_users_in_one_process_have_no_cache),
        TEST(p19_set_id_programs_have_no_cache),
        TEST(p16_a_small_disk_is_never_filled),
        TEST(p16_a_tree_for_others_is_whole),
        TEST(p16_no_inodes_left),
        TEST(p14_noatime),
        TEST(p20_read_only_mount),
    };

    if (argc == 2 && !strcmp(argv[1], "--cache?"))
        return has_cache();
    if (geteuid() != 0) {
        puts("needs root");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
