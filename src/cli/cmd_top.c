/* SPDX-License-Identifier: MIT
 * cmd_top.c - `twinlens top RUN`: the leading heads and neurons of a study or a score file. */
#include "cli/shared_options.h"
#include "twinlens/report.h"

typedef struct options {
    tl_strings paths;
    size_t n;
    int modality, kind;
    bool one_modality, one_kind, json;
} options;

static const tl_choice kinds[] = {
    {"heads", TL_KIND_HEADS}, {"neurons", TL_KIND_NEURONS}, {0}};

static const tl_option own[] = {
    TL_OPTION_COUNT(options, n, 100000, "20", "n", "N", "how many of each kind"),
    {.setting = {.name = "modality",
                 .kind = TL_SETTING_CHOICE,
                 .offset = offsetof(options, modality),
                 .choices = tl_modality_choices,
                 .unset = "both",
                 .argument = "text|image",
                 .help = "those of these prompts alone"},
     .given = offsetof(options, one_modality)},
    {.setting = {.name = "kind",
                 .kind = TL_SETTING_CHOICE,
                 .offset = offsetof(options, kind),
                 .choices = kinds,
                 .unset = "both",
                 .argument = "heads|neurons",
                 .help = "these components alone"},
     .given = offsetof(options, one_kind)},
    {.setting = {.name = "json", .offset = offsetof(options, json), .help = "as JSON"},
     .is_flag = true},
    TL_OPTIONS_END};

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    options o;
    const tl_status status =
        tl_options_read(&tl_command_top, argc, argv, &o, sizeof o, err);
    if (status != TL_OK)
        return status;
    if (o.paths.n != 1)
        return tl_cli_misuse(
            err, "wanted the folder of a study, or a score file; see --help");
    const tl_top_options how = {.n = o.n,
                                .one_modality = o.one_modality,
                                .one_kind = o.one_kind,
                                .modality = (tl_modality)o.modality,
                                .kind = (tl_component_kind)o.kind,
                                .json = o.json};
    return tl_top_write(o.paths.texts[0], &how, out, err);
}

const tl_command tl_command_top = {
    .name = "top",
    .summary = "the heads and neurons that lead by score",
    .operands = "RUN",
    .operand_help = "folder of a study, or a score file",
    .operands_at = offsetof(options, paths),
    .options = own,
    .run = run,
};
