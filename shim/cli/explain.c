/*
 * kguard explain: what a reason code, the number of a CUDA error, or a pasted message means, who is
 * usually guilty, and what to do next. What is not known is said to be not known.
 */
#include <ctype.h>
#include <stdlib.h>

#include "explain.h"

#define TEXT_MOST ((size_t)1 << 20)
#define ROWS_MOST 3 /* of a long text; more would be a list of everything */
#define WIDTH 98

/* ---- output ---------------------------------------------------------------------------------- */

static void put_wrapped(const char *label, const char *text)
{
    size_t column = (size_t)printf("%-8s", label);
    const size_t margin = column;

    while (*text) {
        size_t word = strcspn(text, " ");
        if (column > margin && column + 1 + word > WIDTH)
            column = (size_t)printf("\n%*s", (int)margin, "") - 1;
        column += (size_t)printf("%s%.*s", column > margin ? " " : "", (int)word, text);
        text += word + (text[word] == ' ');
    }
    putchar('\n');
}

static void put_reason(int code)
{
    printf("KG%03d: %s\n\n%s\n", code, kgi_reason_title(code), kgi_reason_text(code));
}

static void put_known(const struct kgi_known *row)
{
    if (row->number)
        printf("CUDA error %d: %s\n", row->number, row->title);
    else
        printf("%s\n", row->title);
    if (row->names)
        put_wrapped("names", row->names);
    put_wrapped("means", row->means);
    put_wrapped("guilty", row->guilty);
    put_wrapped("next", row->next);
    for (size_t i = 0; i < KGI_COUNT(row->codes) && row->codes[i]; i++)
        printf("%-8sKG%03d %s\n", i ? "" : "codes", row->codes[i], kgi_reason_title(row->codes[i]));
    put_wrapped("source", row->source);
}

/* ---- looking up ------------------------------------------------------------------------------ */

/* Whether all parts between '&' are in text. */
static bool has_all(const char *text, const char *part, size_t length)
{
    char one[128];

    for (const char *end = part + length; part < end;) {
        size_t n = strcspn(part, "&|");
        if (n > (size_t)(end - part))
            n = (size_t)(end - part);
        snprintf(one, sizeof one, "%.*s", (int)n, part);
        if (!strstr(text, one))
            return false;
        part += n + 1;
    }
    return true;
}

/* Whether a row is about a text, which is in lower case with single blanks. */
static bool matches(const struct kgi_known *row, const char *text)
{
    for (const char *part = row->texts; *part;) {
        size_t n = strcspn(part, "|");
        if (has_all(text, part, n))
            return true;
        part += n + (part[n] == '|');
    }
    return false;
}

static const struct kgi_known *known_number(long number)
{
    for (size_t i = 0; i < kgi_known_count; i++)
        if (number && kgi_known[i].number == number)
            return &kgi_known[i];
    return NULL;
}

/* "error 209", "error: 209", "error code = 209". */
static const struct kgi_known *known_in(const char *text)
{
    for (const char *at = text; (at = strstr(at, "error"));) {
        at += strlen("error");
        size_t n = strcspn(at, "0123456789");
        const struct kgi_known *row = n <= 8 ? known_number(strtol(at + n, NULL, 10)) : NULL;
        if (row)
            return row;
    }
    return NULL;
}

/* "KG101", "kg101"; 0 when it is none that is known. */
static int reason_code(const char *text)
{
    long code = strncasecmp(text, "kg", 2) == 0 && isdigit((unsigned char)text[2])
                    ? strtol(text + 2, NULL, 10)
                    : 0;

    return code < 1000 && *kgi_reason_text((int)code) ? (int)code : 0;
}

/* The first code in a text: a report of the library's that was pasted. */
static int reason_in(const char *text)
{
    for (; (text = strstr(text, "kg")); text += 2)
        if (reason_code(text))
            return reason_code(text);
    return 0;
}

/* ---- the GPU that a text names --------------------------------------------------------------- */

static bool target_at(const char *text, const char *word, struct kgi_target *out)
{
    const char *at = strstr(text, word);
    char name[16];
    size_t n;

    if (!at)
        return false;
    at += strlen(word);
    n = strspn(at, "0123456789.");
    while (n && at[n - 1] == '.')
        n--;
    snprintf(name, sizeof name, "%.*s", (int)(n < 8 ? n : 8), at);
    return n && kgi_target_parse(name, out) == 0;
}

