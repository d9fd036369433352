/* SPDX-License-Identifier: MIT
 *
 * cmd_task.c - `twinlens task`: makes a dataset of one of the five tasks.
 */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/cmd_import.h"
#include "cli/options.h"
#include "twinlens/model.h"
#include "twinlens/scene.h"

typedef struct options {
    tl_scene_options scene;
    int style, content, modality;
    const char *folder, *sheet, *size, *model;
    size_t n;
    uint64_t seed;
    bool force;
} options;

enum { BOTH, TEXT_ONLY, IMAGE_ONLY, SHEET_SCENES = 8 };

static const tl_choice styles[] = {
    {"published", TL_STYLE_PUBLISHED}, {"small", TL_STYLE_SMALL}, {NULL, 0}};
static const tl_choice contents[] = {{"all", TL_CONTENT_ALL},
                                     {"train", TL_CONTENT_TRAIN},
                                     {"held-out", TL_CONTENT_HELD_OUT},
                                     {NULL, 0}};
static const tl_choice modalities[] = {
    {"both", BOTH}, {"text", TEXT_ONLY}, {"image", IMAGE_ONLY}, {NULL, 0}};

static tl_status parse_task(const char *name, tl_task *out, tl_error *err)
{
    for (tl_task task = 0; task < TL_TASKS; task++)
        if (strcmp(name, tl_task_name(task)) == 0) {
            *out = task;
            return TL_OK;
        }
    return tl_cli_misuse(err,
                         "unknown task '%s', wanted counting, arithmetic, "
                         "color_ordering, factual_recall or sentiment; or "
                         "import-published",
                         name);
}

static tl_status parse(options *o, int argc, char **argv, FILE *out, bool *help,
                       tl_error *err)
{
    const tl_option table[] = {
        {"out", TL_OPTION_STRING, &o->folder, "DIR",
         "the dataset's folder, new or empty", .required = false},
        {"n", TL_OPTION_SIZE, &o->n, "N", "pairs of prompts (200)", .required = false},
        {"seed", TL_OPTION_SEED, &o->seed, "S", "of the random choices (0)",
         .required = false},
        {"size", TL_OPTION_STRING, &o->size, "WxH",
         "of the pictures in pixels (252x252, arithmetic 338x75; small: 112x112 and "
         "less)",
         .required = false},
        {"style", TL_OPTION_CHOICE, &o->style, "STYLE",
         "published: wording and quantities of the paper; small: short, as the bundled "
         "model was taught (published)",
         .choices = styles},
        {"content", TL_OPTION_CHOICE, &o->content, "SIDE",
         "all, train, or held-out: the eighth of all scenes that train never has (all)",
         .choices = contents},
        {"modality", TL_OPTION_CHOICE, &o->modality, "M", "text, image or both (both)",
         .choices = modalities},
        {"model", TL_OPTION_STRING, &o->model, "DIR",
         "only prompts that are as long as most in this model's tokens, as circuits "
         "want them; its tokenizer.json is all that is read",
         .required = false},
        {"sheet", TL_OPTION_STRING, &o->sheet, "FILE.png",
         "also draw the first scenes on one page, with prompts and answers",
         .required = false},
        {"force", TL_OPTION_FLAG, &o->force, NULL, "replace a dataset that is in DIR",
         .required = false},
    };
    /* The task's name comes first, or after the options. */
    const char *name = NULL;
    if (argc > 0 && argv[0][0] != '-') {
        name = argv[0];
        argc--;
        argv++;
    }
    const tl_status status = tl_options_parse(table, sizeof table / sizeof table[0],
                                              "task NAME", argc, argv, out, help, err);
    if (*help)
        fputs("\nNAME is counting, arithmetic, color_ordering, factual_recall or "
              "sentiment; or import-published, which has options of its own.\n",
              out);
    if (status != TL_OK || *help)
        return status;
    if (name == NULL)
        return tl_cli_misuse(err, "wanted the name of a task first; see --help");
    if (o->folder == NULL && o->sheet == NULL)
        return tl_cli_misuse(err, "wanted --out or --sheet; see --help");
    return parse_task(name, &o->scene.task, err);
}

static tl_status open_tokenizer(const char *model, tl_tokenizer **out, tl_error *err)
{
    tl_arena *arena = tl_arena_create();
    const char *folder = NULL, *path = NULL;
    tl_status status = arena != NULL ? tl_model_folder(model, arena, &folder, err)
                                     : tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    if (status == TL_OK &&
        (path = tl_path_join(arena, folder, "tokenizer.json")) == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
    if (status == TL_OK)
        status = tl_tokenizer_open(path, out, err);
    tl_arena_destroy(arena);
    return status;
}

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    if (argc > 0 && strcmp(argv[0], "import-published") == 0)
        return tl_cli_import_published(argc - 1, argv + 1, out, err);
    options o = {.n = 200};
    bool help = false;
    tl_status status = parse(&o, argc, argv, out, &help, err);
    if (status != TL_OK || help)
        return status;
    o.scene.style = (tl_style)o.style;
    o.scene.content = (tl_content)o.content;
    o.scene.replace = o.force;
    o.scene.no_text = o.modality == IMAGE_ONLY;
    o.scene.no_pictures = o.modality == TEXT_ONLY;
    tl_scene_default_size(o.scene.task, o.scene.style, &o.scene.width, &o.scene.height);
    if (o.size != NULL)
        status =
            tl_options_extent("size", o.size, &o.scene.width, &o.scene.height, err);
    tl_tokenizer *tokenizer = NULL;
    if (status == TL_OK && o.model != NULL)
        status = open_tokenizer(o.model, &tokenizer, err);
    o.scene.tokenizer = tokenizer;
    if (status == TL_OK && o.folder != NULL)
        status = tl_scene_write(&o.scene, o.n, o.seed, o.folder, err);
    if (status == TL_OK && o.folder != NULL)
        fprintf(out, "%s: %zu pairs of %s\n", o.folder, o.n,
                tl_task_name(o.scene.task));
    if (status == TL_OK && o.sheet != NULL)
        status = tl_scene_sheet(&o.scene, o.n < SHEET_SCENES ? o.n : SHEET_SCENES,
                                o.seed, o.sheet, err);
    tl_tokenizer_close(tokenizer);
    return status;
}

const tl_command tl_command_task = {
    .name = "task",
    .summary = "make a dataset of one of the five tasks, with its pictures",
    .run = run,
};
