/*
 * The GPUs of this machine, as its kernel driver lists them. A static program cannot load libcuda, and
 * asking the device itself would need rights; /proc and /sys need neither. The PCI device id tells
 * the chip, and the chip its compute capability.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "scan.h"

/* Device ids, from pci.ids (the chip's name stands with each id there; up to 28e1 as of its release of
 * April 2023, newer ones as of July 2026), and the compute capability of the chip from NVIDIA's list of
 * CUDA GPUs. Ids that are not here are not guessed. */
static const struct chip {
    uint16_t from, to;
    uint16_t number; /* 120 */
} chips[] = {
    {0x15f0, 0x15ff, 60},  /* GP100 */
    {0x1b00, 0x1d7f, 61},  /* GP102 .. GP108 */
    {0x1d80, 0x1dff, 70},  /* GV100 */
    {0x1e00, 0x1fff, 75},  /* TU102, TU104, TU106, TU117 */
    {0x2080, 0x20ff, 80},  /* GA100 */
    {0x2180, 0x21ff, 75},  /* TU116 */
    {0x2200, 0x223f, 86},  /* GA102 */
    {0x228b, 0x228b, 86},  /* GA104 */
    {0x228e, 0x228e, 86},  /* GA106 */
    {0x22ba, 0x22ba, 89},  /* AD102 */
    {0x2300, 0x233f, 90},  /* GH100 */
    {0x2400, 0x24ff, 86},  /* GA103, GA104 */
    {0x2500, 0x25ff, 86},  /* GA106, GA107 */
    {0x2680, 0x28ff, 89},  /* AD102 .. AD107 */
    {0x2900, 0x29ff, 100}, /* GB100 */
    {0x2b80, 0x2dff, 120}, /* GB202, GB203, GB206, GB207 */
    {0x2f00, 0x2fff, 120}, /* GB205 */
    {0x3180, 0x31ff, 103}, /* GB110 */
};

static uint16_t number_of(unsigned long id)
{
    for (size_t i = 0; i < KGI_COUNT(chips); i++)
        if (id >= chips[i].from && id <= chips[i].to)
            return chips[i].number;
    return 0;
}

static bool read_line(const char *path, char *out, int size)
{
    FILE *file = fopen(path, "re");
    bool read = file && fgets(out, size, file);

    if (file)
        fclose(file);
    return read;
}

uint16_t kgi_gpu_number(const char *bus)
{
    char path[PATH_MAX], line[64];

    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/device", bus);
    return read_line(path, line, sizeof line) ? number_of(strtoul(line, NULL, 16)) : 0;
}

size_t kgi_gpus_here(struct kgi_target *targets, size_t room)
{
    DIR *folder = opendir("/proc/driver/nvidia/gpus");
    struct dirent *entry;
    bool known = true;
    size_t count = 0;

    while (folder && (entry = readdir(folder))) {
        size_t i = 0;
        if (entry->d_name[0] == '.')
            continue;
        uint16_t number = kgi_gpu_number(entry->d_name);
        known &= number != 0;
        while (i < count && targets[i].number != number)
            i++;
        if (i == count && count < room)
            targets[count++] = (struct kgi_target){number, 0};
    }
    if (folder)
        closedir(folder);
    return known ? count : 0;
}

/* "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.03  Tue ...": the first word with a dot
 * that begins with a digit. */
bool kgi_driver_here(char *out, size_t size)
{
    char line[512];

    if (!read_line("/proc/driver/nvidia/version", line, sizeof line))
        return false;
    for (char *word = strtok(line, " \t\n"); word; word = strtok(NULL, " \t\n")) {
        if (isdigit((unsigned char)word[0]) && strchr(word, '.')) {
            snprintf(out, size, "%s", word);
            return true;
        }
    }
    return false;
}

int kgi_driver_parse(const char *text, int *branch)
{
    char *end;
    long number = strtol(text, &end, 10);

    if (end == text || (*end && *end != '.') || number < 100 || number > 9999)
        return -EINVAL;
    *branch = (int)number;
    return 0;
}
