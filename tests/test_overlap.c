/*
 * test_overlap.c - positions of one modality in the other, sets, intersection over
 * union against one that goes through all components, and chance.
 */
#include "testing.h"

#include "circuit/random_set.h"
#include "twinlens/overlap.h"
#include "twinlens/statistics.h"

enum { L = 3, H = 4, M = 17 };
static const tl_span text_span = {14, 5, 9}, image_span = {19, 4, 12};

/* ---- positions ------------------------------------------------------------------- */

static bool has_pair(const tl_position_map *map, size_t text, size_t image)
{
    for (size_t i = 0; i < map->n_pairs; i++)
        if (map->pairs[i][TL_TEXT] == text && map->pairs[i][TL_IMAGE] == image)
            return true;
    return false;
}

static void assert_total(const tl_position_map *map)
{
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        for (size_t t = 0; t < map->span[m].n_pos; t++) {
            bool found = false;
            for (size_t i = 0; i < map->n_pairs; i++)
                found = found || map->pairs[i][m] == t;
            if (!found)
                fail_msg("%s position %zu is mapped to nothing", m ? "image" : "text",
                         t);
        }
    assert_true(
        has_pair(map, map->span[TL_TEXT].n_pos - 1, map->span[TL_IMAGE].n_pos - 1));
}

/* The published tables of positions: lengths, data, the first query position of both
 * and how many follow; and positions that two of the other side go with. */
static void positions_are_the_published_ones(void **state)
{
    (void)state;
    static const struct {
        tl_span text, image;
        size_t query_text, query_image, n;
        size_t also[4][2];
    } published[] = {
        {{46, 16, 23}, {119, 15, 96}, 24, 97, 22, {{14, 14}, {15, 14}, {23, 96}}},
        {{44, 17, 22}, {73, 15, 51}, 23, 52, 21, {{15, 14}, {16, 14}, {22, 51}}},
        {{64, 14, 40}, {120, 15, 96}, 41, 97, 23, {{40, 96}, {13, 13}}},
        {{57, 14, 35}, {119, 15, 96}, 36, 98, 21, {{35, 96}, {35, 97}}},
        {{30, 2, 11}, {292, 2, 273}, 12, 274, 18, {{11, 273}}},
        {{41, 2, 22}, {292, 2, 273}, 24, 275, 17, {{22, 273}, {23, 274}}},
        {{48, 4, 25}, {284, 4, 261}, 27, 263, 21, {{25, 261}, {26, 262}}},
    };
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        tl_arena *arena = tl_arena_create();
        tl_position_map map;
        assert_int_equal(tl_position_map_init(&map, &published[i].text,
                                              &published[i].image, arena, NULL),
                         TL_OK);
        assert_total(&map);
        for (size_t k = 0; k < published[i].n; k++)
            assert_true(has_pair(&map, published[i].query_text + k,
                                 published[i].query_image + k));
        for (size_t k = 0; k < 4 && published[i].also[k][0] > 0; k++)
            assert_true(
                has_pair(&map, published[i].also[k][0], published[i].also[k][1]));
        for (size_t t = published[i].text.data_begin; t < published[i].text.data_end;
             t++)
            assert_true(has_pair(&map, t, published[i].image.data_begin) &&
                        has_pair(&map, t, published[i].image.data_end - 1));
        tl_arena_destroy(arena);
    }
}

static void senseless_spans_are_refused(void **state)
{
    (void)state;
    tl_arena *arena = tl_arena_create();
    tl_position_map map;
    tl_error err = {0};
    const tl_span bad[] = {{10, 5, 5}, {10, 6, 5}, {10, 5, 10}};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(tl_position_map_init(&map, &bad[i], &image_span, arena, &err),
                         TL_ERR_ARGUMENT);
        assert_int_equal(tl_position_map_init(&map, &text_span, &bad[i], arena, &err),
                         TL_ERR_ARGUMENT);
        assert_non_null(strstr(err.text, "image prompts"));
    }
    tl_arena_destroy(arena);
}

/* ---- overlap --------------------------------------------------------------------- */

