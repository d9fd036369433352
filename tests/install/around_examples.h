/* SPDX-License-Identifier: MIT
 * around_examples.h - what the examples of the public headers take for granted: the names
 * that they use and do not declare. test_header_examples.sh defines EXAMPLE_ and
 * the name of the header. */
#include <stdio.h>
#include <string.h>

#include "twinlens/twinlens.h"

static tl_error err;
static tl_status status;
static tl_arena *arena;
static tl_model *model;
static tl_processor *processor;
static tl_dataset *dataset;
static tl_encoding encoding;
static tl_input input;
static size_t n, n_pos, d_model, data_begin, data_end;
static uint64_t seed;

#ifdef EXAMPLE_array
static size_t n_layers, count;
static float *values;
#endif

#ifdef EXAMPLE_circuit
static const tl_pair *discovery, *evaluation;
static size_t n_discovery, n_evaluation;
static tl_scores scores;
static tl_ranking ranking;
static tl_fraction fraction;
static tl_circuit circuit;
static tl_evaluation *results;
#endif

#ifdef EXAMPLE_circuit_file
static size_t n_layers, n_heads, d_mlp;
static tl_span span;
static tl_component_set set;
#endif

#ifdef EXAMPLE_interchange
static tl_component_set sets[TL_MODALITY_COUNT], mixed;
static tl_position_map map;
static tl_circuit circuit;
static const tl_pair *image_pairs;
static tl_evaluation *results;
#endif

#ifdef EXAMPLE_overlap
static tl_position_map map;
static tl_span text_span, image_span;
static tl_circuit circuit;
static tl_component_set text_set, image_set;
static tl_overlap overlap;
#endif

#ifdef EXAMPLE_pass
static tl_pass_prompt *prompts;
static tl_pass_options options;
static int32_t answer, counterfactual_answer, *answers, *counterfactual_answers;
static double ld;
#endif

#ifdef EXAMPLE_team
#include <unistd.h>
static tl_settings settings;
static size_t rank;
static int sockets[8];
static tl_status receive_bytes(void *user, size_t from, void *bytes, size_t count,
                               tl_error *error)
{
    (void)error;
    return read(((int *)user)[from], bytes, count) == (ssize_t)count ? TL_OK : TL_ERR_IO;
}
#endif

#ifdef EXAMPLE_probe
static tl_alignment *alignment;
static tl_backpatcher *backpatcher;
static const tl_parallel *pairs;
static size_t n_pairs, n_labels;
static tl_alignment_values values;
static const int32_t *labels;
static double *clean, *patched;
#endif

#ifdef EXAMPLE_site
static tl_pass *pass;
static tl_pass_prompt *prompts;
static float *values;
#endif

#ifdef EXAMPLE_split
static const bool *correct;
#endif

#ifdef EXAMPLE_statistics
static const double *values;
#endif

#ifdef EXAMPLE_tensor
static const float *values;
static tl_tensor weight;
static float *copy;
#endif

#ifdef EXAMPLE_tokenizer
static const char *text;
static const tl_token *tokens;
static size_t n_tokens;
#endif

#ifdef EXAMPLE_validate
static tl_pair pair;
static const tl_component *components;
static tl_validate_options options;
static double *effects, clean, attributed, difference;
#endif
