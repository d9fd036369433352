/* SPDX-License-Identifier: MIT
 * cmd_validate.c - `twinlens validate`: attributed scores beside the exact effects of
 * patching, on a sample of components. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/word_list.h"
#include "cli/command.h"
#include "result/observed_result.h"
#include "circuit/observed_effects.h"
#include "cli/shared_options.h"
#include "study/draw_pairs.h"
#include "study/session.h"
#include "twinlens/setting.h"
#include "twinlens/statistics.h"
#include "twinlens/validate.h"

enum { MOST_STEPS = 8, MOST_METHODS = 2 };
_Static_assert(MOST_METHODS *MOST_STEPS + 1 <= TL_OBSERVED_WAYS, "room for all ways");

typedef struct options {
    tl_settings settings;
    tl_selection selection;
    const char *steps, *methods, *rules, *fraction;
    size_t sample, prompts;
    uint64_t seed;
    bool precision_check, json;
} options;

static tl_status parse_steps(const char *text, tl_arena *arena,
                             size_t steps[MOST_STEPS], size_t *n, tl_error *err)
{
    const char *const *words = NULL;
    const tl_status status = tl_word_list_split(text, arena, &words, n, err);
    if (status != TL_OK)
        return status;
    if (*n > MOST_STEPS)
        return tl_cli_misuse(err, "--ig-steps names %zu numbers, wanted at most %d", *n,
                             MOST_STEPS);
    for (size_t i = 0; i < *n; i++) {
        char *end = NULL;
        steps[i] = strtoul(words[i], &end, 10);
        if (words[i][0] < '1' || words[i][0] > '9' || *end != '\0' || steps[i] > 1000)
            return tl_cli_misuse(
                err, "--ig-steps has '%s', wanted numbers from 1 to 1000", words[i]);
    }
    return TL_OK;
}

/* Values of the setting `name`, each at most once. */
static tl_status parse_choices(const char *name, const char *text, tl_arena *arena,
                               int values[MOST_METHODS], size_t *n, tl_error *err)
{
    const tl_setting *setting = tl_settings_find(name);
    const char *const *words = NULL;
    size_t n_words = 0;
    const tl_status status = tl_word_list_split(text, arena, &words, &n_words, err);
    if (status != TL_OK)
        return status;
    *n = 0;
    for (size_t i = 0; i < n_words; i++) {
        const tl_choice *c = setting->choices;
        while (c->name != NULL && strcmp(c->name, words[i]) != 0)
            c++;
        if (c->name == NULL)
            return tl_cli_misuse(err, "--%s has '%s', wanted some of %s", name,
                                 words[i], setting->argument);
        for (size_t k = 0; k < *n; k++)
            if (values[k] == c->value)
                return tl_cli_misuse(err, "--%s names '%s' twice", name, words[i]);
        values[(*n)++] = c->value;
    }
    return TL_OK;
}

/* Every rule with every number of steps, and what has no steps. */
static tl_status parse_ways(const options *o, tl_arena *arena, tl_observed_effects *out,
                            tl_error *err)
{
    size_t steps[MOST_STEPS], n_steps = 0, n_methods = 0, n_rules = 0;
    int methods[MOST_METHODS], rules[MOST_METHODS];
    tl_status status = parse_steps(o->steps, arena, steps, &n_steps, err);
    if (status == TL_OK)
        status = parse_choices("method", o->methods, arena, methods, &n_methods, err);
    if (status == TL_OK)
        status = parse_choices("ig-rule", o->rules, arena, rules, &n_rules, err);
    if (status != TL_OK)
        return status;
    for (size_t m = 0; m < n_methods; m++) {
        if (methods[m] == TL_METHOD_RELP) {
            out->ways[out->n_ways++] =
                (tl_attribution_options){.method = TL_METHOD_RELP};
            continue;
        }
        for (size_t i = 0; i < n_rules * n_steps; i++)
            out->ways[out->n_ways++] =
                (tl_attribution_options){.ig_rule = (tl_ig_rule)rules[i / n_steps],
                                         .ig_steps = steps[i % n_steps],
                                         .ig_path = (tl_ig_path)o->settings.ig_path};
    }
    return TL_OK;
}

/* ---- two precisions -------------------------------------------------------------- */

/* The session's model beside itself in f32. */
static tl_status check_precision(tl_session *s, const options *o, FILE *out,
                                 tl_error *err)
{
    const char *precision =
        tl_choice_name(tl_settings_find("precision")->choices, s->settings.precision);
    tl_precision_options how = {.attribution = tl_settings_attribution(&s->settings, 0),
                                .memory_budget = s->settings.memory};
    tl_precision_check check;
    tl_pair *pairs = NULL;
    size_t n = 0;
    tl_selection selection = o->selection;
    selection.usual = TL_DISCOVERY;
    if (s->settings.precision == TL_PRECISION_F32)
        return tl_cli_misuse(err, "--precision-check compares a precision with f32; "
                                  "wanted --precision bf16 or bf16-emulated as well");
    tl_status status = tl_fraction_parse(o->fraction, &how.fraction, err);
    status = tl_fail_while(err, status, "--fraction");
    if (status == TL_OK)
        status = tl_session_pairs(s, &selection, "validate", &pairs, &n, err);
    if (status == TL_OK)
        status = tl_precision_compare(s->model, pairs, n < o->prompts ? n : o->prompts,
                                      &how, &check, err);
    return status == TL_OK ? tl_print_precision_check(&check, precision, o->fraction,
                                                      o->json, out, err)
                           : status;
}

