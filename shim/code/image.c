/*
 * Any image a CUDA load call can be given, as a list of codes. No length comes with such a pointer:
 * what the first bytes say it is (tested in this order: wrapper, fatbin, ELF, archive, Tile IR, PTX)
 * decides how far it reaches.
 */
#include <errno.h>
#include "code.h"

enum { MACHINE_CUDA = 190 };

/* ---- form and extent ------------------------------------------------------------------------------- */

static bool starts_with(struct kgi_bytes b, const char *magic, size_t size)
{
    return b.size >= size && memcmp(b.at, magic, size) == 0;
}

/* PTX text starts with ".version", after white space (JAX's does), comments (nvcc's does) or cpp's
 * line marks. Eight bytes may hold no more than the first of these. */
static bool looks_like_ptx(struct kgi_bytes b)
{
    static const char version[] = ".version";
    size_t i = 0;

    while (i < b.size && (b.at[i] == ' ' || (b.at[i] >= '\t' && b.at[i] <= '\r')))
        i++;
    size_t left = b.size - i;
    if (left == 0)
        return i >= 8;
    if (b.at[i] == '/')
        return left == 1 || b.at[i + 1] == '/' || b.at[i + 1] == '*';
    if (b.at[i] == '#')
        return left == 1 || b.at[i + 1] == ' ' || b.at[i + 1] == 'l'; /* "# 1", "#line 1" */
    return memcmp(b.at + i, version, left < sizeof version - 1 ? left : sizeof version - 1) == 0;
}

enum kgi_image_form kgi_image_form(struct kgi_bytes start)
{
    uint32_t magic = 0;

    if (start.size == 0)
        return KGI_FORM_UNKNOWN;
    KGI_GET(start, 0, &magic);
    if (magic == KGI_WRAPPER_MAGIC)
        return KGI_FORM_WRAPPER;
    if (magic == KGI_FATBIN_MAGIC)
        return KGI_FORM_FATBIN;
    if (starts_with(start, "\177ELF", 4))
        return KGI_FORM_ELF;
    if (starts_with(start, "!<arch>\n", 8))
        return KGI_FORM_ARCHIVE;
    if (starts_with(start, "\177TileIR", 8))
        return KGI_FORM_TILE;
    return looks_like_ptx(start) ? KGI_FORM_PTX : KGI_FORM_UNKNOWN;
}

static size_t fatbin_extent(struct kgi_bytes mapped)
{
    struct {
        uint32_t magic;
        uint16_t version, header_size;
        uint64_t size;
    } h;

    if (!KGI_GET(mapped, 0, &h))
        return mapped.size;
    if (h.header_size > mapped.size || h.size > mapped.size - h.header_size)
        return mapped.size;
    return h.header_size + (size_t)h.size;
}

static size_t text_extent(struct kgi_bytes mapped)
{
    const uint8_t *nul = memchr(mapped.at, 0, mapped.size);

    return nul ? (size_t)(nul - mapped.at) : mapped.size;
}

size_t kgi_image_extent(struct kgi_bytes mapped)
{
    switch (kgi_image_form(mapped)) {
    case KGI_FORM_WRAPPER:
        return mapped.size < sizeof(struct kgi_wrapper) ? mapped.size : sizeof(struct kgi_wrapper);
    case KGI_FORM_FATBIN:
        return fatbin_extent(mapped);
    case KGI_FORM_ELF:
        return kgi_elf_extent(mapped);
    case KGI_FORM_PTX:
        return text_extent(mapped);
    default:
        return 0;
    }
}

/* ---- codes ----------------------------------------------------------------------------------------- */

/* Plain cubins of a fatbin show without unpacking whether they are relocatable. The target stays the
 * entry header's: that is the one the driver goes by. */
static void look_at_plain_cubin(struct kgi_code *code)
{
    struct {
        uint8_t ident[16];
        uint16_t type, machine;
    } h;

    if (code->kind == KGI_CUBIN && code->packing == KGI_PLAIN && KGI_GET(code->payload, 0, &h) &&
        memcmp(h.ident, "\177ELF", 4) == 0 && h.machine == MACHINE_CUDA && h.type == 1)
        code->traits |= KGI_T_RELOCATABLE;
}

static int fatbin_codes(struct kgi_bytes image, struct kgi_code *codes, size_t room, size_t *count,
                        uint64_t *broken)
{
    struct kgi_code spare;
    uint64_t at = 0;
    int more;

    for (;;) {
        struct kgi_code *code = *count < room ? &codes[*count] : &spare;
        more = kgi_fatbin_next(image, &at, code);
        if (more <= 0)
            break;
        look_at_plain_cubin(code);
        (*count)++;
    }
    if (more < 0 && broken)
        *broken = at;
    return more;
}

