/*
 * Who can run what.
 *
 * The driver decides in two steps, and so does kgi_judge. First it looks at entry headers alone: it
 * drops what is for another GPU and ranks the rest. Then it takes the winner, and only now finds
 * out whether it can read it. That choice is final: a winner that turns out to be unreadable, or
 * PTX too new for the driver, fails the load although the runner-up would have run. Measured by
 * loading 41 crafted containers on CC 8.9 (repository bechirBOUALI/cuda-fatbin-precedence,
 * analysis/entry-precedence.md, driver 597); tests/recorded holds what other drivers answered.
 *
 * Runs at every module load: one pass, no memory, nothing read but the structs.
 */
#include <limits.h>
#include "rules.h"

const char *const kgi_answer_names[] = {"native", "family", "jit", "link", "none", "no-cuda"};

/* ---- CUDA releases ------------------------------------------------------------------------- */

/*
 * One row per CUDA version: the newest PTX ISA its driver reads and the first Linux driver of it.
 * Sources, read in July 2026: PTX ISA manual, release history (ISA); CUDA release notes, "CUDA
 * Toolkit and Corresponding Driver Versions" (drivers); LLVM's NVPTX.td (9.3, 9.4). 12.7 had no
 * toolkit, only the 565 branch. NULL = driver not published when this was written.
 */
static const struct release {
    int cuda, major, minor;
    const char *driver;
} releases[] = {
    /* clang-format off */
    {6000, 4, 0, NULL},
    {6050, 4, 1, "340.21"},
    {7000, 4, 2, "346.46"},
    {7050, 4, 3, "352.31"},
    {8000, 5, 0, "375.26"},
    {9000, 6, 0, "384.81"},
    {9010, 6, 1, "390.46"},
    {9020, 6, 2, "396.26"},
    {10000, 6, 3, "410.48"},
    {10010, 6, 4, "418.39"},
    {10020, 6, 5, "440.33"},
    {11000, 7, 0, "450.36.06"},
    {11010, 7, 1, "455.23"},
    {11020, 7, 2, "460.27.03"},
    {11030, 7, 3, "465.19.01"},
    {11040, 7, 4, "470.42.01"},
    {11050, 7, 5, "495.29.05"},
    {11060, 7, 6, "510.39.01"},
    {11070, 7, 7, "515.43.04"},
    {11080, 7, 8, "520.61.05"},
    {12000, 8, 0, "525.60.13"},
    {12010, 8, 1, "530.30.02"},
    {12020, 8, 2, "535.54.03"},
    {12030, 8, 3, "545.23.06"},
    {12040, 8, 4, "550.54.14"},
    {12050, 8, 5, "555.42.02"},
    {12060, 8, 5, "560.28.03"},
    {12070, 8, 6, "565"},
    {12080, 8, 7, "570.26"},
    {12090, 8, 8, "575.51.03"},
    {13000, 9, 0, "580.65.06"},
    {13010, 9, 1, "590.44.01"},
    {13020, 9, 2, "595.45.04"},
    {13030, 9, 3, NULL},
    {13040, 9, 4, NULL},
    /* clang-format on */
};
#define RELEASES (sizeof releases / sizeof releases[0])

/* What a driver must be to read a form of image, as CUDA versions. */
enum floor {
    /* fatbinary of CUDA 12.4 began to write zstd: docs.rapids.ai,
     * rapids_cuda_enable_fatbin_compression: driver 550.54.14. */
    FLOOR_ZSTD = 12040,
    /* CUDA 13 writes cubin ABI 8 for all targets; 13.x code needs a 580 driver (CUDA compatibility
     * guide). For sm_100 and up CUDA 12.8 wrote it already: their floor is their toolkit's. */
    FLOOR_ABI8 = 13000,
};

int kgi_ptx_cuda(int major, int minor, const char **driver)
{
    for (size_t i = 0; i < RELEASES; i++) {
        if (releases[i].major == major && releases[i].minor == minor) {
            *driver = releases[i].driver;
            return releases[i].cuda;
        }
    }
    *driver = NULL;
    return 0;
}

void kgi_ptx_newest(int cuda_version, int *major, int *minor)
{
    *major = *minor = 0;
    for (size_t i = 0; i < RELEASES && releases[i].cuda <= cuda_version; i++) {
        *major = releases[i].major;
        *minor = releases[i].minor;
    }
}

const char *kgi_cuda_driver(int cuda_version)
{
    for (size_t i = 0; i < RELEASES; i++) {
        if (releases[i].cuda == cuda_version)
            return releases[i].driver;
    }
    return NULL;
}

