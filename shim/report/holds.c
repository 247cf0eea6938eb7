/*
 * What an image holds, in one phrase: every target once, in order, with what decides whether a
 * driver can use it.
 */
#include "report.h"

enum { SASS, PTX, OTHER };

enum note { /* what is said of one piece of code besides its target */
    ZSTD = 1 << 0,
    PACKED_UNKNOWN = 1 << 1,
    RELOCATABLE = 1 << 2,
    EXTERN = 1 << 3,
    OBFUSCATED = 1 << 4,
    EMPTY = 1 << 5,
    UNREADABLE = 1 << 6,
};
static const char *const note_names[] = {
    "zstd",  "unknown packing", "relocatable", "needs a device link", "obfuscated", "no kernels",
    "unreadable",
};

/* One piece of code without what two pieces may differ in and still read the same: an order, and
 * equality, for listing each once without memory to sort in. */
union item {
    struct {
        uint8_t notes, minor, major, suffix;
        uint16_t number;
        uint8_t kind, group;
    };
    uint64_t key;
};

static union item item_of(const struct kgi_code *c)
{
    union item item = {.key = 0};

    item.number = c->target.number;
    item.suffix = (uint8_t)c->target.suffix;
    item.kind = (uint8_t)c->kind;
    item.group = c->kind == KGI_CUBIN ? SASS
                 : c->kind == KGI_PTX || c->kind == KGI_RELOCATABLE_PTX ? PTX
                                                                        : OTHER;
    if (item.group == PTX) {
        item.kind = KGI_PTX;
        item.major = (uint8_t)c->major;
        item.minor = (uint8_t)c->minor;
    }
    item.notes = (uint8_t)((c->packing == KGI_ZSTD ? ZSTD : 0) |
                           (c->packing >= KGI_PACKING_UNKNOWN ? PACKED_UNKNOWN : 0) |
                           (c->traits & KGI_T_RELOCATABLE || c->kind == KGI_RELOCATABLE_PTX
                                ? RELOCATABLE
                                : 0) |
                           (c->traits & KGI_T_EXTERN ? EXTERN : 0) |
                           (c->traits & KGI_T_OBFUSCATED && item.group == PTX ? OBFUSCATED : 0) |
                           (c->traits & KGI_T_INSPECTED && c->kernels == 0 ? EMPTY : 0) |
                           (c->traits & KGI_T_UNREADABLE ? UNREADABLE : 0));
    return item;
}

/* The lowest item of a group above `after`; false when there is none. Index entries are no code. */
static bool next_item(const struct kgi_code *codes, size_t count, int group, uint64_t after,
                      union item *out)
{
    bool found = false;

    for (size_t i = 0; i < count; i++) {
        union item item = item_of(&codes[i]);

        if (item.group != group || item.kind == KGI_INDEX || item.key <= after)
            continue;
        if (!found || item.key < out->key)
            *out = item;
        found = true;
    }
    return found;
}

static void add_notes(struct kgi_text *out, const char *before, unsigned notes, union item item)
{
    const char *separator = " (";

    if (item.group == PTX && item.major) {
        kgi_text_add(out, " (ISA %u.%u", item.major, item.minor);
        separator = ", ";
    } else if (notes && before[0]) {
        kgi_text_add(out, " (%s", before);
        separator = " ";
    }
    for (size_t i = 0; i < KGI_COUNT(note_names); i++) {
        if (!(notes & 1u << i))
            continue;
        kgi_text_add(out, "%s%s", separator, note_names[i]);
        separator = ", ";
    }
    if (separator[0] != ' ' || separator[1] != '(')
        kgi_text_add(out, ")");
}

static void add_name(struct kgi_text *out, union item item)
{
    static const struct {
        uint8_t kind;
        const char *name, *prefix;
    } others[] = {
        {KGI_LTO, "LTO", "compute_"},
        {KGI_MERCURY, "Mercury", "sm_"},
        {KGI_TILE, "Tile IR", "sm_"},
    };
    const char *prefix = item.group == PTX ? "compute_" : "sm_";
    struct kgi_target target = {item.number, (char)item.suffix};
    char name[24];

    for (size_t i = 0; item.group == OTHER; i++) {
        if (i == KGI_COUNT(others)) {
            kgi_text_add(out, " unknown kind 0x%02x", item.kind);
            break;
        }
        if (others[i].kind != item.kind)
            continue;
        kgi_text_add(out, " %s", others[i].name);
        prefix = others[i].prefix;
        break;
    }
    if (target.number)
        kgi_text_add(out, " %s", kgi_target_name(target, prefix, name, sizeof name));
}

/* The notes that all items of a group share, when it has more than one: said once, at its end. */
static unsigned shared_notes(const struct kgi_code *codes, size_t count, int group)
{
    unsigned shared = ~0u, items = 0;
    union item item = {.key = 0};

    for (uint64_t after = 0; next_item(codes, count, group, after, &item); after = item.key) {
        shared &= item.notes;
        items++;
    }
    return items > 1 && group == SASS ? shared : 0;
}

static void add_group(const struct kgi_code *codes, size_t count, int group, const char *title,
                      struct kgi_text *out)
{
    unsigned shared = shared_notes(codes, count, group);
    union item item = {.key = 0};
    uint64_t after = 0;

    kgi_text_add(out, "%s", title);
    for (; next_item(codes, count, group, after, &item); after = item.key) {
        add_name(out, item);
        add_notes(out, "", item.notes & ~shared, item);
    }
    if (!after)
        kgi_text_add(out, " none");
    if (shared)
        add_notes(out, "all", shared, (union item){.key = 0});
}

void kgi_report_holds(const struct kgi_code *codes, size_t count, struct kgi_text *out)
{
    union item item = {.key = 0};

    add_group(codes, count, SASS, "SASS", out);
    add_group(codes, count, PTX, "; PTX", out);
    if (next_item(codes, count, OTHER, 0, &item))
        add_group(codes, count, OTHER, ";", out);
}