static int cubin_code(struct kgi_bytes image, struct kgi_code *code)
{
    struct kgi_cubin cubin;
    int error = kgi_cubin_head(image, &cubin);

    if (error)
        return error == -ENODATA ? -ENOTSUP : error;
    code->kind = KGI_CUBIN;
    code->target = cubin.target;
    code->abi = cubin.abi;
    code->major = 1;
    code->minor = cubin.abi;
    code->traits = cubin.traits;
    return 0;
}

static int ptx_code(struct kgi_bytes image, struct kgi_code *code)
{
    struct kgi_ptx ptx;
    int error = kgi_ptx_head(image, &ptx);

    if (error)
        return error == -ENODATA ? -ENOTSUP : error;
    code->kind = KGI_PTX;
    code->target = ptx.target;
    code->major = ptx.major;
    code->minor = ptx.minor;
    code->traits = ptx.traits;
    return 0;
}

static int single_code(enum kgi_image_form form, struct kgi_bytes image, struct kgi_code *code)
{
    *code = (struct kgi_code){.kernels = -1, .size = image.size, .payload = image};
    switch (form) {
    case KGI_FORM_ELF:
        return cubin_code(image, code);
    case KGI_FORM_PTX:
        return ptx_code(image, code);
    case KGI_FORM_TILE:
        code->kind = KGI_TILE;
        return 0;
    default:
        return -ENOTSUP;
    }
}

int kgi_image_codes(struct kgi_bytes image, struct kgi_code *codes, size_t room, size_t *count,
                    uint64_t *broken)
{
    struct kgi_code spare;
    enum kgi_image_form form = kgi_image_form(image);

    *count = 0;
    if (broken)
        *broken = 0;
    if (form == KGI_FORM_FATBIN)
        return fatbin_codes(image, codes, room, count, broken);
    int error = single_code(form, image, room ? codes : &spare);
    if (error == 0)
        *count = 1;
    return error;
}

/* ---- payloads -------------------------------------------------------------------------------------- */

/* The code's bytes as the compiler made them. */
static int unpack(const struct kgi_code *code, void *scratch, size_t scratch_size,
                  struct kgi_bytes *out)
{
    if (code->traits & KGI_T_OBFUSCATED)
        return -ENOTSUP; /* the packed bytes themselves are scrambled */
    if (!code->payload.at)
        return -ENODATA; /* listed from a header whose payload is not at hand */
    if (code->packing == KGI_PLAIN) {
        *out = code->payload;
        return 0;
    }
    if (code->packing != KGI_LZ4 && code->packing != KGI_ZSTD)
        return -ENOTSUP;
    if (!scratch || scratch_size < code->size)
        return -ENOBUFS;
    *out = (struct kgi_bytes){scratch, (size_t)code->size};
    return kgi_inflate(code->packing, code->payload, scratch, (size_t)code->size);
}

static bool is_text(const struct kgi_code *code)
{
    return code->kind == KGI_PTX || code->kind == KGI_RELOCATABLE_PTX;
}

static bool is_readable(const struct kgi_code *code)
{
    return is_text(code) || code->kind == KGI_CUBIN;
}

typedef int each_kernel(const char *mangled, int registers, void *context);

static int read_ptx(struct kgi_code *code, struct kgi_bytes text, each_kernel *each, void *context)
{
    struct kgi_ptx ptx;
    int error = kgi_ptx_kernels(text, &ptx, each, context);

    if (error)
        return error;
    code->kernels = ptx.kernels;
    code->traits |= ptx.traits | KGI_T_INSPECTED;
    return 0;
}

static int read_cubin(struct kgi_code *code, struct kgi_bytes elf, each_kernel *each, void *context)
{
    struct kgi_cubin cubin;
    int error = kgi_cubin_read(elf, &cubin);

    if (error)
        return error;
    code->kernels = cubin.kernels;
    code->abi = cubin.abi;
    code->traits |= cubin.traits | KGI_T_INSPECTED;
    return each ? kgi_cubin_kernels(elf, each, context) : 0;
}

int kgi_code_kernels(struct kgi_code *code, void *scratch, size_t scratch_size, each_kernel *each,
                     void *context)
{
    struct kgi_bytes payload;
    int error = is_readable(code) ? unpack(code, scratch, scratch_size, &payload) : -ENOTSUP;

    if (error == 0) {
        error = (is_text(code) ? read_ptx : read_cubin)(code, payload, each, context);
        if (error == -ENODATA || error == -ENOENT)
            error = -EBADMSG; /* the entry says it is PTX, or a cubin, and it is not */
    }
    if (error == -EBADMSG && !(code->traits & KGI_T_INSPECTED))
        code->traits |= KGI_T_UNREADABLE;
    return error;
}

int kgi_code_inspect(struct kgi_code *code, void *scratch, size_t scratch_size)
{
    return kgi_code_kernels(code, scratch, scratch_size, NULL, NULL);
}