/* 570 of "570.26". Not atoi: newer glibc headers turn it into a symbol that older ones lack. */
static int branch(const char *driver)
{
    int n = 0;

    while (*driver >= '0' && *driver <= '9')
        n = 10 * n + (*driver++ - '0');
    return n;
}

/* The CUDA version of the host's driver; 0 = unknown, forbids nothing. */
static int host_cuda(const struct kgi_host *host)
{
    if (host->cuda_version > 0)
        return host->cuda_version;
    if (host->driver <= 0)
        return 0;
    for (size_t i = 0; i < RELEASES; i++) { /* up to the first release that needs a newer driver */
        if (releases[i].driver && branch(releases[i].driver) > host->driver)
            return releases[i ? i - 1 : 0].cuda;
    }
    return 0; /* newer than the table */
}

/* ---- target against GPU -------------------------------------------------------------------- */

/* 101 -> 110: Thor was CC 10.1 under CUDA 12 and is 11.0 since; nvlink 13.0 takes a cubin of one
 * for the other. */
static unsigned canonical(uint16_t number)
{
    const struct kgi_target_row *row = kgi_target_row(number);
    return row && row->same_as ? row->same_as : number;
}

static bool embedded(unsigned number)
{
    const struct kgi_target_row *row = kgi_target_row((uint16_t)number);
    return row && row->soc;
}

/* Same family: same major, the device's minor not below; embedded parts match only themselves. */
static bool family(unsigned code, unsigned gpu)
{
    if (code == gpu)
        return true;
    return code / 10 == gpu / 10 && gpu > code && !embedded(code) && !embedded(gpu);
}

bool kgi_cubin_fits(struct kgi_target cubin, struct kgi_target gpu)
{
    unsigned code = canonical(cubin.number), device = canonical(gpu.number);

    if (!gpu.number)
        return true;
    /* An unknown suffix says at least that the code is special: as strict as `a`. */
    return cubin.suffix && cubin.suffix != 'f' ? code == device : family(code, device);
}

bool kgi_ptx_fits(struct kgi_target ptx, struct kgi_target gpu)
{
    if (ptx.suffix)
        return kgi_cubin_fits(ptx, gpu);
    /* Plain PTX goes by number across majors, embedded parts included (every PTX target run against
     * every ptxas 13.0 -arch): compute_101 counts as 101 there, and fits 10.3. */
    return !gpu.number || gpu.number >= ptx.number ||
           canonical(gpu.number) == canonical(ptx.number);
}

/* ---- codes --------------------------------------------------------------------------------- */

/* How the driver ranks codes that fit: a higher one wins whatever the architectures (a cubin for
 * sm_86 beats PTX for exactly the device). Those below RANK_PTX do not run as they are. */
enum rank {
    RANK_IGNORED,
    RANK_UNKNOWN,
    RANK_LTO,
    RANK_HIDDEN_PTX, /* obfuscated: CUDA_ERROR_INVALID_PTX */
    RANK_LINK_PTX,
    RANK_LINK_CUBIN,
    RANK_PTX,
    RANK_MERCURY,
    RANK_CUBIN,
};

/* Entry kinds; `linked` is the rank of one that needs a device link first. From the same
 * measurements as above, and for 0x20, 0x80 its analysis/fatbin-entry-kinds.md. */
static const struct kind {
    uint16_t kind;
    uint8_t rank, linked;
    bool (*fits)(struct kgi_target code, struct kgi_target gpu);
} kinds[] = {
    {KGI_CUBIN, RANK_CUBIN, RANK_LINK_CUBIN, kgi_cubin_fits},
    {KGI_PTX, RANK_PTX, RANK_LINK_PTX, kgi_ptx_fits},
    {KGI_MERCURY, RANK_MERCURY, RANK_MERCURY, kgi_cubin_fits},
    {KGI_RELOCATABLE_PTX, RANK_LINK_PTX, RANK_LINK_PTX, kgi_ptx_fits},
    {KGI_LTO, RANK_LTO, RANK_LTO, kgi_ptx_fits},
    {KGI_INDEX, RANK_IGNORED, RANK_IGNORED, NULL},
};
static const struct kind unknown_kind = {0, RANK_UNKNOWN, RANK_UNKNOWN, NULL};

static const struct kind *kind_of(const struct kgi_code *code)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i].kind == code->kind)
            return &kinds[i];
    }
    return &unknown_kind;
}

static enum rank rank_of(const struct kgi_code *code)
{
    const struct kind *kind = kind_of(code);

