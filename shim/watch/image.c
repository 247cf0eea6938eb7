/*
 * Images and handles. An image is known by where it lies; a kernel by its image and its name.
 *
 * Two kinds of image live differently. One that lies in a loaded object (a registered fatbin) can be
 * read again at any time, is found again by its address, and lasts as long as its object. One built
 * in memory (Triton, CuPy, JAX, NVRTC) may be freed as soon as the load returns and another may lie
 * at its address a moment later: its facts are taken during the load, its record dies with its
 * handle, and `age` tells a stale reference from a live one.
 */
#include "watch.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define MARK_SIZE 512   /* an image is known by this many of its first bytes */
#define FILE_MOST ((size_t)1 << 30) /* of a module: it is read whole, as the driver does */
#define CODES_MOST 4096 /* entries of one image that are looked at; the most seen is 40 */

static struct kgi_lock lock;
static struct kgi_map by_data, by_handle, names;
static struct kgi_image *free_images;
static struct record *free_records;

/* ---- names: each kept once, so that loading the same thing for days costs nothing ------------------- */

static uint64_t hash_name(const char *s)
{
    uint64_t h = 0xcbf29ce484222325;

    for (; *s; s++)
        h = (h ^ (uint8_t)*s) * 0x100000001b3;
    return h ? h : 1;
}

static const char *intern(const char *name)
{
    uint64_t key = hash_name(name);
    const char *kept;

    for (;; key = key + 1 ? key + 1 : 1) {
        kept = (const char *)(uintptr_t)kgi_map_get(&names, key);
        if (!kept)
            break;
        if (strcmp(kept, name) == 0)
            return kept;
    }
    kept = kgi_strdup(name);
    if (kept)
        kgi_map_set(&names, key, (uintptr_t)kept);
    return kept;
}

const char *kgi_name(const char *name)
{
    const char *kept;

    kgi_lock(&lock);
    kept = intern(name);
    kgi_unlock(&lock);
    return kept;
}

/* ---- records ------------------------------------------------------------------------------------------ */

static struct kgi_image *new_image(void)
{
    struct kgi_image *image = free_images;

    if (image)
        free_images = image->next;
    else
        image = kgi_alloc(sizeof *image);
    if (image) {
        struct kgi_image old = *image;

        *image = (struct kgi_image){.codes = old.codes,
                                    .room = old.room,
                                    .spare = old.spare,
                                    .spare_room = old.spare_room,
                                    .age = old.age + 1};
    }
    return image;
}

/* With the lock held. */
static void drop_image(struct kgi_image *image)
{
    if (kgi_map_get(&by_data, (uintptr_t)image->data) == (uintptr_t)image)
        kgi_map_set(&by_data, (uintptr_t)image->data, 0);
    image->age++;
    image->next = free_images;
    free_images = image;
}

static uint64_t mark_of(struct kgi_bytes b)
{
    uint64_t h = 0xcbf29ce484222325;

    for (size_t i = 0; i < b.size && i < MARK_SIZE; i++)
        h = (h ^ b.at[i]) * 0x100000001b3;
    return h;
}

/* Whether a known image in an object is still the one that lies there: a library with a static runtime
 * may have been unloaded unseen, and another mapped in its place. */
static bool is_still(const struct kgi_image *image)
{
    struct kgi_bytes b = {image->data, 0};

    if (!atomic_load_explicit(&image->read, memory_order_acquire))
        return true;
    b.size = kgi_mapped(b.at, image->size < MARK_SIZE ? image->size : MARK_SIZE);
    return mark_of(b) == image->mark;
}

/* Whether what was read of it can be read where it lies, now: its plugin may have been closed. */
static bool lies_there(const struct kgi_image *image)
{
    return !image->lasting ||
           (is_still(image) && kgi_mapped(image->data, image->size) == image->size);
}

