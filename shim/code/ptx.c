/*
 * PTX text, read as far as the questions go: which ISA version, which target, which kernels, and
 * whether it needs a device link. What ptxas 13.0 does with odd texts decides the odd cases:
 *   - .version comes first, .target directly after it; both before anything else. Of several targets,
 *     in one list or in several .target lines, the last one counts: "sm_90, sm_80" compiles for sm_80;
 *   - white space is free, directives may even touch (".visible.entry k"), one line will do; cpp's
 *     "# 1" lines are skipped;
 *   - .extern .func that is called is fatal without a link, but for the driver's own functions;
 *     .extern .global and .const are a warning only ("ignoring extern qualifier");
 *   - ".visible .entry k();" is a declaration, allowed beside the definition: a kernel counts where
 *     its body opens.
 * The driver reads up to the first NUL, and fatbin entries end in one.
 */
#include <errno.h>
#include "../base/base.h"
#include "code.h"

struct cursor {
    const uint8_t *at, *end;
};

/* A word: an identifier, number or instruction ("ld.param.u64"), or a directive (".entry") which ends
 * where the next one begins. Any other character is a token of its own; a string is skipped. */
struct token {
    const uint8_t *at;
    size_t size; /* 0 = end of text */
};

static bool in_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || c == '%' || c == '@' || c >= 0x80;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void skip_line(struct cursor *c)
{
    const uint8_t *end = memchr(c->at, '\n', (size_t)(c->end - c->at));
    c->at = end ? end + 1 : c->end;
}

static void skip_comment(struct cursor *c)
{
    const uint8_t *end = memmem(c->at + 2, (size_t)(c->end - c->at) - 2, "*/", 2);
    c->at = end ? end + 2 : c->end;
}

/* A string ends at its line's end at the latest: a lost quote must not swallow the kernels. */
static void skip_string(struct cursor *c)
{
    for (c->at++; c->at < c->end && *c->at != '\n'; c->at++)
        if (*c->at == '"') {
            c->at++;
            return;
        } else if (*c->at == '\\' && c->end - c->at > 1) {
            c->at++;
        }
}

static void skip_blank(struct cursor *c)
{
    while (c->at < c->end) {
        uint8_t next = c->end - c->at > 1 ? c->at[1] : 0;
        if (is_space(*c->at))
            c->at++;
        else if (*c->at == '#' || (*c->at == '/' && next == '/'))
            skip_line(c);
        else if (*c->at == '/' && next == '*')
            skip_comment(c);
        else if (*c->at == '"')
            skip_string(c);
        else
            return;
    }
}

/* Leaves c at the next character that means something inside a block, or at the end: sixteen at a time
 * while there are so many. */
static void skip_plain(struct cursor *c)
{
    static const bool special[256] = {
        ['{'] = true, ['}'] = true, ['/'] = true, ['"'] = true, ['#'] = true};
    typedef uint8_t block __attribute__((vector_size(16)));

    while (c->end - c->at >= 16) {
        block b;
        uint64_t hits[2];
        memcpy(&b, c->at, sizeof b);
        block hit = (block)((b == '{') | (b == '}') | (b == '/') | (b == '"') | (b == '#'));
        memcpy(hits, &hit, sizeof hits);
        if (hits[0] | hits[1])
            break;
        c->at += 16;
    }
    while (c->at < c->end && !special[*c->at])
        c->at++;
}

/* From behind a "{" to behind its "}". Nothing in a block is looked for, and bodies are nearly all of
 * a PTX text (2 GB in the libraries of CUDA 13), so this goes by characters, not by tokens. */
static void skip_block(struct cursor *c)
{
    for (size_t depth = 1; depth;) {
        skip_plain(c);
        if (c->at == c->end)
            return;
        if (*c->at == '{' || *c->at == '}') {
            depth += *c->at == '{' ? 1 : (size_t)-1;
            c->at++;
        } else {
            const uint8_t *before = c->at;
            skip_blank(c);
            c->at += c->at == before; /* a division */
        }
    }
}

