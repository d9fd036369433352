/* SPDX-License-Identifier: MIT
 *
 * site.h - the named activations of the decoder, and the taps that read and
 * edit them on their way. L layers, T positions of one prompt:
 *
 *     embed       [T, d_model]         assembled input; the same as resid_pre.0
 *     resid_pre   [T, d_model]         residual stream entering layer l
 *     z           [T, n_heads, d_head] output of each head, before W_O
 *     attn_out    [T, d_model]         what attention adds to the stream
 *     mlp_post    [T, d_mlp]           neurons, entering the down projection
 *     mlp_out     [T, d_model]         what the MLP adds to the stream
 *     resid_post  [T, d_model]         residual stream leaving layer l
 *     logits      [T, n_vocab]
 *
 * The decoder announces each site to the taps of a pass, in the order of the
 * forward computation, and on the way back once more with the gradient of the
 * logit difference. It knows nothing of what they do with it.
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

/* "resid_pre", "z", ... */
const char *tl_site_name(tl_site site);

/* What a reading does with the values of a site. */
typedef enum tl_read_rule {
    TL_READ_COPY,     /* to = values */
    TL_READ_ADD,      /* to += values */
    TL_READ_SUBTRACT, /* to -= values */
} tl_read_rule;

/* What an edit does with the values of a site. Components are the heads of z, the neurons
 * of mlp_post, the elements of any other site. */
typedef enum tl_edit_rule {
    TL_EDIT_OVERWRITE,   /* values = from */
    TL_EDIT_ADD,         /* values += from */
    TL_EDIT_OUTSIDE_CUT, /* values = from for components whose rank is not below a cut */
    TL_EDIT_OUTSIDE_SET, /* values = from for components that are not in a set */
    TL_EDIT_COMPONENT,   /* values = from for one component */
} tl_edit_rule;

/* One site of one layer and one prompt of the batch. */
typedef struct tl_tap_event {
    tl_site site;
    bool backward; /* values are a gradient */
    size_t layer;
    size_t prompt;           /* index in the batch */
    size_t first_pos, n_pos; /* the positions that are computed */
    size_t width;            /* d_model, n_heads * d_head or d_mlp */
    float *values;           /* [n_pos, width] */
} tl_tap_event;

/*
 * A tap is called for the sites in its set, once for each site and way, if it only reads.
 * When a pass for the way back computes a layer again, one that writes is called again
 * for those forward sites that are computed again, never resid_pre or resid_post, and
 * must write the same once more.
 *
 * What a tap writes over a forward value is what the rest of the pass sees; the
 * way back treats the change as a constant that was added. It cannot do that at z: a
 * pass for the way back refuses a tap that writes there. A written gradient is what the
 * rest of the way back sees.
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
