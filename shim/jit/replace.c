/*
 * Which PTX of an image the driver would compile, and how it is known in the cache.
 *
 * The choice is kgi_judge's, which is the driver's: headers alone decide, and PTX comes after every
 * cubin that fits. What is compiled is the entry as it lies there, with the ptxas options stored in
 * it, which the driver obeys (recorded: options_* of tests/recorded).
 */
#include "jit.h"

#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define CODES_MOST 64

/* ---- a caller's options
 * ---------------------------------------------------------------------------- */

/* CUjit_option: those that a hit may ignore, since they change no code, and those that are part of
 * what is compiled. All others are the driver's business: debug information, symbols' addresses,
 * answers to be written back. */
enum setting_kind { LEAVE_TO_DRIVER, NO_MATTER, CHANGES_CODE };

static enum setting_kind kind_of(int option)
{
    switch (option) {
    case 2:  /* WALL_TIME */
    case 3:  /* INFO_LOG_BUFFER */
    case 4:  /* INFO_LOG_BUFFER_SIZE_BYTES */
    case 5:  /* ERROR_LOG_BUFFER */
    case 6:  /* ERROR_LOG_BUFFER_SIZE_BYTES */
    case 8:  /* TARGET_FROM_CUCONTEXT */
    case 10: /* FALLBACK_STRATEGY: changes nothing, either value (recorded) */
    case 12: /* LOG_VERBOSE */
    case 34: /* SPLIT_COMPILE */
        return NO_MATTER;
    case 0:  /* MAX_REGISTERS */
    case 7:  /* OPTIMIZATION_LEVEL */
    case 13: /* GENERATE_LINE_INFO */
    case 14: /* CACHE_MODE: of the L1, -dlcm; other code for each (driver 580) */
    case 30: /* POSITION_INDEPENDENT_CODE */
    case 31: /* MIN_CTA_PER_SM */
    case 32: /* MAX_THREADS_PER_BLOCK */
    case 33: /* OVERRIDE_DIRECTIVE_VALUES */
        return CHANGES_CODE;
    default:
        return LEAVE_TO_DRIVER;
    }
}

static bool add_setting(struct kgi_jit_settings *s, int id, unsigned value)
{
    unsigned at = s->count;

    if (at == KGI_JIT_SETTINGS)
        return false;
    for (; at && s->id[at - 1] > id; at--) {
        s->id[at] = s->id[at - 1];
        s->value[at] = s->value[at - 1];
    }
    s->id[at] = id;
    s->value[at] = value;
    s->count++;
    return true;
}

bool kgi_jit_settings(const CUjit_option *options, void *const *values, unsigned count,
                      struct kgi_jit_settings *out)
{
    out->count = 0;
    if (count && (!options || !values))
        return false;
    for (unsigned i = 0; i < count; i++) {
        enum setting_kind kind = kind_of((int)options[i]);

        if (kind == LEAVE_TO_DRIVER ||
            (kind == CHANGES_CODE &&
             !add_setting(out, (int)options[i], (unsigned)(uintptr_t)values[i])))
            return false;
    }
    return true;
}

/* ---- the source
 * ------------------------------------------------------------------------------------ */

static int make_key(struct kgi_source *s)
{
    struct kgi_cache_input input = {s->code.payload, s->code.packing};
    KGI_TEXT(options, KGI_CACHE_OPTIONS);

    /* "0=24 7=1 " and then the entry's own, as they stand: order and repetition count there. */
    for (unsigned i = 0; i < s->settings.count; i++)
        kgi_text_add(&options, "%d=%u ", s->settings.id[i], s->settings.value[i]);
    if (s->code.options.size)
        kgi_text_add(&options, "%.*s", (int)s->code.options.size, s->code.options.at);
    return options.cut ? -E2BIG : kgi_cache_key(&input, 1, s->target, options.at, &s->key);
}

static bool compiles(const struct kgi_verdict *v)
{
    return v->chosen >= 0 && (v->answer == KGI_JIT || v->reason == KG103_PTX_TOO_NEW);
}

int kgi_source_of(struct kgi_bytes image, const struct kgi_host *host,
                  const struct kgi_jit_settings *settings, struct kgi_source *out,
                  struct kgi_verdict *verdict)
{
    struct kgi_code *codes = kgi_pages_get(CODES_MOST * sizeof *codes);
    size_t count = 0;
    int result = -ENOENT;