static tl_component_set random_set(const tl_span *span, double share, uint64_t seed,
                                   tl_arena *arena)
{
    tl_component_set set;
    assert_int_equal(tl_set_create(L, span->n_pos, H, M, arena, &set, NULL), TL_OK);
    tl_random random = {seed};
    for (size_t i = 0; i < L * span->n_pos * H; i++)
        set.heads[i] = tl_random_below(&random, 1000) < (uint64_t)(1000 * share);
    for (size_t i = 0; i < L * span->n_pos * M; i++)
        set.neurons[i] = tl_random_below(&random, 1000) < (uint64_t)(1000 * share);
    return set;
}

static bool is_in(const tl_component_set *s, size_t kind, size_t l, size_t t, size_t i)
{
    return kind == TL_KIND_HEADS ? s->heads[(l * s->n_pos + t) * H + i]
                                 : s->neurons[(l * s->n_pos + t) * M + i];
}

/* Is a component of the other modality mapped to (l, t, i)? From positions of segment s. */
static bool is_carried(const tl_component_set *other, tl_modality from, size_t s,
                       const tl_position_map *map, size_t kind, size_t l, size_t t,
                       size_t i)
{
    size_t begin, end;
    tl_span_segment(&map->span[from], (tl_segment)s, &begin, &end);
    for (size_t p = 0; p < map->n_pairs; p++) {
        const size_t at = map->pairs[p][from], to = map->pairs[p][1 - from];
        if (to == t && at >= begin && at < end && is_in(other, kind, l, at, i))
            return true;
    }
    return false;
}

/* Adds what a segment has in common and what either has. */
static void slow_count(const tl_component_set *text, const tl_component_set *image,
                       const tl_position_map *map, size_t s, size_t kind,
                       tl_modality where, size_t *common, size_t *all)
{
    const tl_component_set *own = where == TL_TEXT ? text : image,
                           *other = where == TL_TEXT ? image : text;
    size_t begin, end, both = 0, any = 0;
    tl_span_segment(&map->span[where], (tl_segment)s, &begin, &end);
    for (size_t l = 0; l < L; l++)
        for (size_t i = 0; i < (kind == TL_KIND_HEADS ? (size_t)H : (size_t)M); i++) {
            if (s == TL_SEGMENT_DATA) {
                bool a = false, b = false;
                for (size_t t = begin; t < end; t++) {
                    a = a || is_in(own, kind, l, t, i);
                    b = b || is_carried(other, where == TL_TEXT ? TL_IMAGE : TL_TEXT, s,
                                        map, kind, l, t, i);
                }
                both += a && b;
                any += a || b;
                continue;
            }
            for (size_t t = begin; t < end; t++) {
                const bool a = is_in(own, kind, l, t, i),
                           b = is_carried(other, where == TL_TEXT ? TL_IMAGE : TL_TEXT,
                                          s, map, kind, l, t, i);
                both += a && b;
                any += a || b;
            }
        }
    *common += both;
    *all += any;
}

static double slow_iou(const tl_component_set *text, const tl_component_set *image,
                       const tl_position_map *map, size_t s, size_t kind,
                       tl_modality where)
{
    size_t both = 0, any = 0;
    slow_count(text, image, map, s, kind, where, &both, &any);
    return any > 0 ? (double)both / (double)any : 0.0;
}

static void check_whole(const tl_component_set *text, const tl_component_set *image,
                        const tl_position_map *map, const tl_overlap *o)
{
    for (size_t k = 0; k < TL_KIND_COUNT; k++) {
        double sum = 0.0;
        for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
            size_t both = 0, any = 0;
            for (size_t s = 0; s < TL_SEGMENT_COUNT; s++)
                slow_count(text, image, map, s, k, (tl_modality)m, &both, &any);
            sum += (double)both / (double)any;
        }
        assert_close("whole", k, o->of[TL_OVERLAP_WHOLE][k].iou, sum / 2, 1e-15);
    }
}

