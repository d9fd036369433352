/* SPDX-License-Identifier: MIT
 * options.c - see options.h. */
#include "cli/options.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cli/nearest.h"
#include "study/setting_text.h"

/* ---- what a command takes -------------------------------------------------------- */

static const tl_choice compats[] = {{"published", 1}, {0}};
const tl_setting tl_compat_setting = {
    .name = "compat",
    .kind = TL_SETTING_CHOICE,
    .choices = compats,
    .argument = "published",
    .help = "every setting that is not given as the published program has it",
};

static bool is_compat(const tl_line_option *o)
{
    return o->setting == &tl_compat_setting;
}

size_t tl_options_list(const tl_command *command, tl_line_option out[TL_LINE_OPTIONS])
{
    size_t n = 0;
    bool any_published = false;
    for (const tl_option *o = command->options; o != NULL && o->setting.name; o++)
        out[n++] = (tl_line_option){.name = o->setting.name,
                                    .value = o->setting.value,
                                    .setting = &o->setting,
                                    .is_flag = o->is_flag,
                                    .is_list = o->is_list,
                                    .required = o->required,
                                    .given = o->given};
    for (const tl_taken *t = command->settings; t != NULL && t->name; t++) {
        const tl_setting *s = tl_settings_find(t->name);
        assert(s != NULL && n + 1 < TL_LINE_OPTIONS);
        out[n++] = (tl_line_option){.name = t->as != NULL ? t->as : s->name,
                                    .value = t->value != NULL ? t->value : s->value,
                                    .setting = s,
                                    .is_taken = true,
                                    .required = t->required,
                                    .given = t->given};
        any_published = any_published || s->published != NULL;
    }
    if (any_published)
        out[n++] = (tl_line_option){.name = tl_compat_setting.name,
                                    .setting = &tl_compat_setting};
    return n;
}

/* ---- reading --------------------------------------------------------------------- */

/* A command line under way. */
typedef struct line {
    tl_line_option options[TL_LINE_OPTIONS];
    size_t n;
    bool seen[TL_LINE_OPTIONS];
    const char *texts[TL_LINE_OPTIONS]; /* what was given; of a list the last */
} line;

static tl_status refuse_unknown(const line *l, const char *name, tl_error *err)
{
    tl_nearest nearest = tl_nearest_begin(name);
    for (size_t i = 0; i < l->n; i++)
        tl_nearest_try(&nearest, l->options[i].name);
    return nearest.name != NULL
               ? tl_cli_misuse(err, "unknown option '--%s'; did you mean '--%s'?", name,
                               nearest.name)
               : tl_cli_misuse(err, "unknown option '--%s'; see --help", name);
}

static tl_status add_text(const char *name, const char *text, tl_strings *list,
                          tl_error *err)
{
    if (list->n == TL_STRINGS)
        return tl_cli_misuse(err, "--%s is given more than %d times", name,
                             (int)TL_STRINGS);
    list->texts[list->n++] = text;
    return TL_OK;
}

/* The words of the library, with the option's name in front as it was typed. */
static tl_status read_value(const tl_line_option *o, const char *text, void *values,
                            tl_error *err)
{
    tl_setting named = *o->setting;
    const char *one = NULL;
    tl_error why = {0};
    named.name = o->name;
    if (o->is_list)
        named.offset = 0;
    if (tl_setting_read(&named, text, o->is_list ? (void *)&one : values, &why) !=
        TL_OK)
        return tl_cli_misuse(err, "--%s", why.text);
    return o->is_list
               ? add_text(o->name, text,
                          (tl_strings *)((char *)values + o->setting->offset), err)
               : TL_OK;
}

static void set_bool(void *values, size_t offset)
{
    *(bool *)((char *)values + offset) = true;
}