/* A wrapper leads to its fatbin; everything else is what it is, and *wrapper is left alone. */
static const void *follow_wrapper(const void *data, struct kgi_wrapper *wrapper)
{
    struct kgi_wrapper seen;

    if (!data || kgi_mapped(data, sizeof seen) < sizeof seen)
        return data;
    memcpy(&seen, data, sizeof seen);
    if (seen.magic != KGI_WRAPPER_MAGIC)
        return data;
    *wrapper = seen;
    return seen.data;
}

struct kgi_image *kgi_image_registered(const void *wrapper_address)
{
    struct kgi_wrapper wrapper = {0};
    const void *data = follow_wrapper(wrapper_address, &wrapper);
    struct kgi_image *image;

    if (!data)
        return NULL;
    kgi_lock(&lock);
    image = new_image();
    if (image) {
        image->data = data;
        image->linked = wrapper.version >= 2 ? wrapper.linked : NULL;
        image->lasting = image->of_file = true;
        kgi_map_set(&by_data, (uintptr_t)data, (uintptr_t)image);
    }
    kgi_unlock(&lock);
    return image;
}

struct kgi_image *kgi_image_at(const void *address, const void *caller)
{
    struct kgi_wrapper wrapper = {0};
    const void *data = follow_wrapper(address, &wrapper);
    struct kgi_image *image;
    struct kgi_object object;
    uint64_t offset;
    uint32_t age;
    bool of_file;

    if (!data)
        return NULL;
    image = (struct kgi_image *)(uintptr_t)kgi_map_get(&by_data, (uintptr_t)data);
    age = image ? image->age : 0;
    if (image && is_still(image))
        return image;
    if (image)
        kgi_image_unregister(image, age);
    of_file = kgi_object_at(data, &object) && kgi_object_offset(&object, data, &offset);
    if (of_file && kgi_object_constant(&object, data))
        return kgi_image_registered(address);
    kgi_lock(&lock);
    image = new_image();
    if (image) {
        image->data = data;
        image->of_file = of_file;
        image->caller = caller;
    }
    kgi_unlock(&lock);
    return image;
}

struct kgi_image *kgi_image_file(const char *path)
{
    char *full = kgi_pages_get(PATH_MAX);
    struct kgi_image *image = NULL;

    if (!full || !path)
        return NULL;
    if (!realpath(path, full))
        strncpy(full, path, PATH_MAX - 1);
    kgi_lock(&lock);
    image = new_image();
    if (image) {
        image->library = intern(full);
        atomic_store_explicit(&image->located, true, memory_order_relaxed);
    }
    kgi_unlock(&lock);
    kgi_pages_put(full, PATH_MAX);
    return image && image->library ? image : NULL;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

/* The bytes of an image that lies in memory, as long as it says it is and as far as it is mapped. A
 * fatbin says so in its first bytes; an ELF's end has to be looked for, as a text's. */
static struct kgi_bytes image_bytes(const void *data)
{
    const uint8_t *start = data;
    size_t want = 4096, mapped = kgi_mapped(data, want), seen;
    enum kgi_image_form form = kgi_image_form((struct kgi_bytes){start, mapped});
    uint64_t size;

    if (form == KGI_FORM_FATBIN && KGI_GET(((struct kgi_bytes){start, mapped}), 8, &size))
        return (struct kgi_bytes){start, kgi_mapped(data, size > SIZE_MAX - 16 ? SIZE_MAX : size + 16)};
    if (form == KGI_FORM_PTX)
        return (struct kgi_bytes){start, kgi_text_mapped(data)};
    for (;;) {
        seen = kgi_image_extent((struct kgi_bytes){start, mapped});
        if (seen < mapped || mapped < want || want > SIZE_MAX / 4)
            return (struct kgi_bytes){start, seen};
        want *= 2;
        mapped += kgi_mapped(start + mapped, want - mapped);
    }
}

struct kgi_bytes kgi_image_memory(const void *address)
{
    struct kgi_wrapper wrapper = {0};
    const void *data = follow_wrapper(address, &wrapper), *first = NULL;

