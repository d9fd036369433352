/* SPDX-License-Identifier: MIT
 *
 * cmd_trace.c - `twinlens trace`: the activations of prompts, and the gradient of their
 * logit differences, as safetensors with the names that transformers users know.
 */
#include "base/word_list.h"
#include "cli/shared_options.h"
#include "study/traced_rows.h"

typedef struct options {
    tl_settings settings;
    const char *id, *ids, *out, *sites;
    bool gradient;
} options;

static const tl_taken settings[] = {
    TL_TAKEN_MODEL, TL_TAKEN_DATASET, {.name = "rope"}, {0}};
static const tl_option own[] = {
    TL_OPTION_TEXT(options, id, false, "id", "ID", "the prompt"),
    TL_OPTION_TEXT(options, ids, false, "ids", "A,B",
                   "several: names of tensors begin with ID/"),
    TL_OPTION_TEXT(options, out, true, "out", "FILE", "safetensors file to write"),
    {.setting = {.name = "grad",
                 .offset = offsetof(options, gradient),
                 .help = "also the gradient of the logit difference"},
     .is_flag = true},
    {.setting =
         {.name = "sites",
          .kind = TL_SETTING_TEXT,
          .offset = offsetof(options, sites),
          .value = "resid_pre,z,mlp_post,resid_post,logits",
          .argument = "A,B",
          .help = "which of embed, resid_pre, pattern, z, attn_out, mlp_post, mlp_out, "
                  "resid_post, logits"}},
    TL_OPTIONS_END};

static const tl_idle idle[] = {{.name = "id", .beside = "ids"}, {0}};

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    (void)out;
    options o;
    tl_session s;
    tl_status status =
        tl_options_read(&tl_command_trace, argc, argv, &o, sizeof o, err);
    if (status == TL_OK && o.id == NULL && o.ids == NULL)
        status = tl_cli_misuse(err, "wanted --id ID or --ids A,B; see --help");
    if (status == TL_OK)
        status = tl_options_check_output(o.out, err);
    if (status == TL_OK)
        status = tl_session_open(&o.settings, &s, err);
    if (status != TL_OK)
        return status;
    tl_traced wanted = {.gradients = o.gradient};
    const char *const *ids = &o.id;
    size_t n = 1;
    status = tl_traced_parse(o.sites, s.arena, &wanted, err);
    if (status == TL_OK && o.ids != NULL)
        status = tl_word_list_split(o.ids, s.arena, &ids, &n, err);
    if (status == TL_OK)
        status = tl_traced_write(&s, ids, n, &wanted, o.out, err);
    tl_session_close(&s);
    return status;
}

const tl_command tl_command_trace = {
    .name = "trace",
    .summary = "activations and gradients of prompts, as safetensors",
    .settings = settings,
    .options = own,
    .idle = idle,
    .run = run,
};