    if (code->traits & (KGI_T_RELOCATABLE | KGI_T_EXTERN))
        return kind->linked;
    if (kind->rank == RANK_PTX && code->traits & KGI_T_OBFUSCATED)
        return RANK_HIDDEN_PTX;
    return kind->rank;
}

static bool is_ptx(enum rank rank)
{
    return rank == RANK_PTX || rank == RANK_LINK_PTX;
}

static bool is_binary(enum rank rank)
{
    return rank == RANK_CUBIN || rank == RANK_MERCURY;
}

static bool is_empty(const struct kgi_code *code)
{
    return code->traits & KGI_T_INSPECTED && code->kernels == 0;
}

/* A cubin for sm_100 and up without its "capsule" cannot be finalized again for a sibling: nvlink
 * 13.0 says of such input "Output is limited to run on SM Arch '100' only". */
static bool lacks_capsule(const struct kgi_code *code, enum rank rank)
{
    return rank == RANK_CUBIN && code->target.number >= 100 && code->traits & KGI_T_INSPECTED &&
           !(code->traits & KGI_T_CAPSULE);
}

static bool fits(const struct kgi_code *code, enum rank rank, struct kgi_target gpu)
{
    const struct kind *kind = kind_of(code);

    if (!kind->fits || !kind->fits(code->target, gpu))
        return false;
    return !gpu.number || !lacks_capsule(code, rank) ||
           canonical(code->target.number) == canonical(gpu.number);
}

/* ---- the driver's choice ------------------------------------------------------------------- */

/* What one pass over the codes finds; indexes, -1 = none. */
struct survey {
    struct kgi_target gpu;
    int best;       /* what the driver takes */
    enum rank rank; /* of best */
    int forced_out; /* a binary that fits, but CUDA_FORCE_PTX_JIT hides it */
    int empty;      /* one without kernels that fits */
    int nearest;    /* the closest of those that do not fit */
    bool general;   /* some code that could run as it is is for no special target */
};

/* sm_90a is taken before sm_90, compute_90a before compute_90, whatever their order and flag bit 24
 * (recorded, driver 580). That `f` stands between is a guess: no GPU at hand has all three. */
static int preference(char suffix)
{
    return suffix == 'a' ? 2 : suffix ? 1 : 0;
}

static bool beats(const struct kgi_code *a, enum rank rank_a, const struct kgi_code *b,
                  enum rank rank_b)
{
    unsigned number_a = canonical(a->target.number), number_b = canonical(b->target.number);

    if (rank_a != rank_b)
        return rank_a > rank_b;
    if (number_a != number_b)
        return number_a > number_b; /* all fit, so the highest is the nearest */
    if (a->target.suffix != b->target.suffix)
        return preference(a->target.suffix) > preference(b->target.suffix);
    if (is_ptx(rank_a))
        return true;                                                /* the last PTX in file order */
    return !(a->traits & KGI_T_COMPAT) && b->traits & KGI_T_COMPAT; /* else the first */
}

static unsigned distance(const struct kgi_code *code, struct kgi_target gpu)
{
    unsigned number = canonical(code->target.number), device = canonical(gpu.number);
    unsigned apart = number > device ? number - device : device - number;

    /* Code that could not run as it is explains less than any that could. */
    return apart + (rank_of(code) < RANK_PTX ? 0x10000u : 0) +
           (rank_of(code) == RANK_UNKNOWN ? 0x20000u : 0);
}

static void look_at(struct survey *s, const struct kgi_code *codes, int i, bool jit_forced)
{
    const struct kgi_code *code = &codes[i];
    enum rank rank = rank_of(code);
    bool fit = rank != RANK_IGNORED && fits(code, rank, s->gpu);

    if (rank == RANK_IGNORED)
        return;
    if (is_empty(code)) {
        if (fit && rank >= RANK_PTX && s->empty < 0)
            s->empty = i;
        return;
    }
    if (rank >= RANK_PTX && !code->target.suffix && !lacks_capsule(code, rank))
        s->general = true;
    if (!fit) {
        if (s->nearest < 0 || distance(code, s->gpu) < distance(&codes[s->nearest], s->gpu))
            s->nearest = i;
    } else if (jit_forced && is_binary(rank) && code->flags) {
        if (s->forced_out < 0 || beats(code, rank, &codes[s->forced_out], rank))
            s->forced_out = i;
    } else if (s->best < 0 || beats(code, rank, &codes[s->best], s->rank)) {
        s->best = i;
        s->rank = rank;
    }
}

