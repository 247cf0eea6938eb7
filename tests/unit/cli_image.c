/* Saved images: which files the finished image has, and how documents lead there. Their digests are of a
 * kind that nobody computes, so that names can be read here; digests() has real ones. */
#include <sha2.h>

#include "cli_walk.h"

#define DIGEST_0 "0000000000000000000000000000000000000000000000000000000000000000"
#define DIGEST_1 "1111111111111111111111111111111111111111111111111111111111111111"
#define DIGEST_2 "2222222222222222222222222222222222222222222222222222222222222222"
#define DIGEST_3 "3333333333333333333333333333333333333333333333333333333333333333"
#define DIGEST_4 "4444444444444444444444444444444444444444444444444444444444444444"
#define DIGEST_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DIGEST_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define DIGEST_C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define BLOB(digest) "blobs/plain256/" digest
#define DESCRIPTOR(digest, more) "{\"digest\":\"plain256:" digest "\"" more "}"
#define MANIFEST(layers) "{\"schemaVersion\":2,\"layers\":[" layers "]}"

static struct made bottom(int filter)
{
    const struct item items[] = {
        FOLDER_OF("usr/"),
        FILE_OF("usr/replaced", "old"),
        FILE_OF("usr/removed", "r"),
        FILE_OF("usr/removed_not", "stays"),
        FILE_OF("usr/stays", "s"),
        FILE_OF("emptied/old", "o"),
        FILE_OF("emptied/deep/old", "o"),
        FILE_OF("cache/lib", "linked"),
        LINK_OF("venv/lib", 'h', "cache/lib"),
        FILE_OF("became_a_file/f", "f"),
        FILE_OF("became_a_folder", "f"),
        FILE_OF("kept/k", "k"),
    };

    return pack(ARCHIVE_FORMAT_TAR, filter, items, KGI_COUNT(items));
}

static struct made top(int filter)
{
    const struct item items[] = {
        FILE_OF("./usr/.wh.removed", ""),
        FILE_OF("usr/replaced", "new"),
        FILE_OF("emptied/.wh..wh..opq", ""),
        FILE_OF("emptied/new", "n"),
        FILE_OF(".wh.cache", ""),
        FILE_OF("became_a_file", "b"),
        FOLDER_OF("became_a_folder/"),
        FOLDER_OF("kept/"),
    };

    return pack(ARCHIVE_FORMAT_TAR, filter, items, KGI_COUNT(items));
}

/* What the two make, P standing for the path of the image, T and B for the layers'. */
#define FINISHED(P, T, B)                                                                          \
    P T "!/usr/replaced = new\n" P T "!/emptied/new = n\n" P T "!/became_a_file = b\n" P B         \
        "!/usr/removed_not = stays\n" P B "!/usr/stays = s\n" P B "!/kept/k = k\n" P B             \
        "!/venv/lib = linked\n"

/* The same, when layers come by only once. */
#define STREAMED(P, T, B)                                                                          \
    P B "!/usr/replaced = old\n" P B "!/usr/removed = r\n" P B "!/usr/removed_not = stays\n" P B   \
        "!/usr/stays = s\n" P B "!/emptied/old = o\n" P B "!/emptied/deep/old = o\n" P B           \
        "!/cache/lib = linked\n" P B "!/became_a_file/f = f\n" P B "!/became_a_folder = f\n" P B   \
        "!/kept/k = k\n" P T "!/usr/replaced = new\n" P T "!/emptied/new = n\n" P T                \
        "!/became_a_file = b\n"
#define HIDDEN(P, B)                                                                               \
    P B "!/usr/replaced hidden\n" P B "!/usr/removed hidden\n" P B "!/emptied/old hidden\n" P B    \
        "!/emptied/deep/old hidden\n" P B "!/became_a_file/f hidden\n" P B                         \
        "!/became_a_folder hidden\n"

