/* SPDX-License-Identifier: MIT
 *
 * finding_compare.c - the two modalities beside each other: overlap, interchange,
 * alignment (include/twinlens/finding.h).
 */
#include "finding/finding_rows.h"
#include "finding/findings_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- overlap ---------------------------------------------------------------------- */

/* Rows of heads and neurons that make the row of both; or the row itself. */
static size_t kinds_of(const tl_study_overlap *rows, size_t n,
                       const tl_study_overlap *row, const tl_study_overlap **kinds)
{
    size_t n_kinds = 0;
    for (size_t i = 0; i < n && strcmp(row->kind, "both") == 0; i++)
        if (strcmp(rows[i].segment, row->segment) == 0 &&
            strcmp(rows[i].kind, "both") != 0 && n_kinds < TL_KIND_COUNT)
            kinds[n_kinds++] = &rows[i];
    if (n_kinds == 0)
        kinds[n_kinds++] = row;
    return n_kinds;
}

/* Rows of overlaps, and room to look through those without parts of the prompts. */
typedef struct overlap_data {
    tl_overlap_rows of;
    double *room; /* [of.n_without] */
} overlap_data;

/* With an overlap that is `more` higher, and a baseline that is `off` higher. */
static double normalised_overlap(const overlap_data *d, const tl_study_overlap *row,
                                 double more, double off)
{
    const tl_study_overlap *kinds[TL_KIND_COUNT];
    double iou[TL_KIND_COUNT], random[TL_KIND_COUNT];
    if (!d->of.published)
        return tl_overlap_normalised(row->iou + more, row->random + off);
    const size_t n_kinds = kinds_of(d->of.rows, d->of.n, row, kinds);
    for (size_t k = 0; k < n_kinds; k++) {
        iou[k] = kinds[k]->iou + more;
        random[k] = kinds[k]->random + off;
    }
    return tl_overlap_normalised_published(iou, random, n_kinds);
}

/* Both circuits depend on prompts of their own. */
static tl_interval iou_over_prompts(const overlap_data *d, const tl_study_overlap *row)
{
    tl_interval f = {row->iou, NAN, NAN, NAN, 0, 0};
    double variance = 0.0;
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        size_t n = 0;
        for (size_t i = 0; i < d->of.n_without; i++) {
            const tl_study_overlap_without *w = &d->of.without[i];
            if (w->modality == (tl_modality)m &&
                strcmp(w->segment, row->segment) == 0 &&
                strcmp(w->kind, row->kind) == 0)
                d->room[n++] = w->iou;
        }
        variance += tl_jackknife_variance(d->room, n);
        f.n += n;
    }
    if (isnan(variance))
        return f;
    const double half = tl_normal_quantile(0.975) * sqrt(variance);
    f.low = fmax(0.0, row->iou - half);
    f.high = fmin(1.0, row->iou + half);
    f.deviation = sqrt(variance);
    return f;
}

/* The rows keep mean and deviation of the random circuits. A larger baseline leaves less, so
 * its ends change places. */
static tl_finding_overlap normalise_overlap(const overlap_data *d,
                                            const tl_study_overlap *row)
{
    const double z = tl_normal_quantile(0.975), half = z * row->deviation,
                 error = half / sqrt((double)d->of.n_draws),
                 value = normalised_overlap(d, row, 0.0, 0.0);
    tl_finding_overlap f = {.row = row,
                            .iou = iou_over_prompts(d, row),
                            .random = {row->random, fmax(0.0, row->random - half),
                                       fmin(1.0, row->random + half), row->deviation,
                                       d->of.n_draws, 0},
                            .normalised = {.value = value, .n = d->of.n_draws}};
    const double more = isnan(f.iou.deviation) ? 0.0 : z * f.iou.deviation;
    f.normalised.low = value - hypot(value - normalised_overlap(d, row, -more, 0.0),
                                     value - normalised_overlap(d, row, 0.0, error));
    f.normalised.high = value + hypot(value - normalised_overlap(d, row, more, 0.0),
                                      value - normalised_overlap(d, row, 0.0, -error));
    f.normalised.deviation = (f.normalised.high - f.normalised.low) / 3.92;
    if (d->of.n_draws < 2) /* one draw says nothing of the others */
        f.random.low = f.random.high = f.normalised.low = f.normalised.high =
            f.normalised.deviation = NAN;
    return f;
}

