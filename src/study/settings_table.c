/* SPDX-License-Identifier: MIT
 *
 * settings_table.c - the one table of settings (include/twinlens/setting.h). A new setting
 * is a field of tl_settings and a row here; everything else follows, docs/options.md by
 * `twinlens help --markdown`.
 */
#include <string.h>

#include "twinlens/circuit.h"
#include "twinlens/interchange.h"
#include "twinlens/overlap.h"
#include "twinlens/probe.h"
#include "twinlens/processor.h"
#include "twinlens/setting.h"
#include "twinlens/statistics.h"

static const tl_choice modalities[] = {
    {"text", TL_TEXT},
    {"image", TL_IMAGE},
    {"both", TL_MODALITY_COUNT},
    {"text,image", TL_MODALITY_COUNT}, /* as a manifest has it */
    {0}};
static const tl_choice accuracies[] = {
    {"limited", TL_ACCURACY_LIMITED}, {"full", TL_ACCURACY_FULL}, {0}};
static const tl_choice keeps[] = {{"correct", TL_KEEP_CORRECT},
                                  {"all", TL_KEEP_ALL},
                                  {"stored", TL_KEEP_STORED},
                                  {0}};
static const tl_choice lengths[] = {
    {"all", TL_LENGTH_ALL}, {"commonest", TL_LENGTH_COMMONEST}, {0}};
static const tl_choice ropes[] = {{"mrope", TL_ROPE_TRUE},
                                  {"sequential", TL_ROPE_SEQUENTIAL},
                                  {"seq", TL_ROPE_SEQUENTIAL},
                                  {0}};
static const tl_choice chats[] = {
    {"instruct", TL_CHAT_INSTRUCT}, {"raw", TL_CHAT_RAW}, {0}};
static const tl_choice methods[] = {
    {"ig", TL_METHOD_IG}, {"relp", TL_METHOD_RELP}, {0}};
static const tl_choice ig_rules[] = {
    {"right", TL_IG_RIGHT}, {"midpoint", TL_IG_MIDPOINT}, {0}};
static const tl_choice ig_paths[] = {
    {"full", TL_IG_FULL}, {"textonly", TL_IG_TEXT_ONLY}, {0}};
static const tl_choice head_reduces[] = {
    {"absdim", TL_HEAD_ABS_DIM}, {"dot", TL_HEAD_DOT}, {0}};
static const tl_choice prompt_reduces[] = {
    {"abs", TL_PROMPT_ABS}, {"signed", TL_PROMPT_SIGNED}, {0}};
static const tl_choice metrics[] = {{"ld", TL_METRIC_LOGIT_DIFF},
                                    {"logit", TL_METRIC_LOGIT},
                                    {"prob", TL_METRIC_PROBABILITY},
                                    {"ce", TL_METRIC_CROSS_ENTROPY},
                                    {0}};
static const tl_choice grids[] = {{"ref", TL_GRID_REF}, {"paper", TL_GRID_PAPER}, {0}};
static const tl_choice roundings[] = {
    {"exact", TL_FRACTION_EXACT}, {"f32", TL_FRACTION_F32}, {0}};
static const tl_choice faiths[] = {
    {"mean_ratio", TL_FAITH_MEAN_RATIO}, {"ratio_mean", TL_FAITH_RATIO_MEAN}, {0}};
static const tl_choice ablates[] = {{"counterfactual", TL_ABLATE_COUNTERFACTUAL},
                                    {"mean", TL_ABLATE_MEAN},
                                    {"zero", TL_ABLATE_ZERO},
                                    {0}};
static const tl_choice matches[] = {{"whole", TL_MATCH_WHOLE},
                                    {"segment", TL_MATCH_SEGMENT},
                                    {"unique", TL_MATCH_UNIQUE},
                                    {0}};
static const tl_choice nious[] = {
    {"correct", TL_NIOU_CORRECT}, {"ref", TL_NIOU_PUBLISHED}, {0}};
