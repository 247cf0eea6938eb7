/*
 * A process of a job says which: by the launcher's variables; one process alone is no job.
 * link: -l:libcudart.so.12
 * run: KGUARD_LOG=error RANK=3 LOCAL_RANK=1 WORLD_SIZE=8 LOCAL_WORLD_SIZE=2
 * run: KGUARD_LOG=error KGUARD_LOG_FORMAT=json RANK=3 LOCAL_RANK=1 WORLD_SIZE=8 LOCAL_WORLD_SIZE=2
 * run: KGUARD_LOG=error SLURM_PROCID=12 SLURM_NTASKS=64
 * run: KGUARD_LOG=error RANK=0 WORLD_SIZE=1
 * run: KGUARD_LOG=error PMI_RANK=many
 */
#include "runtime.h"

int main(void)
{
    CALL(lacking_stub);
    return 0;
}