    if (data != address && wrapper.version >= 2 && wrapper.linked &&
        kgi_mapped(wrapper.linked, sizeof first) == sizeof first)
        memcpy(&first, wrapper.linked, sizeof first);
    return data && !first ? image_bytes(data) : (struct kgi_bytes){NULL, 0};
}

/* Room for the codes of one more container behind those already there. */
static bool make_room(struct kgi_image *image, size_t more)
{
    size_t room = image->count + more;
    struct kgi_code *codes;

    if (room <= image->room)
        return true;
    if (room > CODES_MOST)
        return false;
    codes = kgi_alloc(room * sizeof *codes);
    if (!codes)
        return false;
    if (image->count)
        memcpy(codes, image->codes, image->count * sizeof *codes);
    image->codes = codes;
    image->room = room;
    return true;
}

static void add_codes(struct kgi_image *image, struct kgi_bytes bytes)
{
    struct kgi_code few[8];
    size_t count = 0;
    int result = kgi_image_codes(bytes, few, KGI_COUNT(few), &count, &image->broken);

    if (result < 0)
        image->unreadable = true;
    if (!count || !make_room(image, count))
        return;
    if (count <= KGI_COUNT(few))
        memcpy(image->codes + image->count, few, count * sizeof *few);
    else
        kgi_image_codes(bytes, image->codes + image->count, count, &count, NULL);
    image->count += count;
}

/* A fatbin declared to be longer than what is mapped was read as far as that goes, and says so. */
static void read_container(struct kgi_image *image, struct kgi_bytes b)
{
    if (!b.size)
        image->unreadable = true;
    else
        add_codes(image, b);
    if (b.at == image->data) {
        image->size = b.size;
        image->mark = mark_of(b);
    }
}

static void forget(struct kgi_image *image)
{
    for (size_t i = 0; i < image->count; i++) {
        image->codes[i].payload.at = NULL;
        image->codes[i].options = image->codes[i].name = (struct kgi_bytes){NULL, 0};
    }
}

static void close_read(struct kgi_bytes b)
{
    kgi_pages_put((void *)(uintptr_t)b.at, b.size + 1);
}

static void read_in_place(struct kgi_image *image)
{
    const void *const *linked = image->linked;
    struct kgi_bytes file;

    image->count = 0;
    if (image->data) {
        read_container(image, image_bytes(image->data));
        /* The driver links the units where no linked code fits; they are built alike, and the
         * first stands for all. */
        if (linked && kgi_mapped(linked, sizeof *linked) == sizeof *linked && *linked)
            read_container(image, image_bytes(*linked));
        return;
    }
    file = kgi_file_read(image->library, FILE_MOST);
    if (file.size)
        add_codes(image, file);
    else
        image->unreadable = true;
    for (size_t i = 0; i < image->count; i++)
        kgi_inspect(&image->codes[i]);
    forget(image);
    close_read(file);
}

/* Arrays are kept with their record, so that plugins may come and go for ever: that of the codes, which in a
 * new record is not in use, and one more. With the lock held. */
static struct kgi_code *take_spare(struct kgi_image *image, size_t *room)
{
    struct kgi_code *spare = image->spare;