static const tl_choice randoms[] = {
    {"valid", TL_RANDOM_VALID}, {"ref", TL_RANDOM_REFERENCE}, {0}};
static const tl_choice aligns[] = {
    {"act", TL_ALIGN_ACT}, {"unembed", TL_ALIGN_UNEMBED}, {0}};
static const tl_choice filters[] = {
    {"none", TL_BP_FILTER_NONE}, {"modal", TL_BP_FILTER_MODAL}, {0}};
static const tl_choice repeats[] = {
    {"on", TL_BP_REPEAT_ON}, {"off", TL_BP_REPEAT_OFF}, {0}};
static const tl_choice labels[] = {
    {"question", TL_ITER_LABELS_QUESTION}, {"union", TL_ITER_LABELS_UNION}, {0}};
static const tl_choice bp_grids[] = {
    {"triangle", TL_BP_TRIANGLE}, {"paper", TL_BP_PAPER}, {"none", TL_BP_NONE}, {0}};
static const tl_choice bp_searches[] = {
    {"full", TL_BP_FULL}, {"halving", TL_BP_HALVING}, {0}};

static const tl_choice precisions[] = {{"f32", TL_PRECISION_F32},
                                       {"bf16", TL_PRECISION_BF16},
                                       {"bf16-emulated", TL_PRECISION_BF16_EMULATED},
                                       {0}};

#define AT(field) .offset = offsetof(tl_settings, field)
enum { MANY = 1000000000 };

