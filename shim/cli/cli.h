/*
 * Floor 6: the kguard command. Uses everything but doors and watch. Unlike the shim it is an ordinary
 * program: malloc, stdio and threads are its own.
 */
#ifndef KGI_CLI_H
#define KGI_CLI_H

#include <stdio.h>
#include <sys/types.h>

#include "../base/base.h"
#include "../rules/rules.h"

/* Exit codes: nothing found, findings, wrong use, input unreadable or only partly scanned (beats
 * findings), a fault of ours. */
enum { KGI_EXIT_OK, KGI_EXIT_FOUND, KGI_EXIT_USAGE, KGI_EXIT_UNREADABLE, KGI_EXIT_INTERNAL };

/* ---- flags.c: how a command reads its options ------------------------------------------------ */

/* One option of a command; a table of them gives the parser, --help, the man page and completion. */
struct kgi_flag {
    char letter;          /* 0 = no short form */
    const char *name;     /* "target" */
    const char *argument; /* "SM[,SM...]", "[WHEN]" where it may be left out, NULL where it takes none */
    const char *help;
    /* value is NULL without an argument. 0, or -EINVAL: value is none of those possible. */
    int (*set)(void *context, const char *value);
};
struct kgi_command {
    const char *name, *arguments, *help;
    int (*run)(const struct kgi_command *self, int argc, char **argv);
    const struct kgi_flag *flags;
    size_t flag_count;
    const char *epilogue; /* whole lines under the options, or NULL */
    bool operands_end;    /* the first argument that is no option ends the options: the rest is another
                             command's */
};
/* Takes the options out of argv (argv[0] is the command's name) and leaves the rest in front. Returns how
 * many are left, or -1: the answer is out (--help) or the complaint is, and *exit_code is set. */
int kgi_flags_parse(const struct kgi_command *command, int argc, char **argv, void *context,
                    int *exit_code);
/* "sm_90,12.0": adds each different GPU to targets, which has room for so many. 0, or -EINVAL. */
int kgi_flag_targets(const char *value, struct kgi_target *targets, size_t room, size_t *count);
/* The path, or below the working folder, kept until the exit; NULL where that has no name. */
const char *kgi_whole_path(const char *path);
/* "kguard: ..." on stderr; what in it could write to the terminal, or begin another line, is shown. */
void kgi_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- commands.c: all of them ----------------------------------------------------------------- */

extern const struct kgi_command *const kgi_commands[];
extern const size_t kgi_command_count;

extern const struct kgi_command kgi_scan_command; /* scan.c */
extern const struct kgi_command kgi_run_command;  /* run.c */
extern const struct kgi_command kgi_explain_command; /* explain.c */
extern const struct kgi_command kgi_doctor_command;  /* doctor.c */
extern const struct kgi_command kgi_warm_command; /* warm.c */
extern const struct kgi_command kgi_cache_command; /* cache.c */

/* ---- gpus.c: this machine, without a driver call ----------------------------------------------------- */

/* The different GPUs the kernel's driver has, at most room; how many there are. 0 also when one of them
 * is not known to this build: half an answer would be none. */
size_t kgi_gpus_here(struct kgi_target *targets, size_t room);
/* The compute capability of the GPU at this PCI address ("0000:01:00.0"), 120 = 12.0; 0 not known. */
uint16_t kgi_gpu_number(const char *bus);
/* "580.159.03" of the kernel's driver into out; false when there is none. */
bool kgi_driver_here(char *out, size_t size);
/* Its branch: "570.26" -> 570; -EINVAL for what is no driver's version. */
int kgi_driver_parse(const char *text, int *branch);

/* ---- engine.c: what one file holds, from a stream of its bytes ------------------------------------------ */

/* A file's bytes from first to last. read: like read(2), -errno on error; may give less than asked
 * for. skip: passes over bytes that nobody needs, where that is cheaper than reading them (a file on
 * disk: lseek), never past the end; NULL where it is not. Returns 0, or -errno with the position unchanged. read_at: like
 * pread(2), by any thread, whatever the position; NULL where only one pass is possible. */
struct kgi_stream {
    ssize_t (*read)(void *context, void *to, size_t size);
    void *context;
    int (*skip)(void *context, uint64_t size);
    ssize_t (*read_at)(void *context, void *to, size_t size, uint64_t offset);
};

/* A kernel of one code. The name is the file's: one string for all codes that hold the kernel. */
struct kgi_kernel {
    const char *name; /* mangled */
    int registers;    /* of a thread; 0 unknown, as in PTX */
    unsigned number;  /* of the name: a file's are numbered from 0 on */
};

