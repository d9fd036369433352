/* SPDX-License-Identifier: MIT
 *
 * site.h - the named activations of the decoder, and what can be read and edited
 * there. L layers, T positions of one prompt:
 *
 *     embed       [T, d_model]         assembled input; the same as resid_pre.0
 *     resid_pre   [T, d_model]         residual stream entering layer l
 *     z           [T, n_heads, d_head] output of each head, before W_O
 *     attn_out    [T, d_model]         what attention adds to the stream
 *     mlp_post    [T, d_mlp]           neurons, entering the down projection
 *     mlp_out     [T, d_model]         what the MLP adds to the stream
 *     resid_post  [T, d_model]         residual stream leaving layer l, which is what
 *                                      enters the next one: with DeepStack also what
 *                                      an image adds behind the layer (tl_input.deep)
 *     logits      [T, n_vocab]
 *
 * An experiment hands a pass readings and edits: data that name some rows of a site and an
 * array. The pass carries them out where the activations live:
 *
 *     const tl_reading z = {.rule = TL_READ_COPY, .at = {.site = TL_SITE_Z}, .to = values};
 *     const tl_pass_options options = {.readings = &z, .n_readings = 1};
 *     status = tl_pass_forward(pass, prompts, 1, &options, &err);
 *
 * A tap is a function of the host that is shown values. It is the slow way, for traces and
 * for what no reading or edit can say.
 *
 * At each site edits come first, in the order given, then taps that write, then readings,
 * then taps that only read: whoever reads gets what the pass goes on with. The way back
 * takes what was written over a value for a constant that was added to it.
 *
 * The way back carries gradients of a difference of two logits, or by another rule what
 * stands in their place; both are called gradients here.
 */
#ifndef TWINLENS_SITE_H
#define TWINLENS_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "twinlens/api.h"
#include "twinlens/status.h"

TL_BEGIN_DECLS

typedef enum tl_site {
    TL_SITE_RESID_PRE,
    TL_SITE_Z,
    TL_SITE_ATTN_OUT,
    TL_SITE_MLP_POST,
    TL_SITE_MLP_OUT,
    TL_SITE_RESID_POST,
} tl_site;
enum { TL_SITE_COUNT = TL_SITE_RESID_POST + 1 };

/* What the way back computes (docs/math.md eq. 19). */
typedef enum tl_backward_rule {
    TL_BACKWARD_GRADIENT,
    /* Norms, activations, the pattern of attention and soft caps multiply by constants,
     * and a product gives half to each factor. */
    TL_BACKWARD_RELEVANCE,
} tl_backward_rule;

/* "resid_pre", "z", ... */
const char *tl_site_name(tl_site site);

/* Some rows of a site, of one prompt. Positions that are not computed in a layer (behind a
 * prefix, in a last layer of which the last position alone is wanted) and layers that are
 * not run are skipped. Arrays over it are [n_layers, n_pos, width], whatever is skipped. */
typedef struct tl_site_range {
    tl_site site;
    size_t prompt;                /* index in the batch */
    size_t first_layer, n_layers; /* n_layers 0: up to the last */
    size_t first_pos, n_pos;      /* n_pos 0: up to the last */
} tl_site_range;

/* What a reading does with the values of a site. */
typedef enum tl_read_rule {
    TL_READ_COPY,     /* to = values */
    TL_READ_ADD,      /* to += values */
    TL_READ_SUBTRACT, /* to -= values */
} tl_read_rule;

/* A reading happens once, also when a layer is computed again for the way back. */
typedef struct tl_reading {
    tl_read_rule rule;
    bool gradient; /* of the way back, of the logit difference; else values */
    tl_site_range at;
    float *to; /* an array of the model's backend (twinlens/array.h) */
} tl_reading;

/* What an edit does with the values of a site. Components are the heads of z, the neurons
 * of mlp_post, the elements of any other site. */
typedef enum tl_edit_rule {
    TL_EDIT_OVERWRITE,   /* values = from */
    TL_EDIT_ADD,         /* values += from */
    TL_EDIT_OUTSIDE_CUT, /* values = from for components whose rank is not below a cut */
    TL_EDIT_OUTSIDE_SET, /* values = from for components that are not in a set */
    TL_EDIT_COMPONENT,   /* values = from for one component */
} tl_edit_rule;

/* An edit of values. It is made again when a layer is computed again, so its arrays must
 * stay as they are until the way back is over. Attention's gradient needs z as it was
 * computed: a pass for the way back refuses edits of z. */
typedef struct tl_edit {
    tl_edit_rule rule;
    tl_site_range at;
    const float *from; /* as a reading's `to` */
    /* Over the whole prompt, [layers of the model, positions, components]: */
    const uint32_t *rank; /* OUTSIDE_CUT; NULL with a cut of 0: all is outside */
    const uint8_t *in;    /* OUTSIDE_SET: 1 for those in the set */
    size_t cut;
    size_t component; /* COMPONENT */
} tl_edit;

/* One site of one layer and one prompt of the batch. */
typedef struct tl_tap_event {
    tl_site site;
    bool backward; /* values are a gradient */
    size_t layer;
    size_t prompt;           /* index in the batch */
    size_t first_pos, n_pos; /* the positions that are computed */
    size_t width;            /* d_model, n_heads * d_head or d_mlp */
    float *values;           /* [n_pos, width], memory of the host */
} tl_tap_event;

/*
 * A tap is called for the sites in its set, once for each site and way, if it only reads.
 * When a pass for the way back computes a layer again, one that writes is called again
 * for those forward sites that are computed again, never resid_pre or resid_post, and
 * must write the same once more. Writing to z is refused as for edits. A written gradient
 * is what the rest of the way back sees.
 */
typedef struct tl_tap {
    tl_status (*on_site)(void *user, const tl_tap_event *event, tl_error *err);
    void *user;
    uint32_t sites; /* TL_SITE_BIT(TL_SITE_Z) | ... */
    bool writes;    /* overwrites values */
} tl_tap;

#define TL_SITE_BIT(site) (1u << (site))

TL_END_DECLS

#endif
