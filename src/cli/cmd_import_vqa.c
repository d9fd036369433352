/* SPDX-License-Identifier: MIT
 * cmd_import_vqa.c - `twinlens task import-vqa`: questions about pictures, without text. */
#include "cli/options.h"
#include "task/length_count.h"
#include "task/vqa_dataset.h"

typedef struct options {
    tl_vqa_source source;
    int sample;
    const char *folder, *model;
    bool force;
} options;

static const tl_choice samples[] = {{"first", false}, {"random", true}, {0}};

static const tl_option own[] = {
    TL_OPTION_TEXT(options, source.questions, false, "questions", "FILE",
                   "the questions of VQAv2, JSON; with --annotations and --images"),
    TL_OPTION_TEXT(options, source.annotations, false, "annotations", "FILE",
                   "their answers, JSON"),
    TL_OPTION_TEXT(options, source.table, false, "table", "FILE",
                   "instead of both: a CSV file or lines of JSON with 'image', "
                   "'question' and 'answer'"),
    TL_OPTION_TEXT(options, source.pictures, false, "images", "DIR",
                   "the folder of the pictures; of a table its own, if not given"),
    TL_OPTION_CHOICE(options, sample, samples, "first", "sample", "first|random",
                     "which prompts of more than --n"),
    TL_OPTION_COUNT(options, source.n, 1000000000, "3000", "n", "N",
                    "prompts, or all if fewer"),
    {.setting = {.name = "seed",
                 .kind = TL_SETTING_SEED,
                 .offset = offsetof(options, source.seed),
                 .value = "42",
                 .argument = "S",
                 .help = "of a random sample"}},
    TL_OPTION_TEXT(options, model, true, "model", "DIR",
                   "a model folder, without need of weights: answers are cut to its "
                   "tokens"),
    TL_OPTION_TEXT(options, folder, true, "out", "DIR",
                   "the dataset's folder, new or empty"),
    TL_OPTION_FORCE(options),
    TL_OPTIONS_END};
static const tl_idle idle[] = {{.name = "questions", .beside = "table"},
                               {.name = "annotations", .beside = "table"},
                               {.name = "seed", .beside = "sample", .value = "first"},
                               {0}};

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    options o;
    tl_vqa_report r = {0};
    tl_processor *processor = NULL;
    tl_status status = tl_options_read(&tl_command_vqa, argc, argv, &o, sizeof o, err);
    if (status == TL_OK && o.source.table == NULL &&
        (!o.source.questions || !o.source.annotations || !o.source.pictures))
        status =
            tl_cli_misuse(err, "wanted --questions, --annotations and --images, or "
                               "--table; see --help");
    if (status == TL_OK)
        status = tl_processor_open(o.model, 0, &processor, err);
    if (status != TL_OK)
        return status;
    o.source.is_random = o.sample != 0;
    o.source.tokenizer = tl_processor_tokenizer(processor);
    status = tl_vqa_import(&o.source, o.folder, o.force, &r, err);
    if (status == TL_OK)
        fprintf(out,
                "%s: %zu of %zu questions, which are about %zu pictures or lines; %zu "
                "labels\n",
                o.folder, r.n, r.n_all, r.n_usable, r.n_labels);
    if (status == TL_OK)
        status = tl_length_count_print(o.folder, processor, out, err);
    tl_processor_close(processor);
    return status;
}

const tl_command tl_command_vqa = {
    .name = "task import-vqa",
    .summary = "make a dataset of VQAv2, or of a table of pictures and questions",
    .options = own,
    .idle = idle,
    .run = run,
};
