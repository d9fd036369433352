/* SPDX-License-Identifier: MIT
 *
 * cmd_import.c - `twinlens task import-published`: makes a dataset of published prompts.
 */
#include "cli/options.h"
#include "task/length_count.h"
#include "task/published_dataset.h"
#include "twinlens/scene.h"

typedef struct options {
    tl_published_source source;
    int family, task, seen_labels;
    const char *folder, *model;
    bool force;
} options;

static const tl_choice families[] = {{"qwen2_vl", TL_PUBLISHED_QWEN2_VL},
                                     {"llava", TL_PUBLISHED_LLAVA},
                                     {"gemma3", TL_PUBLISHED_GEMMA3},
                                     {0}};
static const tl_choice tasks[] = {{"counting", TL_TASK_COUNTING},
                                  {"arithmetic", TL_TASK_ARITHMETIC},
                                  {"color_ordering", TL_TASK_COLOR_ORDERING},
                                  {"factual_recall", TL_TASK_FACTUAL_RECALL},
                                  {"sentiment", TL_TASK_SENTIMENT},
                                  {0}};

static const tl_choice labels[] = {{"list", false}, {"seen", true}, {0}};

static const tl_option own[] = {
    TL_OPTION_TEXT(options, source.csv[TL_TEXT], true, "csv-text", "FILE",
                   "the published table of textual prompts"),
    TL_OPTION_TEXT(options, source.csv[TL_IMAGE], true, "csv-image", "FILE",
                   "the published table of prompts with pictures"),
    TL_OPTION_TEXT(options, source.pictures, false, "images", "DIR",
                   "the folder that the table's paths of pictures start from; without "
                   "it only text rows are written"),
    TL_OPTION_CHOICE(options, family, families, NULL, "model-family", "FAMILY",
                     "whose prompts they are: qwen2_vl, llava (Pixtral) or gemma3"),
    TL_OPTION_CHOICE(options, task, tasks, NULL, "task", "NAME",
                     "counting, arithmetic, color_ordering, factual_recall or "
                     "sentiment"),
    TL_OPTION_TEXT(options, source.files.scenes, false, "scenes", "FILE",
                   "CLEVR_val_scenes.json: what the pictures of color_ordering show"),
    TL_OPTION_TEXT(options, source.files.descriptions, false, "descriptions", "FILE",
                   "sentiment_vl.json: what the pictures of sentiment show; wants "
                   "--model, whose tokens they are cut to"),
    TL_OPTION_TEXT(options, source.files.entities, false, "entities", "FILE",
                   "all entities and answers of factual_recall, by question; wants "
                   "--model"),
    TL_OPTION_CHOICE(options, seen_labels, labels, "list", "fr-labels", "list|seen",
                     "the labels of a fact: all answers of --entities, or those that "
                     "the table of pictures has; without --entities always these"),
    TL_OPTION_TEXT(options, model, false, "model", "DIR",
                   "a model folder of the family, without need of weights: also tells "
                   "how long the prompts are and where their data lie"),
    TL_OPTION_TEXT(options, folder, true, "out", "DIR",
                   "the dataset's folder, new or empty"),
    TL_OPTION_FORCE(options),
    TL_OPTIONS_END};
static const tl_idle idle[] = {
    {.name = "scenes", .beside = "task", .value = "color_ordering", .unless = true},
    {.name = "descriptions", .beside = "task", .value = "sentiment", .unless = true},
    {.name = "entities", .beside = "task", .value = "factual_recall", .unless = true},
    {.name = "fr-labels", .beside = "entities", .unless = true},
    {0}};

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    options o;
    tl_published_report report;
    tl_processor *processor = NULL;
    tl_status status =
        tl_options_read(&tl_command_import, argc, argv, &o, sizeof o, err);
    if (status == TL_OK && o.model != NULL)
        status = tl_processor_open(o.model, 0, &processor, err);
    if (status != TL_OK)
        return status;
    o.source.family = (tl_published_family)o.family;
    o.source.task = (tl_task)o.task;
    o.source.seen_labels = o.seen_labels != 0;
    if (processor != NULL)
        o.source.files.tokenizer = tl_processor_tokenizer(processor);
    status = tl_published_import(&o.source, o.folder, o.force, &report, err);
    if (status == TL_OK)
        tl_published_print(&o.source, o.folder, &report, out);
    if (status == TL_OK && processor != NULL)
        status = tl_length_count_print(o.folder, processor, out, err);
    tl_processor_close(processor);
    return status;
}

const tl_command tl_command_import = {
    .name = "task import-published",
    .summary = "make a dataset of published prompts",
    .options = own,
    .idle = idle,
    .run = run,
};
