/* SPDX-License-Identifier: MIT
 *
 * sparse_pass_private.h - the inside of a tl_sparse_pass, for the files that make it up:
 *
 *     sparse_pass.c     memory, the order of the layers, the products
 *     sparse_rows.c     which rows have to be computed
 *     sparse_lists.c    tables; the rows, keys and queries of a layer
 *     sparse_neurons.c  the groups of neurons of a layer
 *     sparse_cost.c     what a forward pass and a circuit cost
 *
 * A row is a position behind the prefix of a lane; rows of all lanes are laid end to end.
 */
#ifndef TWINLENS_MODEL_SPARSE_PASS_PRIVATE_H
#define TWINLENS_MODEL_SPARSE_PASS_PRIVATE_H

#include "model/model_private.h"
#include "model/sparse_pass.h"

typedef struct tl_sparse_rows {
    size_t first, n;        /* rows of a lane */
    size_t n_shared;        /* the first of them, which an earlier lane has as well */
    size_t n_pos, n_prefix; /* n = n_pos - n_prefix */
} tl_sparse_rows;

/* Lanes whose neurons are told by one array. */
typedef struct tl_sparse_source {
    const uint32_t *rank; /* or: */
    const uint8_t *in;
    size_t *lanes; /* by descending cut */
    size_t n_lanes;
} tl_sparse_source;

/* Neurons of a source at a position. */
typedef struct tl_sparse_place {
    uint64_t key; /* of a set: equal members have the same */
    uint32_t source, position;
    uint32_t n; /* members of a set */
} tl_sparse_place;

/* A list of rows. */
typedef struct tl_row_list {
    uint32_t *rows;
    size_t n;
} tl_row_list;

/* A row of which the whole MLP is computed. */
typedef struct tl_dense_row {
    uint32_t at; /* in `residual` */
    uint32_t lane;
    size_t first_component; /* of its place in the arrays of tl_kept */
    const float *base;
} tl_dense_row;

/* What a layer has to compute. */
typedef struct tl_sparse_layer {
    tl_row_list keys;     /* rows whose keys and values some group needs */
    tl_row_list residual; /* rows that leave the layer */
    uint32_t *known;      /* [residual.n]: the same in the arrays of the batch */
    uint32_t
        *known_layer; /* and in those of one layer: layer_rows and the rotary tables */
    /* Groups of neurons, as many as there is room for at a time. */
    tl_neuron_group *groups;
    size_t n_groups;
    tl_neuron_row *rows; /* of the groups */
    size_t n_rows;
    uint32_t *index;
    size_t n_index, index_capacity;
    tl_sparse_place *places;
    size_t n_places, next_place; /* where the next groups begin */
    bool has_places;             /* of this layer */
    tl_dense_row *dense;
    size_t n_dense;
    uint64_t *sorted; /* [d_mlp] */
    size_t *counts;   /* [lanes] */
} tl_sparse_layer;

/* The heads of one key-value group. Queries stand by lane and row; their `at` by head. */
typedef struct tl_sparse_heads {
    tl_row_list keys; /* indices into tl_sparse_layer.keys */
    uint32_t *key_to; /* [keys.n]: row * n_kv_heads + group, where they go */
    uint32_t *key_table;
    uint32_t *lent_from, *lent_to; /* [n_lent], as key_to: keys of an earlier lane */
    size_t n_lent;
    tl_attention_query *queries;
    size_t n;
    size_t *first;   /* [heads of the group + 1]: of each head, in order of `at` */
    size_t *next;    /* scratch */
    uint32_t *from;  /* [n] by `at`: index into tl_sparse_layer.keys */
    uint32_t *to;    /* index into tl_sparse_layer.residual */
    uint32_t *known; /* row * n_heads + head of the known z */
    uint32_t *table; /* row of the rotary tables */
    double n_pairs;  /* of queries and keys */
} tl_sparse_heads;

/* What decides how large the tables of a run are. */
typedef struct tl_sparse_sizes {
    size_t n_lanes, n_rows, n_sources;
    size_t longest;   /* rows of a prompt */
    size_t n_prompts; /* of the batch */
    size_t n_table_rows;
} tl_sparse_sizes;