static void store_items(const char *folder, const struct item *items, size_t count)
{
    char path[512];

    for (size_t i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, items[i].name);
        for (char *at = path; (at = strchr(at, '/')); *at++ = '/') {
            *at = 0;
            mkdir(path, 0755);
        }
        store(path, items[i].content);
    }
}

static void layout(void **state)
{
    struct item items[] = {
        FILE_OF("oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}"),
        FILE_OF("index.json", "{\"manifests\":[" DESCRIPTOR(DIGEST_A, "") "]}"),
        FILE_OF(BLOB(DIGEST_A), MANIFEST(DESCRIPTOR(DIGEST_0, "") "," DESCRIPTOR(DIGEST_1, ""))),
        {BLOB(DIGEST_0), 'f', bottom(ARCHIVE_FILTER_GZIP)},
        {BLOB(DIGEST_1), 'f', top(ARCHIVE_FILTER_ZSTD)},
    };
    struct made tar = PACK(TAR, NONE, items), packed = PACK(TAR, XZ, items);

    (void)state;
    store_items("o", items, KGI_COUNT(items));
    expect_path("o", FINISHED("o!", "plain256:111111111111", "plain256:000000000000"));
    store("t", tar);
    expect_path("t", FINISHED("t!", "plain256:111111111111", "plain256:000000000000"));
    store("x", packed);
    expect_path("x", STREAMED("x!", "plain256:111111111111", "plain256:000000000000")
                         HIDDEN("x!", "plain256:000000000000"));
    expect_stream(tar, STREAMED("-!", "plain256:111111111111", "plain256:000000000000")
                           HIDDEN("-!", "plain256:000000000000"));
}

static void docker(void **state)
{
    struct item items[] = {
        FOLDER_OF(DIGEST_0 "/"),
        FILE_OF(DIGEST_0 "/VERSION", "1.0"),
        {DIGEST_0 "/layer.tar", 'f', bottom(ARCHIVE_FILTER_NONE)},
        {DIGEST_1 "/layer.tar", 'f', top(ARCHIVE_FILTER_NONE)},
        LINK_OF(DIGEST_2 "/layer.tar", 's', "../" DIGEST_0 "/layer.tar"),
        FILE_OF(DIGEST_C ".json", "{}"),
        FILE_OF("manifest.json",
                "[{\"Config\":\"" DIGEST_C ".json\",\"RepoTags\":[\"app:1\"],"
                "\"Layers\":[\"" DIGEST_2 "/layer.tar\",\"" DIGEST_1 "/layer.tar\"]}]"),
        FILE_OF("repositories", "{}"),
    };
    struct made tar = PACK(TAR, NONE, items);

    (void)state;
    store("t", tar);
    expect_path("t", FINISHED("t!", "111111111111", "222222222222"));
    expect_stream(tar, "-!/" DIGEST_0 "/VERSION = 1.0\n" STREAMED(
                           "-!", "111111111111", "000000000000") HIDDEN("-!", "000000000000"));
}

static struct made one_file(const char *name)
{
    const struct item items[] = {{name, 'f', {(char *)(uintptr_t)name, strlen(name)}}};

    return pack(ARCHIVE_FORMAT_TAR, ARCHIVE_FILTER_NONE, items, 1);
}

/* An index of indexes; a platform that is not there; an attestation; the same image under two
 * names. */