tl_status tl_finding_overlaps_of(const tl_overlap_rows *rows, tl_arena *arena,
                                 const tl_finding_overlap **out, tl_error *err)
{
    const overlap_data d = {*rows,
                            tl_arena_alloc(arena, rows->n_without, sizeof(double))};
    tl_finding_overlap *overlaps = tl_arena_alloc(arena, rows->n, sizeof *overlaps);
    if (overlaps == NULL || d.room == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu overlaps", rows->n);
    for (size_t i = 0; i < rows->n; i++)
        overlaps[i] = normalise_overlap(&d, &rows->rows[i]);
    *out = overlaps;
    return TL_OK;
}

static const tl_study_overlap_without *find_without(const overlap_data *d,
                                                    const tl_study_overlap *row,
                                                    tl_modality modality, size_t part)
{
    for (size_t i = 0; i < d->of.n_without; i++) {
        const tl_study_overlap_without *w = &d->of.without[i];
        if (w->modality == modality && w->part == part &&
            strcmp(w->segment, row->segment) == 0 && strcmp(w->kind, row->kind) == 0)
            return w;
    }
    return NULL;
}

/* Variance over prompts of the mean of n normalised overlaps: a part of the prompts is
 * left out of all of them at once. 0 where nothing is known without parts. */
static double variance_of_mean(const overlap_data *d,
                               const tl_study_overlap *const *rows, size_t n)
{
    double variance = 0.0;
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        size_t n_parts = 0;
        for (bool all = true; all; n_parts += all) {
            double sum = 0.0;
            for (size_t s = 0; s < n && all; s++) {
                const tl_study_overlap_without *w =
                    find_without(d, rows[s], (tl_modality)m, n_parts);
                all = w != NULL;
                if (all)
                    sum += normalised_overlap(d, rows[s], w->iou - rows[s]->iou, 0.0);
            }
            if (all)
                d->room[n_parts] = sum / (double)n;
        }
        variance += tl_jackknife_variance(d->room, n_parts);
    }
    return isnan(variance) ? 0.0 : variance;
}

/* NaN without overlaps. The draws of the segments are independent, their prompts are the
 * same. */
static void mean_over_segments(const overlap_data *d, tl_findings *f)
{
    const double z = tl_normal_quantile(0.975);
    const tl_study_overlap *rows[TL_SEGMENT_COUNT];
    size_t n = 0, n_all = 0;
    double iou = 0.0, sum = 0.0, squares = 0.0;
    for (size_t s = 0; s < TL_SEGMENT_COUNT; s++) {
        const tl_finding_overlap *o = tl_findings_overlap(f, (tl_segment)s, "both");
        if (o == NULL)
            continue;
        iou += o->row->iou;
        n_all++;
        if (!isfinite(o->normalised.value))
            continue;
        const double error = z * o->row->deviation / sqrt((double)d->of.n_draws),
                     ends = normalised_overlap(d, o->row, 0.0, -error) -
                            normalised_overlap(d, o->row, 0.0, error);
        rows[n++] = o->row;
        sum += o->normalised.value;
        squares += isfinite(o->normalised.deviation) ? ends * ends / (4 * z * z) : 0.0;
    }
    f->mean_iou = n_all > 0 ? iou / (double)n_all : NAN;
    f->mean_overlap = (tl_interval){NAN, NAN, NAN, NAN, 0, 0};
    if (n == 0)
        return;
    const double mean = sum / (double)n, deviation = sqrt(squares / (double)(n * n) +
                                                          variance_of_mean(d, rows, n));
    f->mean_overlap = (tl_interval){
        mean, mean - z * deviation, mean + z * deviation, deviation, n, 0};
}