    *verdict = (struct kgi_verdict){KGI_NO_CUDA, 0, -1, 0};
    if (codes && kgi_image_codes(image, codes, CODES_MOST, &count, NULL) == 0 &&
        count <= CODES_MOST) {
        kgi_judge(codes, count, host, verdict);
        if (compiles(verdict) && codes[verdict->chosen].kind == KGI_PTX) {
            *out = (struct kgi_source){.image = image,
                                       .code = codes[verdict->chosen],
                                       .target = host->gpu,
                                       .too_new = verdict->answer != KGI_JIT,
                                       .settings = *settings};
            out->target.suffix = out->code.target.suffix;
            result = make_key(out);
        }
    }
    kgi_pages_put(codes, CODES_MOST * sizeof *codes);
    return result;
}

/* ---- fatbins
 * ---------------------------------------------------------------------------------------- */

enum { FATBIN_HEADER = 16, ENTRY_HEADER = 64 };
#define PADDED(size) (((size) + 7) & ~(uint64_t)7)

static void put(uint8_t *at, size_t offset, uint64_t value, size_t size)
{
    memcpy(at + offset, &value, size); /* hosts of CUDA are little-endian */
}

static void put_header(uint8_t *at, uint64_t size)
{
    put(at, 0, KGI_FATBIN_MAGIC, 4);
    put(at, 4, 1, 2);
    put(at, 6, FATBIN_HEADER, 2);
    put(at, 8, size, 8);
}

static uint64_t put_entry(uint8_t *at, const struct kgi_cubin_for *c)
{
    struct kgi_cubin cubin = {.abi = 7};
    uint64_t size = PADDED(c->cubin.size);

    kgi_cubin_head(c->cubin, &cubin);
    put(at, 0x00, KGI_CUBIN, 2);
    put(at, 0x02, 0x0101, 2);
    put(at, 0x04, ENTRY_HEADER, 4);
    put(at, 0x08, size, 8);
    put(at, 0x18, cubin.abi, 2); /* ABI 7 is version 1.7 */
    put(at, 0x1a, 1, 2);
    put(at, 0x1c, c->target.number, 4);
    /* 64 bits, Linux, and the suffix */
    put(at, 0x28, 0x11 | (c->target.suffix == 'a' ? 0x100000 : c->target.suffix ? 0x200000 : 0), 8);
    memcpy(at + ENTRY_HEADER, c->cubin.at, c->cubin.size);
    return ENTRY_HEADER + size;
}

struct kgi_bytes kgi_fatbin_with(struct kgi_bytes fatbin, const struct kgi_cubin_for *cubins,
                                 size_t count)
{
    size_t length = kgi_fatbin_length(fatbin), size = length;
    uint8_t *out;

    for (size_t i = 0; i < count; i++)
        size += ENTRY_HEADER + PADDED(cubins[i].cubin.size);
    out = length ? kgi_pages_get(size) : NULL;
    if (!out)
        return (struct kgi_bytes){NULL, 0};
    memcpy(out, fatbin.at, length);
    put_header(out, size - FATBIN_HEADER);
    for (size_t i = 0, at = length; i < count; i++)
        at += put_entry(out + at, &cubins[i]);
    return (struct kgi_bytes){out, size};
}

static struct kgi_bytes alone_in(const struct kgi_source *s, void *(*get)(size_t, size_t *), size_t *room)
{
    const uint8_t *entry = s->image.at + s->code.place;
    bool text = kgi_image_form(s->image) == KGI_FORM_PTX;
    uint64_t padded = 0;
    size_t size = s->image.size;
    uint8_t *out;

    if (!text) {
        if (!KGI_GET(s->image, s->code.place + 8, &padded) ||
            !kgi_bytes_has(s->image, (uint64_t)(s->code.payload.at - s->image.at), padded))
            return (struct kgi_bytes){NULL, 0};
        size = (size_t)(s->code.payload.at - entry) + padded;
    }
    size += text ? 1 : FATBIN_HEADER;
    out = get(size, room);
    if (!out)
        return (struct kgi_bytes){NULL, 0};
    if (text) {
        memcpy(out, s->image.at, size - 1); /* pages are zeroed: it ends in a NUL */
    } else {
        put_header(out, size - FATBIN_HEADER);
        memcpy(out + FATBIN_HEADER, entry, size - FATBIN_HEADER);
    }
    return (struct kgi_bytes){out, size};
}

static void *small_pages(size_t size, size_t *room)
{
    *room = size;
    return kgi_pages_get(size);
}

