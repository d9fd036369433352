/* SPDX-License-Identifier: MIT
 *
 * test_torture_study.c - a whole study with memory that fails at some moment: it says so, and
 * the same study goes on in the folder that it leaves and ends with the rows and scores of
 * one that was never disturbed.
 */
#include "torture.h"

#include "store/study_db.h"
#include "twinlens/model.h"
#include "twinlens/study.h"

#define TINY "tests/data/qwen2vl-tiny/"

typedef struct bench {
    test_folder folder;
    char out[300];
    size_t n_runs;
} bench;

static void begin(void *state)
{
    bench *b = state;
    b->folder = test_folder_create();
    snprintf(b->out, sizeof b->out, "%s/run", b->folder.path);
}

static void end(void *state)
{
    bench *b = state;
    test_folder_remove(b->folder.path);
}

/* All stages, each with little to do; by a process alone, and by a team of one. */
static tl_status run_study(void *state, tl_error *err)
{
    bench *b = state;
    const tl_team one = {0};
    tl_settings s;
    tl_settings_init(&s);
    s.model = TINY "checkpoint";
    s.dataset = TINY "goldens";
    s.out = b->out;
    s.threads = 1;
    s.precision = TL_PRECISION_BF16_EMULATED; /* which is compared with f32 */
    s.memory = 3400 << 10; /* so little that scores are on the disk */
    s.keep = TL_KEEP_ALL;
    s.fractions = "0.2,1";
    s.ig_steps = 1;
    s.circuit_tests = 2;
    s.pictures = 1;
    s.validate = 1;
    s.rand_draws = 2;
    s.inter_draws = 1;
    s.bp_grid = TL_BP_PAPER;
    s.bp_search = TL_BP_HALVING;
    return b->n_runs++ % 2 == 0 ? tl_study_run(&s, NULL, NULL, err)
                                : tl_study_run_team(&s, &one, NULL, NULL, err);
}

static uint64_t digest_file(uint64_t d, const bench *b, const char *name)
{
    static char bytes[1 << 20];
    char path[400];
    snprintf(path, sizeof path, "%s/%s", b->out, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    const size_t n = fread(bytes, 1, sizeof bytes, file);
    assert_in_range(n, 1, sizeof bytes - 1);
    assert_int_equal(fclose(file), 0);
    return torture_digest(d, bytes, n);
}

/* Of every table but that of memory, and of the scores. */
static uint64_t digest(const void *state)
{
    const bench *b = state;
    uint64_t d = 0;
    tl_study_db *db = NULL;
    tl_error err = {0};
    if (tl_study_db_open(b->out, TL_STUDY_READ, &db, &err) != TL_OK)
        fail_msg("%s", err.text);
    for (unsigned kind = 0; kind < TL_ROW_KIND_COUNT; kind++) {
        if (kind == TL_ROW_MEMORY) /* is of the run, not of the study */
            continue;
        /* Of a study with a search, of so few pairs, and of pictures that are not cut,
         * there are none. */
        const bool may_be_empty = kind == TL_ROW_CROSSED_ITERATION ||
                                  kind == TL_ROW_OVERLAP_WITHOUT ||
                                  kind == TL_ROW_PICTURE_VIEW;
        char *text = NULL;
        size_t bytes = 0;
        FILE *table = open_memstream(&text, &bytes);
        assert_non_null(table);
        if (tl_study_db_write_csv(db, (tl_row_kind)kind, table, &err) != TL_OK)
            fail_msg("%s", err.text);
        assert_int_equal(fclose(table), 0);
        if (!may_be_empty && strchr(text, '\n') == text + bytes - 1)
            fail_msg("no rows of %s", tl_study_db_table((tl_row_kind)kind));
        d = torture_digest(d, text, bytes);
        free(text);
    }
    tl_study_db_close(db);
    d = digest_file(d, b, "scores.text.safetensors");
    return digest_file(d, b, "scores.image.safetensors");
}

static void a_study_goes_on_after_it_had_no_memory(void **unused)
{
    (void)unused;
    bench b = {.n_runs = 0};
    torture(&(torture_case){.covers = "tl_study_run tl_study_run_team",
                            .begin = begin,
                            .run = run_study,
                            .end = end,
                            .digest = digest,
                            .state = &b,
                            .stride = 1999});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_study_goes_on_after_it_had_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