static void platforms(void **state)
{
    struct item items[] = {
        FILE_OF("index.json",
                "{\"manifests\":[" DESCRIPTOR(
                    DIGEST_C,
                    ",\"annotations\":{\"io.containerd.image.name\":"
                    "\"app:1\"}") "," DESCRIPTOR(DIGEST_C, ",\"annotations\":{\"io.containerd."
                                                           "image.name\":\"app:2\"}") "]}"),
        FILE_OF(
            BLOB(DIGEST_C),
            "{\"manifests\":[" DESCRIPTOR(DIGEST_A, ",\"platform\":{\"os\":\"linux\","
                                                    "\"architecture\":\"amd64\"}") "," DESCRIPTOR(
                DIGEST_B, "") "," DESCRIPTOR(DIGEST_4,
                                             ",\"platform\":{\"os\":\"linux\",\"architecture\":"
                                             "\"s390x\"}") "," DESCRIPTOR(DIGEST_3,
                                                                          ",\"platform\":{\"os\":"
                                                                          "\"unknown\","
                                                                          "\"architecture\":"
                                                                          "\"unknown\"}") "]}"),
        FILE_OF(BLOB(DIGEST_A), MANIFEST(DESCRIPTOR(DIGEST_0, ""))),
        FILE_OF(BLOB(DIGEST_B), "{\"config\":" DESCRIPTOR(DIGEST_2, "") ",\"layers\":[" DESCRIPTOR(
                                    DIGEST_1, "") "]}"),
        FILE_OF(BLOB(DIGEST_2), "{\"os\":\"linux\",\"architecture\":\"arm64\",\"variant\":\"v8\"}"),
        FILE_OF(BLOB(DIGEST_3), MANIFEST(DESCRIPTOR(DIGEST_2, ",\"mediaType\":"
                                                              "\"application/vnd.in-toto+json\""))),
        {BLOB(DIGEST_0), 'f', one_file("on_amd64")},
        {BLOB(DIGEST_1), 'f', one_file("on_arm64")},
    };
    struct made tar = PACK(TAR, NONE, items);

    (void)state;
    store("t", tar);
    expect_path("t", "t!linux/amd64!plain256:000000000000!/on_amd64 = on_amd64\n"
                     "t!linux/arm64/v8!plain256:111111111111!/on_arm64 = on_arm64\n");
    expect_stream(tar, "-!plain256:000000000000!/on_amd64 = on_amd64\n"
                       "-!plain256:111111111111!/on_arm64 = on_arm64\n");
    struct log log = {.inner = true};
    struct kgi_visitor v = visitor(&log);
    assert_int_equal(kgi_walk("t", &v), 0);
    fclose(log.to);
    assert_non_null(strstr(log.at, "= (t!linux/amd64!/on_amd64) on_amd64\n"));
    free(log.at);
}

/* A layer that empties the root; an image that is not there. */
static void emptied(void **state)
{
    struct made high =
        PACK(TAR, NONE, ((struct item[]){FILE_OF(".wh..wh..opq", ""), FILE_OF("n", "n")}));
    struct item items[] = {
        FILE_OF("index.json",
                "{\"manifests\":[" DESCRIPTOR(DIGEST_A, "") "," DESCRIPTOR(DIGEST_B, "") "]}"),
        FILE_OF(BLOB(DIGEST_A), MANIFEST(DESCRIPTOR(DIGEST_0, "") "," DESCRIPTOR(DIGEST_1, ""))),
        {BLOB(DIGEST_0), 'f', bottom(ARCHIVE_FILTER_NONE)},
        {BLOB(DIGEST_1), 'f', high},
    };

    (void)state;
    store("t", PACK(TAR, NONE, items));
    expect_path("t", "t ! " BLOB(DIGEST_B) ": named by an index, but not there\n"
                                           "t!plain256:111111111111!/n = n\n");
}