/* One "--name", "--name=value" or "--name value", from word *at on. */
static tl_status take_option(line *l, int argc, char **argv, int *at, void *values,
                             tl_error *err)
{
    char name[64];
    const char *word = argv[*at], *equals = strchr(word, '=');
    const size_t length =
        equals != NULL ? (size_t)(equals - word) - 2 : strlen(word) - 2;
    snprintf(name, sizeof name, "%.*s", (int)length, word + 2);
    size_t i = 0;
    while (i < l->n && strcmp(l->options[i].name, name) != 0)
        i++;
    if (i == l->n)
        return refuse_unknown(l, name, err);
    const tl_line_option *o = &l->options[i];
    if (l->seen[i] && !o->is_list)
        return tl_cli_misuse(err, "--%s is given twice", name);
    l->seen[i] = true;
    if (o->given > 0)
        set_bool(values, o->given);
    if (o->is_flag) {
        if (equals != NULL)
            return tl_cli_misuse(err, "--%s takes no value", name);
        set_bool(values, o->setting->offset);
        return TL_OK;
    }
    /* A value that begins with "--" is rather the next option; "=" says it is not. */
    if (equals == NULL && (*at + 1 == argc || strncmp(argv[*at + 1], "--", 2) == 0))
        return tl_cli_misuse(err, "--%s wants a value, %s", name, o->setting->argument);
    l->texts[i] = equals != NULL ? equals + 1 : argv[++*at];
    /* Settings are only checked here: what they come to is known when it is known
     * whether --compat is among the options. */
    tl_settings checked;
    return read_value(o, l->texts[i], o->is_taken || is_compat(o) ? &checked : values,
                      err);
}

static tl_status set_settings(const line *l, void *values, tl_error *err)
{
    bool published = false;
    tl_status status = TL_OK;
    for (size_t i = 0; i < l->n; i++)
        published = published || (is_compat(&l->options[i]) && l->seen[i]);
    for (size_t i = 0; i < l->n && status == TL_OK; i++) {
        const tl_line_option *o = &l->options[i];
        const char *text = l->texts[i];
        if (text == NULL && published)
            text = o->setting->published;
        if (text == NULL)
            text = o->value;
        if (o->is_taken && text != NULL)
            status = read_value(o, text, values, err);
    }
    return status;
}

static size_t find_option(const line *l, const char *name)
{
    size_t i = 0;
    while (i < l->n && strcmp(l->options[i].name, name) != 0)
        i++;
    assert(i < l->n);
    return i;
}

/* What is given changes something. */
static tl_status check_idle(const line *l, const tl_idle *idle, tl_error *err)
{
    for (; idle != NULL && idle->name != NULL; idle++) {
        const size_t i = find_option(l, idle->name), k = find_option(l, idle->beside);
        const char *value = l->texts[k] != NULL ? l->texts[k] : l->options[k].value;
        if (!l->seen[i])
            continue;
        if (idle->value == NULL ? l->seen[k] != idle->unless
                                : (strcmp(value, idle->value) == 0) != idle->unless)
            return tl_cli_misuse(err, "--%s changes nothing %s --%s%s%s", idle->name,
                                 idle->unless ? "without" : "beside", idle->beside,
                                 idle->value != NULL ? " " : "",
                                 idle->value != NULL ? idle->value : "");
    }
    return TL_OK;
}

tl_status tl_options_read(const tl_command *command, int argc, char **argv,
                          void *values, size_t bytes, tl_error *err)
{
    line l = {.n = 0};
    l.n = tl_options_list(command, l.options);
    memset(values, 0, bytes);
    if (command->settings != NULL)
        tl_settings_init(values);
    tl_strings *operands = command->operands != NULL
                               ? (tl_strings *)((char *)values + command->operands_at)
                               : NULL;
    tl_status status = TL_OK;
    for (size_t i = 0; i < l.n && status == TL_OK; i++)
        if (!l.options[i].is_taken && l.options[i].value != NULL)
            status = read_value(&l.options[i], l.options[i].value, values, err);
    for (int i = 0; i < argc && status == TL_OK; i++) {
        if (strncmp(argv[i], "--", 2) == 0 && argv[i][2] != '\0')
            status = take_option(&l, argc, argv, &i, values, err);
        else if (operands == NULL || argv[i][0] == '-')
            status = tl_cli_misuse(err, "'%s' is no option; see --help", argv[i]);
        else if (operands->n == TL_STRINGS)
            status = tl_cli_misuse(err, "more than %d of %s", (int)TL_STRINGS,
                                   command->operands);
        else
            operands->texts[operands->n++] = argv[i];
    }
    for (size_t i = 0; i < l.n && status == TL_OK; i++)
        if (l.options[i].required && !l.seen[i])
            status = tl_cli_misuse(err, "--%s %s is missing; see --help",
                                   l.options[i].name, l.options[i].setting->argument);
    if (status == TL_OK)
        status = check_idle(&l, command->idle, err);
    return status == TL_OK ? set_settings(&l, values, err) : status;
}

/* ---- values that need more than their text ---------------------------------------- */

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
