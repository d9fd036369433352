/* SPDX-License-Identifier: MIT
 *
 * cmd_study.c - `twinlens study`: the command line of the main job, and what is
 * printed at its end.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/backend.h"
#include "base/file.h"
#include "base/word_list.h"
#include "cli/cli.h"
#include "study/grid.h"
#include "cli/progress_line.h"
#include "cli/shared_options.h"
#include "study/study.h"
#include "twinlens/report.h"

/* Fractions that were written by hand: numbers, each larger than the one before. */
static tl_status read_fractions(const char *text, tl_arena *arena,
                                const char *const **out, size_t *count, tl_error *err)
{
    tl_status status = tl_word_list_split(text, arena, out, count, err);
    double last = -1.0;
    for (size_t i = 0; status == TL_OK && i < *count; i++) {
        tl_error why = {0};
        tl_fraction fraction = {0, 1};
        if (tl_fraction_parse((*out)[i], &fraction, &why) != TL_OK)
            return tl_cli_misuse(err, "--fractions: %s", why.text);
        if (tl_fraction_value(fraction) <= last)
            return tl_cli_misuse(
                err,
                "--fractions: %s comes after a larger or equal one, wanted them "
                "ascending",
                (*out)[i]);
        last = tl_fraction_value(fraction);
    }
    return status;
}

enum { KEEP_CORRECT, KEEP_ALL, KEEP_STORED };

static const tl_choice modalities[] = {
    {"text", TL_TEXT}, {"image", TL_IMAGE}, {"both", TL_MODALITY_COUNT}, {0}};
static const tl_choice keeps[] = {
    {"correct", KEEP_CORRECT}, {"all", KEEP_ALL}, {"stored", KEEP_STORED}, {0}};
static const tl_choice accuracies[] = {
    {"limited", TL_KEEP_LIMITED}, {"full", TL_KEEP_FULL}, {0}};
static const tl_choice faiths[] = {
    {"mean_ratio", TL_FAITH_MEAN_RATIO}, {"ratio_mean", TL_FAITH_RATIO_MEAN}, {0}};
static const tl_choice bp_grids[] = {
    {"triangle", TL_BP_TRIANGLE}, {"paper", TL_BP_PAPER}, {"none", TL_BP_NONE}, {0}};
static const tl_choice metrics[] = {{"ld", 0}, {0}};

/* What the table leaves as numbers and words. */
typedef struct choices {
    tl_attribution_flags attribution;
    tl_strings datasets;
    const char *out;
    int modality, accuracy, keep, grid, rounding, faith, metric, bp_grid;
    bool grid_given;
    const char *fractions;
    bool json, help;
} choices;