/* Moves those pairs to the front that are drawn, over all answers, as a study draws them. */
static tl_status draw_prompts(const options *o, tl_arena *arena, tl_pair *pairs,
                              tl_observed_effects *r, tl_error *err)
{
    size_t *n = &r->n_prompts;
    int32_t *answers = tl_arena_alloc(arena, *n, sizeof *answers);
    size_t *chosen = tl_arena_alloc(arena, *n, sizeof *chosen);
    if (answers == NULL || chosen == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu prompts", *n);
    for (size_t i = 0; i < *n; i++)
        answers[i] = pairs[i].answer;
    const tl_status status =
        tl_draw_pairs(answers, *n, o->prompts, 0,
                      o->seed + (uint64_t)o->selection.modality, chosen, n, err);
    for (size_t i = 0; i < *n && status == TL_OK; i++)
        pairs[i] = pairs[chosen[i]]; /* ascending, so none is lost */
    r->places = chosen;
    return status;
}

static tl_status validate(tl_session *s, const void *options_given, FILE *out,
                          tl_error *err)
{
    const options *o = options_given;
    tl_observed_effects r = {0};
    tl_pair *pairs = NULL;
    tl_selection selection = o->selection;
    selection.usual = TL_DISCOVERY;
    s->settings.seed = o->seed;
    if (o->precision_check)
        return check_precision(s, o, out, err);
    tl_status status = parse_ways(o, s->arena, &r, err);
    if (status == TL_OK)
        status = tl_session_pairs(s, &selection, "validate", &pairs, &r.n_prompts, err);
    if (status == TL_OK)
        status = draw_prompts(o, s->arena, pairs, &r, err);
    if (status != TL_OK)
        return status;
    r.seed = o->seed;
    status = tl_observe_effects(s->model, s->settings.memory, pairs, o->sample,
                                s->arena, &r, err);
    return status == TL_OK
               ? tl_print_observed(s->model, &r, o->json, s->arena, out, err)
               : status;
}

static const tl_taken settings[] = {TL_TAKEN_MODEL,     TL_TAKEN_DATASET,
                                    {.name = "rope"},   {.name = "ig-path"},
                                    {.name = "length"}, {0}};
static const tl_option own[] = {
    TL_OPTIONS_SELECTION(options, TL_USUAL_DISCOVERY),
    {.setting = {.name = "ig-steps",
                 .kind = TL_SETTING_TEXT,
                 .offset = offsetof(options, steps),
                 .value = "1,5,20",
                 .argument = "M,N",
                 .help = "interpolation steps to judge"}},
    {.setting = {.name = "method",
                 .kind = TL_SETTING_TEXT,
                 .offset = offsetof(options, methods),
                 .value = "ig,relp",
                 .argument = "A,B",
                 .help = "methods to judge: ig, relp"}},
    {.setting = {.name = "ig-rule",
                 .kind = TL_SETTING_TEXT,
                 .offset = offsetof(options, rules),
                 .value = "right,midpoint",
                 .argument = "A,B",
                 .help = "rules of ig's steps to judge: right, midpoint"}},
    {.setting =
         {.name = "sample",
          .kind = TL_SETTING_COUNT,
          .offset = offsetof(options, sample),
          .least = 1,
          .most = 1000000,
          .value = "24",
          .argument = "N",
          .help = "heads, and as many neurons, a prompt: of the largest scores by each "
                  "way that is judged, and of all"}},
    {.setting = {.name = "prompts",
                 .kind = TL_SETTING_COUNT,
                 .offset = offsetof(options, prompts),
                 .least = 1,
                 .most = 1000000,
                 .value = "8",
                 .argument = "N",
                 .help = "so many pairs of prompts, drawn over all answers"}},
    {.setting = {.name = "seed",
                 .kind = TL_SETTING_SEED,
                 .offset = offsetof(options, seed),
                 .value = "42",
                 .argument = "S",
                 .help =
                     "of the sample; given, also of counterfactuals where rows name "
                     "none"},
     .given = offsetof(options, selection.draws)},
    {.setting = {.name = "precision-check",
                 .offset = offsetof(options, precision_check),
                 .help = "instead: what --precision makes of scores, circuits and "
                         "faithfulness, beside f32"},
     .is_flag = true},
    {.setting = {.name = "fraction",
                 .kind = TL_SETTING_TEXT,
                 .offset = offsetof(options, fraction),
                 .value = "0.05",
                 .argument = "P",
                 .help = "the size of the circuits of --precision-check"}},
    TL_OPTION_JSON(options, "with every component that was patched"),
    TL_OPTIONS_END};

static const tl_idle idle[] = {
    TL_IDLE_SELECTION,
    {.name = "ig-steps", .beside = "precision-check"},
    {.name = "ig-rule", .beside = "precision-check"},
    {.name = "method", .beside = "precision-check"},
    {.name = "sample", .beside = "precision-check"},
    {.name = "fraction", .beside = "precision-check", .unless = true},
    {.name = "ig-steps", .beside = "method", .value = "relp"},
    {.name = "ig-rule", .beside = "method", .value = "relp"},
    {0}};

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    options o;
    return tl_session_command(&tl_command_validate, argc, argv, out, &o, sizeof o,
                              validate, err);
}

const tl_command tl_command_validate = {
    .name = "validate",
    .summary = "attributed scores beside the exact effects of patching",
    .settings = settings,
    .options = own,
    .idle = idle,
    .run = run,
};
