/* SPDX-License-Identifier: MIT
 *
 * cmd_import.c - `twinlens task import-published`: makes a dataset of published prompts.
 */
#include "cli/cmd_import.h"

#include "cli/options.h"
#include "task/published_dataset.h"
#include "twinlens/scene.h"

typedef struct options {
    tl_published_source source;
    int family, task;
    const char *folder;
    bool force;
} options;

static tl_status parse(options *o, int argc, char **argv, FILE *out, bool *help,
                       tl_error *err)
{
    tl_choice families[TL_PUBLISHED_FAMILIES + 1] = {0}, tasks[TL_TASKS + 1] = {0};
    for (int i = 0; i < TL_PUBLISHED_FAMILIES; i++)
        families[i] = (tl_choice){tl_published_family_name((tl_published_family)i), i};
    for (int i = 0; i < TL_TASKS; i++)
        tasks[i] = (tl_choice){tl_task_name((tl_task)i), i};
    const tl_option table[] = {
        {"csv-text", TL_OPTION_STRING, &o->source.csv[TL_TEXT], "FILE",
         "the published table of textual prompts", .required = true},
        {"csv-image", TL_OPTION_STRING, &o->source.csv[TL_IMAGE], "FILE",
         "the published table of prompts with pictures", .required = true},
        {"images", TL_OPTION_STRING, &o->source.pictures, "DIR",
         "the folder that the table's paths of pictures start from; without it only "
         "text "
         "rows are written",
         .required = false},
        {"model-family", TL_OPTION_CHOICE, &o->family, "FAMILY",
         "whose prompts they are: qwen2_vl, llava (Pixtral) or gemma3",
         .choices = families, .required = true},
        {"task", TL_OPTION_CHOICE, &o->task, "NAME",
         "counting, arithmetic, color_ordering, factual_recall or sentiment",
         .choices = tasks, .required = true},
        {"out", TL_OPTION_STRING, &o->folder, "DIR",
         "the dataset's folder, new or empty", .required = true},
        {"force", TL_OPTION_FLAG, &o->force, NULL, "replace a dataset that is in DIR",
         .required = false},
    };
    return tl_options_parse(table, sizeof table / sizeof table[0],
                            "task import-published", argc, argv, out, help, err);
}

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

tl_status tl_cli_import_published(int argc, char **argv, FILE *out, tl_error *err)
{
    options o = {0};
    bool help = false;
    tl_published_report report;
    tl_status status = parse(&o, argc, argv, out, &help, err);
    if (status != TL_OK || help)
        return status;
    o.source.family = (tl_published_family)o.family;
    o.source.task = (tl_task)o.task;
    status = tl_published_import(&o.source, o.folder, o.force, &report, err);
    if (status == TL_OK)
        print(&o, &report, out);
    return status;
}