/* A wheel in a layer; an image inside an image. */
static void nested(void **state)
{
    struct made wheel = PACK(ZIP, NONE, ((struct item[]){FILE_OF("pkg/ext.so", "code")}));
    struct made low =
        PACK(TAR, NONE, ((struct item[]){{"w.whl", 'f', wheel}, {"v.whl", 'f', wheel}}));
    struct made high = PACK(TAR, NONE, ((struct item[]){FILE_OF(".wh.v.whl", "")}));
    struct item items[] = {
        {BLOB(DIGEST_1), 'f', high},
        {BLOB(DIGEST_0), 'f', low},
        FILE_OF(BLOB(DIGEST_A), MANIFEST(DESCRIPTOR(DIGEST_0, "") "," DESCRIPTOR(DIGEST_1, ""))),
        FILE_OF("index.json", "{\"manifests\":[" DESCRIPTOR(DIGEST_A, "") "]}"),
    };
    struct made tar = PACK(TAR, NONE, items);
    struct made outer = PACK(ZIP, NONE, ((struct item[]){{"saved.tar", 'f', tar}}));

    (void)state;
    store("t", tar);
    expect_path("t", "t!plain256:000000000000!/w.whl!/pkg/ext.so = code\n");
    expect_stream(outer, "-!/saved.tar!plain256:000000000000!/w.whl!/pkg/ext.so = code\n"
                         "-!/saved.tar!plain256:000000000000!/v.whl!/pkg/ext.so = code\n"
                         "-!/saved.tar!plain256:000000000000!/v.whl!/pkg/ext.so hidden\n");
}

/* Broken documents: what is wrong is said, and everything is walked without them. */
static void broken(void **state)
{
    static const struct {
        const char *index, *said;
    } cases[] = {
        {"{\"manifests\":[", "index.json: line 1, column 14: ']' expected near end of file"},
        {"{\"manifests\":[{\"digest\":\"plain256:../../../../../../etc/passwd\"}]}",
         "index.json: manifests[0].digest is no digest"},
        {"{\"manifests\":[{\"digest\":7}]}", "index.json: manifests[0].digest is no digest"},
        {"{\"manifests\":[{\"digest\":\"plain256:" DIGEST_4 "\"}]}",
         BLOB(DIGEST_4) ": named by an index, but not there"},
        {"{\"manifests\":[{\"digest\":\"plain256:" DIGEST_C "\"}]}",
         BLOB(DIGEST_C) ": line 1, column 1: string or '}' expected near end of file"},
        {"{\"manifests\":[{\"digest\":\"plain256:" DIGEST_B "\"}]}",
         BLOB(DIGEST_B) ": layers[0].digest is no digest"},
    };
    char want[512];

    (void)state;
    for (size_t i = 0; i < KGI_COUNT(cases); i++) {
        struct item items[] = {
            {"index.json", 'f', {(char *)(uintptr_t)cases[i].index, strlen(cases[i].index)}},
            FILE_OF(BLOB(DIGEST_B), MANIFEST("{\"digest\":\"\"}")),
            FILE_OF(BLOB(DIGEST_C), "{"),
            {BLOB(DIGEST_0), 'f', one_file("file")},
        };
        struct made tar = PACK(TAR, NONE, items);
        store("t", tar);
        snprintf(want, sizeof want, "t!plain256:000000000000!/file = file\nt ! %s\n", cases[i].said);
        expect_path("t", want);
    }
}

static void damaged(void **state)
{
    struct item items[] = {
        FILE_OF("index.json", "{\"manifests\":[" DESCRIPTOR(DIGEST_A, "") "]}"),
        FILE_OF(BLOB(DIGEST_A),
                MANIFEST(DESCRIPTOR(DIGEST_0, "") "," DESCRIPTOR(DIGEST_1, "") "," DESCRIPTOR(
                    DIGEST_2, "") "," DESCRIPTOR(DIGEST_1, "") "," DESCRIPTOR(DIGEST_0, ""))),
        {BLOB(DIGEST_0), 'f', one_file("whole")},
        FILE_OF(BLOB(DIGEST_1), "no tar at all"),
    };
    struct made tar = PACK(TAR, NONE, items);

    (void)state;
    store("t", tar);
    expect_path("t", "t!plain256:000000000000!/whole = whole\n"
                     "t!plain256:111111111111 ! a layer that is no tar\n"
                     "t ! " BLOB(DIGEST_2) ": a layer that is not there\n");
    tar = PACK(TAR, NONE, ((struct item[]){items[2], items[0]}));
    tar.size = 1500; /* in the layer */
    store("t", tar);
    expect_path("t", "t ! \"" BLOB(DIGEST_0) "\": Truncated tar archive, at byte 1500; "
                                             "the rest is not read\n");
}

