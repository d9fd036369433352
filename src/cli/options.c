/* SPDX-License-Identifier: MIT
 * options.c - see options.h. */
#include "cli/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "twinlens/arena.h"

enum { MOST_OPTIONS = 64 };

static tl_status parse_whole(const char *name, const char *text, uint64_t least,
                             uint64_t most, uint64_t *out, tl_error *err)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < least ||
        value > most)
        return tl_cli_misuse(err, "--%s is '%s', wanted an integer of at least %llu",
                             name, text, (unsigned long long)least);
    *out = value;
    return TL_OK;
}

static tl_status parse_bytes(const char *name, const char *text, size_t *out,
                             tl_error *err)
{
    static const char suffixes[] = "KMGT";
    char *end = NULL;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    unsigned shift = 0;
    const char *suffix = *end != '\0' ? strchr(suffixes, *end) : NULL;
    if (suffix != NULL) {
        shift = 10u * (unsigned)(suffix - suffixes + 1);
        end++;
        if (strcmp(end, "B") == 0 || strcmp(end, "iB") == 0)
            end += strlen(end);
    }
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value == 0 ||
        value > SIZE_MAX >> shift)
        return tl_cli_misuse(
            err, "--%s is '%s', wanted a number of bytes such as 500M or 8G", name,
            text);
    *out = (size_t)value << shift;
    return TL_OK;
}

static tl_status parse_choice(const tl_option *o, const char *text, tl_error *err)
{
    char known[256] = "";
    for (const tl_choice *c = o->choices; c->name != NULL; c++) {
        if (strcmp(text, c->name) == 0) {
            if (o->value != NULL)
                *(int *)o->value = c->value;
            return TL_OK;
        }
        const size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", used > 0 ? ", " : "",
                 c->name);
    }
    return tl_cli_misuse(err, "--%s is '%s', wanted one of %s", o->name, text, known);
}

static tl_status add_string(const tl_option *o, const char *text, tl_error *err)
{
    tl_strings *strings = o->value;
    if (strings->n == TL_STRINGS)
        return tl_cli_misuse(err, "--%s is given more than %d times", o->name,
                             (int)TL_STRINGS);
    strings->texts[strings->n++] = text;
    return TL_OK;
}

static tl_status parse_value(const tl_option *o, const char *text, tl_error *err)
{
    uint64_t whole = 0;
    tl_status status = TL_OK;
    switch (o->kind) {
    case TL_OPTION_FLAG: return TL_OK; /* never: a flag takes no value */
    case TL_OPTION_STRING:
    case TL_OPTION_STRINGS:
        if (text[0] == '\0')
            return tl_cli_misuse(err, "--%s is empty, wanted %s", o->name, o->argument);
        if (o->kind == TL_OPTION_STRINGS)
            return add_string(o, text, err);
        *(const char **)o->value = text;
        return TL_OK;
    case TL_OPTION_SIZE:
    case TL_OPTION_COUNT:
        status = parse_whole(o->name, text, o->kind == TL_OPTION_SIZE, SIZE_MAX >> 1,
                             &whole, err);
        if (status == TL_OK)
            *(size_t *)o->value = (size_t)whole;
        return status;
    case TL_OPTION_SEED:
        return parse_whole(o->name, text, 0, UINT64_MAX, o->value, err);
    case TL_OPTION_BYTES: return parse_bytes(o->name, text, o->value, err);
    case TL_OPTION_DOUBLE: {
        char *end = NULL;
        const double value = strtod(text, &end);
        if (end == text || *end != '\0' || !isfinite(value))
            return tl_cli_misuse(err, "--%s is '%s', wanted a number", o->name, text);
        *(double *)o->value = value;
        return TL_OK;
    }
    case TL_OPTION_CHOICE: return parse_choice(o, text, err);
    }
    return status;
}

/* How many letters must change to turn a into b (Levenshtein). */
static size_t distance(const char *a, const char *b)
{
    enum { LONGEST = 32 };
    size_t row[LONGEST + 1];
    const size_t n = strlen(b);
    if (n > LONGEST)
        return LONGEST;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            const size_t change = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            const size_t skip = (row[j] < diagonal ? row[j] : diagonal) + 1;
            row[j + 1] = change < skip ? change : skip;
        }
    }
    return row[n];
}

