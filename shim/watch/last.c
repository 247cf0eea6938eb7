/*
 * The reports of this process, kept for who asks for the last one (include/kguard.h). There are
 * few: each is made once, whatever comes again. A list that only grows at its front is read without
 * a lock.
 */
#include "watch.h"

#include <kguard.h>
#include <unistd.h>

struct report {
    const char *library;
    int reason, pid;
    const char *form[2]; /* enum kg_form */
    struct report *next;
};

static struct report *_Atomic reports, *_Atomic last;

void kgi_last_set(const struct kgi_diagnosis *d, const char *text, const char *json)
{
    struct report *r = kgi_alloc(sizeof *r);

    if (!r || !text || !json)
        return;
    *r = (struct report){.library = d->library ? d->library : d->built_by,
                         .reason = d->reason,
                         .pid = getpid(),
                         .form = {[KG_TEXT] = text, [KG_JSON] = json},
                         .next = atomic_load_explicit(&reports, memory_order_relaxed)};
    while (!atomic_compare_exchange_weak(&reports, &r->next, r))
        ;
    atomic_store_explicit(&last, r, memory_order_release);
}

void kgi_last_again(const char *library, int reason)
{
    struct report *r = atomic_load_explicit(&reports, memory_order_acquire);
    int pid = getpid();

    while (r && (r->library != library || r->reason != reason || r->pid != pid))
        r = r->next;
    if (r)
        atomic_store_explicit(&last, r, memory_order_release);
}

int kg_api_version(void)
{
    return KG_API_VERSION;
}

size_t kg_last_diagnosis(int form, char *out, size_t size)
{
    const struct report *r = atomic_load_explicit(&last, memory_order_acquire);
    size_t length, fits;

    if (size)
        out[0] = 0;
    if (!r || r->pid != getpid() || form < 0 || form >= (int)KGI_COUNT(r->form))
        return 0;
    length = strlen(r->form[form]);
    fits = length < size ? length : size ? size - 1 : 0;
    if (size) {
        memcpy(out, r->form[form], fits);
        out[fits] = 0;
    }
    return length;
}
