/*
 * Where the Python program is, asked of the interpreter without running Python and without its
 * locks.
 *
 * CPython 3.6 - 3.8, 3.11 and 3.12 export _Py_DumpTraceback(), which faulthandler uses inside
 * signal handlers: it allocates nothing, takes no lock and writes lines to a descriptor, the
 * innermost call first:
 *
 *     Stack (most recent call first):
 *       File "/home/u/mesh.py", line 88 in mesh2index
 *
 * The others hide it, so the frames are walked here, to the same lines. 3.9 and 3.10 have them in
 * structures of public headers. From 3.13 on the head of _PyRuntime says where things lie
 * (_Py_DebugOffsets, made for debuggers), in another order in each version: one that is not known here
 * is said to be unreadable. Every word is checked before it is read, and a frame counts only if its
 * code is a code object.
 *
 * The thread state comes from PyGILState_GetThisThreadState(), which reads one thread-local slot
 * and gives NULL for a thread that Python does not know. Whether the GIL is held does not matter:
 * this thread's own frames do not move while it is here. All is found in the objects' own symbol
 * tables; dlsym would disturb dlerror(), which Python code may be about to read.
 */
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST_FRAMES 6
#define MOST_WALKED 64 /* frames looked at to find those */
#define DUMP_SIZE 16384

struct python {
    void *(*this_thread_state)(void);
    const char *(*version)(void);
    void (*dump)(int fd, void *thread_state);
    int (*line_of_frame)(void *frame);       /* a frame object, as all versions have them */
    int (*line_of_inner_frame)(void *frame); /* what 3.11 put under it */
    const void *runtime, *code_type;
};

static int find_python(const struct kgi_object *object, void *context)
{
    static const char *const names[] = {
        "PyGILState_GetThisThreadState",
        "Py_GetVersion",
        "_Py_DumpTraceback",
        "PyFrame_GetLineNumber",
        "PyUnstable_InterpreterFrame_GetLine",
        "_PyRuntime",
        "PyCode_Type",
    };
    struct python *python = context;
    void *found[KGI_COUNT(names)];

    _Static_assert(sizeof found == sizeof *python, "one pointer for each name");
    for (size_t i = 0; i < KGI_COUNT(names); i++) {
        found[i] = kgi_object_symbol(object, names[i]);
        if (i == 0 && !found[i])
            return 0;
    }
    /* Functions and data have addresses of one kind here, as dlsym() too demands. */
    memcpy(python, found, sizeof found);
    return 1;
}

/* ---- by the interpreter itself --------------------------------------------------------------- */

/* What the interpreter writes for this thread, as much as fits in out; into a pipe, because that
 * needs no file and no newer kernel, and not to block: beyond its 64 KiB lie only outer frames. */
static void dump_by_itself(const struct python *python, void *thread_state, struct kgi_text *out)
{
    int ends[2];
    long length = 0;

    if (syscall(SYS_pipe2, ends, O_CLOEXEC | O_NONBLOCK))
        return;
    ends[0] = kgi_fd_above_stdio(ends[0]);
    ends[1] = kgi_fd_above_stdio(ends[1]);
    if (ends[0] >= 0 && ends[1] >= 0) {
        python->dump(ends[1], thread_state);
        length = syscall(SYS_read, ends[0], out->at, out->size - 1);
    }
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0)
            kgi_close(ends[i]);
    out->length = length > 0 ? (size_t)length : 0;
    out->at[out->length] = 0;
}

/* ---- by walking its frames ------------------------------------------------------------------- */

/* Where things lie: offsets into the structures named before the underscore. */
struct layout {
    uint64_t thread_frame;
    uint64_t frame_previous, frame_code;
    uint64_t code_file, code_name;
    uint64_t object_type;
    uint64_t string_state, string_length, string_ascii, string_wide; /* text if ASCII; text if not */
    unsigned string_kind; /* the first bit of the kind in the state */
    int (*line_of)(void *frame);
};

/* Include/cpython/{pystate,frameobject,code,unicodeobject}.h: the same in 3.9 and 3.10. */
static const struct layout layout_39 = {24, 24, 32, 104, 112, 8, 32, 16, 48, 72, 2, NULL};

/* _Py_DebugOffsets: which of its words say what. Include/internal/pycore_runtime.h of 3.13.5,
 * pycore_debug_offsets.h of 3.14.10 and 3.15.2. */
static const struct offsets {
    unsigned version;
    uint8_t thread_frame, frame_previous, frame_code, code_file, code_name, object_type;
    uint8_t string_state, string_length, string_ascii, words;
} offsets[] = {
    {0x30d, 23, 29, 30, 35, 36, 45, 68, 69, 70, 73},
    {0x30e, 26, 32, 33, 40, 41, 51, 78, 79, 80, 95},
    {0x30f, 26, 40, 41, 48, 49, 59, 90, 91, 92, 111},
};

