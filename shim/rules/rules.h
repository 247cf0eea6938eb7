/*
 * Floor 3: who can run what. The same objects judge in the shim and in the command: one verdict.
 * The tables are data, each row with its source; what the real driver answered is recorded in
 * tests/recorded and compared with these rules.
 */
#ifndef KGI_RULES_H
#define KGI_RULES_H

#include "../code/code.h"

/* ---- target.c: names ------------------------------------------------------------------------------ */

/* "sm_120", "120", "12.0", "compute_90a", "sm_100f" -> target; -EINVAL for anything else. */
int kgi_target_parse(const char *text, struct kgi_target *out);
/* "sm_120a" (prefix "sm_"), "compute_90" ...; returns out. size >= 20. */
char *kgi_target_name(struct kgi_target t, const char *prefix, char *out, size_t size);
/* 120 -> major 12, minor 0 of a compute capability. */
void kgi_target_cc(struct kgi_target t, int *major, int *minor);

/* What is known of one SM number, whatever the suffix. CUDA versions as 12080 = 12.8. */
struct kgi_target_row {
    uint16_t number;
    uint16_t same_as;          /* the number that names the same hardware from CUDA 13 on; 0 none */
    bool soc;                  /* an embedded part: its cubins run on it alone, and no others on it */
    int plain, exact, family;  /* the first toolkit that makes sm_N, sm_Na, sm_Nf; 0 none does */
    int last;                  /* the last toolkit that makes it; 0 = still made */
    int driver;                /* CUDA version of the last driver for it; 0 = still supported */
    const char *torch;         /* the PyTorch whose extensions can be built for it; NULL = any */
};
/* The row of a number, or NULL for one this build does not know. */
const struct kgi_target_row *kgi_target_row(uint16_t number);
/* The first CUDA toolkit version (12080) that compiles for a target; 0 unknown. */
int kgi_target_toolkit(struct kgi_target t);
/* Whether the compilers of a toolkit (12040) make code for a GPU; true for a GPU that is not known. */
bool kgi_toolkit_compiles(int cuda, struct kgi_target target);
/* Of one that does not: "CUDA 12.4, which does not know sm_120 (CUDA 12.8 is the first that does)". */
void kgi_toolkit_says(int cuda, struct kgi_target target, char *out, size_t size);

/* ---- verdict.c ------------------------------------------------------------------------------------- */

/* The reason codes: stable, never reused. */
enum kgi_reason {
    KGI_OK = 0,
    KG101_NO_CODE = 101,       /* no code for this GPU */
    KG102_ARCH_SPECIFIC = 102, /* only arch-specific (a / f) code of another */
    KG103_PTX_TOO_NEW = 103,   /* PTX newer than the driver */
    KG104_UNREADABLE = 104,    /* image the driver cannot read (zstd < 550, ABI 8 < 580, bad data) */
    KG105_NO_JIT = 105,        /* JIT off, or its library missing */
    KG106_NO_KERNEL = 106,     /* kernel missing from the image the driver chose */
    KG107_BAD_PTX = 107,       /* invalid PTX */
    KG108_NEEDS_LINK = 108,    /* relocatable or LTO only */
    KG109_CPU_ONLY = 109,      /* CPU-only build of a CUDA package */
    KG110_COMPILER = 110,      /* a compiler used at run time that cannot make code for this GPU */
    KG201_WILL_JIT = 201,
    KG202_CACHE_LOST = 202,
    KG203_JIT_VARIABLE = 203,  /* CUDA_FORCE_PTX_JIT / CUDA_DISABLE_PTX_JIT, or one like it, set */
    KG204_UNCHECKED = 204,     /* a failure the caller did not check */
};

enum kgi_answer { KGI_NATIVE, KGI_FAMILY, KGI_JIT, KGI_LINK, KGI_NONE, KGI_NO_CUDA };
extern const char *const kgi_answer_names[]; /* "native", "family", "jit", "link", "none", "no-cuda" */

