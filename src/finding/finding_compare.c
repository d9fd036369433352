/* SPDX-License-Identifier: MIT
 *
 * finding_compare.c - the two modalities beside each other: overlap, interchange,
 * alignment (include/twinlens/finding.h).
 */
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

/* The overlaps of a study, and those without parts of its prompts. */
typedef struct overlap_data {
    const tl_study_overlap *rows;
    const tl_study_overlap_without *without;
    size_t n, n_without, n_draws;
    bool published;
    double *room; /* [n_without] */
} overlap_data;

/* With an overlap that is `more` higher, and a baseline that is `off` higher. */
static double normalised_overlap(const overlap_data *d, const tl_study_overlap *row,
                                 double more, double off)
{
    const tl_study_overlap *kinds[TL_KIND_COUNT];
    double iou[TL_KIND_COUNT], random[TL_KIND_COUNT];
    if (!d->published)
        return tl_overlap_normalised(row->iou + more, row->random + off);
    const size_t n_kinds = kinds_of(d->rows, d->n, row, kinds);
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
        for (size_t i = 0; i < d->n_without; i++) {
            const tl_study_overlap_without *w = &d->without[i];
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
                 error = half / sqrt((double)d->n_draws),
                 value = normalised_overlap(d, row, 0.0, 0.0);
    tl_finding_overlap f = {.row = row,
                            .iou = iou_over_prompts(d, row),
                            .random = {row->random, fmax(0.0, row->random - half),
                                       fmin(1.0, row->random + half), row->deviation,
                                       d->n_draws, 0},
                            .normalised = {.value = value, .n = d->n_draws}};
    const double more = isnan(f.iou.deviation) ? 0.0 : z * f.iou.deviation;
    f.normalised.low = value - hypot(value - normalised_overlap(d, row, -more, 0.0),
                                     value - normalised_overlap(d, row, 0.0, error));
    f.normalised.high = value + hypot(value - normalised_overlap(d, row, more, 0.0),
                                      value - normalised_overlap(d, row, 0.0, -error));
    f.normalised.deviation = (f.normalised.high - f.normalised.low) / 3.92;
    if (d->n_draws < 2) /* one draw says nothing of the others */
        f.random.low = f.random.high = f.normalised.low = f.normalised.high =
            f.normalised.deviation = NAN;
    return f;
}

/* NaN without overlaps. */
static void mean_over_segments(tl_findings *f)
{
    tl_interval values[TL_SEGMENT_COUNT];
    size_t n = 0;
    double sum = 0.0;
    for (size_t s = 0; s < TL_SEGMENT_COUNT; s++) {
        const tl_finding_overlap *o = tl_findings_overlap(f, (tl_segment)s, "both");
        if (o == NULL)
            continue;
        values[n++] = o->normalised;
        sum += o->row->iou;
    }
    f->mean_overlap = tl_interval_mean(values, n);
    f->mean_iou = n > 0 ? sum / (double)n : NAN;
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
    const overlap_data d = {
        .rows = rows.rows,
        .without = without.rows,
        .n = rows.n,
        .n_without = without.n,
        .n_draws = strtoul(tl_findings_key(out, "rand-draws"), NULL, 10),
        .published = strcmp(tl_findings_key(out, "niou"), "ref") == 0,
        .room = tl_arena_alloc(arena, without.n, sizeof(double))};
    tl_finding_overlap *overlaps = tl_arena_alloc(arena, d.n, sizeof *overlaps);
    if (overlaps == NULL || d.room == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu overlaps", d.n);
    for (size_t i = 0; i < d.n; i++)
        overlaps[i] = normalise_overlap(&d, &d.rows[i]);
    out->overlaps = overlaps;
    out->n_overlaps = d.n;
    mean_over_segments(out);
    return TL_OK;
}

/* ---- interchange ------------------------------------------------------------------ */

/* Of the evaluation pairs of a host: what is needed to measure one segment. */
typedef struct swap_data {
    const tl_study_baseline *base;
    const tl_study_swap_run *runs; /* [pairs, n_swaps] */
    const tl_study_swap *swaps;
    size_t n_swaps, n_pairs;
    /* Numbers of its first pair and draw where pairs, then draws, of one host or two are
     * counted through. */
    size_t first, first_draw, n_draws;
    const char *segment;
    bool ratio_of_means; /* of the two kinds of faithfulness; else the mean of ratios */
} swap_data;

/* Faithfulness of swap s over the chosen pairs. */
static double faithfulness(const swap_data *d, size_t s, const size_t *chosen, size_t n)
{
    tl_faithfulness_sums sums = {0};
    for (size_t i = 0; i < n; i++) {
        const size_t pair = chosen[i] - d->first; /* of another host: wraps */
        if (pair >= d->n_pairs)
            continue;
        tl_faithfulness_add(&sums, d->base[pair].clean, d->base[pair].none,
                            d->runs[pair * d->n_swaps + s].logit_diff);
    }
    return d->ratio_of_means ? tl_faithfulness_ratio_of_means(&sums)
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

static swap_values values_of(const swap_data *d, const size_t *chosen, size_t n)
{
    swap_values f = {NAN, NAN, NAN};
    double random = 0.0;
    size_t n_random = 0;
    for (size_t s = 0; s < d->n_swaps; s++) {
        const tl_study_swap *swap = &d->swaps[s];
        if (strcmp(swap->swapped, "none") == 0)
            f.own = faithfulness(d, s, chosen, n);
        if (strcmp(swap->swapped, d->segment) != 0)
            continue;
        const size_t times = swap->is_random ? count_draw(d, swap->draw, chosen, n) : 1;
        if (times == 0)
            continue;
        const double value = faithfulness(d, s, chosen, n);
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

static tl_status read_host(const tl_study_db *db, tl_modality host, tl_arena *arena,
                           swap_data *d, tl_error *err)
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
    *d = (swap_data){
        .base = base.rows, .runs = runs.rows, .swaps = swaps.rows, .n_swaps = swaps.n};
    d->n_pairs = d->runs[runs.n - 1].pair + 1;
    for (size_t s = 0; s < d->n_swaps; s++)
        if (d->swaps[s].is_random && d->swaps[s].draw >= d->n_draws)
            d->n_draws = d->swaps[s].draw + 1;
    if (d->n_pairs * d->n_swaps != runs.n)
        return tl_fail(err, TL_ERR_FORMAT,
                       "%zu runs of an interchange of %zu pairs under %zu circuits",
                       runs.n, d->n_pairs, d->n_swaps);
    if (d->n_pairs > base.n)
        d->n_pairs = 0;
    return TL_OK;
}

/* Over pairs alone, or over pairs and draws; n of the result is that of pairs. */
static tl_status resample_pairs(tl_statistic *statistic, const swap_data *hosts,
                                size_t n_hosts, bool with_draws, tl_interval *out,
                                tl_error *err)
{
    size_t sizes[2 * TL_MODALITY_COUNT], n = 0, n_pairs = 0;
    for (size_t h = 0; h < n_hosts; h++)
        n_pairs += sizes[h] = hosts[h].n_pairs;
    for (size_t h = 0; h < n_hosts && with_draws; h++)
        n += sizes[n_hosts + h] = hosts[h].n_draws;
    const tl_bootstrap_options options = {.sample_sizes = sizes,
                                          .n_samples = 2 * n_hosts};
    const tl_status status = tl_bootstrap(statistic, hosts, n_pairs + n,
                                          with_draws ? &options : NULL, out, err);
    out->n = n_pairs;
    return status;
}

/* Over draws, of the mean over all pairs. */
static double spread_of(const swap_data *d, tl_arena *arena)
{
    size_t *all = tl_arena_alloc(arena, d->n_pairs, sizeof *all), n = 0;
    double sum = 0.0, squares = 0.0;
    for (size_t i = 0; all != NULL && i < d->n_pairs; i++)
        all[i] = i;
    for (int turn = 0; turn < 2 && all != NULL; turn++) {
        const double mean = turn > 0 ? sum / (double)n : 0.0;
        n = 0;
        for (size_t s = 0; s < d->n_swaps; s++) {
            const tl_study_swap *swap = &d->swaps[s];
            if (!swap->is_random || strcmp(swap->swapped, d->segment) != 0)
                continue;
            const double f = faithfulness(d, s, all, d->n_pairs);
            n++;
            if (turn == 0)
                sum += f;
            else
                squares += (f - mean) * (f - mean);
        }
    }
    return n > 1 ? sqrt(squares / (double)(n - 1)) : NAN;
}

static tl_status measure_host(const swap_data *d, tl_arena *arena, tl_finding_swap *out,
                              tl_error *err)
{
    tl_statistic *const statistics[] = {swapped_of, own_of, random_of, normalised_of};
    tl_interval *const numbers[] = {&out->value, &out->own, &out->random,
                                    &out->normalised};
    tl_status status = TL_OK;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && status == TL_OK; i++)
        status = resample_pairs(statistics[i], d, 1, i >= 2, numbers[i], err);
    out->spread = spread_of(d, arena);
    return status;
}

/* Both hosts; each term is averaged before the ratio is taken. */
static double normalised_of_both(const void *data, const size_t *chosen, size_t n)
{
    const swap_data *both = data;
    const swap_values t = values_of(&both[TL_TEXT], chosen, n),
                      v = values_of(&both[TL_IMAGE], chosen, n);
    return tl_interchange_normalised((t.value + v.value) / 2, (t.random + v.random) / 2,
                                     (t.own + v.own) / 2);
}

tl_status tl_findings_swaps(const tl_study_db *db, tl_arena *arena, tl_findings *out,
                            tl_error *err)
{
    swap_data hosts[TL_MODALITY_COUNT] = {{0}};
    const bool ratio_of_means = tl_findings_ratio_of_means(out);
    tl_status status = TL_OK;
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++) {
        status = read_host(db, (tl_modality)m, arena, &hosts[m], err);
        hosts[m].ratio_of_means = ratio_of_means;
        out->has_swaps[m] = hosts[m].n_pairs > 0;
    }
    for (size_t s = 0; s < TL_SEGMENT_COUNT && status == TL_OK; s++) {
        for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
            hosts[m].segment = tl_segment_name((tl_segment)s);
            hosts[m].first_draw = hosts[m].n_pairs;
            if (out->has_swaps[m] && status == TL_OK)
                status = measure_host(&hosts[m], arena, &out->swaps[m][s], err);
        }
        if (status != TL_OK || !out->has_swaps[TL_TEXT] || !out->has_swaps[TL_IMAGE])
            continue;
        swap_data both[] = {hosts[TL_TEXT], hosts[TL_IMAGE]};
        both[TL_IMAGE].first = both[TL_TEXT].n_pairs;
        both[TL_TEXT].first_draw = both[TL_IMAGE].first + both[TL_IMAGE].n_pairs;
        both[TL_IMAGE].first_draw = both[TL_TEXT].first_draw + both[TL_TEXT].n_draws;
        status = resample_pairs(normalised_of_both, both, TL_MODALITY_COUNT, true,
                                &out->swapped[s], err);
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

tl_status tl_findings_layers(const tl_study_db *db, tl_arena *arena, tl_findings *out,
                             tl_error *err)
{
    tl_rows got = {0};
    tl_status status = tl_study_db_get(db, TL_ROW_ALIGNMENT, NULL, 0, arena, &got, err);
    if (status != TL_OK || got.n == 0)
        return status;
    const tl_study_alignment *rows = got.rows;
    const size_t n_layers = rows[got.n - 1].layer + 1, n = got.n / n_layers;
    tl_finding_layer *layers = tl_arena_alloc(arena, n_layers, sizeof *layers);
    double *buffer = tl_arena_alloc(arena, 3 * n, sizeof *buffer);
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
    out->layers = layers;
    out->n_layers = n_layers;
    return status;
}