/* One fatbin, raw cubin or PTX text found in a file. Pointers into payloads in codes are not kept:
 * payload.at is NULL, name and options are empty. */
struct kgi_found {
    uint64_t place;   /* offset in the file */
    bool registered;  /* the runtime gets it at load: a wrapper leads to it, or the file is no linked
                         ELF and all count */
    bool linked;      /* by a device link's wrapper: stands for the relocatable ones of the file */
    bool relocatable; /* registered through `linked` alone (nvcc -rdc) */
    bool fatbin;      /* else a raw cubin or a PTX text */
    struct kgi_code *codes;
    size_t count;
    struct kgi_kernel **kernels; /* with_kernels: of each code, codes[i].kernels many; else NULL */
};

struct kgi_file {
    char *path;        /* as shown: "/venv/a.so", "image.tar!sha256:ab12!/usr/lib/a.so" */
    char *inner;       /* the path for package look-ups: inside its root ("/usr/lib/a.so"), or of what a
                          process in another root has mapped, from here ("/proc/42/root/usr/lib/a.so") */
    uint64_t size;
    struct kgi_found *found;
    size_t found_count;
    char *error;       /* what is wrong with it and where, or NULL */
    char *package;     /* "torch 2.5.1", or NULL */
    char *torch;       /* the PyTorch installed beside it, or NULL */
    bool dynamic_elf;  /* a host ELF: "no CUDA code" may mean a CPU-only build */
    bool registers;    /* some image with code is registered; else all count */
    bool relocatable;  /* some registered image is relocatable */
    bool chooses;      /* which images are used is decided at run time (judge.c) */
    bool damaged;      /* error says that bytes are wrong, not that they could not be had */
    void *names;       /* the memory of kernel names */
};

/* Reads a whole stream and fills *out (caller frees with kgi_file_free): constant memory in the
 * stream's length. start: bytes already taken from the stream (a look at its magic). Never fails for
 * what the bytes say: *out.error tells; negative only for memory. with_kernels: payloads are inflated
 * and counted (--kernels, and where a verdict depends on it). */
int kgi_scan_stream(const char *path, struct kgi_bytes start, struct kgi_stream *stream,
                    bool with_kernels, struct kgi_file *out);
void kgi_file_free(struct kgi_file *file);

/* ---- find.c: the magic numbers, fast ------------------------------------------------------------------- */

/* The first offset >= at, a multiple of 8, whose four bytes are one of the magics of a fatbin, a
 * wrapper or an ELF; size when there is none. bytes is aligned to 8. */
size_t kgi_find_magic(const uint8_t *bytes, size_t at, size_t size);

/* ---- kernels.c: payloads, inflated by as many threads as there are cores ----------------------------------- */

struct kgi_inflater;
/* Begins the kernels of one file; its stream, and the file, must stay where they are until
 * kgi_inflater_end. */
struct kgi_inflater *kgi_inflater_start(struct kgi_stream *stream);
/* Reads the kernels of a payload in another thread: of a copy of head->payload.size bytes at packed, or,
 * where that is NULL, of those at this place of the stream, which has read_at. Blocks while too much
 * memory is in use. found, code: where the result goes. */
int kgi_inflater_add(struct kgi_inflater *inflater, size_t found, size_t code,
                     const struct kgi_code *head, const uint8_t *packed, uint64_t place);
/* Waits for all of them and stores the results in the file, also which bytes could not be had, where
 * nothing else is wrong with it. Frees the inflater. */
int kgi_inflater_end(struct kgi_inflater *inflater, struct kgi_file *file);
/* How many cores this process may use, 1 at least. */
size_t kgi_cores(void);
/* Calls each(context, i) for all i below count, by the same threads and this one; returns when all calls
 * have. */
void kgi_each(size_t count, void (*each)(void *context, size_t i), void *context);
/* The memory of a file's kernel names; NULL is allowed. */
void kgi_kernel_names_free(void *names);
/* Reads one small payload here and now: kernels and traits of code are filled in, unless there is no
 * memory. *glance, at first NULL, is what one payload leaves for the next. */
struct kgi_glance;
void kgi_inspect_now(struct kgi_glance **glance, struct kgi_code *code, struct kgi_bytes payload);
void kgi_glance_free(struct kgi_glance *glance);

/* ---- judge.c: a file against a target ------------------------------------------------------------------------ */

