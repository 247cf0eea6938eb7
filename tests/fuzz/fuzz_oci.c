/* The documents of saved images. */
#include "exercise.h"
#include "cli/walk.h"

static void check_string(const char *s, size_t most)
{
    PROMISE(!s || (*s && strlen(s) <= most));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kgi_bytes json = {data, size};
    struct kgi_document d;
    char error[256] = "";
    int result = kgi_document_read(json, &d, error, sizeof error);
    char *platform = kgi_document_platform(json);

    PROMISE(result == 0 || (result == -EBADMSG && *error));
    PROMISE(result == 0 || (d.count == 0 && !d.images));
    check_string(platform, 100);
    free(platform);
    for (size_t i = 0; i < d.count; i++) {
        const struct kgi_image *image = &d.images[i];
        check_string(image->name, size);
        check_string(image->platform, 100);
        check_string(image->blob, size + 8);
        check_string(image->config, size + 8);
        PROMISE((d.kind == KGI_DOCUMENT_INDEX) == (image->blob != NULL));
        for (size_t k = 0; k < image->layer_count; k++)
            PROMISE(image->layers[k][0] != '/' && strncmp(image->layers[k], "../", 3) != 0 &&
                    !strstr(image->layers[k], "/../"));
    }
    kgi_document_free(&d);
    return 0;
}