struct tl_sparse_pass {
    tl_model *model;
    void *slab;
    size_t slab_bytes;
    tl_arena *activations; /* over the slab */
    void *table_memory;    /* of the host, as much as the run under way takes */
    tl_arena *tables;      /* over it */
    size_t peak;
    tl_sparse_work work;

    /* The run under way. */
    const tl_sparse_batch *batch;
    const tl_sparse_lane *lanes;
    size_t n_lanes, n_rows;
    bool no_dense_rows;
    tl_sparse_rows *rows; /* [n_lanes] */
    uint32_t *lane_of;    /* [n_rows] */
    uint32_t *owner;      /* [n_rows]: the row with the same numbers that is computed */
    uint32_t *last_rows;  /* [n_lanes] */
    size_t *first_table;  /* [prompts]: its first row of the rotary tables */
    size_t n_table_rows;
    float *rope;               /* [2, rows, d_head / 2] of a prompt */
    tl_sparse_source *sources; /* of neurons */
    size_t n_sources;
    uint8_t *groups_seen; /* [n_kv_heads] */
    tl_sparse_layer layer;
    tl_sparse_heads heads;
    uint8_t *needed; /* [n_layers + 1, n_rows]: entering layer l; at last, the output */
    uint8_t *key_needed;      /* [n_layers, n_rows, n_kv_heads] */
    uint32_t *key_index;      /* [n_rows] into the layer's keys */
    uint32_t *residual_index; /* [n_rows] into the layer's residual */
    uint32_t *counting;       /* 0, 1, 2, ...: heads of q and o as lists of channels */
    tl_attention_prompt *attention; /* [n_lanes] */

    /* Activations, see sparse_pass.c. */
    float *stream, *norm, *gathered, *out, *mid, *inv_rms;
    float *k, *v, *key, *q, *z, *cosine, *sine;
    float *table_cosine, *table_sine, *sliding_cosine, *sliding_sine;
    float
        *layer_rows; /* [rows of a layer of all prompts, d_model]: with post_norms what
                          is known of them, with DeepStack what images add to them */
    float *dense_in, *dense_gate, *dense_up, *dense_mlp, *dense_base, *dense_out;
};

static inline const tl_sparse_prompt *tl_sparse_prompt_of(const tl_sparse_pass *s,
                                                          size_t lane)
{
    return &s->batch->prompts[s->lanes[lane].prompt];
}

static inline bool tl_sparse_is_kept(const tl_kept *kept, size_t i)
{
    return kept->in != NULL ? kept->in[i] != 0
                            : kept->rank != NULL && kept->rank[i] < kept->cut;
}

/* Rows of a group at most, so that threads have something to share: a multiple of what the
 * products of groups are cut into. */
enum { TL_SPARSE_GROUP_ROWS = 96 };

/* Neurons of a group at most. */
size_t tl_sparse_most_neurons(const tl_sparse_pass *s);

/* Positions of a prompt behind its prefix. */
size_t tl_sparse_prompt_rows(const tl_sparse_prompt *prompt);

/* Gives the tables of a run their places in an arena; false if it ran out. */
bool tl_sparse_take_tables(tl_sparse_pass *s, tl_arena *arena,
                           const tl_sparse_sizes *sizes);

/* Sizes for the first n lanes. */
tl_sparse_sizes tl_sparse_sizes_of(const tl_sparse_pass *s, size_t n);

/* Rows, sources, and what is needed where, of s->lanes. */
void tl_sparse_begin(tl_sparse_pass *s);

/* Fills s->layer but for its groups of neurons, and s->heads for a key-value group. */
void tl_sparse_list_layer(tl_sparse_pass *s, size_t l);
void tl_sparse_list_heads(tl_sparse_pass *s, size_t l, size_t group);

/* The row of the known arrays that a row of the run has in layer l. */
size_t tl_sparse_known_row(const tl_sparse_pass *s, size_t l, size_t row);

/* The next groups of neurons of layer l; false when there are none left. Rows that are
 * computed in full are added to `dense`. */
bool tl_sparse_list_neurons(tl_sparse_pass *s, size_t l);

#endif