struct kgi_bytes kgi_source_alone(const struct kgi_source *s)
{
    size_t room;

    return alone_in(s, small_pages, &room);
}

static struct kgi_bytes moved(struct kgi_bytes part, const uint8_t *from, const uint8_t *to)
{
    return part.size ? (struct kgi_bytes){to + (part.at - from), part.size} : part;
}

bool kgi_source_copy(const struct kgi_source *s, struct kgi_source *out, size_t *room)
{
    struct kgi_bytes image = alone_in(s, kgi_pages_get_huge, room);
    size_t head = kgi_image_form(s->image) == KGI_FORM_PTX ? 0 : FATBIN_HEADER;
    const uint8_t *from = s->image.at + s->code.place, *to = image.at + head;

    if (!image.at)
        return false;
    *out = *s;
    out->image = (struct kgi_bytes){image.at, image.size - !head}; /* a text's NUL stands behind it */
    out->code.place = head;
    out->code.payload = moved(s->code.payload, from, to);
    out->code.options = moved(s->code.options, from, to);
    out->code.name = moved(s->code.name, from, to);
    return true;
}

/* ---- one kernel of it
 * ------------------------------------------------------------------------------- */

#define WORTH ((uint64_t)64 << 10) /* bytes of PTX: below, the whole takes a tenth of a second */
#define SHARE 4                    /* one byte in so many */

uint64_t kgi_source_share(const struct kgi_source *whole)
{
    return whole->code.size < WORTH ? 0 : whole->code.size / SHARE;
}

int kgi_source_hollow(const struct kgi_source *whole, const struct kgi_host *host, char text[KGI_HOLLOW_SIZE],
                      struct kgi_source *out)
{
    struct kgi_text t = {text, KGI_HOLLOW_SIZE, 0, false};
    struct kgi_jit_settings none = {.count = 0};
    struct kgi_verdict verdict;
    char target[24];

    kgi_target_name(whole->code.target, "sm_", target, sizeof target);
    kgi_text_add(&t, ".version %u.%u\n.target %s\n", whole->code.major, whole->code.minor, target);
    if (whole->code.major > 2 || whole->code.minor >= 3) /* it came with 2.3 */
        kgi_text_add(&t, ".address_size 64\n");
    return kgi_source_of((struct kgi_bytes){(const uint8_t *)text, t.length}, host, &none, out, &verdict);
}

/* For a person who reads the entry; the name is whole among the inputs. */
static void add_name(struct kgi_text *options, const char *kernel)
{
    size_t length = strlen(kernel), most = KGI_CACHE_OPTIONS - sizeof "kernel ";

    if (length)
        kgi_text_add(options, "kernel %.*s", (int)(length < most ? length : most), kernel);
    else
        kgi_text_add(options, "kernels of a module");
}

int kgi_source_kernel_key(const struct kgi_source *whole, const char *kernel,
                          struct kgi_cache_key *out)
{
    struct kgi_cache_input inputs[] = {
        {{whole->key.digest, sizeof whole->key.digest}, KGI_PLAIN},
        {{(const uint8_t *)kernel, strlen(kernel)}, KGI_PLAIN}};
    KGI_TEXT(options, KGI_CACHE_OPTIONS + 1);

    add_name(&options, kernel);
    return kgi_cache_key(inputs, KGI_COUNT(inputs), whole->target, options.at, out);
}

struct kgi_bytes kgi_source_text(const struct kgi_code *code, void **scratch)
{
    *scratch = NULL;
    if (code->packing == KGI_PLAIN)
        return code->payload;
    *scratch = code->size < KGI_SOURCE_MOST ? kgi_pages_get(code->size) : NULL;
    if (!*scratch || kgi_inflate(code->packing, code->payload, *scratch, code->size))
        return (struct kgi_bytes){NULL, 0};
    return (struct kgi_bytes){*scratch, code->size};
}

/* The whole's entry with this text in the place of its payload. */
static struct kgi_bytes entry_with(const struct kgi_source *whole, struct kgi_bytes text)
{
    size_t head = (size_t)(whole->code.payload.at - whole->image.at) - whole->code.place;
    uint64_t padded = PADDED(text.size + 1); /* a NUL behind it, as nvcc has */
    uint8_t *out = kgi_pages_get(FATBIN_HEADER + head + padded), *entry = out + FATBIN_HEADER;

