/* SPDX-License-Identifier: MIT
 *
 * cmd_import.c - `twinlens task import-published`: makes a dataset of published prompts.
 */
#include "cli/options.h"
#include "task/published_dataset.h"
#include "twinlens/scene.h"

typedef struct options {
    tl_published_source source;
    int family, task;
    const char *folder;
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

static const tl_option own[] = {
    {.setting = {.name = "csv-text",
                 .kind = TL_SETTING_TEXT,
                 .offset = offsetof(options, source.csv[TL_TEXT]),
                 .argument = "FILE",
                 .help = "the published table of textual prompts"},
     .required = true},
    {.setting = {.name = "csv-image",
                 .kind = TL_SETTING_TEXT,
                 .offset = offsetof(options, source.csv[TL_IMAGE]),
                 .argument = "FILE",
                 .help = "the published table of prompts with pictures"},
     .required = true},
    {.setting =
         {.name = "images",
          .kind = TL_SETTING_TEXT,
          .offset = offsetof(options, source.pictures),
          .argument = "DIR",
          .help =
              "the folder that the table's paths of pictures start from; without it "
              "only text rows are written"}},
    {.setting = {.name = "model-family",
                 .kind = TL_SETTING_CHOICE,
                 .offset = offsetof(options, family),
                 .choices = families,
                 .argument = "FAMILY",
                 .help = "whose prompts they are: qwen2_vl, llava (Pixtral) or gemma3"},
     .required = true},
    {.setting =
         {.name = "task",
          .kind = TL_SETTING_CHOICE,
          .offset = offsetof(options, task),
          .choices = tasks,
          .argument = "NAME",
          .help = "counting, arithmetic, color_ordering, factual_recall or sentiment"},
     .required = true},
    {.setting = {.name = "out",
                 .kind = TL_SETTING_TEXT,
                 .offset = offsetof(options, folder),
                 .argument = "DIR",
                 .help = "the dataset's folder, new or empty"},
     .required = true},
    {.setting = {.name = "force",
                 .offset = offsetof(options, force),
                 .help = "replace a dataset that is in DIR"},
     .is_flag = true},
    TL_OPTIONS_END};

static void print(const options *o, const tl_published_report *r, FILE *out)
{
    fprintf(out, "%s: %zu text prompts of %s, %zu with the right prediction\n",
            o->folder, r->n[TL_TEXT], tl_task_name(o->source.task),
            r->n_right[TL_TEXT]);
    if (o->source.pictures != NULL)
        fprintf(out,
                "%s: %zu image prompts, %zu with the right prediction, %zu about the "
                "same as a text prompt\n",
                o->folder, r->n[TL_IMAGE], r->n_right[TL_IMAGE], r->n_pairs);
    else
        fprintf(
            out,
            "%s: text only; the %zu image prompts of %s are left out, since they need "
            "their pictures (--images)\n",
            o->folder, r->n[TL_IMAGE], o->source.csv[TL_IMAGE]);
    fprintf(out, "the paper's selection: twinlens study --keep stored --prompts %zu\n",
            r->n_prompts);
}

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    options o;
    tl_published_report report;
    tl_status status =
        tl_options_read(&tl_command_import, argc, argv, &o, sizeof o, err);
    if (status != TL_OK)
        return status;
    o.source.family = (tl_published_family)o.family;
    o.source.task = (tl_task)o.task;
    status = tl_published_import(&o.source, o.folder, o.force, &report, err);
    if (status == TL_OK)
        print(&o, &report, out);
    return status;
}

const tl_command tl_command_import = {
    .name = "task import-published",
    .summary = "make a dataset of published prompts",
    .options = own,
    .run = run,
};
