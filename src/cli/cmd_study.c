/* SPDX-License-Identifier: MIT
 *
 * cmd_study.c - `twinlens study`: the command line of the main job, and what is
 * printed at its end.
 */
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/progress_line.h"
#include "cli/shared_options.h"
#include "twinlens/report.h"

/* What the table leaves as numbers and words. */
typedef struct choices {
    tl_strings datasets;
    const char *out;
    bool grid_given;
    bool json, help;
} choices;

static tl_status parse(int argc, char **argv, FILE *out, tl_settings *o, choices *c,
                       tl_error *err)
{
    const tl_option options[] = {
        TL_OPTIONS_MODEL(*o),
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
         .value = &o->modality,
         .argument = "text|image|both",
         .help = "what to study (what the dataset has)",
         .choices = tl_study_modality_choices},
        {.name = "acc",
         .kind = TL_OPTION_CHOICE,
         .value = &o->accuracy,
         .argument = "limited|full",
         .help = "right among the labels, or in the whole vocabulary (limited)",
         .choices = tl_accuracy_choices},
        {.name = "keep",
         .kind = TL_OPTION_CHOICE,
         .value = &o->keep,
         .argument = "correct|all|stored",
         .help = "rows to study: right now, all, or right by the dataset's 'predicted' "
                 "(correct)",
         .choices = tl_keep_choices},
        {.name = "prompts",
         .kind = TL_OPTION_SIZE,
         .value = &o->prompts,
         .argument = "N",
         .help = "rows to study of each modality (250, or all if they are fewer)"},
        {.name = "seed",
         .kind = TL_OPTION_SEED,
         .value = &o->seed,
         .argument = "N",
         .help = "of split, counterfactuals and random circuits (42)"},
        TL_OPTIONS_ROPE(*o),
        TL_OPTIONS_ATTRIBUTION(*o),
        {.name = "metric",
         .kind = TL_OPTION_CHOICE,
         .value = &o->metric,
         .argument = "ld",
         .help = "the logit difference (ld)",
         .choices = tl_metric_choices},
        {.name = "grid",
         .kind = TL_OPTION_CHOICE,
         .value = &o->grid,
         .argument = "ref|paper",
         .help = "27 or 102 circuit sizes (ref)",
         .choices = tl_grid_choices,
         .given = &c->grid_given},
        {.name = "fractions",
         .kind = TL_OPTION_STRING,
         .value = &o->fractions,
         .argument = "A,B,...",
         .help = "circuit sizes instead of a grid: 0.01,0.05"},
        {.name = "pct",
         .kind = TL_OPTION_CHOICE,
         .value = &o->rounding,
         .argument = "exact|f32",
         .help = "how sizes are rounded (exact)",
         .choices = tl_rounding_choices,
         .published = "f32"},
        {.name = "faith",
         .kind = TL_OPTION_CHOICE,
         .value = &o->faith,
         .argument = "HOW",
         .help = "what chooses the circuit: mean_ratio or ratio_mean (mean_ratio)",
         .choices = tl_faith_choices},
        {.name = "threshold",
         .kind = TL_OPTION_DOUBLE,
         .value = &o->threshold,
         .argument = "F",
         .help = "what the smallest circuit's faithfulness exceeds (0.8)"},
        {.name = "pictures",
         .kind = TL_OPTION_COUNT,
         .value = &o->pictures,
         .argument = "N",
         .help = "image prompts kept for the report, each with its own scores (4)"},
        {.name = "validate",
         .kind = TL_OPTION_COUNT,
         .value = &o->validate,
         .argument = "N",
         .help = "prompts of each modality on which attribution is compared with exact "
                 "patching (4)"},
        TL_OPTIONS_OVERLAP(*o),
        TL_OPTIONS_INTERCHANGE(*o, "inter-draws"),
        TL_OPTIONS_ALIGN(*o),
        TL_OPTIONS_BP_FILTER(*o),
        TL_OPTIONS_BP_REPEAT(*o),
        TL_OPTIONS_ITER_LABELS(*o),
        {.name = "bp-grid",
         .kind = TL_OPTION_CHOICE,
         .value = &o->bp_grid,
         .argument = "triangle|paper|none",
         .help =
             "back-patching into all layers below the source, or from the upper half "
             "into the lower, or none (triangle)",
         .choices = tl_bp_grid_choices},
        {.name = "json",
         .kind = TL_OPTION_FLAG,
         .value = &c->json,
         .help = "print the summary as JSON"},
    };
    return tl_options_parse(options, sizeof options / sizeof *options, "study", argc,
                            argv, out, &c->help, err);
}

static tl_status make_settings(int argc, char **argv, FILE *out, tl_settings *o,
                               choices *c, tl_error *err)
{
    tl_settings_init(o);
    *c = (choices){0};
    const tl_status status = parse(argc, argv, out, o, c, err);
    return status == TL_OK && o->fractions != NULL && c->grid_given
               ? tl_cli_misuse(err, "--grid and --fractions exclude each other")
               : status;
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

static tl_status study_all(tl_settings *settings, const choices *c,
                           const char *const *runs, tl_error *err)
{
    const bool is_terminal = isatty(STDERR_FILENO) == 1;
    tl_status status = TL_OK;
    for (size_t i = 0; i < c->datasets.n && status == TL_OK; i++) {
        tl_progress_line line;
        settings->dataset = c->datasets.texts[i];
        settings->out = runs[i];
        if (c->datasets.n > 1)
            fprintf(stderr, "== %s\n", runs[i]);
        tl_progress_line_init(&line, stderr, is_terminal, NULL, NULL);
        status = tl_study_run(settings, tl_progress_line_report, &line, err);
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
    tl_settings settings;
    choices chosen;
    const char *runs[TL_STRINGS];
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the options");
    tl_status status = make_settings(argc, argv, out, &settings, &chosen, err);
    if (status == TL_OK && !chosen.help) {
        if (chosen.json && chosen.datasets.n > 1)
            status = tl_cli_misuse(err, "--json is for one dataset at a time");
        if (status == TL_OK)
            status = name_runs(&chosen, arena, runs, err);
        if (status == TL_OK)
            status = study_all(&settings, &chosen, runs, err);
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
