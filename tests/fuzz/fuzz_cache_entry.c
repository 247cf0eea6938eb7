/* A cache entry: as it is, and with its digests made right, which a fuzzer cannot guess. */
#include <sha2.h>
#include "exercise.h"
#include "jit/cache.h"

static void exercise_entry(struct kgi_bytes file)
{
    struct kgi_entry entry, head;
    enum kgi_entry_state state = kgi_entry_read(file, &entry);
    struct kgi_cache_question question;
    uint8_t digest[16], id[8];

    PROMISE(state == KGI_ENTRY_GOOD || state == KGI_ENTRY_DAMAGED || state == KGI_ENTRY_NEWER);
    if (state != KGI_ENTRY_GOOD)
        return;
    /* What is taken is what its digest says, whole, and named as its key says. */
    kgi_entry_digest((struct kgi_bytes){file.at, file.size - 16}, (struct kgi_bytes){file.at, 0}, digest);
    PROMISE(!memcmp(digest, file.at + file.size - 16, 16));
    PROMISE(is_inside(file, entry.payload) && is_inside(file, entry.key_block));
    PROMISE(entry.payload.at + entry.payload.size + 16 == file.at + file.size);
    PROMISE(kgi_cache_question(entry.key_block, &question));
    PROMISE(is_inside(entry.key_block, question.target) && is_inside(entry.key_block, question.options));
    PROMISE(kgi_entry_head(file, &head) == KGI_ENTRY_GOOD && head.payload.size == entry.payload.size);
    PROMISE(memchr(entry.by.build, 0, sizeof entry.by.build));
    kgi_compiler_id(&entry.by, id);
}

static void seal(uint8_t *file, size_t size)
{
    uint32_t key_size;
    SHA2_CTX context;

    memcpy(&key_size, file + 64, sizeof key_size);
    if (key_size <= size - 72) {
        SHA256Init(&context);
        SHA256Update(&context, file + 72, key_size);
        SHA256Final(file + 16, &context);
    }
    kgi_entry_digest((struct kgi_bytes){file, size - 16}, (struct kgi_bytes){file, 0}, file + size - 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy;

    exercise_entry((struct kgi_bytes){data, size});
    if (size < 96)
        return 0;
    copy = malloc(size);
    if (copy) {
        memcpy(copy, data, size);
        seal(copy, size);
        exercise_entry((struct kgi_bytes){copy, size});
    }
    free(copy);
    return 0;
}