static const tl_setting table[] = {
    {.name = "model",
     .group = "model and machine",
     .kind = TL_SETTING_TEXT,
     AT(model),
     .unset = "the bundled model",
     .argument = "DIR",
     .help = "a Hugging Face model folder or hub cache entry"},
    {.name = "backend",
     .group = "model and machine",
     .kind = TL_SETTING_TEXT,
     AT(backend),
     .unset = "$TWINLENS_BACKEND, else the fastest of this build",
     .in_manifest = true,
     .argument = "NAME",
     .help = "cpu, or ref: slow, the definition"},
    {.name = "threads",
     .group = "model and machine",
     .kind = TL_SETTING_COUNT,
     AT(threads),
     .least = 1,
     .most = 4096,
     .unset = "one a core",
     .argument = "N",
     .help = "how many threads; changes no bit"},
    {.name = "memory",
     .group = "model and machine",
     .kind = TL_SETTING_BYTES,
     AT(memory),
     .unset = "as needed; of a study what the machine has free",
     .argument = "BYTES",
     .help =
         "budget for all that is held beside the weights, such as 4G; changes no bit"},
    {.name = "cache",
     .group = "model and machine",
     .kind = TL_SETTING_BYTES,
     AT(cache),
     .unset = "64M",
     .argument = "BYTES",
     .help = "for converted weights; changes no bit"},
    {.name = "precision",
     .group = "model and machine",
     .kind = TL_SETTING_CHOICE,
     AT(precision),
     .choices = precisions,
     .value = "f32",
     .in_manifest = true,
     .in_scores = true,
     .argument = "f32|bf16|bf16-emulated",
     .help = "of the decoder's products: bf16 is faster where the processor has it "
             "(AVX512-BF16, AMX); emulated, it is slower than f32"},

    {.name = "dataset",
     .group = "prompts",
     .kind = TL_SETTING_TEXT,
     AT(dataset),
     .unset = "must be given",
     .argument = "DIR",
     .help = "a dataset folder, or its dataset.jsonl"},
    {.name = "modality",
     .group = "prompts",
     .kind = TL_SETTING_CHOICE,
     AT(modality),
     .choices = modalities,
     .value = "both",
     .in_manifest = true,
     .argument = "text|image|both",
     .help = "which prompts to study; both: what the dataset has"},
    {.name = "rope",
     .group = "prompts",
     .kind = TL_SETTING_CHOICE,
     AT(rope),
     .choices = ropes,
     .value = "mrope",
     .published = "sequential",
     .in_manifest = true,
     .in_scores = true,
     .argument = "mrope|sequential",
     .help = "positions of image tokens"},
    {.name = "chat",
     .group = "prompts",
     .kind = TL_SETTING_CHOICE,
     AT(chat),
     .choices = chats,
     .value = "instruct",
     .in_manifest = true,
     .is_newer = true,
     .in_scores = true,
     .argument = "instruct|raw",
     .help = "words as a turn of the model family's chat, or as they are, for base "
             "models"},
    {.name = "acc",
     .group = "prompts",
     .kind = TL_SETTING_CHOICE,
     AT(accuracy),
     .choices = accuracies,
     .value = "limited",
     .argument = "limited|full",
     .help = "right among the labels, or in the whole vocabulary"},
    {.name = "keep",
     .group = "prompts",
     .kind = TL_SETTING_CHOICE,
     AT(keep),
     .choices = keeps,
     .value = "correct",
     .published = "stored",
     .in_manifest = true,
     .argument = "correct|all|stored",
     .help = "rows to study: right now, all, or right by the dataset's 'predicted'"},
    {.name = "prompts",
     .group = "prompts",
     .kind = TL_SETTING_COUNT,
     AT(prompts),
     .least = 1,
     .most = MANY,
     .unset = "250, or all if they are fewer",
     .in_manifest = true,
     .argument = "N",
     .help = "rows to study of each modality"},
    {.name = "length",
     .group = "prompts",
     .kind = TL_SETTING_CHOICE,
     AT(length),
     .choices = lengths,
     .value = "all",
     .in_manifest = true,
     .is_newer = true,
     .argument = "all|commonest",
     .help = "rows to study where prompts must have one length and their data at one "
             "place: all, or those that are like most"},
    {.name = "seed",
     .group = "prompts",
     .kind = TL_SETTING_SEED,
     AT(seed),
     .value = "42",
     .in_manifest = true,
     .argument = "N",
     .help = "of split, counterfactuals, random circuits, other content, samples and "
             "the order "
             "of a search"},

    {.name = "method",
     .group = "attribution",
     .kind = TL_SETTING_CHOICE,
     AT(method),
     .choices = methods,
     .value = "ig",
     .in_manifest = true,
     .in_scores = true,
     .argument = "ig|relp",
     .help =
         "integrated gradients, or relevance patching, which has no steps and takes "
         "a quarter of the time of five"},
    {.name = "ig-steps",
     .group = "attribution",
     .kind = TL_SETTING_COUNT,
     AT(ig_steps),
     .least = 1,
     .most = 1000,
     .value = "5",
     .in_manifest = true,
     .in_scores = true,
     .argument = "N",
     .help = "interpolation steps"},
    {.name = "ig-rule",
     .group = "attribution",
     .kind = TL_SETTING_CHOICE,
     AT(ig_rule),
     .choices = ig_rules,
     .value = "right",
     .in_manifest = true,
     .in_scores = true,
     .argument = "right|midpoint",
     .help = "steps at the right ends of the parts of the path, the last the clean "
             "prompt; or in their middles"},
    {.name = "ig-path",
     .group = "attribution",
     .kind = TL_SETTING_CHOICE,
     AT(ig_path),
     .choices = ig_paths,
     .value = "full",
     .published = "textonly",
     .in_manifest = true,
     .in_scores = true,
     .argument = "full|textonly",
     .help = "what is interpolated"},
    {.name = "head-reduce",
     .group = "attribution",
     .kind = TL_SETTING_CHOICE,
     AT(head_reduce),
     .choices = head_reduces,
     .value = "absdim",
     .in_manifest = true,
     .in_scores = true,
     .argument = "absdim|dot",
     .help = "how a head's dimensions add up"},
    {.name = "prompt-reduce",
     .group = "attribution",
     .kind = TL_SETTING_CHOICE,
     AT(prompt_reduce),
     .choices = prompt_reduces,
     .value = "abs",
     .in_manifest = true,
     .in_scores = true,
     .argument = "abs|signed",
     .help = "absolute values before or after the mean"},
    {.name = "metric",
     .group = "attribution",
     .kind = TL_SETTING_CHOICE,
     AT(metric),
     .choices = metrics,
     .value = "ld",
     .argument = "ld|logit|prob|ce",
     .help =
         "of the answer: the logit difference, which studies are of; its logit, its "
         "probability, or minus its cross-entropy"},

    {.name = "grid",
     .group = "circuits",
     .kind = TL_SETTING_CHOICE,
     AT(grid),
     .choices = grids,
     .value = "ref",
     .argument = "ref|paper",
     .help = "27 circuit sizes up to 0.9, or 102 up to 1"},
    {.name = "fractions",
     .group = "circuits",
     .kind = TL_SETTING_FRACTIONS,
     AT(fractions),
     .unset = "a grid",
     .in_manifest = true,
     .argument = "A,B,...",
     .help = "circuit sizes instead of a grid: 0.01,0.05"},
    {.name = "pct",
     .group = "circuits",
     .kind = TL_SETTING_CHOICE,
     AT(rounding),
     .choices = roundings,
     .value = "exact",
     .published = "f32",
     .in_manifest = true,
     .argument = "exact|f32",
     .help = "sizes as exact decimals or as floats"},
    {.name = "faith",
     .group = "circuits",
     .kind = TL_SETTING_CHOICE,
     AT(faith),
     .choices = faiths,
     .value = "mean_ratio",
     .published = "mean_ratio",
     .in_manifest = true,
     .argument = "mean_ratio|ratio_mean",
     .help =
         "what counts as faithfulness: the mean of the prompts' ratios, or the ratio "
         "of the means"},
    {.name = "ablate",
     .group = "circuits",
     .kind = TL_SETTING_CHOICE,
     AT(ablate),
     .choices = ablates,
     .value = "counterfactual",
     .in_manifest = true,
     .argument = "counterfactual|mean|zero",
     .help = "what is outside a circuit is as in the counterfactual prompt, as in the "
             "mean of the other prompts that it is evaluated on, or zero"},
    {.name = "threshold",
     .group = "circuits",
     .kind = TL_SETTING_REAL,
     AT(threshold),
     .value = "0.8",
     .in_manifest = true,
     .argument = "F",
     .help = "what the smallest circuit's faithfulness exceeds"},
    {.name = "circuit-tests",
     .group = "circuits",
     .kind = TL_SETTING_COUNT,
     AT(circuit_tests),
     .most = 10000,
     .value = "100",
     .in_manifest = true,
     .argument = "N",
     .help =
         "random circuits that the smallest faithful one is compared with, on 8 "
         "prompts of each modality; half as many of its heads and of its neurons are "
         "left out one by one; 0: no tests"},

    {.name = "pictures",
     .group = "looking and checking",
     .kind = TL_SETTING_COUNT,
     AT(pictures),
     .most = 10000,
     .value = "4",
     .in_manifest = true,
     .argument = "N",
     .help = "image prompts drawn for the report, each of another answer and with its "
             "own scores"},
    {.name = "validate",
     .group = "looking and checking",
     .kind = TL_SETTING_COUNT,
     AT(validate),
     .most = 10000,
     .value = "8",
     .in_manifest = true,
     .argument = "N",
     .help =
         "prompts of each modality, drawn over all answers, on which attribution is "
         "compared with exact patching"},

    {.name = "rand-match",
     .group = "overlap and interchange",
     .kind = TL_SETTING_CHOICE,
     AT(rand_match),
     .choices = matches,
     .value = "whole",
     .in_manifest = true,
     .argument = "whole|segment|unique",
     .help = "random circuits have as many components in all, in each segment, or in "
             "the data as many with positions dropped"},
    {.name = "rand-draws",
     .group = "overlap and interchange",
     .kind = TL_SETTING_COUNT,
     AT(rand_draws),
     .least = 1,
     .most = 1000000,
     .value = "20",
     .published = "1",
     .in_manifest = true,
     .argument = "N",
     .help = "random circuits that the overlap is compared with"},
    {.name = "niou",
     .group = "overlap and interchange",
     .kind = TL_SETTING_CHOICE,
     AT(niou),
     .choices = nious,
     .value = "correct",
     .published = "ref",
     .in_manifest = true,
     .argument = "correct|ref",
     .help = "normalised overlap: (IoU - B) / (1 - B), or IoU - 2 B in [0.01, 1], of "
             "values rounded to three decimals"},
    {.name = "inter-rand",
     .group = "overlap and interchange",
     .kind = TL_SETTING_CHOICE,
     AT(inter_rand),
     .choices = randoms,
     .value = "valid",
     .published = "ref",
     .in_manifest = true,
     .argument = "valid|ref",
     .help = "random parts: all different, or as published"},
    {.name = "inter-draws",
     .group = "overlap and interchange",
     .kind = TL_SETTING_COUNT,
     AT(inter_draws),
     .least = 1,
     .most = 10000,
     .value = "5",
     .published = "1",
     .in_manifest = true,
     .argument = "N",
     .help = "random parts of each segment of an interchange"},

    {.name = "align",
     .group = "alignment and back-patching",
     .kind = TL_SETTING_CHOICE,
     AT(align),
     .choices = aligns,
     .value = "act",
     .in_manifest = true,
     .argument = "act|unembed",
     .help = "image states beside the text's states, the best one of each; or beside "
             "the unembedding of the text's tokens, the best 5 %"},
    {.name = "bp-filter",
     .group = "alignment and back-patching",
     .kind = TL_SETTING_CHOICE,
     AT(bp_filter),
     .choices = filters,
     .value = "none",
     .published = "modal",
     .in_manifest = true,
     .argument = "modal|none",
     .help = "in alignment and back-patching only pairs whose text has the most "
             "frequent length, or all"},
    {.name = "bp-repeat",
     .group = "alignment and back-patching",
     .kind = TL_SETTING_CHOICE,
     AT(bp_repeat),
     .choices = repeats,
     .value = "on",
     .in_manifest = true,
     .argument = "on|off",
     .help = "layers behind the overwritten ones process the data again; off: they get "
             "their clean states of the data back"},
    {.name = "iter-labels",
     .group = "alignment and back-patching",
     .kind = TL_SETTING_CHOICE,
     AT(iter_labels),
     .choices = labels,
     .value = "question",
     .published = "union",
     .in_manifest = true,
     .argument = "question|union",
     .help = "patched more than once, the answer is one of its prompt's labels, or of "
             "all prompts'"},
    {.name = "bp-grid",
     .group = "alignment and back-patching",
     .kind = TL_SETTING_CHOICE,
     AT(bp_grid),
     .choices = bp_grids,
     .value = "triangle",
     .in_manifest = true,
     .argument = "triangle|paper|none",
     .help = "back-patching into all layers below the source, or from the upper half "
             "into the lower, or none"},
    {.name = "bp-search",
     .group = "alignment and back-patching",
     .kind = TL_SETTING_CHOICE,
     AT(bp_search),
     .choices = bp_searches,
     .value = "full",
     .in_manifest = true,
     .argument = "full|halving",
     .help = "all cells on all prompts; or, at a tenth of the cost, fewer and fewer "
             "cells on new prompts, and the one that is left on those that remain"},
};

const tl_setting *tl_settings_table(size_t *count)
{
    *count = sizeof table / sizeof *table;
    return table;
}

const tl_setting *tl_settings_find(const char *name)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

const char *tl_choice_name(const tl_choice *choices, int value)
{
    while (choices->name != NULL && choices->value != value)
        choices++;
    return choices->name;
}