/* What is known of it: which compilers and which PyTorch make code for it. */
static void put_target(const char *text)
{
    static const char *const words[] = {
        "sm_",         "compute_",   "cuda capability ", "compute capability ",
        "cuda arch (", "cuda arch ", "gpu sm "};
    const struct kgi_target_row *row;
    struct kgi_target target;
    char line[256];
    size_t i = 0;

    while (i < KGI_COUNT(words) && !target_at(text, words[i], &target))
        i++;
    row = i < KGI_COUNT(words) ? kgi_target_row(target.number) : NULL;
    if (!row)
        return;
    int first = kgi_target_toolkit((struct kgi_target){row->number, 0}), n;
    n = snprintf(line, sizeof line, "sm_%u: CUDA %d.%d", row->number, first / 1000,
                 first % 1000 / 10);
    if (row->last)
        n += snprintf(line + n, sizeof line - (size_t)n, " to %d.%d", row->last / 1000,
                      row->last % 1000 / 10);
    n += snprintf(line + n, sizeof line - (size_t)n, "%s makes code for it",
                  row->last ? "" : " and later");
    if (row->torch)
        snprintf(line + n, sizeof line - (size_t)n, ", %s builds extensions for it", row->torch);
    put_wrapped("GPU", line);
}

/* ---- the command ----------------------------------------------------------------------------- */

/* Lower case, white space as one blank. */
static void normalize(char *text)
{
    char *to = text;

    for (const char *at = text; *at; at++) {
        if (!isspace((unsigned char)*at))
            *to++ = (char)tolower((unsigned char)*at);
        else if (to > text && to[-1] != ' ')
            *to++ = ' ';
    }
    *to = 0;
}

static int explain_text(char *text)
{
    const struct kgi_known *numbered;
    size_t found = 0;
    int reason;

    normalize(text);
    reason = reason_in(text);
    if (reason) {
        put_reason(reason);
        return KGI_EXIT_OK;
    }
    for (size_t i = 0; i < kgi_known_count && found < ROWS_MOST; i++)
        if (matches(&kgi_known[i], text)) {
            printf("%s", found++ ? "\n" : "");
            put_known(&kgi_known[i]);
        }
    numbered = found ? NULL : known_in(text);
    if (numbered)
        put_known(numbered);
    if (found || numbered) {
        put_target(text);
        return KGI_EXIT_OK;
    }
    kgi_complain("explain: nothing is known of this text. Where a GPU has no code to run, kguard "
                 "run -- COMMAND "
                 "says so.");
    return KGI_EXIT_FOUND;
}

/* KG101 or 209, explained; false when it is neither. */
static bool explain_code(const char *word)
{
    char *end;
    long number = strtol(word, &end, 10);
    const struct kgi_known *row = *end ? NULL : known_number(number);
    int reason = reason_code(word);

    if (row)
        put_known(row);
    else if (reason)
        put_reason(reason);
    return row || reason;
}

static char *read_stdin(void)
{
    char *text = malloc(TEXT_MOST + 1);

    if (text)
        text[fread(text, 1, TEXT_MOST, stdin)] = 0;
    return text;
}

static char *join(char **words, int count)
{
    size_t size = 1;
    char *text;

    for (int i = 0; i < count; i++)
        size += strlen(words[i]) + 1;
    text = calloc(1, size);
    for (int i = 0; text && i < count; i++)
        strcat(strcat(text, i ? " " : ""), words[i]);
    return text;
}

static int explain_main(const struct kgi_command *self, int argc, char **argv)
{
    int exit_code, left = kgi_flags_parse(self, argc, argv, NULL, &exit_code), done = 0;
    char *text;

    if (left < 0)
        return exit_code;
    if (left == 0) {
        kgi_complain("explain: what? For example: kguard explain KG101, 209, or the error's text");
        return KGI_EXIT_USAGE;
    }
    /* Several codes, or one text that the shell has split. */
    while (done < left && explain_code(argv[done]))
        if (++done < left)
            putchar('\n');
    if (done == left)
        return KGI_EXIT_OK;
    text = strcmp(argv[done], "-") == 0 ? read_stdin() : join(argv + done, left - done);
    exit_code = text ? explain_text(text) : KGI_EXIT_INTERNAL;
    free(text);
    return exit_code;
}

const struct kgi_command kgi_explain_command = {
    "explain",
    "CODE... | TEXT... | -",
    "Says what a reason code, the number of a CUDA error or a message means, and what to do.\n"
    "TEXT: a message as it was printed, quoted or not; - reads it from stdin.",
    explain_main,
    NULL,
    0,
    "Exit code: 0, or 1 when nothing is known of it.\n",
    true,
};