    *room = image->spare_room;
    image->spare = NULL;
    image->spare_room = 0;
    return spare;
}

static void put_spare(struct kgi_image *image, struct kgi_code *codes, size_t room)
{
    if (room > image->spare_room) {
        image->spare = codes;
        image->spare_room = room;
    }
}

/* An image in a loaded object may be met by several threads at once: each works on a description of
 * its own, and the first to finish is believed. One that is built in memory is this thread's alone
 * until its load returns. */
void kgi_image_read(struct kgi_image *image)
{
    struct kgi_image fresh;
    bool known;

    if (atomic_load_explicit(&image->read, memory_order_acquire))
        return;
    if (!image->lasting) {
        read_in_place(image);
        atomic_store_explicit(&image->read, true, memory_order_release);
        return;
    }
    fresh = (struct kgi_image){.data = image->data, .linked = image->linked};
    kgi_lock(&lock);
    known = atomic_load_explicit(&image->read, memory_order_relaxed);
    if (!known)
        fresh.codes = take_spare(image, &fresh.room);
    kgi_unlock(&lock);
    if (known)
        return;
    read_in_place(&fresh);
    kgi_lock(&lock);
    if (atomic_load_explicit(&image->read, memory_order_relaxed)) {
        put_spare(image, fresh.codes, fresh.room);
    } else {
        put_spare(image, image->codes, image->room); /* of what the record was before */
        image->codes = fresh.codes;
        image->count = fresh.count;
        image->room = fresh.room;
        image->size = fresh.size;
        image->mark = fresh.mark;
        image->broken = fresh.broken;
        image->unreadable = fresh.unreadable;
        atomic_store_explicit(&image->read, true, memory_order_release);
    }
    kgi_unlock(&lock);
}

struct kgi_image *kgi_image_seen(const void *address, struct kgi_bytes bytes, const void *caller)
{
    struct kgi_image *image = kgi_image_at(address, caller);

    if (image && !image->lasting && bytes.at == image->data) {
        read_container(image, bytes);
        atomic_store_explicit(&image->read, true, memory_order_release);
    }
    return image;
}

void kgi_inspect(struct kgi_code *code)
{
    void *scratch = NULL;

    if (code->traits & (KGI_T_INSPECTED | KGI_T_UNREADABLE) || !code->payload.at ||
        code->size >= KGI_INFLATE_MOST)
        return;
    if (code->packing != KGI_PLAIN) {
        scratch = kgi_pages_get(code->size);
        if (!scratch)
            return;
    }
    kgi_code_inspect(code, scratch, code->size);
    kgi_pages_put(scratch, code->size);
}

void kgi_image_inspect(struct kgi_image *image)
{
    struct kgi_code *codes = image->codes;
    size_t room = image->count;

    if (!image->count || atomic_load_explicit(&image->inspected, memory_order_acquire) ||
        !lies_there(image))
        return;
    if (image->lasting) {
        bool known;

        kgi_lock(&lock);
        known = atomic_load_explicit(&image->inspected, memory_order_relaxed);
        if (!known)
            codes = take_spare(image, &room);
        kgi_unlock(&lock);
        if (known)
            return;
        if (room < image->count) {
            room = image->count;
            codes = kgi_alloc(room * sizeof *codes);
        }
        if (!codes)
            return;
        memcpy(codes, image->codes, image->count * sizeof *codes);
    }
    for (size_t i = 0; i < image->count; i++)
        kgi_inspect(&codes[i]);
    kgi_lock(&lock);
    if (!atomic_load_explicit(&image->inspected, memory_order_relaxed)) {
        if (image->lasting) { /* what was, others may be reading still */
            image->spare = image->codes;
            image->spare_room = image->room;
            image->room = room;
        }
        image->codes = codes;
        atomic_store_explicit(&image->inspected, true, memory_order_release);
    } else if (image->lasting) {
        put_spare(image, codes, room);
    }
    kgi_unlock(&lock);
}

void kgi_image_end_load(struct kgi_image *image, bool keep)
{
    if (image->lasting)
        return;
    kgi_image_read(image);
    forget(image);
    if (!keep) {
        kgi_lock(&lock);
        drop_image(image);
        kgi_unlock(&lock);
    }
}

static int code_kernels(const struct kgi_code *c,
                        int (*each)(const char *mangled, int registers, void *context),
                        void *context)
{
    struct kgi_code code = *c;
    void *scratch = NULL;
    int result;

    if (c->size >= KGI_INFLATE_MOST)
        return -ENODATA;
    if (c->packing != KGI_PLAIN) {
        scratch = kgi_pages_get(c->size);
        if (!scratch)
            return -ENOMEM;
    }
    result = kgi_code_kernels(&code, scratch, c->size, each, context);
    kgi_pages_put(scratch, c->size);
    return result;
}

static int codes_kernels(const struct kgi_code *codes, size_t count, int index,
                         int (*each)(const char *mangled, int registers, void *context),
                         void *context)
{
    int result = -ENODATA;

    for (size_t i = index < 0 ? 0 : (size_t)index; i < count; i++) {
        int one = codes[i].payload.at ? code_kernels(&codes[i], each, context) : -ENODATA;

        if (one > 0 || index >= 0)
            return one;
        if (one == 0)
            result = 0;
    }
    return result;
}

/* A copy, by a system call that fails where a load instruction would kill the process: nobody
 * promised that the memory is still there. */
static bool copy_memory(const void *from, void *to, size_t size)
{
    struct iovec local = {to, size}, remote = {(void *)(uintptr_t)from, size};

    return syscall(SYS_process_vm_readv, getpid(), &local, 1L, &remote, 1L, 0L) == (long)size;
}

/* The image's bytes once more: the file, or what still lies where an image in memory lay, if it is
 * the same. Released by close_again. */
static struct kgi_bytes open_again(const struct kgi_image *image)
{
    struct kgi_bytes b = {NULL, 0};