static tl_status unknown(const tl_option *options, size_t count, const char *name,
                         tl_error *err)
{
    const char *nearest = NULL;
    size_t best = 4;
    for (size_t i = 0; i < count; i++) {
        const size_t d = distance(name, options[i].name);
        if (d < best) {
            best = d;
            nearest = options[i].name;
        }
    }
    if (nearest != NULL)
        return tl_cli_misuse(err, "unknown option '--%s'; did you mean '--%s'?", name,
                             nearest);
    return tl_cli_misuse(err, "unknown option '--%s'; see --help", name);
}

static void print_help(const tl_option *options, size_t count, const char *command,
                       FILE *out)
{
    fprintf(out, "usage: twinlens %s", command);
    for (size_t i = 0; i < count; i++)
        if (options[i].required)
            fprintf(out, " --%s %s", options[i].name, options[i].argument);
    fprintf(out, " [<options>]\n\n");
    for (size_t i = 0; i < count; i++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", options[i].name,
                 options[i].argument != NULL ? " " : "",
                 options[i].argument != NULL ? options[i].argument : "");
        fprintf(out, "  %-28s %s", left, options[i].help);
        if (options[i].published != NULL)
            fprintf(out, " [published: %s]", options[i].published);
        fputc('\n', out);
    }
}

static tl_status take_published(const tl_option *options, size_t count,
                                const bool *seen, tl_error *err)
{
    bool asked = false;
    for (size_t i = 0; i < count; i++)
        asked = asked || (options[i].sets_published && seen[i]);
    tl_status status = TL_OK;
    for (size_t i = 0; i < count && asked && status == TL_OK; i++)
        if (options[i].published != NULL && !seen[i])
            status = parse_value(&options[i], options[i].published, err);
    return status;
}

tl_status tl_options_parse(const tl_option *options, size_t count, const char *command,
                           int argc, char **argv, FILE *out, bool *help, tl_error *err)
{
    bool seen[MOST_OPTIONS] = {false};
    *help = false;
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0) {
            *help = true;
            print_help(options, count, command, out);
            return TL_OK;
        }
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0 || argv[i][2] == '\0')
            return tl_cli_misuse(err, "'%s' is no option; see --help", argv[i]);
        char name[64];
        const char *equals = strchr(argv[i], '=');
        const size_t length =
            equals != NULL ? (size_t)(equals - argv[i]) - 2 : strlen(argv[i]) - 2;
        snprintf(name, sizeof name, "%.*s", (int)length, argv[i] + 2);
        size_t at = 0;
        while (at < count && strcmp(options[at].name, name) != 0)
            at++;
        if (at == count)
            return unknown(options, count, name, err);
        const tl_option *o = &options[at];
        if (seen[at] && o->kind != TL_OPTION_STRINGS)
            return tl_cli_misuse(err, "--%s is given twice", name);
        seen[at] = true;
        if (o->given != NULL)
            *o->given = true;
        if (o->kind == TL_OPTION_FLAG) {
            if (equals != NULL)
                return tl_cli_misuse(err, "--%s takes no value", name);
            *(bool *)o->value = true;
            continue;
        }
        /* A value that begins with "--" is rather the next option; "=" says it is not. */
        if (equals == NULL && (i + 1 == argc || strncmp(argv[i + 1], "--", 2) == 0))
            return tl_cli_misuse(err, "--%s wants a value, %s", name, o->argument);
        const tl_status status =
            parse_value(o, equals != NULL ? equals + 1 : argv[++i], err);
        if (status != TL_OK)
            return status;
    }
    for (size_t i = 0; i < count; i++)
        if (options[i].required && !seen[i])
            return tl_cli_misuse(err, "--%s %s is missing; see --help", options[i].name,
                                 options[i].argument);
    return take_published(options, count, seen, err);
}

tl_status tl_options_extent(const char *option, const char *text, size_t *width,
                            size_t *height, tl_error *err)
{
    char *end = NULL;
    const unsigned long w = strtoul(text, &end, 10);
    const char *second = end + 1;
    if (text[0] >= '1' && text[0] <= '9' && *end == 'x' && second[0] >= '1' &&
        second[0] <= '9') {
        const unsigned long h = strtoul(second, &end, 10);
        if (*end == '\0') {
            *width = w;
            *height = h;
            return TL_OK;
        }
    }
    return tl_cli_misuse(err, "--%s is '%s', wanted width x height: 252x252", option,
                         text);
}
