/*
 * Fills in the templates of the man pages and of bash's completion from the tables that the command
 * and the library themselves go by.   pages <TEMPLATE >PAGE
 *
 * What @name@ may stand for is in `parts`; another name is an error. The date is
 * SOURCE_DATE_EPOCH's.
 */
#include <ctype.h>
#include <stdlib.h>
#include <time.h>

#include <kguard.h>

#include "../shim/cli/cli.h"

#define TARGETS 200 /* numbers beyond are nobody's yet */
#define REASONS 300

/* ---- man pages: mdoc(7) ---------------------------------------------------------------------- */

/* One character as it is, whatever roff would make of it; hyphens stay such that can be copied to a
 * shell. */
static void put_character(char c)
{
    if (c == '\\')
        fputs("\\e", stdout);
    else if (c == '-')
        fputs("\\-", stdout);
    else
        putchar(c);
}

/* Lines of text; of running text each sentence begins one, as mdoc wants it. */
static void put(const char *s, bool running)
{
    bool start = true;

    for (; *s; s++) {
        if (start && (*s == '.' || *s == '\''))
            fputs("\\&", stdout);
        if (running && strncmp(s, ". ", 2) == 0) {
            fputs(".\n", stdout);
            s++;
            start = true;
            continue;
        }
        put_character(*s);
        start = *s == '\n';
    }
}

/* One argument of a macro: neither blanks, nor a name that is a macro's too, end or change it. */
static void put_argument(const char *s)
{
    fputs(" \"\\&", stdout);
    for (; *s; s++) {
        if (*s == '"')
            putchar('"');
        put_character(*s);
    }
    putchar('"');
}

static void add_flag(char letter, const char *name, const char *argument, const char *help)
{
    fputs(".It", stdout);
    if (letter)
        printf(" Fl %c , Fl Fl", letter);
    else
        fputs(" Fl Fl", stdout);
    put_argument(name);
    if (argument) {
        fputs(argument[0] == '[' ? " Ns Ar" : " Ns = Ns Ar", stdout);
        put_argument(argument);
    }
    putchar('\n');
    put(help, true);
    putchar('\n');
}

static void add_commands(void)
{
    for (size_t i = 0; i < kgi_command_count; i++) {
        const struct kgi_command *c = kgi_commands[i];
        printf(".Ss kguard %s\n.Nm Cm %s", c->name, c->name);
        put_argument(c->arguments);
        fputs("\n.Pp\n", stdout);
        put(c->help, true);
        fputs("\n.Bl -tag -width Ds\n", stdout);
        for (size_t k = 0; k < c->flag_count; k++)
            add_flag(c->flags[k].letter, c->flags[k].name, c->flags[k].argument, c->flags[k].help);
        add_flag('h', "help", NULL, "show the above");
        fputs(".El\n", stdout);
        if (c->epilogue) {
            fputs(".Bd -literal\n", stdout);
            put(c->epilogue, false);
            fputs(".Ed\n", stdout);
        }
    }
}

static void add_settings(void)
{
    for (size_t i = 0; i < kgi_option_row_count; i++) {
        const struct kgi_option_row *row = &kgi_option_rows[i];
        printf(".It Ev %s Ns = Ns Ar", row->name);
        put_argument(row->values);
        putchar('\n');
        put(row->help, true);
        if (*row->fallback) {
            fputs("\n(default:\n.Cm", stdout);
            put_argument(row->fallback);
            fputs(")", stdout);
        }
        putchar('\n');
    }
}

static void add_reasons(void)
{
    for (int reason = 1; reason < REASONS; reason++) {
        if (!*kgi_reason_text(reason))
            continue;
        printf(".It Sy KG%d No \\(en", reason);
        put_argument(kgi_reason_title(reason));
        putchar('\n');
        put(kgi_reason_text(reason), true);
        putchar('\n');
    }
}

/* ---- bash's completion ----------------------------------------------------------------------- */

/* "[=auto|always]" and "text|json" are the values themselves, "FILE" is a kind of them. */
static void put_values(const char *argument)
{
    argument += strspn(argument, "[=");
    printf("%s", islower((unsigned char)*argument) ? "'" : "'<");
    for (const char *p = argument; *p && !strchr("[], ", *p); p++)
        putchar(*p == '|' ? ' ' : *p);
    printf("%s'", islower((unsigned char)*argument) ? "" : ">");
}