/* What the code is to run on. Fields that are 0 are unknown and forbid nothing. */
struct kgi_host {
    struct kgi_target gpu;   /* number = 10 * major + minor; suffix is not looked at */
    int cuda_version;        /* cuDriverGetVersion: 12080 = CUDA 12.8 */
    int driver;              /* driver branch: 570 of 570.26; counts where cuda_version is 0, since
                                with a forward-compatibility package only the latter is true */
    const char *jit_forbidden; /* the variable that forbids it, CUDA_DISABLE_PTX_JIT; NULL: none */
    const char *jit_forced;    /* likewise CUDA_FORCE_PTX_JIT: cubins are not considered */
};

struct kgi_verdict {
    enum kgi_answer answer;
    int reason;    /* enum kgi_reason; KGI_OK when it runs, KG201 when by JIT */
    int chosen;    /* index of the code the driver takes, or that explains the reason; -1 none */
    int needs_cuda; /* the lowest driver CUDA version that reads the chosen code (12080), also when
                       this driver does; 0 = no driver would help, or none too old is known */
};

/* Judges one image: what the driver takes of these codes on this host, and why not if none. Codes
 * known to hold no kernels (KGI_T_INSPECTED, kernels == 0) are ignored, save that one which fits
 * where nothing else does makes it KG106; an image of such codes alone is NO_CUDA. (The driver does
 * take an empty cubin before PTX with kernels; but lists may be of several images, and then a stub
 * that the linker left in one must not hide the others.) A payload that
 * was not looked at, or could not be read, is judged by its header. NATIVE: same number; FAMILY: a
 * cubin of another number of the same major; LINK: relocatable code that fits (reason KG108). */
void kgi_judge(const struct kgi_code *codes, size_t count, const struct kgi_host *host,
               struct kgi_verdict *out);
/* Whether one cubin target / PTX target can run on a GPU, by number and suffix alone. */
bool kgi_cubin_fits(struct kgi_target cubin, struct kgi_target gpu);
bool kgi_ptx_fits(struct kgi_target ptx, struct kgi_target gpu);
/* The CUDA version (12080) that brought PTX ISA major.minor, and the Linux driver of that release
 * ("570.26"); 0 and NULL when unknown. The newest ISA a driver of this CUDA version reads. */
int kgi_ptx_cuda(int major, int minor, const char **driver);
void kgi_ptx_newest(int cuda_version, int *major, int *minor);
/* The first Linux driver of a CUDA version (12080 -> "570.26"); NULL when unknown. */
const char *kgi_cuda_driver(int cuda_version);

/* ---- reason.c -------------------------------------------------------------------------------------- */

/* One short sentence for a reason code ("no code for this GPU"), and the longer explanation: a
 * paragraph of lines below 100 columns, no newline at its end. Never NULL. */
const char *kgi_reason_title(int reason);
const char *kgi_reason_text(int reason);

/* ---- advice.c: what to do about it; the table is advice.tsv ------------------------------------------ */

/* What is known to be installed, as "name version", or NULL: the package that the library belongs to,
 * and the PyTorch it is used with. Versions decide only where they are known. Of code that is no file's,
 * the library that loads it, a path. */
struct kgi_installed {
    const char *package, *torch, *loaded_by;
};
/* Adds one fix line to out for this library (path or NULL), what is installed (NULL = not known) and
 * verdict; never longer than 200 bytes. Facts decide: nothing is advised that cannot help. */
void kgi_advice(const char *library, const struct kgi_installed *installed,
                const struct kgi_code *codes, size_t count, const struct kgi_host *host,
                const struct kgi_verdict *verdict, char *out, size_t size);
/* Puts a user's rows, a file of advice.tsv's form, before the table's: once, at the program's start.
 * 0; -ENOENT when it cannot be read, is empty or larger than 1 MiB; -EBADMSG with the line that makes
 * no sense. */
int kgi_advice_add_file(const char *path, size_t *line);
/* The same check for the table itself. */
int kgi_advice_check(size_t *line);

#endif
