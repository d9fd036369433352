/* SPDX-License-Identifier: MIT
 *
 * cmd_study.c - `twinlens study`: the command line of the main job, and what is
 * printed at its end.
 */
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/command.h"
#include "mpi/mpi.h"
#include "cli/progress_line.h"
#include "cli/shared_options.h"
#include "twinlens/log.h"
#include "twinlens/report.h"

typedef struct options {
    tl_settings settings;
    tl_strings datasets;
    const char *out;
    bool json;
} options;

/* clang-format off */
static const tl_taken settings[] = {TL_TAKEN_MODEL,          {.name = "modality"},
                                    TL_TAKEN_DRAWING(0),     TL_TAKEN_ATTRIBUTION,
                                    {.name = "grid"},        {.name = "fractions"},
                                    {.name = "pct"},         {.name = "faith"},
                                    {.name = "ablate"},      {.name = "threshold"},
                                    {.name = "pictures"},    {.name = "circuit-tests"},
                                    {.name = "validate"},    {.name = "rand-match"},
                                    {.name = "rand-draws"},  {.name = "niou"},
                                    {.name = "inter-rand"},  {.name = "inter-draws"},
                                    {.name = "align"},       {.name = "bp-filter"},
                                    {.name = "bp-repeat"},   {.name = "iter-labels"},
                                    {.name = "bp-grid"},     {.name = "bp-search"},
                                    {0}};
/* clang-format on */
static const tl_option own[] = {
    {.setting =
         {.name = "dataset",
          .kind = TL_SETTING_TEXT,
          .offset = offsetof(options, datasets),
          .argument = "DIR",
          .help =
              "a dataset folder, or its dataset.jsonl; several make several studies"},
     .is_list = true,
     .required = true},
    {.setting = {.name = "out",
                 .kind = TL_SETTING_TEXT,
                 .offset = offsetof(options, out),
                 .argument = "RUN",
                 .help = "study folder; a study that is there goes on. Of several: "
                         "RUN/NAME, where "
                         "NAME is that of the dataset's folder"},
     .required = true},
    TL_OPTION_JSON(options, "print the summary as JSON"),
    TL_OPTIONS_END};

static const tl_idle idle[] = {
    TL_IDLE_METHOD,
    {.name = "acc", .beside = "keep", .value = "correct", .unless = true},
    {.name = "grid", .beside = "fractions"},
    {0}};

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
static tl_status name_runs(const options *o, tl_arena *arena, const char **runs,
                           tl_error *err)
{
    for (size_t i = 0; i < o->datasets.n; i++) {
        const char *name = dataset_name(o->datasets.texts[i], arena);
        runs[i] = o->datasets.n == 1 ? o->out
                  : name != NULL     ? tl_path_join(arena, o->out, name)
                                     : NULL;
        if (runs[i] == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
        for (size_t k = 0; k < i; k++)
            if (strcmp(runs[k], runs[i]) == 0)
                return tl_cli_misuse(err,
                                     "two datasets are called '%s': %s and %s; wanted "
                                     "folders of different names",
                                     name, o->datasets.texts[k], o->datasets.texts[i]);
    }
    return TL_OK;
}

/* ---- the command ------------------------------------------------------------------- */

/* One of several datasets may fail for itself: the others are studied, and it is said. The
 * same failure twice is not of the dataset. Ranks that failed do not know of each other. */
static bool goes_on(const options *o, const tl_team *team, const tl_error *failed,
                    const tl_error *before)
{
    return o->datasets.n > 1 && team->n_ranks <= 1 &&
           failed->status != TL_ERR_ARGUMENT && strcmp(failed->text, before->text) != 0;
}

/* Rank 0 speaks for all. runs[*n] receives those that are finished. */
static tl_status study_all(const options *o, const char **runs, size_t *n,
                           const tl_team *team, tl_error *err)
{
    const bool is_terminal = isatty(STDERR_FILENO) == 1, speaks = team->rank == 0;
    tl_settings one = o->settings;
    tl_error before = {0};
    tl_status status = TL_OK, first = TL_OK;
    *n = 0;
    if (!speaks)
        tl_log_set(NULL, NULL);
    if (team->n_here > 1 && one.threads == 0)
        one.threads = tl_mpi_threads(team);
    for (size_t i = 0; i < o->datasets.n && status == TL_OK; i++) {
        tl_progress_line line;
        one.dataset = o->datasets.texts[i];
        one.out = runs[i];
        if (o->datasets.n > 1 && speaks)
            fprintf(stderr, "== %s\n", runs[i]);
        tl_progress_line_init(&line, stderr, is_terminal, NULL, NULL);
        status = tl_study_run_team(&one, team, speaks ? tl_progress_line_report : NULL,
                                   &line, err);
        if (speaks)
            tl_progress_line_clear(&line);
        if (status == TL_OK) {
            runs[(*n)++] = runs[i];
        } else if (goes_on(o, team, err, &before)) {
            fprintf(stderr, "twinlens: not studied: %s\n", err->text);
            first = first == TL_OK ? status : first;
            before = *err;
            status = TL_OK;
        }
    }
    return status != TL_OK || first == TL_OK
               ? status
               : tl_fail(err, first, "%zu of %zu datasets were not studied, see above",
                         o->datasets.n - *n, o->datasets.n);
}

/* A finished study keeps its page until a stage is run again. */
static tl_status write_report(const options *o, const char *const *runs, size_t n,
                              tl_arena *arena, tl_error *err)
{
    const char *page = tl_path_join(arena, o->out, "report.html");
    if (page == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
    return o->datasets.n == 1 && tl_file_exists(page)
               ? TL_OK
               : tl_report_write(runs, n, page, err);
}

static tl_status print(const options *o, const char *const *runs, size_t n, FILE *out,
                       tl_error *err)
{
    if (o->datasets.n > 1)
        return tl_summary_table(runs, n, out, err);
    return o->json ? tl_summary_json(runs[0], out, err)
                   : tl_summary_print(runs[0], out, err);
}

static tl_status run_as(const tl_team *team, int argc, char **argv, FILE *out,
                        tl_error *err)
{
    options o;
    const char *runs[TL_STRINGS];
    size_t n = 0;
    tl_status status =
        tl_options_read(&tl_command_study, argc, argv, &o, sizeof o, err);
    if (status != TL_OK)
        return status;
    if (o.json && o.datasets.n > 1)
        return tl_cli_misuse(err, "--json is for one dataset at a time");
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the options");
    status = name_runs(&o, arena, runs, err);
    if (status == TL_OK)
        status = study_all(&o, runs, &n, team, err);
    if (n > 0 && (status == TL_OK || o.datasets.n > 1) && team->rank == 0) {
        tl_error told = {0};
        tl_status said = write_report(&o, runs, n, arena, &told);
        if (said == TL_OK)
            said = print(&o, runs, n, out, &told);
        if (status == TL_OK && said != TL_OK)
            status = tl_fail(err, said, "%s", told.text);
    }
    tl_arena_destroy(arena);
    return status;
}

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    tl_team team;
    tl_status status = tl_mpi_begin(&team, err);
    if (status == TL_OK)
        status = run_as(&team, argc, argv, out, err);
    tl_mpi_end(&team, status);
    return status;
}

const tl_command tl_command_study = {
    .name = "study",
    .summary = "the main job: from a model and datasets to circuits and a report",
    .settings = settings,
    .options = own,
    .idle = idle,
    .run = run,
};
