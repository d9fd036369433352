/* SPDX-License-Identifier: MIT
 *
 * terms.h - the words that all of twinlens shares: the two modalities, the three segments
 * of a prompt, the two kinds of components; with their names in tables and files.
 */
#ifndef TWINLENS_TERMS_H
#define TWINLENS_TERMS_H

#include "twinlens/api.h"
#include "twinlens/status.h"

TL_BEGIN_DECLS

typedef enum tl_modality { TL_TEXT = 0, TL_IMAGE = 1 } tl_modality;
enum { TL_MODALITY_COUNT = 2 };

/* "text" or "image"; and back: TL_ERR_ARGUMENT naming what was wanted. */
const char *tl_modality_name(tl_modality modality);
tl_status tl_modality_parse(const char *text, tl_modality *out, tl_error *err);

/* Data: what the question is about, in words or as an image. Query: the rest of the user's
 * text behind it. Generation: the last position, where the answer is read. */
typedef enum tl_segment {
    TL_SEGMENT_DATA,
    TL_SEGMENT_QUERY,
    TL_SEGMENT_GENERATION,
} tl_segment;
enum { TL_SEGMENT_COUNT = TL_SEGMENT_GENERATION + 1 };
const char *tl_segment_name(tl_segment segment); /* "data", "query", "generation" */

typedef enum tl_component_kind { TL_KIND_HEADS, TL_KIND_NEURONS } tl_component_kind;
enum { TL_KIND_COUNT = TL_KIND_NEURONS + 1 };
const char *tl_kind_name(tl_component_kind kind); /* "heads", "neurons" */

/* What circuits are found and judged by, of the logits at the last position, the answer a and
 * the counterfactual's answer b. */
typedef enum tl_metric {
    TL_METRIC_LOGIT_DIFF,    /* logit[a] - logit[b] */
    TL_METRIC_LOGIT,         /* logit[a] */
    TL_METRIC_PROBABILITY,   /* softmax(logit)[a] */
    TL_METRIC_CROSS_ENTROPY, /* log softmax(logit)[a], minus the cross-entropy */
} tl_metric;

TL_END_DECLS

#endif
