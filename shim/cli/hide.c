/*
 * Names that hide names. A file of a layer is in the finished image unless a layer above it removes
 * it (a member ".wh.NAME"), empties one of its folders (".wh..wh..opq"), has a member of its name,
 * or has anything but a folder in the place of one of its folders. Names are kept as 64-bit hashes,
 * 8 bytes for each member: an image of a million files takes some 24 MB.
 */
#include "image.h"

#include <errno.h>
#include <stdlib.h>

enum what { FILE_THERE = 1, FOLDER_THERE = 2, EMPTIED = 3 };

static uint64_t hash_more(uint64_t hash, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (uint8_t)text[i]) * 0x100000001b3u;
    return hash;
}

#define HASH_START 0xcbf29ce484222325u

static uint64_t key_of(uint64_t hash, enum what what)
{
    hash ^= hash >> 32;
    hash *= 0xd6e8feb86659fd93u;
    hash ^= hash >> 32;
    return (hash & ~(uint64_t)3) | what;
}

static int keys_add(struct kgi_keys *keys, const char *folder, size_t folder_size, const char *name,
                    enum what what)
{
    uint64_t hash = hash_more(HASH_START, folder, folder_size);

    if (keys->count == keys->room) {
        size_t room = keys->room ? keys->room * 2 : 1024;
        uint64_t *at = realloc(keys->at, room * sizeof *at);
        if (!at)
            return -ENOMEM;
        keys->at = at;
        keys->room = room;
    }
    keys->at[keys->count++] = key_of(hash_more(hash, name, strlen(name)), what);
    return 0;
}

int kgi_keys_add_member(struct kgi_keys *keys, const struct kgi_member *m, bool *content)
{
    const char *slash = strrchr(m->name, '/'), *base = slash ? slash + 1 : m->name;
    size_t folder = (size_t)(base - m->name);

    *content = strncmp(base, ".wh.", 4) != 0;
    if (*content)
        return keys_add(keys, "", 0, m->name, m->folder ? FOLDER_THERE : FILE_THERE);
    if (strcmp(base, ".wh..wh..opq") == 0)
        return keys_add(keys, m->name, folder ? folder - 1 : 0, "", EMPTIED);
    return keys_add(keys, m->name, folder, base + 4, FILE_THERE);
}

bool kgi_keys_hide(const struct kgi_set *above, const char *name)
{
    uint64_t hash = HASH_START;

    if (kgi_set_has(above, key_of(hash, EMPTIED)))
        return true;
    for (;;) {
        size_t part = strcspn(name, "/");
        hash = hash_more(hash, name, part);
        if (kgi_set_has(above, key_of(hash, FILE_THERE)))
            return true;
        if (!name[part])
            return kgi_set_has(above, key_of(hash, FOLDER_THERE));
        if (kgi_set_has(above, key_of(hash, EMPTIED)))
            return true;
        hash = hash_more(hash, "/", 1);
        name += part + 1;
    }
}

int kgi_keys_merge(struct kgi_set *set, const struct kgi_keys *keys)
{
    for (size_t i = 0; i < keys->count; i++)
        if (kgi_set_add(set, keys->at[i]) < 0)
            return -ENOMEM;
    return 0;
}

uint64_t kgi_key_of_file(const char *name)
{
    return key_of(hash_more(HASH_START, name, strlen(name)), FILE_THERE);
}
