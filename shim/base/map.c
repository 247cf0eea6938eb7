/*
 * Open addressing, linear probing, powers of two. A slot's key is written once and never changes
 * while the table is the map's; removing sets the value to 0 and leaves the key. So a reader that
 * finds its key needs no lock, whatever a writer does meanwhile. A table that fills up is replaced
 * by one without the removed keys. The old one waits to be the next, so that a process which loads
 * and unloads for a year stays as it is: a reader still inside it sees by the turn, which was
 * changed before anything in that table is, that it has to look again.
 */
#include "base.h"

#include <errno.h>

struct slot {
    _Atomic uint64_t key, value;
};

struct kgi_map_table {
    size_t mask;
    size_t used; /* slots with a key, removed ones too; the writer's business */
    struct slot slots[];
};

#define FIRST_SIZE 64

/* Fibonacci hashing: handles are addresses, alike in their low bits. */
static size_t place_of(const struct kgi_map_table *table, uint64_t key)
{
    return (size_t)((key * 0x9e3779b97f4a7c15u) >> 32) & table->mask;
}

/* The slot with this key, or the empty one where it would go. A table is never full. */
static struct slot *find(struct kgi_map_table *table, uint64_t key)
{
    for (size_t i = place_of(table, key);; i = (i + 1) & table->mask) {
        uint64_t found = atomic_load_explicit(&table->slots[i].key, memory_order_acquire);

        if (found == key || found == 0)
            return &table->slots[i];
    }
}

uint64_t kgi_map_get(const struct kgi_map *map, uint64_t key)
{
    for (;;) {
        unsigned turn = atomic_load_explicit(&map->turn, memory_order_acquire);
        struct kgi_map_table *table = atomic_load_explicit(&map->table, memory_order_acquire);
        struct slot *slot = table && key ? find(table, key) : NULL;
        uint64_t value = 0;

        /* The slot may be an empty one that is just being filled for another key. */
        if (slot && atomic_load_explicit(&slot->key, memory_order_acquire) == key)
            value = atomic_load_explicit(&slot->value, memory_order_acquire);
        if (atomic_load_explicit(&map->turn, memory_order_relaxed) == turn)
            return value;
    }
}

static struct kgi_map_table *table_new(size_t size)
{
    struct kgi_map_table *table = kgi_alloc(sizeof *table + size * sizeof(struct slot));

    if (table)
        table->mask = size - 1;
    return table;
}

/* A reader from two turns ago may still be in it. */
static void clear(struct kgi_map_table *table)
{
    table->used = 0;
    for (size_t i = 0; i <= table->mask; i++) {
        atomic_store_explicit(&table->slots[i].key, 0, memory_order_release);
        atomic_store_explicit(&table->slots[i].value, 0, memory_order_release);
    }
}

/* The value first: who sees the key sees a value. */
static void fill(struct kgi_map_table *table, struct slot *slot, uint64_t key, uint64_t value)
{
    table->used++;
    atomic_store_explicit(&slot->value, value, memory_order_release);
    atomic_store_explicit(&slot->key, key, memory_order_release);
}

/* A copy of what is still there, at most a third full and never smaller than before, in the table
 * that waits or, where the map has grown, in a new one; NULL when there is no memory. */
static struct kgi_map_table *rebuilt(struct kgi_map *map, struct kgi_map_table *old)
{
    size_t alive = 0, size = old ? old->mask + 1 : FIRST_SIZE;
    struct kgi_map_table *table = map->spare;

    for (size_t i = 0; old && i <= old->mask; i++)
        alive += atomic_load_explicit(&old->slots[i].value, memory_order_relaxed) != 0;
    while (size < 3 * (alive + 1))
        size *= 2;
    map->spare = NULL;
    if (!table || table->mask != size - 1)
        table = table_new(size);
    else
        clear(table);
    for (size_t i = 0; table && old && i <= old->mask; i++) {
        uint64_t key = atomic_load_explicit(&old->slots[i].key, memory_order_relaxed);
        uint64_t value = atomic_load_explicit(&old->slots[i].value, memory_order_relaxed);

        if (value)
            fill(table, find(table, key), key, value);
    }
    return table;
}

int kgi_map_set(struct kgi_map *map, uint64_t key, uint64_t value)
{
    struct kgi_map_table *table = atomic_load_explicit(&map->table, memory_order_relaxed);
    struct slot *slot = table && key ? find(table, key) : NULL;

    if (!key)
        return -EINVAL;
    if (slot && atomic_load_explicit(&slot->key, memory_order_relaxed) == key) {
        atomic_store_explicit(&slot->value, value, memory_order_release);
        return 0;
    }
    if (!value)
        return 0;
    if (!table || table->used * 3 >= (table->mask + 1) * 2) {
        struct kgi_map_table *old = table;

        table = rebuilt(map, old);
        if (!table)
            return -ENOMEM;
        fill(table, find(table, key), key, value);
        atomic_store_explicit(&map->table, table, memory_order_release);
        atomic_fetch_add_explicit(&map->turn, 1, memory_order_release);
        map->spare = old; /* last: a child forked before this has one table less, not one twice */
        return 0;
    }
    fill(table, slot, key, value);
    return 0;
}
