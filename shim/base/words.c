/*
 * A set of words, kept as 64-bit hashes: open addressing in a power of two, never more than half full.
 * Two words of one hash are one word here.
 */
#include "base.h"

static uint64_t hash(const void *word, size_t size)
{
    const uint8_t *at = word;
    uint64_t h = 0xcbf29ce484222325;

    for (size_t i = 0; i < size; i++)
        h = (h ^ at[i]) * 0x100000001b3;
    return h ? h : 1;
}

static uint64_t *slot_of(const struct kgi_words *w, uint64_t h)
{
    size_t i = (size_t)(h ^ h >> 32) & (w->room - 1);

    while (w->slot[i] && w->slot[i] != h)
        i = (i + 1) & (w->room - 1);
    return &w->slot[i];
}

bool kgi_words_make(struct kgi_words *w, size_t most)
{
    for (w->room = 64; w->room < 2 * most; w->room *= 2)
        ;
    w->slot = kgi_pages_get(w->room * sizeof *w->slot);
    return w->slot != NULL;
}

void kgi_words_add(struct kgi_words *w, const void *word, size_t size)
{
    uint64_t h = hash(word, size);

    *slot_of(w, h) = h;
}

bool kgi_words_has(const struct kgi_words *w, const void *word, size_t size)
{
    return *slot_of(w, hash(word, size)) != 0;
}

void kgi_words_free(struct kgi_words *w)
{
    kgi_pages_put(w->slot, w->room * sizeof *w->slot);
    w->slot = NULL;
}