static void overlap_is_that_of_all_components_one_by_one(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        tl_arena *arena = tl_arena_create();
        tl_position_map map;
        assert_int_equal(
            tl_position_map_init(&map, &text_span, &image_span, arena, NULL), TL_OK);
        const tl_component_set a = random_set(&text_span, 0.05 * (double)seed, seed,
                                              arena),
                               b = random_set(&image_span, 0.2, 99 + seed, arena);
        tl_overlap o;
        assert_int_equal(tl_overlap_measure(&a, &b, &map, &o, NULL), TL_OK);
        for (size_t s = 0; s < TL_SEGMENT_COUNT; s++)
            for (size_t k = 0; k < TL_KIND_COUNT; k++) {
                const double in_text = slow_iou(&a, &b, &map, s, k, TL_TEXT),
                             in_image = slow_iou(&a, &b, &map, s, k, TL_IMAGE);
                assert_close("in text", s, o.of[s][k].in_text, in_text, 0);
                assert_close("in image", s, o.of[s][k].in_image, in_image, 0);
                assert_close("iou", s, o.of[s][k].iou, (in_text + in_image) / 2, 1e-15);
            }
        check_whole(&a, &b, &map, &o);
        tl_arena_destroy(arena);
    }
}

static void a_circuit_overlaps_itself_wholly(void **state)
{
    (void)state;
    tl_arena *arena = tl_arena_create();
    tl_position_map map;
    assert_int_equal(tl_position_map_init(&map, &text_span, &text_span, arena, NULL),
                     TL_OK);
    const tl_component_set a = random_set(&text_span, 0.3, 5, arena);
    tl_overlap o;
    tl_overlap_baseline b;
    assert_int_equal(tl_overlap_measure(&a, &a, &map, &o, NULL), TL_OK);
    assert_int_equal(tl_overlap_random(&a, &a, &map, TL_MATCH_WHOLE, 3, 1, &b, NULL),
                     TL_OK);
    for (size_t k = 0; k < TL_KIND_COUNT; k++) {
        assert_close("whole", k, o.of[TL_OVERLAP_WHOLE][k].iou, 1, 0);
        assert_true(b.of[TL_OVERLAP_WHOLE][k].mean > 0 &&
                    b.of[TL_OVERLAP_WHOLE][k].mean < 1);
    }
    for (size_t s = 0; s < TL_SEGMENT_COUNT; s++)
        for (size_t k = 0; k < TL_KIND_COUNT; k++) {
            assert_close("iou", s, o.of[s][k].iou, 1, 0);
            assert_close("normalised", s,
                         tl_overlap_normalised(o.of[s][k].iou, b.of[s][k].mean), 1, 0);
            assert_false(o.of[s][k].empty);
        }
    const tl_component_set none = random_set(&text_span, 0, 5, arena);
    assert_int_equal(tl_overlap_measure(&none, &none, &map, &o, NULL), TL_OK);
    for (size_t s = 0; s < TL_SEGMENT_COUNT; s++) {
        assert_close("iou of nothing", s, o.of[s][TL_KIND_HEADS].iou, 0, 0);
        assert_true(o.of[s][TL_KIND_NEURONS].empty);
    }
    tl_arena_destroy(arena);
}

/* ---- chance ---------------------------------------------------------------------- */

static void random_sets_have_the_size_and_place_that_is_asked_for(void **state)
{
    (void)state;
    tl_arena *arena = tl_arena_create();
    size_t times[L * 4 * H] = {0};
    tl_random random = {3};
    enum { DRAWS = 4000, WANTED = 7 };
    for (size_t i = 0; i < DRAWS; i++) {
        const tl_arena_mark mark = tl_arena_get_mark(arena);
        tl_component_set set = random_set(&text_span, 0, 1, arena);
        tl_set_draw(&set, TL_KIND_HEADS, 5, 9, WANTED, &random);
        assert_int_equal(tl_set_count(&set, TL_KIND_HEADS), WANTED);
        assert_int_equal(tl_set_count_between(&set, TL_KIND_HEADS, 5, 9), WANTED);
        assert_int_equal(tl_set_count(&set, TL_KIND_NEURONS), 0);
        for (size_t l = 0; l < L; l++)
            for (size_t k = 0; k < 4 * (size_t)H; k++)
                times[l * 4 * H + k] += set.heads[(l * 14 + 5) * H + k];
        tl_arena_rewind(arena, mark);
    }
    const double p = (double)WANTED / (L * 4 * H), mean = p * DRAWS,
                 sigma = sqrt(mean * (1 - p));
    for (size_t i = 0; i < L * 4 * (size_t)H; i++)
        assert_close("times drawn", i, (double)times[i], mean, 5 * sigma);
    tl_component_set all = random_set(&text_span, 0, 1, arena);
    tl_set_draw(&all, TL_KIND_NEURONS, 0, 14, 1000000, &random);
    assert_int_equal(tl_set_count(&all, TL_KIND_NEURONS), L * 14 * M);
    tl_arena_destroy(arena);
}

