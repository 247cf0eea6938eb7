/* The kguard command: which sub-command is meant. */
#include <errno.h>
#include <kguard.h>

#include "cli.h"

static void show_usage(FILE *out)
{
    fputs("usage: kguard COMMAND [OPTION...] [ARGUMENT...]\n\n", out);
    for (size_t i = 0; i < kgi_command_count; i++)
        fprintf(out, "  %-10s %.*s\n", kgi_commands[i]->name,
                (int)strcspn(kgi_commands[i]->help, "\n"), kgi_commands[i]->help);
    fputs("\nkguard COMMAND --help tells more of each; kguard --version the version.\n", out);
}

static int dispatch(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    if (strcmp(name, "--version") == 0) {
        printf("kguard %s\n", KG_VERSION);
        return KGI_EXIT_OK;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        show_usage(stdout);
        return KGI_EXIT_OK;
    }
    for (size_t i = 0; i < kgi_command_count; i++)
        if (strcmp(kgi_commands[i]->name, name) == 0)
            return kgi_commands[i]->run(kgi_commands[i], argc - 1, argv + 1);
    if (*name)
        kgi_complain("there is no command %s", name);
    show_usage(stderr);
    return KGI_EXIT_USAGE;
}

/* An answer that a full disk swallowed is no answer. */
int main(int argc, char **argv)
{
    int code = dispatch(argc, argv);

    if (code == KGI_EXIT_INTERNAL || (fflush(stdout) == 0 && !ferror(stdout)))
        return code;
    kgi_complain("stdout: %s", strerror(errno));
    return KGI_EXIT_INTERNAL;
}