static tl_status parse(int argc, char **argv, FILE *out, tl_study_options *o,
                       choices *c, tl_error *err)
{
    const tl_option options[] = {
        TL_OPTIONS_MODEL(o->session),
        {.name = "dataset",
         .kind = TL_OPTION_STRINGS,
         .value = &c->datasets,
         .argument = "DIR",
         .help = "a dataset folder, or its dataset.jsonl; several make several studies",
         .required = true},
        {.name = "out",
         .kind = TL_OPTION_STRING,
         .value = &c->out,
         .argument = "RUN",
         .help =
             "study folder; a study that is there goes on. Of several: RUN/NAME, where "
             "NAME is that of the dataset's folder",
         .required = true},
        {.name = "modality",
         .kind = TL_OPTION_CHOICE,
         .value = &c->modality,
         .argument = "text|image|both",
         .help = "what to study (what the dataset has)",
         .choices = modalities},
        {.name = "acc",
         .kind = TL_OPTION_CHOICE,
         .value = &c->accuracy,
         .argument = "limited|full",
         .help = "right among the labels, or in the whole vocabulary (limited)",
         .choices = accuracies},
        {.name = "keep",
         .kind = TL_OPTION_CHOICE,
         .value = &c->keep,
         .argument = "correct|all|stored",
         .help = "rows to study: right now, all, or right by the dataset's 'predicted' "
                 "(correct)",
         .choices = keeps},
        {.name = "prompts",
         .kind = TL_OPTION_SIZE,
         .value = &o->n_prompts,
         .argument = "N",
         .help = "rows to study of each modality (250, or all if they are fewer)"},
        {.name = "seed",
         .kind = TL_OPTION_SEED,
         .value = &o->seed,
         .argument = "N",
         .help = "of split, counterfactuals and random circuits (42)"},
        TL_OPTIONS_ROPE(o->session),
        TL_OPTIONS_ATTRIBUTION(c->attribution),
        {.name = "metric",
         .kind = TL_OPTION_CHOICE,
         .value = &c->metric,
         .argument = "ld",
         .help = "the logit difference (ld)",
         .choices = metrics},
        {.name = "grid",
         .kind = TL_OPTION_CHOICE,
         .value = &c->grid,
         .argument = "ref|paper",
         .help = "27 or 102 circuit sizes (ref)",
         .choices = tl_grid_choices,
         .given = &c->grid_given},
        {.name = "fractions",
         .kind = TL_OPTION_STRING,
         .value = &c->fractions,
         .argument = "A,B,...",
         .help = "circuit sizes instead of a grid: 0.01,0.05"},
        {.name = "pct",
         .kind = TL_OPTION_CHOICE,
         .value = &c->rounding,
         .argument = "exact|f32",
         .help = "how sizes are rounded (exact)",
         .choices = tl_rounding_choices,
         .published = "f32"},
        {.name = "faith",
         .kind = TL_OPTION_CHOICE,
         .value = &c->faith,
         .argument = "HOW",
         .help = "what chooses the circuit: mean_ratio or ratio_mean (mean_ratio)",
         .choices = faiths},
        {.name = "threshold",
         .kind = TL_OPTION_DOUBLE,
         .value = &o->threshold,
         .argument = "F",
         .help = "what the smallest circuit's faithfulness exceeds (0.8)"},
        {.name = "pictures",
         .kind = TL_OPTION_COUNT,
         .value = &o->n_pictures,
         .argument = "N",
         .help = "image prompts kept for the report, each with its own scores (4)"},
        {.name = "validate",
         .kind = TL_OPTION_COUNT,
         .value = &o->n_validated,
         .argument = "N",
         .help = "prompts of each modality on which attribution is compared with exact "
                 "patching (4)"},
        TL_OPTIONS_OVERLAP(o->overlap),
        TL_OPTIONS_INTERCHANGE(o->interchange, "inter-draws"),
        TL_OPTIONS_ALIGN(o->probe),
        TL_OPTIONS_BP_FILTER(o->probe),
        TL_OPTIONS_BP_REPEAT(o->probe),
        TL_OPTIONS_ITER_LABELS(o->probe),
        {.name = "bp-grid",
         .kind = TL_OPTION_CHOICE,
         .value = &c->bp_grid,
         .argument = "triangle|paper|none",
         .help =
             "back-patching into all layers below the source, or from the upper half "
             "into the lower, or none (triangle)",
         .choices = bp_grids},
        {.name = "json",
         .kind = TL_OPTION_FLAG,
         .value = &c->json,
         .help = "print the summary as JSON"},
    };
    return tl_options_parse(options, sizeof options / sizeof *options, "study", argc,
                            argv, out, &c->help, err);
}

static tl_status make_options(int argc, char **argv, FILE *out, tl_arena *arena,
                              tl_study_options *o, choices *c, tl_error *err)
{
    *o = (tl_study_options){.seed = TL_SPLIT_SEED,
                            .threshold = 0.8,
                            .n_pictures = TL_STUDY_PICTURES,
                            .n_validated = TL_STUDY_VALIDATED,
                            .overlap = TL_OVERLAP_DEFAULTS,
                            .interchange = TL_INTERCHANGE_DEFAULTS};
    *c = (choices){.modality = TL_MODALITY_COUNT, .attribution = {.ig_steps = 5}};
    const tl_status status = parse(argc, argv, out, o, c, err);
    if (status != TL_OK || c->help)
        return status;
    if (c->fractions != NULL && c->grid_given)
        return tl_cli_misuse(err, "--grid and --fractions exclude each other");
    if (o->session.backend == NULL)
        o->session.backend = getenv("TWINLENS_BACKEND");
    if (o->session.backend == NULL || o->session.backend[0] == '\0')
        o->session.backend = tl_backend_default();
    for (int m = 0; m < TL_MODALITY_COUNT; m++)
        o->modalities[m] = c->modality == m;
    o->keep = c->keep == KEEP_ALL      ? TL_KEEP_ALL
              : c->keep == KEEP_STORED ? TL_KEEP_STORED
                                       : (tl_study_keep)c->accuracy;
    o->attribution = tl_attribution_flags_resolve(&c->attribution);
    o->rounding = (tl_fraction_rounding)c->rounding;
    o->faith = (tl_study_faith)c->faith;
    o->bp_grid = (tl_bp_grid)c->bp_grid;
    return c->fractions != NULL
               ? read_fractions(c->fractions, arena, &o->fractions, &o->n_fractions,
                                err)
               : tl_grid_fractions((tl_grid)c->grid, arena, &o->fractions,
                                   &o->n_fractions, err);
}