/* ---- whether the chosen one runs ----------------------------------------------------------- */

static int max(int a, int b)
{
    return a > b ? a : b;
}

/* The lowest CUDA version whose driver reads this code; 0 = every one that knows the GPU, or PTX
 * newer than the table. */
static int floor_of(const struct kgi_code *code, enum rank rank)
{
    int cuda = code->packing == KGI_ZSTD ? FLOOR_ZSTD : 0;
    int abi = code->abi ? code->abi : (code->major == 1 ? code->minor : 0);

    if (is_ptx(rank)) {
        const char *driver;
        int isa = kgi_ptx_cuda(code->major, code->minor, &driver);
        return isa || !code->major ? max(cuda, isa) : 0;
    }
    if (code->target.number >= 100)
        return max(cuda, kgi_target_toolkit(code->target));
    return abi >= 8 ? FLOOR_ABI8 : cuda;
}

/* Whether this PTX is newer than what a driver of this CUDA version reads; a driver newer than the
 * table may read PTX newer than the table. */
static bool ptx_too_new(const struct kgi_code *code, int cuda)
{
    int major, minor;

    if (!cuda || cuda > releases[RELEASES - 1].cuda || !code->major)
        return false;
    kgi_ptx_newest(cuda, &major, &minor);
    return code->major > major || (code->major == major && code->minor > minor);
}

static int obstacle(const struct kgi_code *code, enum rank rank, const struct kgi_host *host,
                    int floor)
{
    int cuda = host_cuda(host);

    if (is_ptx(rank) && host->jit_forbidden)
        return KG105_NO_JIT; /* 223 comes before 222 (recorded, driver 580) */
    if (is_ptx(rank) && ptx_too_new(code, cuda))
        return KG103_PTX_TOO_NEW;
    return cuda && floor > cuda ? KG104_UNREADABLE : KGI_OK;
}

static void judge_chosen(const struct kgi_code *code, enum rank rank, const struct kgi_host *host,
                         struct kgi_verdict *out)
{
    const struct kgi_target_row *gpu = kgi_target_row(host->gpu.number);
    int floor = floor_of(code, rank);

    if (rank == RANK_LTO || rank == RANK_HIDDEN_PTX) {
        out->reason = rank == RANK_LTO ? KG108_NEEDS_LINK : KG107_BAD_PTX;
        return;
    }
    out->reason = obstacle(code, rank, host, floor);
    if (out->reason != KG105_NO_JIT && !(gpu && gpu->driver && floor > gpu->driver))
        out->needs_cuda = floor;
    if (out->reason)
        return;
    if (is_binary(rank)) {
        bool same = canonical(code->target.number) == canonical(host->gpu.number);
        out->answer = same || !host->gpu.number ? KGI_NATIVE : KGI_FAMILY;
    } else if (rank == RANK_PTX) {
        out->answer = KGI_JIT;
        out->reason = KG201_WILL_JIT;
    } else {
        /* Relocatable code is linked by the driver at load, and runs if nothing is missing; whole
         * PTX with an unresolved .extern is refused (218). */
        out->answer = code->kind == KGI_RELOCATABLE_PTX || code->traits & KGI_T_RELOCATABLE
                          ? KGI_LINK
                          : KGI_NONE;
        out->reason = KG108_NEEDS_LINK;
    }
}

void kgi_judge(const struct kgi_code *codes, size_t count, const struct kgi_host *host,
               struct kgi_verdict *out)
{
    struct survey s = {host->gpu, -1, RANK_IGNORED, -1, -1, -1, false};

    for (size_t i = 0; i < count && i < INT_MAX; i++)
        look_at(&s, codes, (int)i, host->jit_forced);

    *out = (struct kgi_verdict){KGI_NONE, KG101_NO_CODE, -1, 0};
    if (s.forced_out >= 0 && s.rank < RANK_PTX) {
        out->chosen = s.forced_out;
    } else if (s.best >= 0) {
        out->chosen = s.best;
        judge_chosen(&codes[s.best], s.rank, host, out);
    } else if (s.empty >= 0 && s.nearest >= 0) {
        out->chosen = s.empty;
        out->reason = KG106_NO_KERNEL;
    } else if (s.nearest >= 0) {
        out->chosen = s.nearest;
        if (!s.general && rank_of(&codes[s.nearest]) >= RANK_PTX)
            out->reason = KG102_ARCH_SPECIFIC;
    } else {
        out->answer = KGI_NO_CUDA;
        out->reason = KGI_OK;
    }
}
