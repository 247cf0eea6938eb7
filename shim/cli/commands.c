/* The commands of kguard: what it, its man page and the shell's completion show, in this order. */
#include "cli.h"

const struct kgi_command *const kgi_commands[] = {
    &kgi_scan_command, &kgi_run_command, &kgi_warm_command, &kgi_cache_command, &kgi_explain_command,
    &kgi_doctor_command};
const size_t kgi_command_count = KGI_COUNT(kgi_commands);
