/*
 * Open addressing, linear probing, powers of two. A slot's key is written once and never changes
 * while the table lives; removing sets the value to 0 and leaves the key. So a reader that finds
 * its key needs no second look, whatever a writer does meanwhile. A table that fills up is replaced
 * by one without the removed keys; the old one stays where it is, for readers still inside it.
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
    struct kgi_map_table *table = atomic_load_explicit(&map->table, memory_order_acquire);
    struct slot *slot = table && key ? find(table, key) : NULL;

    /* The slot may be an empty one that is just being filled for another key. */
    if (!slot || atomic_load_explicit(&slot->key, memory_order_acquire) != key)
        return 0;
    return atomic_load_explicit(&slot->value, memory_order_acquire);
}

static struct kgi_map_table *table_new(size_t size)
{
    struct kgi_map_table *table = kgi_alloc(sizeof *table + size * sizeof(struct slot));

    if (table)
        table->mask = size - 1;
    return table;
}

/* The value first: who sees the key sees a value. */
static void fill(struct kgi_map_table *table, struct slot *slot, uint64_t key, uint64_t value)
{
    table->used++;
    atomic_store_explicit(&slot->value, value, memory_order_release);
    atomic_store_explicit(&slot->key, key, memory_order_release);
}

/* A copy of what is still there, at most a third full; NULL when there is no memory. */
static struct kgi_map_table *rebuilt(struct kgi_map_table *old)
{
    size_t alive = 0, size = FIRST_SIZE;
    struct kgi_map_table *table;

    for (size_t i = 0; old && i <= old->mask; i++)
        alive += atomic_load_explicit(&old->slots[i].value, memory_order_relaxed) != 0;
    while (size < 3 * (alive + 1))
        size *= 2;
    table = table_new(size);
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
        table = rebuilt(table);
        if (!table)
            return -ENOMEM;
        fill(table, find(table, key), key, value);
        atomic_store_explicit(&map->table, table, memory_order_release);
        return 0;
    }
    fill(table, slot, key, value);
    return 0;
}