    if (!out)
        return (struct kgi_bytes){NULL, 0};
    put_header(out, head + padded);
    memcpy(entry, whole->image.at + whole->code.place, head);
    put(entry, 0x08, padded, 8);
    put(entry, 0x10, 0, 4);
    put(entry, 0x28, whole->code.flags & ~(uint64_t)0xf000, 8); /* not packed */
    put(entry, 0x38, 0, 8);
    memcpy(entry + head, text.at, text.size);
    return (struct kgi_bytes){out, FATBIN_HEADER + head + padded};
}

/* An image as the whole's is: of a text, this text, which ends in a NUL as a program's does. */
static struct kgi_bytes image_with(const struct kgi_source *whole, struct kgi_bytes text)
{
    uint8_t *out;

    if (kgi_image_form(whole->image) != KGI_FORM_PTX)
        return entry_with(whole, text);
    out = kgi_pages_get(text.size + 1);
    if (!out)
        return (struct kgi_bytes){NULL, 0};
    memcpy(out, text.at, text.size);
    return (struct kgi_bytes){out, text.size + 1};
}

/* Whether the key is still that of what lies there. It was made at the load, and what is compiled now is kept
 * under it, for every process to come: a program that wrote over an image that it promised to keep, or another
 * object mapped where one was, must not spoil the cache. */
static bool is_unchanged(const struct kgi_source *s)
{
    struct kgi_source now = *s;

    return make_key(&now) == 0 && memcmp(now.key.digest, s->key.digest, sizeof now.key.digest) == 0;
}

int kgi_source_kernel_in(const struct kgi_source *whole, struct kgi_bytes text, const char *kernel,
                         struct kgi_source *out)
{
    size_t size = 0, count = 0;
    uint8_t *alone = kgi_pages_get(text.size);
    int result = alone ? kgi_ptx_alone(text, kernel, alone, &size) : -ENOMEM;

    *out = *whole;
    out->image = (struct kgi_bytes){NULL, 0};
    if (!result)
        out->image = image_with(whole, (struct kgi_bytes){alone, size});
    if (!result && (!out->image.at ||
                    kgi_image_codes(out->image, &out->code, 1, &count, NULL) || count != 1))
        result = -ENOMEM;
    if (!result)
        result = kgi_source_kernel_key(whole, kernel, &out->key);
    if (result)
        kgi_pages_put((void *)(uintptr_t)out->image.at, out->image.size);
    kgi_pages_put(alone, text.size);
    return result;
}

int kgi_source_kernel(const struct kgi_source *whole, const char *kernel, struct kgi_source *out)
{
    void *scratch;
    struct kgi_bytes text = kgi_source_text(&whole->code, &scratch);
    int result = text.at ? kgi_source_kernel_in(whole, text, kernel, out) : -ENOMEM;

    if (!result && !is_unchanged(whole)) {
        kgi_pages_put((void *)(uintptr_t)out->image.at, out->image.size);
        result = -ESTALE;
    }
    kgi_pages_put(scratch, whole->code.size);
    return result;
}

/* ---- names
 * ------------------------------------------------------------------------------------------ */

/* A later star takes over from an earlier one, which need not be tried again: at most the product of
 * the lengths, where trying every star from every place would be exponential in the stars. */
static bool matches(const char *glob, size_t length, const char *name)
{
    const char *end = glob + length, *star = NULL, *from = NULL;

    while (*name) {
        if (glob < end && *glob == '*') {
            star = ++glob;
            from = name;
        } else if (glob < end && (*glob == '?' || *glob == *name)) {
            glob++;
            name++;
        } else if (star) {
            glob = star;
            name = ++from;
        } else {
            return false;
        }
    }
    while (glob < end && *glob == '*')
        glob++;
    return glob == end;
}

bool kgi_globs_match(const char *globs, const char *path)
{
    const char *file = strrchr(path, '/');

    for (size_t length; *globs; globs += length + (globs[length] == ':')) {
        length = strcspn(globs, ":");
        if (length && (matches(globs, length, path) || (file && matches(globs, length, file + 1))))
            return true;
    }
    return false;
}

/* statfs(2), f_type: magic.h of Linux. */
const char *kgi_place_risk(const char *path)
{
    struct statfs fs;

    if (syscall(SYS_statfs, path, &fs) != 0)
        return NULL;
    switch ((uint32_t)fs.f_type) {
    case 0x794c7630:
        return "an overlay file system: lost with the container unless it is mounted from outside";
    case 0x01021994:
    case 0x858458f6:
        return "in memory: lost at the latest when this machine restarts";
    default:
        return NULL;
    }
}
