/*
 * test_interchange.c - circuits with a foreign part: their own query or generation
 * back again, the data at all positions, random parts of the right make-up.
 */
#include "testing.h"

#include "circuit/random_set.h"
#include "twinlens/interchange.h"

enum { L = 3, H = 4, M = 11 };
static const tl_span spans[TL_MODALITY_COUNT] = {{14, 5, 9}, {17, 4, 12}};

typedef struct fixture {
    tl_arena *arena;
    tl_position_map map;
    tl_component_set sets[TL_MODALITY_COUNT];
} fixture;

static fixture setup(void)
{
    fixture f = {.arena = tl_arena_create()};
    assert_int_equal(tl_position_map_init(&f.map, &spans[0], &spans[1], f.arena, NULL),
                     TL_OK);
    tl_random random = {9};
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        assert_int_equal(
            tl_set_create(L, spans[m].n_pos, H, M, f.arena, &f.sets[m], NULL), TL_OK);
        tl_set_draw(&f.sets[m], TL_KIND_HEADS, 0, spans[m].n_pos, 30, &random);
        tl_set_draw(&f.sets[m], TL_KIND_NEURONS, 0, spans[m].n_pos, 70, &random);
    }
    return f;
}

static void assert_same(const tl_component_set *a, const tl_component_set *b,
                        size_t begin, size_t end)
{
    for (size_t l = 0; l < L; l++)
        for (size_t t = begin; t < end; t++) {
            const size_t at = l * a->n_pos + t;
            assert_memory_equal(a->heads + at * H, b->heads + at * H, H);
            assert_memory_equal(a->neurons + at * M, b->neurons + at * M, M);
        }
}

static void a_circuit_keeps_what_is_not_swapped(void **state)
{
    (void)state;
    fixture f = setup();
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        for (size_t swapped = 0; swapped <= TL_SEGMENT_COUNT; swapped++) {
            tl_component_set mixed;
            assert_int_equal(tl_interchange_build(f.sets, (tl_modality)m, swapped,
                                                  &f.sets[1 - m], &f.map, f.arena,
                                                  &mixed, NULL),
                             TL_OK);
            for (size_t s = 0; s < TL_SEGMENT_COUNT; s++) {
                size_t begin, end;
                tl_span_segment(&spans[m], (tl_segment)s, &begin, &end);
                if (s != swapped)
                    assert_same(&mixed, &f.sets[m], begin, end);
            }
            /* Nothing before the data. */
            assert_int_equal(
                tl_set_count_between(&mixed, TL_KIND_NEURONS, 0, spans[m].data_begin),
                0);
        }
    tl_arena_destroy(f.arena);
}

/* Mapped by positions that are the same on both sides, one's own part is itself; the
 * data part alone is spread over all data positions. */
static void ones_own_part_is_no_swap(void **state)
{
    (void)state;
    fixture f = setup();
    tl_position_map same;
    assert_int_equal(tl_position_map_init(&same, &spans[0], &spans[0], f.arena, NULL),
                     TL_OK);
    const tl_component_set both[TL_MODALITY_COUNT] = {f.sets[0], f.sets[0]};
    tl_component_set none, mixed;
    assert_int_equal(tl_interchange_build(both, TL_TEXT, TL_SEGMENT_NONE, NULL, &same,
                                          f.arena, &none, NULL),
                     TL_OK);
    for (size_t s = TL_SEGMENT_QUERY; s < TL_SEGMENT_COUNT; s++) {
        assert_int_equal(tl_interchange_build(both, TL_TEXT, s, &both[TL_IMAGE], &same,
                                              f.arena, &mixed, NULL),
                         TL_OK);
        assert_same(&mixed, &none, 0, 14);
    }
    assert_int_equal(tl_interchange_build(both, TL_TEXT, TL_SEGMENT_DATA,
                                          &both[TL_IMAGE], &same, f.arena, &mixed,
                                          NULL),
                     TL_OK);
    for (size_t k = 0; k < TL_KIND_COUNT; k++) {
        const tl_component_kind kind = (tl_component_kind)k;
        assert_int_equal(tl_set_count_between(&mixed, kind, 5, 9),
                         4 * tl_set_count_unique(&f.sets[0], kind, 5, 9));
    }
    tl_arena_destroy(f.arena);
}

static void random_parts_have_the_make_up(void **state)
{
    (void)state;
    fixture f = setup();
    for (size_t s = 0; s < TL_SEGMENT_COUNT; s++)
        for (uint64_t seed = 0; seed < 5; seed++) {
            tl_component_set drawn, again, published;
            size_t begin, end;
            tl_span_segment(&spans[1], (tl_segment)s, &begin, &end);
            assert_int_equal(tl_interchange_draw(&f.sets[1], &spans[1], (tl_segment)s,
                                                 TL_RANDOM_VALID, seed, f.arena, &drawn,
                                                 NULL),
                             TL_OK);
            assert_int_equal(tl_interchange_draw(&f.sets[1], &spans[1], (tl_segment)s,
                                                 TL_RANDOM_VALID, seed, f.arena, &again,
                                                 NULL),
                             TL_OK);
            assert_same(&drawn, &again, 0, spans[1].n_pos);
            assert_int_equal(tl_interchange_draw(&f.sets[1], &spans[1], (tl_segment)s,
                                                 TL_RANDOM_REFERENCE, seed, f.arena,
                                                 &published, NULL),
                             TL_OK);
            for (size_t k = 0; k < TL_KIND_COUNT; k++) {
                const tl_component_kind kind = (tl_component_kind)k;
                const size_t n = tl_set_count_between(&f.sets[1], kind, begin, end);
                assert_int_equal(tl_set_count_between(&drawn, kind, begin, end), n);
                assert_int_equal(tl_set_count(&drawn, kind), n); /* and nowhere else */
                assert_true(tl_set_count(&published, kind) <= n);
                assert_int_equal(tl_set_count(&published, kind),
                                 tl_set_count_between(&published, kind, begin, end));
            }
        }
    tl_arena_destroy(f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_circuit_keeps_what_is_not_swapped),
        cmocka_unit_test(ones_own_part_is_no_swap),
        cmocka_unit_test(random_parts_have_the_make_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
