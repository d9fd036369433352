/* SPDX-License-Identifier: MIT
 * node_mean.c - see node_mean.h. */
#include "circuit/node_mean.h"

#include "twinlens/alloc.h"

enum { SOME = 1 << 14 };

static void count_nodes(const tl_dims *d, size_t n_pos, size_t counts[TL_NODE_SITES])
{
    counts[0] = d->n_layers * n_pos * d->n_heads * d->d_head;
    counts[1] = d->n_layers * n_pos * d->d_mlp;
}

size_t tl_node_mean_bytes(const tl_dims *d, size_t n_pos)
{
    size_t counts[TL_NODE_SITES];
    count_nodes(d, n_pos, counts);
    return (counts[0] + counts[1]) * sizeof(double) + SOME * sizeof(float);
}

void tl_node_mean_release(tl_node_mean *mean)
{
    for (size_t k = 0; k < TL_NODE_SITES; k++)
        tl_free(mean->sums[k]);
    tl_free(mean->some);
    *mean = (tl_node_mean){0};
}

tl_status tl_node_mean_init(tl_node_mean *mean, const tl_dims *d, size_t n_pos,
                            tl_error *err)
{
    tl_node_mean m = {.n_pos = n_pos};
    count_nodes(d, n_pos, m.counts);
    bool failed = false;
    for (size_t k = 0; k < TL_NODE_SITES; k++) {
        m.sums[k] = tl_alloc_zero(m.counts[k], sizeof *m.sums[k]);
        failed |= m.sums[k] == NULL;
    }
    m.some = tl_alloc(SOME, sizeof *m.some);
    if (failed || m.some == NULL) {
        tl_node_mean_release(&m);
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for mean activations");
    }
    *mean = m;
    return TL_OK;
}

tl_status tl_node_mean_add(tl_node_mean *mean, const tl_array *array,
                           const size_t first[TL_NODE_SITES], tl_error *err)
{
    for (size_t k = 0; k < TL_NODE_SITES; k++)
        for (size_t at = 0, n; at < mean->counts[k]; at += n) {
            n = mean->counts[k] - at < SOME ? mean->counts[k] - at : SOME;
            const tl_status status =
                tl_array_download(array, first[k] + at, n, mean->some, err);
            if (status != TL_OK)
                return status;
            for (size_t i = 0; i < n; i++)
                mean->sums[k][at + i] += (double)mean->some[i];
        }
    mean->n_prompts++;
    return TL_OK;
}

tl_status tl_node_mean_leave_out(tl_node_mean *mean, tl_array *array,
                                 const size_t first[TL_NODE_SITES], tl_error *err)
{
    const double others = (double)(mean->n_prompts - 1);
    tl_status status = TL_OK;
    for (size_t k = 0; k < TL_NODE_SITES; k++)
        for (size_t at = 0, n; at < mean->counts[k] && status == TL_OK; at += n) {
            n = mean->counts[k] - at < SOME ? mean->counts[k] - at : SOME;
            status = tl_array_download(array, first[k] + at, n, mean->some, err);
            for (size_t i = 0; i < n && status == TL_OK; i++)
                mean->some[i] =
                    (float)((mean->sums[k][at + i] - (double)mean->some[i]) / others);
            if (status == TL_OK)
                status = tl_array_upload(array, first[k] + at, n, mean->some, err);
        }
    return status;
}