tl_status tl_findings_overlaps(const tl_study_db *db, tl_arena *arena, tl_findings *out,
                               tl_error *err)
{
    tl_rows rows = {0}, without = {0};
    tl_status status = tl_study_db_get(db, TL_ROW_OVERLAP, NULL, 0, arena, &rows, err);
    if (status == TL_OK)
        status =
            tl_study_db_get(db, TL_ROW_OVERLAP_WITHOUT, NULL, 0, arena, &without, err);
    if (status != TL_OK)
        return status;
    const tl_overlap_rows of = {
        .rows = rows.rows,
        .n = rows.n,
        .without = without.rows,
        .n_without = without.n,
        .n_draws = strtoul(tl_findings_key(out, "rand-draws"), NULL, 10),
        .published = strcmp(tl_findings_key(out, "niou"), "ref") == 0};
    status = tl_finding_overlaps_of(&of, arena, &out->overlaps, err);
    if (status != TL_OK)
        return status;
    out->n_overlaps = rows.n;
    const overlap_data d = {of, tl_arena_alloc(arena, of.n_without, sizeof(double))};
    if (d.room == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the mean overlap");
    mean_over_segments(&d, out);
    return TL_OK;
}

/* ---- interchange ------------------------------------------------------------------ */

/* The pairs of a host, and its draws. Where pairs, then draws, of one host or two are counted
 * through, `first` and `first_draw` are the numbers of its first ones. */
typedef struct swap_data {
    tl_swap_rows of;
    size_t first, first_draw, n_draws;
} swap_data;

/* One segment of one host, or of both. */
typedef struct swap_group {
    swap_data hosts[TL_MODALITY_COUNT];
    size_t n_hosts, n_pairs, n_draws;
    const char *segment;
    bool ratio_of_means; /* of the two kinds of faithfulness; else the mean of ratios */
} swap_group;

/* Faithfulness of swap s over the chosen pairs. */
static double faithfulness(const swap_data *d, size_t s, bool ratio_of_means,
                           const size_t *chosen, size_t n)
{
    const tl_swap_rows *rows = &d->of;
    tl_faithfulness_sums sums = {0};
    for (size_t i = 0; i < n; i++) {
        const size_t pair = chosen[i] - d->first; /* of another host: wraps */
        if (pair >= rows->n_pairs)
            continue;
        tl_faithfulness_add(&sums, rows->base[pair].clean, rows->base[pair].none,
                            rows->runs[pair * rows->n_swaps + s].logit_diff);
    }
    return ratio_of_means ? tl_faithfulness_ratio_of_means(&sums)
                          : tl_faithfulness_mean_of_ratios(&sums);
}

/* Faithfulness with the other modality's segment, with a random one (mean over draws), and
 * with the circuit's own. */
typedef struct swap_values {
    double value, random, own;
} swap_values;

/* How often a draw is chosen. */
static size_t count_draw(const swap_data *d, size_t draw, const size_t *chosen,
                         size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += chosen[i] == d->first_draw + draw;
    return count;
}

static swap_values values_of_host(const swap_group *g, const swap_data *d,
                                  const size_t *chosen, size_t n)
{
    swap_values f = {NAN, NAN, NAN};
    double random = 0.0;
    size_t n_random = 0;
    for (size_t s = 0; s < d->of.n_swaps; s++) {
        const tl_study_swap *swap = &d->of.swaps[s];
        if (strcmp(swap->swapped, "none") == 0)
            f.own = faithfulness(d, s, g->ratio_of_means, chosen, n);
        if (strcmp(swap->swapped, g->segment) != 0)
            continue;
        const size_t times = swap->is_random ? count_draw(d, swap->draw, chosen, n) : 1;
        if (times == 0)
            continue;
        const double value = faithfulness(d, s, g->ratio_of_means, chosen, n);
        if (swap->is_random) {
            random += (double)times * value;
            n_random += times;
        } else {
            f.value = value;
        }
    }
    if (n_random > 0)
        f.random = random / (double)n_random;
    return f;
}

/* Of both hosts the mean of each. */
static swap_values values_of(const swap_group *g, const size_t *chosen, size_t n)
{
    swap_values mean = {0.0, 0.0, 0.0};
    for (size_t h = 0; h < g->n_hosts; h++) {
        const swap_values f = values_of_host(g, &g->hosts[h], chosen, n);
        mean.value += f.value / (double)g->n_hosts;
        mean.random += f.random / (double)g->n_hosts;
        mean.own += f.own / (double)g->n_hosts;
    }
    return mean;
}

static double swapped_of(const void *data, const size_t *chosen, size_t n)
{
    return values_of(data, chosen, n).value;
}

static double random_of(const void *data, const size_t *chosen, size_t n)
{
    return values_of(data, chosen, n).random;
}

static double own_of(const void *data, const size_t *chosen, size_t n)
{
    return values_of(data, chosen, n).own;
}

static double normalised_of(const void *data, const size_t *chosen, size_t n)
{
    const swap_values f = values_of(data, chosen, n);
    return tl_interchange_normalised(f.value, f.random, f.own);
}

static swap_group group_of(const tl_swap_rows *hosts, size_t n_hosts,
                           tl_segment segment, bool ratio_of_means)
{
    swap_group g = {.n_hosts = n_hosts,
                    .segment = tl_segment_name(segment),
                    .ratio_of_means = ratio_of_means};
    for (size_t h = 0; h < n_hosts; h++) {
        swap_data *d = &g.hosts[h];
        *d = (swap_data){.of = hosts[h], .first = g.n_pairs};
        for (size_t s = 0; s < d->of.n_swaps; s++)
            if (d->of.swaps[s].is_random && d->of.swaps[s].draw >= d->n_draws)
                d->n_draws = d->of.swaps[s].draw + 1;
        g.n_pairs += d->of.n_pairs;
    }
    for (size_t h = 0; h < n_hosts; h++) {
        g.hosts[h].first_draw = g.n_pairs + g.n_draws;
        g.n_draws += g.hosts[h].n_draws;
    }
    return g;
}

/* Over pairs alone, or over pairs and draws; n of the result is that of pairs. A host with one
 * pair says nothing of others, though it may have many draws. */
static tl_status resample_pairs(tl_statistic *statistic, const swap_group *g,
                                bool with_draws, tl_interval *out, tl_error *err)
{
    size_t sizes[2 * TL_MODALITY_COUNT];
    for (size_t h = 0; h < g->n_hosts; h++) {
        sizes[h] = g->hosts[h].of.n_pairs;
        sizes[g->n_hosts + h] = g->hosts[h].n_draws;
    }
    const bool in_samples = with_draws || g->n_hosts > 1;
    const tl_bootstrap_options options = {
        .sample_sizes = sizes, .n_samples = with_draws ? 2 * g->n_hosts : g->n_hosts};
    const tl_status status =
        tl_bootstrap(statistic, g, g->n_pairs + (with_draws ? g->n_draws : 0),
                     in_samples ? &options : NULL, out, err);
    out->n = g->n_pairs;
    for (size_t h = 0; h < g->n_hosts; h++)
        if (g->hosts[h].of.n_pairs < 2)
            out->low = out->high = out->deviation = NAN;
    return status;
}

/* Over draws, of the mean over all pairs, and over the hosts. */
static tl_status measure_spread(const swap_group *g, tl_arena *arena, double *out,
                                tl_error *err)
{
    const size_t n = g->hosts[0].n_draws;
    size_t *chosen = tl_arena_alloc(arena, g->n_pairs + g->n_hosts, sizeof *chosen);
    double *values = tl_arena_alloc(arena, n, sizeof *values), sum = 0.0, squares = 0.0;
    if (chosen == NULL || values == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu draws", n);
    for (size_t i = 0; i < g->n_pairs; i++)
        chosen[i] = i;
    for (size_t d = 0; d < n; d++) {
        for (size_t h = 0; h < g->n_hosts; h++)
            chosen[g->n_pairs + h] = g->hosts[h].first_draw + d;
        values[d] = values_of(g, chosen, g->n_pairs + g->n_hosts).random;
        sum += values[d];
    }
    for (size_t d = 0; d < n; d++)
        squares += pow(values[d] - sum / (double)n, 2);
    *out = n > 1 ? sqrt(squares / (double)(n - 1)) : NAN;
    return TL_OK;
}

tl_status tl_finding_swap_of(const tl_swap_rows *hosts, size_t n_hosts,
                             tl_segment segment, bool ratio_of_means, tl_arena *arena,
                             tl_finding_swap *out, tl_error *err)
{
    const swap_group g = group_of(hosts, n_hosts, segment, ratio_of_means);
    tl_statistic *const statistics[] = {swapped_of, own_of, random_of, normalised_of};
    tl_interval *const numbers[] = {&out->value, &out->own, &out->random,
                                    &out->normalised};
    tl_status status = TL_OK;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && status == TL_OK; i++)
        status = resample_pairs(statistics[i], &g, i >= 2, numbers[i], err);
    return status == TL_OK ? measure_spread(&g, arena, &out->spread, err) : status;
}

/* One of the circuits, over the pairs. */
typedef struct swap_run {
    swap_data host;
    size_t swap;
    bool ratio_of_means;
} swap_run;

static double faithfulness_of(const void *data, const size_t *chosen, size_t n)
{
    const swap_run *r = data;
    return faithfulness(&r->host, r->swap, r->ratio_of_means, chosen, n);
}

tl_status tl_finding_swap_run_of(const tl_swap_rows *host, size_t swap,
                                 bool ratio_of_means, tl_interval *out, tl_error *err)
{
    const swap_run run = {{.of = *host}, swap, ratio_of_means};
    return tl_bootstrap(faithfulness_of, &run, host->n_pairs, NULL, out, err);
}

static tl_status read_host(const tl_study_db *db, tl_modality host, tl_arena *arena,
                           tl_swap_rows *d, tl_error *err)
{
    tl_rows swaps = {0}, runs = {0}, base = {0};
    tl_status status = tl_study_db_get(db, TL_ROW_SWAP, &(tl_study_swap){.host = host},
                                       1, arena, &swaps, err);
    if (status == TL_OK)
        status =
            tl_study_db_get(db, TL_ROW_SWAP_RUN, &(tl_study_swap_run){.host = host}, 1,
                            arena, &runs, err);
    if (status == TL_OK)
        status =
            tl_study_db_get(db, TL_ROW_BASELINE, &(tl_study_baseline){.modality = host},
                            1, arena, &base, err);
    if (status != TL_OK || runs.n == 0)
        return status;
    *d = (tl_swap_rows){
        .base = base.rows, .runs = runs.rows, .swaps = swaps.rows, .n_swaps = swaps.n};
    d->n_pairs = d->runs[runs.n - 1].pair + 1;
    if (d->n_pairs * d->n_swaps != runs.n)
        return tl_fail(err, TL_ERR_FORMAT,
                       "%zu runs of an interchange of %zu pairs under %zu circuits",
                       runs.n, d->n_pairs, d->n_swaps);
    if (d->n_pairs > base.n)
        d->n_pairs = 0;
    return TL_OK;
}

tl_status tl_findings_swaps(const tl_study_db *db, tl_arena *arena, tl_findings *out,
                            tl_error *err)
{
    tl_swap_rows hosts[TL_MODALITY_COUNT] = {{0}};
    const bool ratio_of_means = tl_findings_ratio_of_means(out);
    tl_status status = TL_OK;
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++) {
        status = read_host(db, (tl_modality)m, arena, &hosts[m], err);
        out->has_swaps[m] = hosts[m].n_pairs > 0;
    }
    for (size_t s = 0; s < TL_SEGMENT_COUNT && status == TL_OK; s++) {
        for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++)
            if (out->has_swaps[m])
                status = tl_finding_swap_of(&hosts[m], 1, (tl_segment)s, ratio_of_means,
                                            arena, &out->swaps[m][s], err);
        if (status != TL_OK || !out->has_swaps[TL_TEXT] || !out->has_swaps[TL_IMAGE])
            continue;
        const swap_group both =
            group_of(hosts, TL_MODALITY_COUNT, (tl_segment)s, ratio_of_means);
        status = resample_pairs(normalised_of, &both, true, &out->swapped[s], err);
    }
    return status;
}

