/* SPDX-License-Identifier: MIT
 *
 * cmd_task.c - `twinlens task`: makes a dataset of one of the five tasks.
 */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/command.h"
#include "cli/options.h"
#include "twinlens/model.h"
#include "twinlens/scene.h"

typedef struct options {
    tl_strings names;
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
                         "import-published or import-vqa",
                         name);
}

static const tl_option own[] = {
    TL_OPTION_TEXT(options, folder, false, "out", "DIR",
                   "the dataset's folder, new or empty"),
    TL_OPTION_COUNT(options, n, 1000000000, "200", "n", "N", "pairs of prompts"),
    {.setting = {.name = "seed",
                 .kind = TL_SETTING_SEED,
                 .offset = offsetof(options, seed),
                 .value = "0",
                 .argument = "S",
                 .help = "of the random choices"}},
    {.setting = {.name = "size",
                 .kind = TL_SETTING_TEXT,
                 .offset = offsetof(options, size),
                 .unset = "252x252, arithmetic 338x75; small: 112x112 and less",
                 .argument = "WxH",
                 .help = "of the pictures in pixels"}},
    TL_OPTION_CHOICE(options, style, styles, "published", "style", "STYLE",
                     "published: wording and quantities of the paper; small: short, as "
                     "the bundled model was taught"),
    TL_OPTION_CHOICE(options, content, contents, "all", "content", "SIDE",
                     "all, train, or held-out: the eighth of all scenes that train "
                     "never has"),
    TL_OPTION_CHOICE(options, modality, modalities, "both", "modality",
                     "text|image|both", "which prompts to make"),
    TL_OPTION_TEXT(options, model, false, "model", "DIR",
                   "only prompts that are as long as most in this model's tokens, as "
                   "circuits want them, and whose answer begins with another token "
                   "than every other label; its tokenizer.json is all that is read"),
    TL_OPTION_TEXT(options, sheet, false, "sheet", "FILE",
                   "also draw the first scenes on one page, a PNG file, with prompts "
                   "and answers"),
    TL_OPTION_FORCE(options),
    TL_OPTIONS_END};

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
    options o;
    tl_status status = tl_options_read(&tl_command_task, argc, argv, &o, sizeof o, err);
    if (status != TL_OK)
        return status;
    if (o.names.n != 1)
        return tl_cli_misuse(err, "wanted the name of a task first; see --help");
    if (o.folder == NULL && o.sheet == NULL)
        return tl_cli_misuse(err, "wanted --out or --sheet; see --help");
    if ((status = parse_task(o.names.texts[0], &o.scene.task, err)) != TL_OK)
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
    .operands = "NAME",
    .operand_help = "counting, arithmetic, color_ordering, factual_recall or sentiment",
    .operands_at = offsetof(options, names),
    .options = own,
    .run = run,
};
