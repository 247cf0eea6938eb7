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
 *     its body opens;
 *   - a "%" begins a word, wherever it stands: "mov.u64%a,%b" is an instruction and two operands;
 *   - a backslash in a string means nothing, and a string may run over lines.
 * The driver reads up to the first NUL, and fatbin entries end in one.
 */
#include <errno.h>
#include "../base/base.h"
#include "code.h"

struct cursor {
    const uint8_t *at, *end;
    bool odd; /* a string went by that ptxas may see end elsewhere */
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
            c->odd = true;
            c->at++;
        }
    c->odd = true;
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
 * a PTX text (2 GB in the libraries of CUDA 13), so this goes by characters, not by tokens. False when
 * the text ends before. */
static bool skip_block(struct cursor *c)
{
    for (size_t depth = 1; depth;) {
        skip_plain(c);
        if (c->at == c->end)
            return false;
        if (*c->at == '{' || *c->at == '}') {
            depth += *c->at == '{' ? 1 : (size_t)-1;
            c->at++;
        } else {
            const uint8_t *before = c->at;
            skip_blank(c);
            c->at += c->at == before; /* a division */
        }
    }
    return true;
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
        while (c->at < c->end && *c->at != '%' &&
               (in_word(*c->at) || (*c->at == '.' && !directive)))
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
    return (struct cursor){text.at, nul ? nul : text.at + text.size, false};
}

/* ---- head ------------------------------------------------------------------------------------------ */

#define FIRST ((size_t)4096)

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

