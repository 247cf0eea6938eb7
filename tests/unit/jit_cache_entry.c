/* Keys and entries as bytes: P1, P2, P6, P22, P23 of the cache's properties. */
#include "jit_cache.h"

#include <sha2.h>

static struct kgi_cache_key make(const char *a, const char *b, uint8_t packing,
                                 struct kgi_target target, const char *options)
{
    struct kgi_cache_input inputs[2] = {{{(const uint8_t *)a, strlen(a)}, packing},
                                        {{(const uint8_t *)b, b ? strlen(b) : 0}, packing}};
    struct kgi_cache_key key;

    assert_int_equal(kgi_cache_key(inputs, b ? 2 : 1, target, options, &key), 0);
    return key;
}

static const char *hex(const uint8_t *bytes, size_t size)
{
    static char out[200];

    for (size_t i = 0; i < size; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    return out;
}

/* Each field changed alone, split or merged, gives another key. */
static void p01_every_field_is_in_the_key(void **state)
{
    struct kgi_target plain = {90, 0}, a = {90, 'a'}, f = {100, 'f'}, other = {80, 0};
    struct kgi_cache_key keys[] = {
        make("one", NULL, KGI_PLAIN, plain, ""),
        make("onf", NULL, KGI_PLAIN, plain, ""),
        make("one ", NULL, KGI_PLAIN, plain, ""),
        make("one", NULL, KGI_LZ4, plain, ""),
        make("one", NULL, KGI_ZSTD, plain, ""),
        make("one", NULL, KGI_PACKING_UNKNOWN, plain, ""),
        make("one", NULL, KGI_PLAIN, a, ""),
        make("one", NULL, KGI_PLAIN, f, ""),
        make("one", NULL, KGI_PLAIN, other, ""),
        make("one", NULL, KGI_PLAIN, plain, "7=3"),
        make("one", NULL, KGI_PLAIN, plain, "7=2"),
        make("", NULL, KGI_PLAIN, plain, ""),
        make("AA", "BB", KGI_PLAIN, plain, ""),
        make("A", "ABB", KGI_PLAIN, plain, ""),
        make("AAB", "B", KGI_PLAIN, plain, ""),
        make("AABB", NULL, KGI_PLAIN, plain, ""),
        make("AABB", "", KGI_PLAIN, plain, ""),
        make("", "AABB", KGI_PLAIN, plain, ""),
        make("BB", "AA", KGI_PLAIN, plain, ""),
    };

    (void)state;
    for (size_t i = 0; i < KGI_COUNT(keys); i++)
        for (size_t j = 0; j < i; j++)
            if (!memcmp(keys[i].digest, keys[j].digest, 32))
                fail_msg("keys %zu and %zu are the same", i, j);
    assert_memory_equal(make("one", NULL, KGI_PLAIN, plain, "").digest, keys[0].digest, 32);
}

static void p01_options_too_long_are_not_cached(void **state)
{
    struct kgi_cache_input input = {{(const uint8_t *)"x", 1}, KGI_PLAIN};
    char options[KGI_CACHE_OPTIONS + 2];
    struct kgi_cache_key key;

    (void)state;
    memset(options, 'o', sizeof options);
    options[KGI_CACHE_OPTIONS] = 0;
    assert_int_equal(kgi_cache_key(&input, 1, sm_90, options, &key), 0);
    options[KGI_CACHE_OPTIONS] = 'o';
    options[KGI_CACHE_OPTIONS + 1] = 0;
    assert_int_equal(kgi_cache_key(&input, 1, sm_90, options, &key), -E2BIG);
}

/* The block and digest written out by hand, from the format's description: the same on every machine,
 * in every version. */
static void p01_golden_key(void **state)
{
    static const char block[] = "\14\0\0\0kguard key 1"
                                "\6\0\0\0sm_90a"
                                "\3\0\0\0007=3"
                                "\10\0\0\0\2\0\0\0\0\0\0\0"
                                "\10\0\0\0\5\0\0\0\0\0\0\0"
                                "\40\0\0\0";
    static const char inputs[] = "\4\0\0\0\0\0\0\0zstd\2\0\0\0\0\0\0\0ab"
                                 "\4\0\0\0\0\0\0\0zstd\3\0\0\0\0\0\0\0cde";
    struct kgi_cache_key key = make("ab", "cde", KGI_ZSTD, (struct kgi_target){90, 'a'}, "7=3");
    uint8_t digest[32];
    SHA2_CTX context;

    (void)state;
    assert_int_equal(key.size, sizeof block - 1 + 32);
    assert_memory_equal(key.block, block, sizeof block - 1);
    SHA256Init(&context);
    SHA256Update(&context, (const uint8_t *)inputs, sizeof inputs - 1);
    SHA256Final(digest, &context);
    assert_memory_equal(key.block + sizeof block - 1, digest, 32);
    assert_string_equal(hex(key.digest, 32),
                        "d4f3a495a6890977b2cdbf75c37ebcc0aa9276fb1b4e772abc10fff0910c96b3");
}

static void p01_compilers_have_names_of_their_own(void **state)
{
    struct kgi_compiler rows[] = {ptxas_13, ptxas_12, driver_580, driver_550,
                                  {KGI_BY_DRIVER, 13000, "V13.0.88"},
                                  {KGI_BY_PTXAS, 13010, "V13.0.88"},
                                  {KGI_BY_PTXAS, 13000, "V13.0.8"}};
    uint8_t ids[KGI_COUNT(rows)][8];

    (void)state;
    for (size_t i = 0; i < KGI_COUNT(rows); i++) {
        kgi_compiler_id(&rows[i], ids[i]);
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(ids[i], ids[j], 8);
    }
}

static struct kgi_bytes entry_of(const struct kgi_cache_key *key, struct kgi_bytes payload)
{
    uint8_t header[KGI_ENTRY_HEADER];
    struct kgi_bytes head = {header, 0};
    uint8_t *file;

    head.size = kgi_entry_header(key, &driver_580, false, 1234, payload.size, header);
    file = guarded(head.size + payload.size + 16);
    memcpy(file, header, head.size);
    memcpy(file + head.size, payload.at, payload.size);
    kgi_entry_digest(head, payload, file + head.size + payload.size);
    return (struct kgi_bytes){file, head.size + payload.size + 16};
}

static void entry_round_trip(void **state)
{
    struct kgi_cache_key key = make("one", NULL, KGI_ZSTD, sm_90, "7=3");
    struct kgi_bytes file = entry_of(&key, small_cubin());
    struct kgi_cache_question question;
    struct kgi_entry entry;

    (void)state;
    assert_int_equal(kgi_entry_read(file, &entry), KGI_ENTRY_GOOD);
    assert_memory_equal(entry.key, key.digest, 32);
    assert_int_equal(entry.payload.size, small_cubin().size);
    assert_memory_equal(entry.payload.at, small_cubin().at, entry.payload.size);
    assert_int_equal((entry.payload.at - file.at) % 64, 0);
    assert_false(entry.failure);
    assert_int_equal(entry.cost_ms, 1234);
    assert_int_equal(entry.by.kind, KGI_BY_DRIVER);
    assert_string_equal(entry.by.build, driver_580.build);
    assert_true(kgi_cache_question(entry.key_block, &question));
    assert_int_equal(question.target.size, 5);
    assert_memory_equal(question.target.at, "sm_90", 5);
    assert_memory_equal(question.options.at, "7=3", 3);
    assert_int_equal(question.count, 1);
    assert_int_equal(question.bytes, 3);
}

/* An entry that another program wrote from the description alone (tests/cache/make_entries.py). */
static void p23_fixture_of_this_format(void **state)
{
    struct kgi_bytes file = fixture("../cache/format1.entry");
    struct kgi_cache_key key = make("ab", "cde", KGI_ZSTD, (struct kgi_target){90, 'a'}, "7=3");
    uint8_t header[KGI_ENTRY_HEADER];
    struct kgi_entry entry;
    size_t size;

    (void)state;
    assert_int_equal(kgi_entry_read(file, &entry), KGI_ENTRY_GOOD);
    assert_memory_equal(entry.key, key.digest, 32);
    assert_int_equal(entry.by.kind, KGI_BY_PTXAS);
    assert_int_equal(entry.by.cuda_version, 13000);
    assert_string_equal(entry.by.build, "V13.0.88");
    /* And it writes what we write. */
    size = kgi_entry_header(&key, &ptxas_13, false, 0, entry.payload.size, header);
    assert_memory_equal(header, file.at, size);
}

/* Every byte in every position, changed in two ways. */
static void p06_no_changed_byte_is_taken(void **state)
{
    struct kgi_cache_key key = make("one", NULL, KGI_PLAIN, sm_90, "");
    struct kgi_bytes file = entry_of(&key, (struct kgi_bytes){small_cubin().at, 3568});
    uint8_t *at = (uint8_t *)(uintptr_t)file.at;
    size_t newer = 0;
    struct kgi_entry entry;

    (void)state;
    assert_true(file.size > 3700);
    for (size_t i = 0; i < file.size; i++) {
        for (int way = 0; way < 2; way++) {
            uint8_t before = at[i];
            enum kgi_entry_state now;

            at[i] = way ? (uint8_t)(before ^ 1 << i % 8) : (uint8_t)~before;
            now = kgi_entry_read(file, &entry);
            if (now == KGI_ENTRY_GOOD)
                fail_msg("byte %zu", i);
            newer += now == KGI_ENTRY_NEWER;
            at[i] = before;
        }
    }
    assert_true(newer > 0 && newer <= 16); /* format and flags: not understood, and not ours to remove */
    assert_int_equal(kgi_entry_read(file, &entry), KGI_ENTRY_GOOD);
}

static void p06_no_cut_entry_is_taken(void **state)
{
    struct kgi_cache_key key = make("one", NULL, KGI_PLAIN, sm_90, "");
    struct kgi_bytes file = entry_of(&key, (struct kgi_bytes){small_cubin().at, 3568});
    struct kgi_entry entry;

    (void)state;
    for (size_t size = 0; size < file.size; size++) {
        uint8_t *cut = malloc(size + 1);

        memcpy(cut, file.at, size); /* heap: an address sanitizer sees a read past it */
        assert_int_equal(kgi_entry_read((struct kgi_bytes){cut, size}, &entry), KGI_ENTRY_DAMAGED);
        free(cut);
    }
    for (size_t more = 1; more < 64; more++) {
        uint8_t *longer = calloc(1, file.size + more);

        memcpy(longer, file.at, file.size);
        assert_int_equal(kgi_entry_read((struct kgi_bytes){longer, file.size + more}, &entry),
                         KGI_ENTRY_DAMAGED);
        free(longer);
    }
}

/* A header that lies about its lengths, with a digest that is right: an entry by a broken or hostile
 * writer. */
static void p06_lying_lengths(void **state)
{
    static const uint64_t lies[] = {0, 1, 63, 64, 4096, 0x7fffffff, 0xffffffff, 0xffffffffffffffff,
                                    0xffffffffffffffc0};
    struct kgi_cache_key key = make("one", NULL, KGI_PLAIN, sm_90, "");
    struct kgi_bytes file = entry_of(&key, (struct kgi_bytes){small_cubin().at, 200});
    uint8_t *at = (uint8_t *)(uintptr_t)file.at;
    static const struct {
        size_t at, size;
    } fields[] = {{12, 4}, {48, 8}, {64, 4}, {68, 4}, {72, 4}};

    (void)state;
    for (size_t f = 0; f < KGI_COUNT(fields); f++) {
        for (size_t l = 0; l < KGI_COUNT(lies); l++) {
            uint64_t before = 0;
            struct kgi_bytes all = {file.at, file.size - 16};
            struct kgi_entry entry;

            memcpy(&before, at + fields[f].at, fields[f].size);
            memcpy(at + fields[f].at, &lies[l], fields[f].size);
            kgi_entry_digest(all, (struct kgi_bytes){file.at, 0}, at + all.size);
            if (memcmp(&before, at + fields[f].at, fields[f].size) != 0)
                assert_int_equal(kgi_entry_read(file, &entry), KGI_ENTRY_DAMAGED);
            memcpy(at + fields[f].at, &before, fields[f].size);
        }
    }
}

/* An entry whose digest is right, of a key that is not that of its key block. */
static void p02_a_key_that_the_block_does_not_give(void **state)
{
    struct kgi_cache_key key = make("one", NULL, KGI_PLAIN, sm_90, ""), other = key_of(2);
    struct kgi_bytes file = entry_of(&key, small_cubin()), all = {file.at, file.size - 16};
    uint8_t *at = (uint8_t *)(uintptr_t)file.at;
    struct kgi_entry entry;

    (void)state;
    memcpy(at + 16, other.digest, 32);
    kgi_entry_digest(all, (struct kgi_bytes){file.at, 0}, at + all.size);
    assert_int_equal(kgi_entry_read(file, &entry), KGI_ENTRY_DAMAGED);
    memcpy(at + 16, key.digest, 32);
    kgi_entry_digest(all, (struct kgi_bytes){file.at, 0}, at + all.size);
    assert_int_equal(kgi_entry_read(file, &entry), KGI_ENTRY_GOOD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p01_every_field_is_in_the_key),
        cmocka_unit_test(p01_options_too_long_are_not_cached),
        cmocka_unit_test(p01_golden_key),
        cmocka_unit_test(p01_compilers_have_names_of_their_own),
        cmocka_unit_test(entry_round_trip),
        cmocka_unit_test(p02_a_key_that_the_block_does_not_give),
        cmocka_unit_test(p23_fixture_of_this_format),
        cmocka_unit_test(p06_no_changed_byte_is_taken),
        cmocka_unit_test(p06_no_cut_entry_is_taken),
        cmocka_unit_test(p06_lying_lengths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
