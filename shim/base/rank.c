/*
 * Which process of a job this is. Launchers tell it in the environment; one process is no job.
 */
#include "base.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct launcher {
    const char *rank, *size;
} launchers[] = {
    {"RANK", "WORLD_SIZE"}, /* torchrun, accelerate, deepspeed */
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
    {"PMI_RANK", "PMI_SIZE"}, /* MPICH, Intel MPI */
    {"PMIX_RANK", NULL},
    {"SLURM_PROCID", "SLURM_NTASKS"},
    {"LOCAL_RANK", "LOCAL_WORLD_SIZE"},
};

/* The variable's value as a number, -1 when it is none. */
static int number_of(const char *variable)
{
    const char *value = variable ? getenv(variable) : NULL;
    size_t digits = value ? strspn(value, "0123456789") : 0;

    return digits && digits < 8 && !value[digits] ? atoi(value) : -1;
}

static int rank_from(const struct launcher *l)
{
    return number_of(l->size) == 1 ? -1 : number_of(l->rank);
}

int kgi_rank(void)
{
    int rank = -1;

    for (size_t i = 0; i < KGI_COUNT(launchers) && rank < 0; i++)
        rank = rank_from(&launchers[i]);
    return rank;
}

int kgi_local_rank(void)
{
    return rank_from(&launchers[KGI_COUNT(launchers) - 1]);
}

/* What programs set with setproctitle or prctl: "VLLM::Worker_TP1". */
bool kgi_process_name(char *out, size_t size)
{
    int fd = kgi_open("/proc/self/comm", O_RDONLY);
    long n = fd >= 0 ? syscall(SYS_read, fd, out, size - 1) : 0;

    if (fd >= 0)
        kgi_close(fd);
    out[n > 0 ? n : 0] = 0;
    if (n > 0 && out[n - 1] == '\n')
        out[n - 1] = 0;
    return out[0] != 0;
}

void kgi_prefix(struct kgi_text *line)
{
    int rank = kgi_rank();

    kgi_text_add(line, "kguard[%d", (int)getpid());
    if (rank >= 0)
        kgi_text_add(line, " rank %d", rank);
    kgi_text_add(line, "]: ");
}