/* The lower-case words of "stats|list|explain KEY|gc [OPTION...]"; else what the operands are. */
static void put_operands(const char *arguments)
{
    while (*arguments == '[') {
        arguments += strcspn(arguments, " ");
        arguments += strspn(arguments, " ");
    }
    if (!*arguments) {
        fputs("''", stdout);
        return;
    }
    if (!islower((unsigned char)*arguments)) {
        printf("'<%.*s>'", (int)strspn(arguments, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), arguments);
        return;
    }
    putchar('\'');
    for (const char *p = arguments; islower((unsigned char)*p);) {
        size_t word = strcspn(p, "| ");
        printf("%s%.*s", p > arguments ? " " : "", (int)word, p);
        p += strcspn(p, "|");
        p += *p == '|';
    }
    putchar('\'');
}

static void add_completion(void)
{
    for (size_t i = 0; i < kgi_command_count; i++) {
        const struct kgi_command *c = kgi_commands[i];
        printf("    %s)\n        operands=", c->name);
        put_operands(c->arguments);
        fputs("\n        options='", stdout);
        for (size_t k = 0; k < c->flag_count; k++)
            printf("--%s ", c->flags[k].name);
        fputs("--help'\n        case $2 in\n", stdout);
        for (size_t k = 0; k < c->flag_count; k++) {
            const struct kgi_flag *f = &c->flags[k];
            if (!f->argument)
                continue;
            fputs("        ", stdout);
            if (f->argument[0] != '[') {
                if (f->letter)
                    printf("-%c | ", f->letter);
                printf("--%s | ", f->name);
            }
            printf("--%s=) values=", f->name);
            put_values(f->argument);
            fputs(" ;;\n", stdout);
        }
        fputs("        esac\n        ;;\n", stdout);
    }
}

/* ---- what a template may ask for ------------------------------------------------------------- */

static void add_version(void)
{
    fputs(KG_VERSION, stdout);
}

static void add_date(void)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    time_t now = epoch ? (time_t)strtoll(epoch, NULL, 10) : time(NULL);
    char text[32];
    struct tm t;

    strftime(text, sizeof text, "%B %-d, %Y", gmtime_r(&now, &t));
    fputs(text, stdout);
}

static void add_names(void)
{
    for (size_t i = 0; i < kgi_command_count; i++)
        printf("%s ", kgi_commands[i]->name);
}

static void add_targets(void)
{
    for (uint16_t number = 1; number < TARGETS; number++)
        if (kgi_target_row(number))
            printf("sm_%d ", number);
}

static void add_codes(void)
{
    for (int reason = 1; reason < REASONS; reason++)
        if (*kgi_reason_text(reason))
            printf("KG%d ", reason);
}

static const struct {
    const char *name;
    void (*add)(void);
} parts[] = {
    {"version", add_version},   {"date", add_date},       {"commands", add_commands},
    {"settings", add_settings}, {"reasons", add_reasons}, {"completion", add_completion},
    {"names", add_names},       {"targets", add_targets}, {"codes", add_codes},
};

/* A name that is all of a line stands for lines. False for one that there is not. */
static bool fill(const char *line)
{
    const char *start = line, *at, *end;

    while ((at = strchr(line, '@')) && (end = strchr(at + 1, '@'))) {
        size_t i = 0, length = (size_t)(end - at - 1);
        while (i < KGI_COUNT(parts) &&
               (strlen(parts[i].name) != length || memcmp(parts[i].name, at + 1, length) != 0))
            i++;
        if (i == KGI_COUNT(parts))
            return false;
        printf("%.*s", (int)(at - line), line);
        parts[i].add();
        line = end + 1 + (at == start && end[1] == '\n');
    }
    fputs(line, stdout);
    return true;
}

int main(void)
{
    char line[1024];

    while (fgets(line, sizeof line, stdin))
        if (!fill(line)) {
            fprintf(stderr, "pages: unknown: %s", line);
            return 1;
        }
    return fflush(stdout) || ferror(stdout);
}