    if (!image->data)
        return image->library ? kgi_file_read(image->library, KGI_INFLATE_MOST) : b;
    if (!image->size || image->size >= KGI_INFLATE_MOST)
        return b;
    b = (struct kgi_bytes){kgi_pages_get(image->size), image->size};
    if (b.at && copy_memory(image->data, (void *)(uintptr_t)b.at, b.size) &&
        mark_of(b) == image->mark)
        return b;
    kgi_pages_put((void *)(uintptr_t)b.at, b.size);
    return (struct kgi_bytes){NULL, 0};
}

static void close_again(const struct kgi_image *image, struct kgi_bytes b)
{
    if (!image->data)
        close_read(b);
    else
        kgi_pages_put((void *)(uintptr_t)b.at, b.size);
}

int kgi_image_kernels(const struct kgi_image *image, int index,
                      int (*each)(const char *mangled, int registers, void *context), void *context)
{
    struct kgi_code few[32];
    struct kgi_bytes b;
    size_t count = 0;
    int result;

    if (image->count && image->codes[0].payload.at && lies_there(image))
        return codes_kernels(image->codes, image->count, index, each, context);
    b = open_again(image);
    if (!b.at)
        return -ENODATA;
    kgi_image_codes(b, few, KGI_COUNT(few), &count, NULL);
    result = codes_kernels(few, count < KGI_COUNT(few) ? count : KGI_COUNT(few), index, each,
                           context);
    close_again(image, b);
    return result;
}

void kgi_image_locate(struct kgi_image *image)
{
    const char *library = NULL, *built_by = NULL;
    struct kgi_object object;
    uint64_t place = 0;
    char path[512];

    if (atomic_load_explicit(&image->located, memory_order_acquire))
        return;
    if (image->of_file && kgi_object_at(image->data, &object)) {
        if (kgi_object_path(&object, path, sizeof path))
            library = kgi_name(path);
        kgi_object_offset(&object, image->data, &place);
    } else if (image->caller && kgi_object_at(image->caller, &object) &&
               kgi_object_path(&object, path, sizeof path)) {
        built_by = kgi_name(path);
    }
    kgi_lock(&lock);
    if (!atomic_load_explicit(&image->located, memory_order_relaxed)) {
        image->library = library;
        image->built_by = built_by;
        image->place = place;
        atomic_store_explicit(&image->located, true, memory_order_release);
    }
    kgi_unlock(&lock);
}

/* ---- handles ------------------------------------------------------------------------------------------- */

struct record {
    struct kgi_kernel kernel;
    const void *handle, *root;     /* what it was found through in the end, or itself */
    struct record *parts;          /* what was found through it, and is gone when it is */
    struct record *next, **linked; /* among the parts of another, or the free ones */
};

static struct record *record_of(const void *handle)
{
    return (struct record *)(uintptr_t)kgi_map_get(&by_handle, (uintptr_t)handle);
}

/* With the lock held, as all of these. */
static void forget_handle(struct record *r)
{
    while (r->parts)
        forget_handle(r->parts);
    if (r->linked)
        *r->linked = r->next;
    if (r->linked && r->next)
        r->next->linked = r->linked;
    kgi_map_set(&by_handle, (uintptr_t)r->handle, 0);
    r->next = free_records;
    free_records = r;
}

static struct record *new_record(const void *handle, struct record *container)
{
    struct record *r = free_records;