/* The normalised overlap of random circuits is 0 on average: within four standard
 * errors, for every way of matching that draws as the circuits themselves are drawn. */
static void random_circuits_have_no_normalised_overlap(void **state)
{
    (void)state;
    enum { CIRCUITS = 200 };
    tl_arena *arena = tl_arena_create();
    tl_position_map map;
    assert_int_equal(tl_position_map_init(&map, &text_span, &image_span, arena, NULL),
                     TL_OK);
    double sum[TL_SEGMENT_COUNT] = {0}, squares[TL_SEGMENT_COUNT] = {0};
    tl_random random = {77};
    for (size_t i = 0; i < CIRCUITS; i++) {
        const tl_arena_mark mark = tl_arena_get_mark(arena);
        tl_component_set a = random_set(&text_span, 0, 1, arena),
                         b = random_set(&image_span, 0, 1, arena);
        tl_set_draw(&a, TL_KIND_NEURONS, 0, 14, 80, &random);
        tl_set_draw(&b, TL_KIND_NEURONS, 0, 19, 120, &random);
        tl_overlap o;
        tl_overlap_baseline base;
        assert_int_equal(tl_overlap_measure(&a, &b, &map, &o, NULL), TL_OK);
        assert_int_equal(
            tl_overlap_random(&a, &b, &map, TL_MATCH_WHOLE, 20, i, &base, NULL), TL_OK);
        for (size_t s = 0; s < TL_SEGMENT_COUNT; s++) {
            const double v = tl_overlap_normalised(o.of[s][TL_KIND_NEURONS].iou,
                                                   base.of[s][TL_KIND_NEURONS].mean);
            sum[s] += v;
            squares[s] += v * v;
        }
        tl_arena_rewind(arena, mark);
    }
    for (size_t s = 0; s < TL_SEGMENT_COUNT; s++) {
        const double mean = sum[s] / CIRCUITS,
                     sigma = sqrt((squares[s] / CIRCUITS - mean * mean) / CIRCUITS);
        assert_true(sigma > 0);
        assert_close("normalised overlap of segment", s, mean, 0, 4 * sigma);
    }
    tl_arena_destroy(arena);
}

static void matching_keeps_what_it_says(void **state)
{
    (void)state;
    tl_arena *arena = tl_arena_create();
    tl_position_map map;
    assert_int_equal(tl_position_map_init(&map, &text_span, &image_span, arena, NULL),
                     TL_OK);
    const tl_component_set a = random_set(&text_span, 0.3, 8, arena),
                           b = random_set(&image_span, 0.3, 9, arena);
    tl_overlap_baseline whole, unique, again;
    assert_int_equal(
        tl_overlap_random(&a, &b, &map, TL_MATCH_WHOLE, 8, 4, &whole, NULL), TL_OK);
    assert_int_equal(
        tl_overlap_random(&a, &b, &map, TL_MATCH_WHOLE, 8, 4, &again, NULL), TL_OK);
    assert_memory_equal(&whole, &again, sizeof whole);
    assert_int_equal(
        tl_overlap_random(&a, &b, &map, TL_MATCH_UNIQUE, 200, 4, &unique, NULL), TL_OK);
    /* Two random sets of u and v of the L x M pairs have about u v / (L M) in common. */
    const double n = L * M, u = (double)tl_set_count_unique(&a, TL_KIND_NEURONS, 5, 9),
                 v = (double)tl_set_count_unique(&b, TL_KIND_NEURONS, 4, 12),
                 common = u * v / n;
    assert_close("unique", 0, unique.of[TL_SEGMENT_DATA][TL_KIND_NEURONS].mean,
                 common / (u + v - common), 0.02);
    tl_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positions_are_the_published_ones),
        cmocka_unit_test(senseless_spans_are_refused),
        cmocka_unit_test(overlap_is_that_of_all_components_one_by_one),
        cmocka_unit_test(a_circuit_overlaps_itself_wholly),
        cmocka_unit_test(random_sets_have_the_size_and_place_that_is_asked_for),
        cmocka_unit_test(random_circuits_have_no_normalised_overlap),
        cmocka_unit_test(matching_keeps_what_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
