/* How a command reads its options, and shows them. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

void kgi_complain(const char *format, ...)
{
    va_list arguments;
    char line[8192];
    KGI_TEXT(safe, 2 * sizeof line);

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    kgi_text_add_safe(&safe, line);
    fprintf(stderr, "kguard: %s\n", safe.at);
}

int kgi_flag_targets(const char *value, struct kgi_target *targets, size_t room, size_t *count)
{
    char copy[512], *rest = copy, *word;

    if (strlen(value) >= sizeof copy)
        return -EINVAL;
    strcpy(copy, value);
    while ((word = strsep(&rest, ","))) {
        struct kgi_target target;
        size_t i = 0;

        if (!*word)
            continue;
        if (kgi_target_parse(word, &target) || *count == room)
            return -EINVAL;
        target.suffix = 0; /* a GPU has none */
        while (i < *count && targets[i].number != target.number)
            i++;
        if (i == *count)
            targets[(*count)++] = target;
    }
    return *count ? 0 : -EINVAL;
}

const char *kgi_whole_path(const char *path)
{
    char folder[4096], *whole = NULL;

    if (path[0] == '/')
        return path;
    if (!getcwd(folder, sizeof folder) || asprintf(&whole, "%s/%s", folder, path) < 0)
        return NULL;
    return whole;
}

static bool needs_argument(const struct kgi_flag *f)
{
    return f->argument && f->argument[0] != '[';
}

static void show_flags(const struct kgi_command *c, FILE *out)
{
    for (size_t i = 0; i < c->flag_count; i++) {
        const struct kgi_flag *f = &c->flags[i];
        char left[64];
        int n = f->letter ? snprintf(left, sizeof left, "-%c, --%s", f->letter, f->name)
                          : snprintf(left, sizeof left, "    --%s", f->name);
        if (f->argument)
            snprintf(left + n, sizeof left - (size_t)n, "%s%s", f->argument[0] == '[' ? "" : "=",
                     f->argument);
        fprintf(out, strlen(left) > 28 ? "  %s\n%31s" : "  %-28s %s", left, "");
        for (const char *p = f->help; *p; p++) {
            fputc(*p, out);
            if (*p == '\n')
                fprintf(out, "%31s", "");
        }
        fputc('\n', out);
    }
    fprintf(out, "  %-28s show this\n", "-h, --help");
}

static void show_command(const struct kgi_command *c, FILE *out)
{
    fprintf(out, "usage: kguard %s %s\n%s\n\n", c->name, c->arguments, c->help);
    show_flags(c, out);
    if (c->epilogue)
        fprintf(out, "\n%s", c->epilogue);
}

static const struct kgi_flag *flag_named(const struct kgi_command *c, const char *name, size_t length)
{
    for (size_t i = 0; i < c->flag_count; i++)
        if (strlen(c->flags[i].name) == length && memcmp(c->flags[i].name, name, length) == 0)
            return &c->flags[i];
    return NULL;
}

static const struct kgi_flag *flag_lettered(const struct kgi_command *c, char letter)
{
    for (size_t i = 0; i < c->flag_count; i++)
        if (c->flags[i].letter && c->flags[i].letter == letter)
            return &c->flags[i];
    return NULL;
}

static bool set_flag(const struct kgi_flag *f, const char *value, void *context)
{
    int error = f->set(context, value);

    if (error)
        kgi_complain("--%s=%s: not %s", f->name, value ? value : "", f->argument ? f->argument : "");
    return error == 0;
}

/* "--name", "--name=value", "--name value". *next is the argument behind it, or NULL; taken when used. */
static bool parse_long(const struct kgi_command *c, const char *text, const char **next, void *context)
{
    size_t length = strcspn(text, "=");
    const struct kgi_flag *f = flag_named(c, text, length);
    const char *value = text[length] ? text + length + 1 : NULL;

    if (!f) {
        kgi_complain("%s: there is no option --%.*s", c->name, (int)length, text);
        return false;
    }
    if (value && !f->argument) {
        kgi_complain("%s: --%s takes no value", c->name, f->name);
        return false;
    }
    if (!value && needs_argument(f)) {
        value = *next;
        *next = NULL;
        if (!value) {
            kgi_complain("%s: --%s needs a value: %s", c->name, f->name, f->argument);
            return false;
        }
    }
    return set_flag(f, value, context);
}

/* "-k", "-kw", "-tsm_90", "-t sm_90". */
static bool parse_short(const struct kgi_command *c, const char *text, const char **next,
                        void *context)
{
    for (; *text; text++) {
        const struct kgi_flag *f = flag_lettered(c, *text);
        const char *value = NULL;
        if (!f) {
            kgi_complain("%s: there is no option -%c", c->name, *text);
            return false;
        }
        if (needs_argument(f)) {
            value = text[1] ? text + 1 : *next;
            if (!text[1])
                *next = NULL;
            if (!value) {
                kgi_complain("%s: -%c needs a value: %s", c->name, *text, f->argument);
                return false;
            }
        }
        if (!set_flag(f, value, context))
            return false;
        if (needs_argument(f))
            break;
    }
    return true;
}

int kgi_flags_parse(const struct kgi_command *command, int argc, char **argv, void *context,
                    int *exit_code)
{
    int left = 0;
    bool ended = false;

    *exit_code = KGI_EXIT_USAGE;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL, *before = next;
        if (ended || arg[0] != '-' || !arg[1]) {
            argv[left++] = argv[i];
            ended |= command->operands_end;
        } else if (strcmp(arg, "--") == 0) {
            ended = true;
        } else if (strcmp(arg, "-h") == 0 || strcmp(arg, "--help") == 0) {
            show_command(command, stdout);
            *exit_code = KGI_EXIT_OK;
            return -1;
        } else if (!(arg[1] == '-' ? parse_long(command, arg + 2, &next, context)
                                   : parse_short(command, arg + 1, &next, context))) {
            fprintf(stderr, "kguard: see kguard %s --help\n", command->name);
            return -1;
        }
        i += next != before;
    }
    argv[left] = NULL;
    return left;
}