    if (r)
        free_records = r->next;
    else
        r = kgi_alloc(sizeof *r);
    if (!r)
        return NULL;
    *r = (struct record){.handle = handle, .root = container ? container->root : handle};
    if (container) {
        r->next = container->parts;
        r->linked = &container->parts;
        container->parts = r;
        if (r->next)
            r->next->linked = &r->next;
    }
    return r;
}

/* Whether it is now found through another module or library: modules and what is in them go with their
 * context, of whose end nothing is heard. A kernel's host stub, which has a name, is as good as what it was
 * found through before. */
static bool is_of_another(const struct record *r, const struct record *container)
{
    const struct record *root = container ? record_of(container->root) : NULL;

    return root && root != r && !root->kernel.name && root->handle != r->root;
}

void kgi_handle_set(const void *handle, struct kgi_image *image, const char *name,
                    const void *container)
{
    static uint32_t turns;
    bool loaded = !container;
    struct record *r;

    if (!handle || !image)
        return;
    if (container == handle)
        container = NULL;
    kgi_lock(&lock);
    r = record_of(handle);
    /* Another thing at the address of one whose end was not seen. */
    if (r && (loaded || r->kernel.image != image || r->kernel.age != image->age ||
              is_of_another(r, record_of(container)))) {
        forget_handle(r);
        r = NULL;
    }
    if (!r)
        r = new_record(handle, record_of(container));
    if (r) {
        r->kernel = (struct kgi_kernel){image, name, image->age, 0};
        if (loaded)
            r->kernel.turn = ++turns ? turns : ++turns; /* never 0 */
        kgi_map_set(&by_handle, (uintptr_t)handle, (uintptr_t)r);
    }
    kgi_unlock(&lock);
}

bool kgi_handle_get(const void *handle, struct kgi_kernel *out)
{
    struct record *r;
    bool live = false;

    kgi_lock(&lock);
    r = record_of(handle);
    if (r && r->kernel.image->age == r->kernel.age) {
        *out = r->kernel;
        live = true;
    }
    kgi_unlock(&lock);
    return live;
}

const void *kgi_handle_root(const void *handle)
{
    const struct record *r;
    const void *root;

    kgi_lock(&lock);
    r = record_of(handle);
    root = r ? r->root : NULL;
    kgi_unlock(&lock);
    return root;
}

void kgi_handle_drop(const void *handle, const struct kgi_kernel *of)
{
    struct record *r;

    kgi_lock(&lock);
    r = record_of(handle);
    if (r && r->kernel.image == of->image && r->kernel.turn == of->turn)
        forget_handle(r);
    if (of->turn && of->image->age == of->age && !of->image->lasting)
        drop_image(of->image);
    kgi_unlock(&lock);
}

void kgi_image_unregister(struct kgi_image *image, uint32_t age)
{
    kgi_lock(&lock);
    if (image->age == age)
        drop_image(image);
    kgi_unlock(&lock);
}