/* ---- where the studies go ---------------------------------------------------------- */

/* "data/counting/" and "data/counting/dataset.jsonl" are both called "counting". */
static const char *dataset_name(const char *path, tl_arena *arena)
{
    static const char file[] = "dataset.jsonl";
    char *name = tl_arena_strdup(arena, path);
    if (name == NULL)
        return NULL;
    size_t n = strlen(name);
    if (n >= sizeof file && strcmp(name + n - (sizeof file - 1), file) == 0)
        n -= sizeof file - 1;
    while (n > 1 && name[n - 1] == '/')
        n--;
    name[n] = '\0';
    const char *slash = strrchr(name, '/');
    return slash != NULL && slash[1] != '\0' ? slash + 1 : name;
}

/* The folder of each study; two of one name are refused. */
static tl_status name_runs(const choices *c, tl_arena *arena, const char **runs,
                           tl_error *err)
{
    for (size_t i = 0; i < c->datasets.n; i++) {
        const char *name = dataset_name(c->datasets.texts[i], arena);
        runs[i] = c->datasets.n == 1 ? c->out
                  : name != NULL     ? tl_path_join(arena, c->out, name)
                                     : NULL;
        if (runs[i] == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
        for (size_t k = 0; k < i; k++)
            if (strcmp(runs[k], runs[i]) == 0)
                return tl_cli_misuse(err,
                                     "two datasets are called '%s': %s and %s; wanted "
                                     "folders of different names",
                                     name, c->datasets.texts[k], c->datasets.texts[i]);
    }
    return TL_OK;
}

/* ---- the command ------------------------------------------------------------------- */

static tl_status study_all(tl_study_options *options, const choices *c,
                           const char *const *runs, tl_error *err)
{
    const bool is_terminal = isatty(STDERR_FILENO) == 1;
    tl_status status = TL_OK;
    for (size_t i = 0; i < c->datasets.n && status == TL_OK; i++) {
        tl_progress_line line;
        options->session.dataset = c->datasets.texts[i];
        options->out = runs[i];
        if (c->datasets.n > 1)
            fprintf(stderr, "== %s\n", runs[i]);
        tl_progress_line_init(&line, stderr, is_terminal, NULL, NULL);
        status = tl_study_run(options, tl_progress_line_report, &line, err);
        tl_progress_line_clear(&line);
    }
    return status;
}

/* A finished study keeps its page until a stage is run again. */
static tl_status write_report(const choices *c, const char *const *runs,
                              tl_arena *arena, tl_error *err)
{
    const char *page = tl_path_join(arena, c->out, "report.html");
    if (page == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
    return c->datasets.n == 1 && tl_file_exists(page)
               ? TL_OK
               : tl_report_write(runs, c->datasets.n, page, err);
}

static tl_status print(const choices *c, const char *const *runs, FILE *out,
                       tl_error *err)
{
    if (c->datasets.n > 1)
        return tl_summary_table(runs, c->datasets.n, out, err);
    return c->json ? tl_summary_json(runs[0], out, err)
                   : tl_summary_print(runs[0], out, err);
}

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    tl_study_options options;
    choices chosen;
    const char *runs[TL_STRINGS];
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the options");
    tl_status status = make_options(argc, argv, out, arena, &options, &chosen, err);
    if (status == TL_OK && !chosen.help) {
        if (chosen.json && chosen.datasets.n > 1)
            status = tl_cli_misuse(err, "--json is for one dataset at a time");
        if (status == TL_OK)
            status = name_runs(&chosen, arena, runs, err);
        if (status == TL_OK)
            status = study_all(&options, &chosen, runs, err);
        if (status == TL_OK)
            status = write_report(&chosen, runs, arena, err);
        if (status == TL_OK)
            status = print(&chosen, runs, out, err);
    }
    tl_arena_destroy(arena);
    return status;
}

const tl_command tl_command_study = {
    .name = "study",
    .summary = "the main job: from a model and datasets to circuits and a report",
    .run = run,
};