static bool layout_by_offsets(const struct python *python, struct layout *out)
{
    enum { COOKIE, VERSION, FREE_THREADED, LAST = 3 };
    const uint64_t *head = python->runtime;
    const struct offsets *o = offsets, *end = offsets + KGI_COUNT(offsets);

    if (!head || kgi_mapped(head, LAST * sizeof *head) < LAST * sizeof *head ||
        memcmp(&head[COOKIE], "xdebugpy", 8) || (head[VERSION] >> 4 & 0xf) != 0xf) /* a release */
        return false;
    while (o < end && o->version != head[VERSION] >> 16)
        o++;
    if (o == end || kgi_mapped(head, o->words * sizeof *head) < o->words * sizeof *head)
        return false;
    *out = (struct layout){
        .thread_frame = head[o->thread_frame],
        .frame_previous = head[o->frame_previous],
        .frame_code = head[o->frame_code],
        .code_file = head[o->code_file],
        .code_name = head[o->code_name],
        .object_type = head[o->object_type],
        .string_state = head[o->string_state],
        .string_length = head[o->string_length],
        .string_ascii = head[o->string_ascii],
        .string_wide = head[o->string_ascii] + 16,
        /* "interned" is a byte of its own in free-threaded builds since 3.14 */
        .string_kind = head[FREE_THREADED] && o->version > 0x30d ? 8 : 2,
        .line_of = python->line_of_inner_frame,
    };
    return true;
}

static bool find_layout(const struct python *python, struct layout *out)
{
    const char *version = python->version ? python->version() : "";

    if (!strncmp(version, "3.9.", 4) || !strncmp(version, "3.10.", 5)) {
        *out = layout_39;
        out->line_of = python->line_of_frame;
    } else if (!layout_by_offsets(python, out)) {
        return false;
    }
    return out->line_of && python->code_type;
}

/* The word at an offset of a structure, 0 where it cannot be read. */
static uint64_t word(uint64_t structure, uint64_t offset)
{
    uint64_t value = 0;
    const void *at = (const void *)(uintptr_t)(structure + offset);

    if (structure && kgi_mapped(at, sizeof value) == sizeof value)
        memcpy(&value, at, sizeof value);
    return value;
}

static void add_character(struct kgi_text *out, uint32_t c)
{
    char bytes[5] = {0};

    if (c < 0x80) {
        bytes[0] = (char)c;
    } else if (c < 0x800) {
        bytes[0] = (char)(0xc0 | c >> 6);
        bytes[1] = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        bytes[0] = (char)(0xe0 | c >> 12);
        bytes[1] = (char)(0x80 | (c >> 6 & 0x3f));
        bytes[2] = (char)(0x80 | (c & 0x3f));
    } else {
        bytes[0] = (char)(0xf0 | (c >> 18 & 7));
        bytes[1] = (char)(0x80 | (c >> 12 & 0x3f));
        bytes[2] = (char)(0x80 | (c >> 6 & 0x3f));
        bytes[3] = (char)(0x80 | (c & 0x3f));
    }
    kgi_text_add(out, "%s", c == '\n' ? "?" : bytes);
}

/* A str of CPython. Its flags are interned, kind:3 (bytes per character), compact:1, ascii:1. The last
 * 300 characters are enough of any path. */
static void add_string(struct kgi_text *out, const struct layout *l, uint64_t string)
{
    unsigned state = (unsigned)word(string, l->string_state) >> l->string_kind, kind = state & 7;
    uint64_t length = word(string, l->string_length), first = length > 300 ? length - 300 : 0;
    uint64_t data = string + (state >> 4 & 1 ? l->string_ascii : l->string_wide) + first * kind;
    size_t size = (size_t)((length - first) * kind);

    if (!(state >> 3 & 1) || (kind != 1 && kind != 2 && kind != 4) || length > 1 << 20 ||
        kgi_mapped((const void *)(uintptr_t)data, size) < size)
        return;
    for (size_t at = 0; at < size; at += kind) {
        uint32_t c = 0;

        memcpy(&c, (const void *)(uintptr_t)(data + at), kind); /* hosts are little-endian */
        add_character(out, c);
    }
}

static bool dump_by_walking(const struct python *python, void *thread_state, struct kgi_text *out)
{
    struct layout l;
    uint64_t frame;

    if (!find_layout(python, &l))
        return false;
    frame = word((uintptr_t)thread_state, l.thread_frame);
    for (int i = 0; frame && i < MOST_WALKED; i++, frame = word(frame, l.frame_previous)) {
        /* Since 3.14 the low bits say how it is referred to. */
        uint64_t code = word(frame, l.frame_code) & ~(uint64_t)3;

        /* Between the frames since 3.13 lie some of C, whose "code" is None. */
        if (word(code, l.object_type) != (uintptr_t)python->code_type)
            continue;
        kgi_text_add(out, "  File \"");
        add_string(out, &l, word(code, l.code_file));
        kgi_text_add(out, "\", line %d in ", l.line_of((void *)(uintptr_t)frame));
        add_string(out, &l, word(code, l.code_name));
        kgi_text_add(out, "\n");
    }
    return true;
}