static struct token next_token(struct cursor *c)
{
    skip_blank(c);
    const uint8_t *start = c->at;
    if (start == c->end)
        return (struct token){start, 0};
    bool directive = *c->at == '.';
    c->at++;
    if (directive || in_word(*start))
        while (c->at < c->end && (in_word(*c->at) || (*c->at == '.' && !directive)))
            c->at++;
    return (struct token){start, (size_t)(c->at - start)};
}

static bool is(struct token t, const char *word)
{
    return strlen(word) == t.size && memcmp(t.at, word, t.size) == 0;
}

static struct cursor start_of(struct kgi_bytes text)
{
    const uint8_t *nul = text.size ? memchr(text.at, 0, text.size) : NULL;
    return (struct cursor){text.at, nul ? nul : text.at + text.size};
}

/* ---- head ------------------------------------------------------------------------------------------ */

/* Digits at *at, at most 65 535; false when there are none. */
static bool number(const uint8_t **at, const uint8_t *end, uint16_t *out)
{
    const uint8_t *start = *at;
    uint32_t n = 0;

    for (; *at < end && **at >= '0' && **at <= '9' && n <= UINT16_MAX; (*at)++)
        n = n * 10 + (uint32_t)(**at - '0');
    *out = (uint16_t)n;
    return *at > start && n <= UINT16_MAX;
}

static bool read_version(struct token t, struct kgi_ptx *out)
{
    const uint8_t *at = t.at, *end = t.at + t.size;

    return number(&at, end, &out->major) && at < end && *at++ == '.' &&
           number(&at, end, &out->minor) && at == end;
}

static bool read_target(struct token t, struct kgi_target *out)
{
    static const char *const prefixes[] = {"sm_", "compute_"};

    for (size_t i = 0; i < KGI_COUNT(prefixes); i++) {
        size_t length = strlen(prefixes[i]);
        const uint8_t *at = t.at + length, *end = t.at + t.size;
        struct kgi_target found = {0, 0};
        if (t.size < length || memcmp(t.at, prefixes[i], length) != 0 ||
            !number(&at, end, &found.number))
            continue;
        if (end - at == 1 && (*at == 'a' || *at == 'f'))
            found.suffix = (char)*at++;
        if (at != end)
            return false;
        *out = found;
        return true;
    }
    return false;
}

/* After ".target": a list of targets and options. Leaves c behind the list. */
static bool read_targets(struct cursor *c, struct kgi_ptx *out)
{
    bool any = false;

    for (;;) {
        struct token t = next_token(c);
        if (read_target(t, &out->target))
            any = true;
        else if (is(t, "debug"))
            out->traits |= KGI_T_DEBUG;
        struct cursor ahead = *c;
        if (!is(next_token(&ahead), ","))
            return any;
        *c = ahead;
    }
}

static int read_head(struct cursor *c, struct kgi_ptx *out)
{
    bool any = false;

    *out = (struct kgi_ptx){.kernels = -1};
    if (!is(next_token(c), ".version"))
        return -ENODATA;
    if (!read_version(next_token(c), out))
        return -EBADMSG;
    for (;;) {
        struct cursor ahead = *c;
        if (!is(next_token(&ahead), ".target"))
            return any ? 0 : -EBADMSG;
        *c = ahead;
        if (!read_targets(c, out))
            return -EBADMSG;
        any = true;
    }
}

int kgi_ptx_head(struct kgi_bytes text, struct kgi_ptx *out)
{
    struct cursor c = start_of(text);

    return read_head(&c, out);
}

/* ---- kernels --------------------------------------------------------------------------------------- */

/* A function's attributes and return parameters stand between .func and its name. */
static struct token function_name(struct cursor *c)
{
    struct token t = next_token(c);

