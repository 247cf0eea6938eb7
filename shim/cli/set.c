/* A set of 64-bit keys (open addressing, never more than two thirds full) and a list of names. */
#include "walk.h"

#include <errno.h>
#include <stdlib.h>

static size_t slot_of(const uint64_t *slots, size_t room, uint64_t key)
{
    size_t i = (size_t)((key * 0x9e3779b97f4a7c15u) >> 20) & (room - 1);

    while (slots[i] && slots[i] != key)
        i = (i + 1) & (room - 1);
    return i;
}

bool kgi_set_has(const struct kgi_set *set, uint64_t key)
{
    return key && set->room && set->slots[slot_of(set->slots, set->room, key)] == key;
}

static int grow(struct kgi_set *set)
{
    size_t room = set->room ? set->room * 2 : 1024;
    uint64_t *slots = calloc(room, sizeof *slots);

    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < set->room; i++)
        if (set->slots[i])
            slots[slot_of(slots, room, set->slots[i])] = set->slots[i];
    free(set->slots);
    set->slots = slots;
    set->room = room;
    return 0;
}

int kgi_set_add(struct kgi_set *set, uint64_t key)
{
    if (!key || kgi_set_has(set, key))
        return 0;
    if (set->count * 3 >= set->room * 2 && grow(set))
        return -ENOMEM;
    set->slots[slot_of(set->slots, set->room, key)] = key;
    set->count++;
    return 1;
}

void kgi_set_free(struct kgi_set *set)
{
    free(set->slots);
    *set = (struct kgi_set){0};
}

int kgi_names_add(struct kgi_names *names, char *name)
{
    if (name && names->count == names->room) {
        size_t room = names->room ? names->room * 2 : 64;
        char **at = realloc(names->at, room * sizeof *at);
        if (!at) {
            free(name);
            return -ENOMEM;
        }
        names->at = at;
        names->room = room;
    }
    if (name)
        names->at[names->count++] = name;
    return name ? 0 : -ENOMEM;
}

void kgi_names_free(struct kgi_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->at[i]);
    free(names->at);
    *names = (struct kgi_names){0};
}