/* Where the first page is enough, a long text is not looked through for its end. */
int kgi_ptx_head(struct kgi_bytes text, struct kgi_ptx *out)
{
    struct cursor c = start_of(kgi_bytes_cut(text, 0, text.size < FIRST ? text.size : FIRST));
    int result = read_head(&c, out);

    next_token(&c); /* was seen by read_head, which it ends */
    if (c.at < c.end)
        return result;
    c = start_of(text);
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

/* The next variable of the module: .global or .const outside of every body and parameter list (LLVM's
 * ".param .u64 .ptr .global .align 1 p" is a pointer), and not .extern. */
static struct token next_variable(struct cursor *c)
{
    struct token t;
    bool external = false;
    size_t depth = 0;

    while ((t = next_token(c)).size) {
        if (is(t, "{") || is(t, "("))
            depth++;
        else if (is(t, "}") || is(t, ")"))
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

/* ---- one kernel alone ------------------------------------------------------------------------------ */

/* A statement of the module: a declaration up to its ";", a function up to the end of its body. */
struct statement {
    /* DYNAMIC: .extern .shared. OTHER: what speaks of more than one function (.file, .section, .alias,
     * .pragma), is not understood, or is not whole; where it ends is not known. */
    enum { END, ENTRY, FUNCTION, DYNAMIC, SHARED, VARIABLE, OTHER } kind;
    struct token name; /* of an entry */
    bool body;
    struct cursor head; /* up to its body, if it has one */
    const uint8_t *end;
};

/* Leaves c behind the ";", or before the "{" of a body. False where a declaration is not like that, or
 * declares names that it does not tell: "s<4>" is s0 to s3. */
static bool skip_head(struct cursor *c, bool is_function, struct statement *s)
{
    struct cursor before = *c;
    struct token t;

    while ((t = next_token(c)).size && !is(t, ";")) {
        if (is(t, "{") && is_function) {
            *c = before;
            return s->body = true;
        }
        if (is(t, ".entry") || is(t, ".func") || is(t, "<"))
            return false;
        if (is(t, "{") && !skip_block(c)) /* values */
            return false;
        before = *c;
    }
    return t.size != 0;
}

static bool is_identifier(struct token t)
{
    return t.size && in_word(*t.at) && (*t.at < '0' || *t.at > '9');
}

static struct statement next_statement(struct cursor *c)
{
    struct token t = next_token(c);
    struct statement s = {.kind = t.size ? OTHER : END, .head = {t.at, t.at, false}};
    bool external = is(t, ".extern");

    if (external || is(t, ".visible") || is(t, ".weak"))
        t = next_token(c);
    if (is(t, ".entry"))
        s.kind = ENTRY;
    else if (is(t, ".func"))
        s.kind = FUNCTION;
    else if (is(t, ".shared"))
        s.kind = external ? DYNAMIC : SHARED;
    else if (is(t, ".global") || is(t, ".const"))
        s.kind = VARIABLE;
    else
        return s;
    if (s.kind == ENTRY) {
        struct cursor ahead = *c;
        s.name = next_token(&ahead);
        if (!is_identifier(s.name))
            s.kind = OTHER;
    }
    if (!skip_head(c, s.kind == ENTRY || s.kind == FUNCTION, &s))
        s.kind = OTHER;
    s.head.end = c->at;
    if (s.body) {
        next_token(c);
        if (!skip_block(c))
            s.kind = OTHER;
    }
    s.end = c->at;
    return s;
}

/* The words of a text: numbers are none. */
static struct token next_word(struct cursor *c)
{
    struct token t;

    while ((t = next_token(c)).size)
        if (is_identifier(t) || *t.at == '.')
            break;
    return t;
}

static bool collect_words(struct cursor c, struct kgi_words *words)
{
    struct token t;

    if (!kgi_words_make(words, (size_t)(c.end - c.at) / 2 + 1))
        return false;
    while ((t = next_word(&c)).size)
        kgi_words_add(words, t.at, t.size);
    return true;
}

/* Whether a kernel of these words may mean what is declared here. */
static bool is_touched(struct cursor declaration, const struct kgi_words *words)
{
    struct token t;

    while ((t = next_word(&declaration)).size)
        if (*t.at != '.' && kgi_words_has(words, t.at, t.size))
            return true;
    return false;
}

static void emit(const uint8_t *at, const uint8_t *end, uint8_t *out, size_t *size)
{
    memcpy(out + *size, at, (size_t)(end - at));
    *size += (size_t)(end - at);
}

/* Copies what the kernel needs of the module behind its head. With it go declarations of it, as ptxas
 * refuses those that differ, and dynamic shared memory even where it names none: by that of the largest
 * alignment in the module ptxas rounds up the size of what each kernel has of its own. */
static int emit_alone(struct cursor c, const char *kernel, const struct kgi_words *words,
                      uint8_t *out, size_t *size)
{
    struct statement s;

    while ((s = next_statement(&c)).kind != END) {
        bool is_its_own = s.kind == ENTRY && is(s.name, kernel);
        bool named = s.kind == ENTRY ? kgi_words_has(words, s.name.at, s.name.size)
                                     : is_touched(s.head, words);

        if (s.kind == OTHER || (named && !is_its_own && s.kind != SHARED && s.kind != DYNAMIC))
            return -ENOTSUP;
        if (named || s.kind == DYNAMIC)
            emit(s.head.at, s.end, out, size);
    }
    return c.odd ? -ENOTSUP : 0;
}

/* The definition of a kernel; END without one, OTHER where the way to it is not understood. */
static struct statement find_kernel(struct cursor c, const char *kernel)
{
    struct statement s;

    do
        s = next_statement(&c);
    while (s.kind != END && s.kind != OTHER && !(s.kind == ENTRY && s.body && is(s.name, kernel)));
    return s;
}

static void skip_address_size(struct cursor *c)
{
    struct cursor ahead = *c;
    struct token size;

    if (is(next_token(&ahead), ".address_size")) {
        size = next_token(&ahead);
        if (is(size, "64") || is(size, "32"))
            *c = ahead;
    }
}

int kgi_ptx_alone(struct kgi_bytes text, const char *kernel, uint8_t *out, size_t *size)
{
    struct cursor c = start_of(text);
    const uint8_t *start = c.at, *head_end;
    struct kgi_words words;
    struct statement s;
    struct kgi_ptx head;
    int result = read_head(&c, &head);

    if (result)
        return result;
    skip_address_size(&c);
    s = find_kernel(c, kernel);
    if (s.kind != ENTRY)
        return s.kind == END ? -ENOENT : -ENOTSUP;
    if (!collect_words((struct cursor){s.head.at, s.end, false}, &words))
        return -ENOMEM;
    *size = 0;
    head_end = c.at;
    emit(start, head_end, out, size);
    skip_blank(&c);
    if (c.at > head_end) /* else there is no room for it, and no need */
        out[(*size)++] = '\n';
    if (kgi_words_has(&words, ".callprototype", strlen(".callprototype")) ||
        kgi_words_has(&words, ".calltargets", strlen(".calltargets")))
        result = -ENOTSUP; /* of functions that it does not name */
    else
        result = emit_alone(c, kernel, &words, out, size);
    kgi_words_free(&words);
    return result;
}