/* A web application's manifest.json makes no image of a folder, whatever it says. */
static void no_image(void **state)
{
    static const char *const manifests[] = {"{\"name\":\"app\"}", "{\"layers\":[{}]}", "// more"};
    char want[128];

    (void)state;
    assert_int_equal(mkdir("w", 0755), 0);
    store("w/index.json", text("[1]"));
    store("w/x", text("x"));
    for (size_t i = 0; i < KGI_COUNT(manifests); i++) {
        store("w/manifest.json", text(manifests[i]));
        snprintf(want, sizeof want, "w/index.json = [1]\nw/manifest.json = %s\nw/x = x\n", manifests[i]);
        expect_path("w", want);
    }
    /* But for what lies beside it. */
    assert_int_equal(mkdir("w/blobs", 0755), 0);
    expect_path("w", "w ! manifest.json: line 1, column 1: '[' or '{' expected near '/'\n"
                     "w/index.json = [1]\nw/manifest.json = // more\nw/x = x\n");
}

/* An image that was unpacked among other things. */
static void beside(void **state)
{
    struct item items[] = {
        FILE_OF("index.json", "{\"manifests\":[" DESCRIPTOR(DIGEST_A, "") "]}"),
        FILE_OF(BLOB(DIGEST_A), MANIFEST(DESCRIPTOR(DIGEST_0, ""))),
        {BLOB(DIGEST_0), 'f', one_file("file")},
        FILE_OF("lib/a.so", "a"),
        FILE_OF("b.so", "b"),
    };

    (void)state;
    store_items("o", items, KGI_COUNT(items));
    expect_path("o", "o!plain256:000000000000!/file = file\no/b.so = b\no/lib/a.so = a\n");
}

static void unreadable_layer(void **state)
{
    struct item items[] = {
        FILE_OF("index.json", "{\"manifests\":[" DESCRIPTOR(DIGEST_A, "") "]}"),
        FILE_OF(BLOB(DIGEST_A), MANIFEST(DESCRIPTOR(DIGEST_0, "") "," DESCRIPTOR(DIGEST_1, ""))),
        {BLOB(DIGEST_0), 'f', one_file("file")},
        {BLOB(DIGEST_1), 'f', one_file("hidden")},
    };
    uid_t me = geteuid();

    (void)state;
    store_items("o", items, KGI_COUNT(items));
    assert_int_equal(chmod("o/" BLOB(DIGEST_1), 0), 0);
    assert_int_equal(chmod(".", 0755), 0);
    assert_int_equal(me ? 0 : seteuid(65534), 0); /* root can read it */
    expect_path("o", "o ! " BLOB(DIGEST_1) ": a layer that cannot be opened: Permission denied\n"
                     "o!plain256:000000000000!/file = file\n");
    assert_int_equal(seteuid(me), 0);
}

/* A name that begins with a dot is no "./". */
static void links_to_dot_folders(void **state)
{
    const struct item below[] = {FILE_OF(".cache/lib", "linked"),
                                 LINK_OF("venv/lib", 'h', "./.cache/lib")};
    const struct item above[] = {FILE_OF(".wh..cache", "")};
    struct item items[] = {
        FILE_OF("index.json", "{\"manifests\":[" DESCRIPTOR(DIGEST_A, "") "]}"),
        FILE_OF(BLOB(DIGEST_A), MANIFEST(DESCRIPTOR(DIGEST_0, "") "," DESCRIPTOR(DIGEST_1, ""))),
        {BLOB(DIGEST_0), 'f', PACK(TAR, NONE, below)},
        {BLOB(DIGEST_1), 'f', PACK(TAR, NONE, above)},
    };
    struct made tar = PACK(TAR, NONE, items);

    (void)state;
    store("t", tar);
    expect_path("t", "t!plain256:000000000000!/venv/lib = linked\n");
    expect_stream(tar, "-!plain256:000000000000!/.cache/lib = linked\n");
}

