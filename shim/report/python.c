/*
 * Where the Python program is, asked of the interpreter without running Python and without its
 * locks.
 *
 * CPython up to 3.12 exports _Py_DumpTraceback(), which faulthandler uses inside signal handlers: it
 * allocates nothing, takes no lock and writes lines to a descriptor, the innermost call first:
 *
 *     Stack (most recent call first):
 *       File "/home/u/mesh.py", line 88 in mesh2index
 *
 * The thread state comes from PyGILState_GetThisThreadState(), which reads one thread-local slot and
 * gives NULL for a thread that Python does not know. Whether the GIL is held does not matter: this
 * thread's own frames do not move while it is here. Both are found in the objects' own symbol
 * tables; dlsym would disturb dlerror(), which Python code may be about to read.
 */
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST_FRAMES 6

struct python {
    void *(*this_thread_state)(void);
    void (*dump)(int fd, void *thread_state);
};

static int find_python(const struct kgi_object *object, void *context)
{
    struct python *python = context;
    /* The function's address is where its code is: the conversion POSIX asks of dlsym's callers. */
    union {
        void *address;
        void *(*function)(void);
    } state = {kgi_object_symbol(object, "PyGILState_GetThisThreadState")};
    union {
        void *address;
        void (*function)(int, void *);
    } dump = {NULL};

    if (!state.address)
        return 0;
    dump.address = kgi_object_symbol(object, "_Py_DumpTraceback");
    python->this_thread_state = state.function;
    python->dump = dump.function;
    return 1;
}

/* What dump writes for this thread, as much as fits in out; a pipe, because it needs no file and no
 * newer kernel, and not to block: beyond its 64 KiB lie only outer frames. */
static size_t dump_to(const struct python *python, void *thread_state, char *out, size_t size)
{
    int ends[2];
    long length = 0;

    if (syscall(SYS_pipe2, ends, O_CLOEXEC | O_NONBLOCK))
        return 0;
    ends[0] = kgi_fd_above_stdio(ends[0]);
    ends[1] = kgi_fd_above_stdio(ends[1]);
    if (ends[0] >= 0 && ends[1] >= 0) {
        python->dump(ends[1], thread_state);
        length = syscall(SYS_read, ends[0], out, size - 1);
    }
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0)
            kgi_close(ends[i]);
    length = length > 0 ? length : 0;
    out[length] = 0;
    return (size_t)length;
}

struct frame {
    const char *file, *line, *name;
};

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
    return true;
}

/* "/a/b/c/d.py" -> "c/d.py" */
static const char *short_path(const char *path)
{
    const char *last = strrchr(path, '/'), *s = last;

    while (s && s > path && s[-1] != '/')
        s--;
    return s && last ? s : path;
}

/* The innermost frames of a dump, in its order; the import machinery's own are no place of the
 * user's. */
static size_t innermost(char *dump, struct frame *frames)
{
    size_t count = 0;

    for (char *line = dump, *next; line && count < MOST_FRAMES; line = next) {
        next = strchr(line, '\n');
        if (!next) /* the end of what was read may be half a line */
            break;
        *next++ = 0;
        if (parse(line, &frames[count]) && strncmp(frames[count].file, "<frozen importlib", 17))
            count++;
    }
    return count;
}

bool kgi_python_stack(char *out, size_t size)
{
    enum { DUMP_SIZE = 16384 };
    struct kgi_text text = {out, size, 0, false};
    struct python python = {NULL, NULL};
    struct frame frames[MOST_FRAMES];
    size_t count = 0;
    int saved = errno;
    char *dump;
    void *state;

    out[0] = 0;
    kgi_object_each(find_python, &python);
    state = python.dump ? python.this_thread_state() : NULL;
    dump = state ? kgi_pages_get(DUMP_SIZE) : NULL;
    if (dump && dump_to(&python, state, dump, DUMP_SIZE))
        count = innermost(dump, frames);
    for (size_t i = count; i-- > 0;)
        kgi_text_add(&text, "%s%s:%s in %s", text.length ? " > " : "", short_path(frames[i].file),
                     frames[i].line, frames[i].name);
    kgi_pages_put(dump, DUMP_SIZE);
    errno = saved;
    return count > 0;
}