/* ---- alignment ------------------------------------------------------------------- */

/* a, b and a - b of one layer over all pairs; `rows` is that of the first pair, the next
 * pair's is n_layers behind it. */
static tl_status two_and_difference(const tl_study_alignment *rows, size_t n,
                                    size_t n_layers, bool centred, double *buffer,
                                    tl_interval *a, tl_interval *b,
                                    tl_interval *difference, tl_error *err)
{
    double *first = buffer, *second = buffer + n, *third = buffer + 2 * n;
    size_t n_other = 0; /* pairs beside which there is another */
    for (size_t i = 0; i < n; i++) {
        const tl_study_alignment *r = &rows[i * n_layers];
        first[i] = centred ? r->centred_matched : r->matched;
        second[n_other] = centred ? r->centred_other : r->other;
        third[n_other] = first[i] - second[n_other];
        n_other += isnan(second[n_other]) ? 0 : 1;
    }
    tl_status status = tl_findings_mean(first, n, a, err);
    if (status == TL_OK)
        status = tl_findings_mean(second, n_other, b, err);
    return status != TL_OK ? status : tl_findings_mean(third, n_other, difference, err);
}

tl_status tl_finding_layers_of(const tl_study_alignment *rows, size_t n_rows,
                               tl_arena *arena, const tl_finding_layer **out,
                               size_t *out_layers, tl_error *err)
{
    const size_t n_layers = n_rows > 0 ? rows[n_rows - 1].layer + 1 : 0,
                 n = n_layers > 0 ? n_rows / n_layers : 0;
    tl_finding_layer *layers = tl_arena_alloc(arena, n_layers, sizeof *layers);
    double *buffer = tl_arena_alloc(arena, 3 * n, sizeof *buffer);
    tl_status status = TL_OK;
    if (layers == NULL || buffer == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu pairs", n);
    for (size_t l = 0; l < n_layers && status == TL_OK; l++) {
        tl_finding_layer *f = &layers[l];
        status = two_and_difference(rows + l, n, n_layers, false, buffer, &f->matched,
                                    &f->other, &f->difference, err);
        if (status == TL_OK)
            status = two_and_difference(rows + l, n, n_layers, true, buffer,
                                        &f->centred_matched, &f->centred_other,
                                        &f->centred_difference, err);
    }
    *out = layers;
    *out_layers = n_layers;
    return status;
}

tl_status tl_findings_layers(const tl_study_db *db, tl_arena *arena, tl_findings *out,
                             tl_error *err)
{
    tl_rows got = {0};
    const tl_status status =
        tl_study_db_get(db, TL_ROW_ALIGNMENT, NULL, 0, arena, &got, err);
    return status == TL_OK && got.n > 0
               ? tl_finding_layers_of(got.rows, got.n, arena, &out->layers,
                                      &out->n_layers, err)
               : status;
}