/* ---- lines to text --------------------------------------------------------------------------- */

struct frame {
    const char *file, *line, *name;
};

/* The value of exactly this many hexadecimal digits, 0 when there are not as many. (No strtoul:
 * newer headers give it a newer symbol.) */
static uint32_t hexadecimal(const char *s, size_t digits)
{
    uint32_t value = 0;

    for (size_t i = 0; i < digits; i++) {
        const char *all = "0123456789abcdef", *digit = s[i] ? strchr(all, s[i]) : NULL;

        if (!digit)
            return 0;
        value = value << 4 | (uint32_t)(digit - all);
    }
    return value;
}

/* The dump writes characters beyond ASCII as \xNN, \uNNNN, \UNNNNNNNN: back to UTF-8, which is
 * shorter. Below 0x80 there is nothing it would have escaped but control characters: those stay. */
static void unescape(char *s)
{
    struct kgi_text out = {s, strlen(s) + 1, 0, false};

    while (*s) {
        size_t digits = s[0] != '\\' ? 0 : s[1] == 'x' ? 2 : s[1] == 'u' ? 4 : s[1] == 'U' ? 8 : 0;
        uint32_t c = hexadecimal(s + 2 * (digits != 0), digits);

        if (c >= 0x80 && c < 0x110000) {
            s += 2 + digits;
            add_character(&out, c);
        } else {
            out.at[out.length++] = *s++;
        }
    }
    out.at[out.length] = 0;
}

/* Cuts one line `  File "PATH", line N in NAME` up in place; false when it is none. */
static bool parse(char *line, struct frame *out)
{
    static const char start[] = "  File \"", middle[] = "\", line ", in[] = " in ";
    char *path = line + sizeof start - 1, *end = NULL, *name;

    if (strncmp(line, start, sizeof start - 1))
        return false;
    for (char *s = strstr(path, middle); s; s = strstr(s + 1, middle))
        end = s; /* the last one: a path may hold anything */
    name = end ? strstr(end + sizeof middle - 1, in) : NULL;
    if (!name)
        return false;
    *end = *name = 0;
    *out = (struct frame){path, end + sizeof middle - 1, name + sizeof in - 1};
    unescape(path);
    unescape(name + sizeof in - 1);
    return true;
}

/* "/a/b/c/d.py" -> "c/d.py" */
static const char *short_path(const char *path)
{
    const char *last = strrchr(path, '/'), *s = last;

    while (s && s > path && s[-1] != '/')
        s--;
    return s ? s : path;
}

/* The innermost frames of a dump, in its order; the import machinery's own are no place of the
 * user's. */
static size_t innermost(char *dump, struct frame *frames)
{
    size_t count = 0;

    for (char *line = dump, *next; count < MOST_FRAMES; line = next) {
        next = strchr(line, '\n');
        if (!next) /* the end of what was read may be half a line */
            break;
        *next++ = 0;
        if (parse(line, &frames[count]) && strncmp(frames[count].file, "<frozen importlib", 17))
            count++;
    }
    return count;
}

/* The version of an interpreter that is running and cannot be read, else NULL. */
static const char *dump(struct kgi_text *out)
{
    struct python python = {.dump = NULL};
    void *state;

    if (!kgi_object_each(find_python, &python))
        return NULL;
    state = python.this_thread_state();
    if (state && python.dump)
        dump_by_itself(&python, state, out);
    else if (state && !dump_by_walking(&python, state, out))
        return python.version ? python.version() : "?";
    return NULL;
}

bool kgi_python_stack(char *out, size_t size)
{
    struct kgi_text text = {out, size, 0, false}, dumped = {kgi_pages_get(DUMP_SIZE), DUMP_SIZE, 0,
                                                            false};
    struct frame frames[MOST_FRAMES];
    const char *unread = NULL;
    int saved = errno;
    size_t count = 0;

    out[0] = 0;
    if (dumped.at) {
        unread = dump(&dumped);
        count = innermost(dumped.at, frames);
    }
    if (unread)
        kgi_text_add(&text, "(frames of Python %.*s cannot be read)", (int)strcspn(unread, " "), unread);
    for (size_t i = count; i-- > 0;)
        kgi_text_add(&text, "%s%s:%s in %s", text.length ? " > " : "", short_path(frames[i].file),
                     frames[i].line, frames[i].name);
    kgi_pages_put(dumped.at, DUMP_SIZE);
    errno = saved;
    return text.length > 0;
}