/* Blobs under their real names; the content of the last one may be another. */
static void hex_of(struct made content, char *out)
{
    SHA2_CTX sha;
    uint8_t digest[SHA256_DIGEST_LENGTH];

    SHA256Init(&sha);
    SHA256Update(&sha, (uint8_t *)content.at, content.size);
    SHA256Final(digest, &sha);
    for (size_t i = 0; i < sizeof digest; i++)
        sprintf(out + 2 * i, "%02x", digest[i]);
}

static void digests(void **state)
{
    const struct item one[] = {FILE_OF("usr/a", "a")}, other[] = {FILE_OF("usr/b", "b")};
    struct made layer = PACK(TAR, GZIP, one), changed = PACK(TAR, GZIP, other);
    char layer_hex[65], changed_hex[65], text_hex[65], expected[2048];
    const char *where[] = {"o", "t", "x"};

    (void)state;
    hex_of(layer, layer_hex);
    hex_of(changed, changed_hex);
    struct made manifest = text(kgi_format(
        "{\"layers\":[{\"digest\":\"sha256:%s\",\"mediaType\":\"tar\"}]}", layer_hex));
    hex_of(manifest, text_hex);
    struct item items[] = {
        FILE_OF("oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}"),
        {"index.json", 'f',
         text(kgi_format("{\"manifests\":[{\"digest\":\"sha256:%s\"}]}", text_hex))},
        {kgi_format("blobs/sha256/%s", text_hex), 'f', manifest},
        {kgi_format("blobs/sha256/%s", layer_hex), 'f', layer},
    };
    for (int bad = 0; bad < 2; bad++) {
        items[3].content = bad ? changed : layer;
        store_items("o", items, KGI_COUNT(items));
        store("t", PACK(TAR, NONE, items));
        store("x", PACK(TAR, XZ, items));
        for (size_t i = 0; i < KGI_COUNT(where); i++) {
            int n = snprintf(expected, sizeof expected, "%s!sha256:%.12s!/usr/%s\n", where[i], layer_hex,
                             bad ? "b = b" : "a = a");
            if (bad)
                snprintf(expected + n, sizeof expected - (size_t)n,
                         "%s ! blobs/sha256/%s: its bytes are not those of its name; their SHA-256 is %s\n",
                         where[i], layer_hex, changed_hex);
            expect_path(where[i], expected);
        }
    }
    free(manifest.at);
    free(items[1].content.at);
    free((void *)(uintptr_t)items[2].name);
    free((void *)(uintptr_t)items[3].name);
}

/* What a manifest.json names is looked up among the members, and not in the file system. */
static void outside(void **state)
{
    char error[256];
    struct kgi_document d;
    static const char *const paths[] = {"../../etc/passwd", "/etc/passwd", "a/../../b", "..", ""};

    (void)state;
    for (size_t i = 0; i < KGI_COUNT(paths); i++) {
        char *json = kgi_format("[{\"Layers\":[\"%s\"]}]", paths[i]);
        struct kgi_bytes bytes = {(uint8_t *)json, strlen(json)};
        assert_int_equal(kgi_document_read(bytes, &d, error, sizeof error), -EBADMSG);
        assert_string_equal(error, "Layers[0] is no path inside the image");
        free(json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, enter_folder, leave_folder)
        T(layout), T(docker),  T(platforms), T(emptied), T(nested),
        T(broken), T(damaged), T(no_image),  T(digests), T(outside),
        T(beside), T(unreadable_layer), T(links_to_dot_folders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