struct kgi_file_verdict {
    struct kgi_verdict verdict; /* of the image that decides; chosen is an index of its codes */
    size_t found;               /* which image decides; SIZE_MAX when there is none */
    size_t judged, failing;     /* images that count, and those that cannot run here */
    size_t compiled;            /* and those that the driver has to compile or link */
    bool chooses;               /* as in kgi_file */
};
/* Finds out once what does not depend on the target: registers, relocatable, chooses. */
void kgi_file_settle(struct kgi_file *file);
/* Judges a settled file by the images it registers; judge.c says how. */
void kgi_file_judge(const struct kgi_file *file, const struct kgi_host *host,
                    struct kgi_file_verdict *out);

/* ---- walk.c, archive.c, process.c: where streams come from ---------------------------------------------- */

/* What a walk meets. Every callback may be NULL. Paths as in struct kgi_file. */
struct kgi_visitor {
    /* A regular file that is not empty and no archive; read it or not. start: its first 4096 bytes at
     * most. size: 0 when not known. inner: path without the names of layers, so that files of one
     * file system share all that stands before "!/" (or have no "!"): "image.tar!/usr/lib/a.so".
     * Anything but 0 stops the walk, which returns it. */
    int (*file)(void *context, const char *path, const char *inner, struct kgi_bytes start,
                struct kgi_stream *stream, uint64_t size);
    /* Something could not be read: place and reason are in the text. */
    void (*error)(void *context, const char *path, const char *text);
    /* Something was left out on purpose (a FIFO, a device): no error. */
    void (*note)(void *context, const char *path, const char *text);
    /* A file that `file` read from (start alone is no reading) is not in the finished image after
     * all: an upper layer removes or replaces it. Comes late, where layers can be read only once and
     * in any order (stdin). */
    void (*hidden)(void *context, const char *path);
    /* Bytes of this walk passed so far, for the progress bar. */
    void (*progress)(void *context, uint64_t done);
    void *context;
};

/* Walks a path: file, folder, archive (zip/wheel, tar with gzip/zstd, docker save, OCI layout, ar),
 * "-" for stdin; archives inside archives too. Bounded memory; nothing is written to disk. */
int kgi_walk(const char *path, const struct kgi_visitor *visitor);
/* The bytes that a walk of this path passes; of a folder without what its symbolic links lead to. 0 where
 * that is not known: a pipe, a path that cannot be read. */
uint64_t kgi_walk_size(const char *path);
/* The files a process has mapped. */
int kgi_walk_process(pid_t pid, const struct kgi_visitor *visitor);

/* ---- package.c: whose file it is ---------------------------------------------------------------------------- */

/* What the metadata met on a walk says; folders, wheels and images at once: path and inner are as in
 * struct kgi_file. For a library on disk that was not met together with its metadata there is
 * kgi_package_of. */
struct kgi_packages;
struct kgi_packages *kgi_packages_new(void);
void kgi_packages_free(struct kgi_packages *packages);
/* Offers a file met on the walk; true when it was package metadata (RECORD and METADATA of Python,
 * conda-meta/x.json, dpkg's status and lists) or Triton's ptxas, and its stream has been read. */
bool kgi_packages_offer(struct kgi_packages *packages, const char *path, const char *inner,
                        struct kgi_bytes start, struct kgi_stream *stream);
/* Takes back what the file at this path said: the finished image does not have it; and whether that was
 * said of one. */
void kgi_packages_hide(struct kgi_packages *packages, const char *path);
bool kgi_packages_hidden(const struct kgi_packages *packages, const char *path);
/* "torch 2.5.1" of a file, or NULL; after the walk. Borrowed. */
const char *kgi_packages_of(const struct kgi_packages *packages, const char *inner);
/* Fills in file->package and file->torch: from what was met, else from what lies around it on disk. */
void kgi_packages_name(const struct kgi_packages *packages, struct kgi_file *file);

/* A ptxas that Triton brings: which CUDA's (12040), 0 when its bytes did not tell. */
struct kgi_ptxas {
    char *path, *inner;
    int cuda;
};
const struct kgi_ptxas *kgi_packages_ptxas(const struct kgi_packages *packages, size_t *count);

/* ---- tools.c: things that will fail at run time though no image lacks code ----------------------------------- */

/* CPU-only builds of packages that should hold CUDA code (KG109), a Triton whose ptxas cannot make
 * code for the target, an NVRTC that does not know it (KG110). files: all that were met, also those
 * without CUDA code. Each finding as one sentence with one line of help ("" = none). */
void kgi_tools_check(const struct kgi_file *files, size_t count,
                     const struct kgi_packages *packages, struct kgi_target target,
                     void (*finding)(void *context, const char *path, int reason,
                                     const char *text, const char *help),
                     void *context);

#endif