    while (t.size && (is(t, "(") || *t.at == '.')) {
        size_t depth = is(t, "(");
        while (depth && (t = next_token(c)).size)
            depth += is(t, "(") ? 1 : is(t, ")") ? (size_t)-1 : 0;
        t = next_token(c);
    }
    return t;
}

/* The driver itself has these. */
static bool is_driver_function(struct token t)
{
    return is(t, "vprintf") || is(t, "malloc") || is(t, "free") || is(t, "__assertfail");
}

/* The next kernel with a body; its name's size is 0 at the end of the text. Notes on the way what
 * else is asked for. */
static struct token next_kernel(struct cursor *c, uint32_t *traits)
{
    struct token t, name = {c->at, 0};
    bool external = false;

    while ((t = next_token(c)).size) {
        if (is(t, ".entry")) {
            name = next_token(c);
        } else if (is(t, ".func")) {
            if (external && !is_driver_function(function_name(c)))
                *traits |= KGI_T_EXTERN;
        } else if (is(t, "{")) {
            skip_block(c);
            if (name.size)
                return name;
        } else if (is(t, ";")) {
            name.size = 0;
        }
        external = is(t, ".extern");
    }
    return t;
}

/* Names of templates run to many KiB; most fit on the stack. */
static int call_with_string(struct token name, int (*each)(const char *, int, void *),
                            void *context)
{
    char small[512];
    char *copy = name.size < sizeof small ? small : kgi_pages_get(name.size + 1);

    if (!copy)
        return -ENOMEM;
    memcpy(copy, name.at, name.size);
    copy[name.size] = 0;
    int stop = each(copy, 0, context);
    if (copy != small)
        kgi_pages_put(copy, name.size + 1);
    return stop;
}

int kgi_ptx_kernels(struct kgi_bytes text, struct kgi_ptx *out,
                    int (*each)(const char *, int, void *), void *context)
{
    struct cursor c = start_of(text);
    struct token name;
    int result = read_head(&c, out);

    if (result == 0)
        out->kernels = 0;
    while (result == 0 && (name = next_kernel(&c, &out->traits)).size) {
        out->kernels++;
        result = each ? call_with_string(name, each, context) : 0;
    }
    return result;
}

int kgi_ptx_read(struct kgi_bytes text, struct kgi_ptx *out)
{
    return kgi_ptx_kernels(text, out, NULL, NULL);
}

/* ---- variables ------------------------------------------------------------------------------------- */

/* The name in ".global .align 4 .b8 name[32]", ".const .u32 a = 1;": the last word before what ends a
 * declarator. Attributes and alignments stand before it. */
static struct token variable_name(struct cursor *c)
{
    struct token t, name = {c->at, 0};
    size_t depth = 0;

    while ((t = next_token(c)).size) {
        if (is(t, "("))
            depth++;
        else if (is(t, ")"))
            depth -= depth > 0;
        else if (!depth && (is(t, "[") || is(t, "=") || is(t, ";") || is(t, ",")))
            break;
        else if (!depth && *t.at != '.')
            name = t;
    }
    return name;
}

/* The next variable of the module: .global or .const outside of every body, and not .extern. */
static struct token next_variable(struct cursor *c)
{
    struct token t;
    bool external = false;
    size_t depth = 0;

    while ((t = next_token(c)).size) {
        if (is(t, "{"))
            depth++;
        else if (is(t, "}"))
            depth -= depth > 0;
        else if (!depth && (is(t, ".global") || is(t, ".const")) && !external)
            return variable_name(c);
        external = is(t, ".extern");
    }
    return t;
}

int kgi_ptx_variables(struct kgi_bytes text, int (*each)(const char *, int, void *), void *context)
{
    struct cursor c = start_of(text);
    struct kgi_ptx head;
    struct token name;
    int result = read_head(&c, &head);

    while (result == 0 && (name = next_variable(&c)).size)
        result = call_with_string(name, each, context);
    return result;
}
