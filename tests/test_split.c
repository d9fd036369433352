/* SPDX-License-Identifier: MIT
 *
 * test_split.c - the drawing against the authors' own: which rows of the published
 * textual prompts they chose, and the counterfactual of each, in their order; and
 * what the rows of a dataset can say themselves.
 */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "task/csv.h"
#include "twinlens/split.h"

#define SHARED TWINLENS_SOURCE_DIR "/../shared"

/* ---- the published splits ----------------------------------------------------- */

/* Prompts in all, and possible answers; 0: those that are there. */
static const struct published {
    const char *name;
    size_t n_prompts, n_answers;
} published[] = {
    {"counting/qwen2-7b-vl-instruct", 250, 7},
    {"counting/pixtral-12b", 215, 7},
    {"counting/gemma-3-12b-it", 250, 7},
    {"arithmetic/qwen2-7b-vl-instruct", 250, 10},
    {"arithmetic/pixtral-12b", 210, 10},
    {"arithmetic/gemma-3-12b-it", 250, 10},
    {"color_ordering/qwen2-7b-vl-instruct", 250, 8},
    {"color_ordering/pixtral-12b", 250, 5},
    {"color_ordering/gemma-3-12b-it", 250, 8},
    {"factual_recall/qwen2-7b-vl-instruct", 250, 0},
    {"factual_recall/pixtral-12b", 250, 0},
    {"factual_recall/gemma-3-12b-it", 250, 0},
    {"sentiment_analysis/qwen2-7b-vl-instruct", 220, 3},
    {"sentiment_analysis/pixtral-12b", 170, 3},
    {"sentiment_analysis/gemma-3-12b-it", 215, 3},
};

/* The question of a factual-recall prompt: the line behind "Consider ...". */
static const char *question_of(const char *prompt)
{
    const char *line = strstr(prompt, "Consider ");
    line = line != NULL ? strchr(line, '\n') : NULL;
    return line != NULL ? line + 1 : NULL;
}

static tl_split_row *rows_of(const tl_csv *csv, tl_arena *arena)
{
    const size_t prompt = tl_csv_column(csv, "prompt");
    const size_t answer = tl_csv_column(csv, "gt_answer");
    const size_t predicted = tl_csv_column(csv, "pred_answer");
    tl_split_row *rows = tl_arena_alloc(arena, csv->n_rows, sizeof *rows);
    for (size_t i = 0; i < csv->n_rows; i++) {
        const char *const *fields = csv->fields + i * csv->n_columns;
        size_t same = 0; /* the first row with that answer stands for its token */
        while (strcmp(csv->fields[same * csv->n_columns + answer], fields[answer]) != 0)
            same++;
        rows[i] =
            (tl_split_row){.id = "row",
                           .prompt = fields[prompt],
                           .answer = fields[answer],
                           .answer_id = (int32_t)same,
                           .group = question_of(fields[prompt]),
                           .correct = strcmp(fields[answer], fields[predicted]) == 0,
                           .counterfactual = TL_NO_ROW};
    }
    return rows;
}

static void assert_part_equals_json(const char *name, const char *part,
                                    const tl_split_pair *got, size_t n_got,
                                    const json_t *want)
{
    if (n_got != json_array_size(want))
        fail_msg("%s: %zu rows for %s, wanted %zu", name, n_got, part,
                 json_array_size(want));
    for (size_t i = 0; i < n_got; i++) {
        const json_t *pair = json_array_get(want, i);
        const size_t row = (size_t)json_integer_value(json_array_get(pair, 0));
        const size_t other = (size_t)json_integer_value(json_array_get(pair, 1));
        if (got[i].row != row || got[i].counterfactual != other)
            fail_msg("%s, %s %zu: row %zu against %zu, wanted %zu against %zu", name,
                     part, i, got[i].row, got[i].counterfactual, row, other);
    }
}

static void published_prompts_are_drawn_as_published(void **state)
{
    (void)state;
    if (!tl_file_exists(SHARED "/goldens/text_splits.json")) {
        printf("skipped: no ../shared\n");
        skip();
    }
    json_t *golden = NULL;
    assert_int_equal(tl_json_read(SHARED "/goldens/text_splits.json", &golden, NULL),
                     TL_OK);
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        const struct published *p = &published[i];
        const json_t *want =
            json_object_get(json_object_get(golden, "splits"), p->name);
        assert_non_null(want);
        char path[400];
        snprintf(path, sizeof path, SHARED "/data/prompts/%s_textual_data.csv",
                 p->name);
        tl_arena *arena = tl_arena_create();
        tl_error err = {0};
        tl_csv csv;
        if (tl_csv_read(path, arena, &csv, &err) != TL_OK)
            fail_msg("%s", err.text);
        const tl_split_row *rows = rows_of(&csv, arena);
        const tl_split_options options = {.n_prompts = p->n_prompts,
                                          .n_answers = p->n_answers,
                                          .seed = TL_SPLIT_SEED};
        tl_split split;
        if (tl_split_draw(rows, csv.n_rows, &options, arena, &split, &err) != TL_OK)
            fail_msg("%s: %s", p->name, err.text);
        assert_int_equal(split.n_correct,
                         json_integer_value(json_object_get(want, "correct")));
        assert_part_equals_json(p->name, "discovery", split.discovery,
                                split.n_discovery, json_object_get(want, "discovery"));
        assert_part_equals_json(p->name, "evaluation", split.evaluation,
                                split.n_evaluation,
                                json_object_get(want, "evaluation"));
        tl_arena_destroy(arena);
    }
    json_decref(golden);
}

/* ---- made-up rows, with every turn that the drawing can take ------------------- */

enum { N_MADE = 60, N_LARGEST = 40 };

/* Contents repeat from row 50 on; the order of contents is not that of the rows. */
static const tl_split_row *made_rows(void)
{
    static tl_split_row rows[N_MADE];
    static char texts[N_MADE][3][16];
    for (int i = 0; i < N_MADE; i++) {
        snprintf(texts[i][0], sizeof texts[i][0], "prompt %02d", i % 50 * 37 % 10);
        snprintf(texts[i][1], sizeof texts[i][1], "%02x", (unsigned)i % 50);
        snprintf(texts[i][2], sizeof texts[i][2], "%d", i * i % 5);
        rows[i] = (tl_split_row){.id = "made",
                                 .prompt = texts[i][0],
                                 .image_hash = texts[i][1],
                                 .answer = texts[i][2],
                                 .answer_id = i * i % 5,
                                 .group = i % 3 == 0   ? NULL
                                          : i % 3 == 1 ? "a"
                                                       : "b",
                                 .correct = i % 4 != 3,
                                 .counterfactual = TL_NO_ROW};
    }
    return rows;
}

/* Of a plain Python program that reproduces all the published splits. */
static const struct made {
    tl_split_options options;
    size_t n_discovery;
    tl_split_pair discovery[N_LARGEST], evaluation[N_LARGEST];
} made[] = {
    {{0, 20, 0, 42U},
     15,
     {{30, 52},
      {20, 14},
      {10, 16},
      {50, 29},
      {16, 58},
      {54, 50},
      {14, 20},
      {29, 20},
      {24, 48},
      {33, 20},
      {58, 16},
      {28, 10},
      {57, 30},
      {48, 20},
      {52, 10}},
     {{45, 37}, {25, 37}, {41, 45}, {21, 37}, {37, 25}}},
    {{0, 38, 0, 42U},
     28,
     {{20, 41}, {40, 16}, {45, 49}, {25, 52}, {50, 29}, {10, 49}, {54, 25},
      {41, 8},  {29, 8},  {24, 45}, {14, 8},  {21, 8},  {16, 40}, {34, 40},
      {49, 25}, {26, 20}, {36, 58}, {52, 34}, {58, 34}, {28, 40}, {37, 34},
      {48, 54}, {33, 34}, {57, 41}, {8, 29},  {42, 29}, {13, 40}, {22, 25}},
     {{30, 17},
      {0, 9},
      {5, 17},
      {9, 53},
      {4, 5},
      {1, 0},
      {46, 0},
      {12, 0},
      {17, 5},
      {53, 5}}},
    {{0, 31, 2, 42U},
     23,
     {{20, 53}, {30, 9},  {5, 14},  {16, 58}, {14, 5},  {46, 28}, {9, 5},   {34, 22},
      {41, 53}, {49, 22}, {36, 33}, {29, 8},  {38, 20}, {22, 16}, {28, 16}, {58, 46},
      {42, 16}, {52, 16}, {33, 41}, {57, 16}, {12, 29}, {8, 29},  {53, 41}},
     {{25, 4}, {40, 4}, {21, 37}, {54, 40}, {4, 25}, {37, 25}, {18, 25}, {17, 4}}},
    {{0, 24, 0, 7U},
     18,
     {{30, 53},
      {5, 56},
      {0, 48},
      {50, 38},
      {10, 16},
      {20, 26},
      {26, 38},
      {56, 5},
      {14, 20},
      {29, 38},
      {16, 10},
      {53, 56},
      {48, 50},
      {52, 10},
      {38, 5},
      {33, 26},
      {57, 26},
      {37, 10}},
     {{40, 13}, {45, 46}, {24, 13}, {46, 40}, {18, 40}, {13, 40}}},
    {{0, 9, 9, 1099511627781U},
     6,
     {{5, 57}, {49, 58}, {6, 5}, {42, 6}, {58, 49}, {57, 5}},
     {{10, 13}, {29, 10}, {13, 10}}},
};

static void assert_pairs_equal(const tl_split_pair *got, const tl_split_pair *want,
                               size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (got[i].row != want[i].row ||
            got[i].counterfactual != want[i].counterfactual)
            fail_msg("pair %zu is %zu, %zu, wanted %zu, %zu", i, got[i].row,
                     got[i].counterfactual, want[i].row, want[i].counterfactual);
}

static void draws_shares_fills_cuts_and_groups(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        tl_arena *arena = tl_arena_create();
        tl_split split;
        assert_int_equal(
            tl_split_draw(made_rows(), N_MADE, &made[i].options, arena, &split, NULL),
            TL_OK);
        assert_int_equal(split.n_discovery, made[i].n_discovery);
        assert_int_equal(split.n_discovery + split.n_evaluation,
                         made[i].options.n_prompts);
        assert_int_equal(split.n_rows, N_MADE);
        assert_int_equal(split.n_correct, 45);
        assert_pairs_equal(split.discovery, made[i].discovery, split.n_discovery);
        assert_pairs_equal(split.evaluation, made[i].evaluation, split.n_evaluation);
        tl_arena_destroy(arena);
    }
}

static void takes_what_is_there_when_no_number_is_given(void **state)
{
    (void)state;
    tl_arena *arena = tl_arena_create();
    tl_split split;
    /* 45 are correct; all are in the shares of their answers, repeated or not. */
    assert_int_equal(tl_split_draw(made_rows(), N_MADE, NULL, arena, &split, NULL),
                     TL_OK);
    assert_true(split.n_discovery + split.n_evaluation <= 45);
    assert_int_equal(split.n_discovery,
                     (split.n_discovery + split.n_evaluation) * 3 / 4);
    tl_arena_destroy(arena);
}

/* ---- small sets: what rows say themselves, and what cannot be done ------------- */

enum { N_SMALL = 8 };

/* Answers 0, 1 in turn, all correct. */
static void small_rows(tl_split_row rows[N_SMALL])
{
    static const char *const names[N_SMALL] = {"r0", "r1", "r2", "r3",
                                               "r4", "r5", "r6", "r7"};
    for (int i = 0; i < N_SMALL; i++)
        rows[i] = (tl_split_row){.id = names[i],
                                 .prompt = names[i],
                                 .answer = i % 2 == 0 ? "no" : "yes",
                                 .answer_id = i % 2,
                                 .correct = true,
                                 .counterfactual = TL_NO_ROW};
}

static void rows_keep_their_own_counterfactual(void **state)
{
    (void)state;
    tl_arena *arena = tl_arena_create();
    tl_split_row rows[N_SMALL];
    small_rows(rows);
    rows[0].counterfactual = 7;
    rows[7].correct = false; /* may stand against a row all the same */
    tl_split split;
    assert_int_equal(tl_split_draw(rows, N_SMALL, NULL, arena, &split, NULL), TL_OK);
    assert_int_equal(split.n_discovery + split.n_evaluation, 7);
    bool found = false;
    for (size_t i = 0; i < split.n_discovery + split.n_evaluation; i++) {
        const tl_split_pair pair = i < split.n_discovery
                                       ? split.discovery[i]
                                       : split.evaluation[i - split.n_discovery];
        assert_int_not_equal(pair.row, 7);
        if (pair.row == 0) {
            assert_int_equal(pair.counterfactual, 7);
            found = true;
        } else {
            assert_int_not_equal(pair.counterfactual, 7);
        }
        assert_int_not_equal(rows[pair.row].answer_id,
                             rows[pair.counterfactual].answer_id);
    }
    assert_true(found);
    tl_arena_destroy(arena);
}

/* 0 is a seed like others, and not the published one. */
static void every_seed_draws_its_own_split(void **state)
{
    (void)state;
    tl_arena *arena = tl_arena_create();
    tl_split_row rows[N_SMALL];
    small_rows(rows);
    const uint64_t seeds[] = {0, 1, TL_SPLIT_SEED};
    tl_split_pair drawn[3][N_SMALL] = {{{0}}};
    for (size_t i = 0; i < 3; i++) {
        const tl_split_options options = {.seed = seeds[i]};
        tl_split split;
        assert_int_equal(tl_split_draw(rows, N_SMALL, &options, arena, &split, NULL),
                         TL_OK);
        memcpy(drawn[i], split.discovery, split.n_discovery * sizeof drawn[i][0]);
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(drawn[i], drawn[k], sizeof drawn[i]);
    }
    tl_split unseeded;
    assert_int_equal(tl_split_draw(rows, N_SMALL, NULL, arena, &unseeded, NULL), TL_OK);
    assert_memory_equal(unseeded.discovery, drawn[2],
                        unseeded.n_discovery * sizeof drawn[2][0]);
    tl_arena_destroy(arena);
}

static void rows_keep_their_own_part(void **state)
{
    (void)state;
    tl_arena *arena = tl_arena_create();
    tl_split_row rows[N_SMALL];
    small_rows(rows);
    static const tl_part parts[N_SMALL] = {TL_EVALUATION, TL_DISCOVERY, TL_DISCOVERY,
                                           TL_EVALUATION, TL_PART_NONE, TL_DISCOVERY,
                                           TL_DISCOVERY,  TL_DISCOVERY};
    for (size_t i = 0; i < N_SMALL; i++)
        rows[i].part = parts[i];
    rows[7].correct = false;
    tl_split split;
    assert_int_equal(tl_split_draw(rows, N_SMALL, NULL, arena, &split, NULL), TL_OK);
    static const size_t discovery[] = {1, 2, 5, 6}, evaluation[] = {0, 3};
    assert_int_equal(split.n_discovery, 4);
    assert_int_equal(split.n_evaluation, 2);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(split.discovery[i].row, discovery[i]);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(split.evaluation[i].row, evaluation[i]);

    /* A number cuts each part to its share. */
    const tl_split_options four = {.n_prompts = 4};
    tl_error err = {0};
    assert_int_equal(tl_split_draw(rows, N_SMALL, &four, arena, &split, &err),
                     TL_ERR_TOO_FEW);
    assert_string_equal(
        err.text, "row 'r0' has no possible counterfactual: every row for evaluation "
                  "(1) has its answer, 'no'");
    rows[0].counterfactual = 3;
    assert_int_equal(tl_split_draw(rows, N_SMALL, &four, arena, &split, &err), TL_OK);
    assert_int_equal(split.n_discovery, 3);
    assert_int_equal(split.n_evaluation, 1);
    tl_arena_destroy(arena);
}

static void impossible_wishes_are_explained(void **state)
{
    (void)state;
    tl_arena *arena = tl_arena_create();
    const struct {
        const char *message;
        size_t n_prompts;
        enum { NONE_CORRECT, FEW_CORRECT, REPEATED, ONE_ANSWER, SAME, SPLIT, FAR } kind;
    } cases[] = {
        {"none of the 8 rows is answered correctly, so there is nothing to study", 0,
         NONE_CORRECT},
        {"6 prompts are wanted, but only 4 of 8 rows are answered correctly", 6,
         FEW_CORRECT},
        {"8 prompts are wanted, but of the 8 correct rows only 6 are different", 8,
         REPEATED},
        {"row 'r4' has no possible counterfactual: every row for discovery (3) has its "
         "answer, 'no'",
         0, ONE_ANSWER},
        {"row 'r0' and its counterfactual 'r2' have the same answer by first token "
         "('no', "
         "'no')",
         0, SAME},
        {"6 prompts are wanted, 4 for discovery and 2 for evaluation, but the rows' "
         "own "
         "split has only 8 and 0 correct ones",
         6, SPLIT},
        {"row 'r0': counterfactual 8 of 8 rows", 0, FAR},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_split_row rows[N_SMALL];
        small_rows(rows);
        for (size_t k = 0; k < N_SMALL; k++)
            switch (cases[i].kind) {
            case NONE_CORRECT: rows[k].correct = false; break;
            case FEW_CORRECT: rows[k].correct = k < 4; break;
            case REPEATED: rows[k].prompt = k < 4 ? rows[k].id : "same"; break;
            case ONE_ANSWER: rows[k].correct = k % 2 == 0; break;
            case SAME: rows[k].part = k == 0 ? TL_DISCOVERY : TL_EVALUATION; break;
            case SPLIT: rows[k].part = TL_DISCOVERY; break;
            case FAR: break;
            }
        tl_split_options options = {.n_prompts = cases[i].n_prompts};
        if (cases[i].kind == SAME)
            rows[0].counterfactual = 2;
        if (cases[i].kind == FAR)
            rows[0].counterfactual = 8;
        if (cases[i].kind == REPEATED) /* shares of one row: the rest has to fill up */
            options.n_answers = 100;
        tl_error err = {0};
        tl_split split = {.n_rows = 77};
        const tl_status status =
            tl_split_draw(rows, N_SMALL, &options, arena, &split, &err);
        assert_string_equal(err.text, cases[i].message);
        assert_int_equal(status, cases[i].kind == FAR    ? TL_ERR_ARGUMENT
                                 : cases[i].kind == SAME ? TL_ERR_DATA
                                                         : TL_ERR_TOO_FEW);
        assert_int_equal(split.n_rows, 77);
    }
    tl_arena_destroy(arena);
}

/* ---- datasets -------------------------------------------------------------------- */

#define TINY "tests/data/qwen2vl-tiny"

static void datasets_are_split_by_prompt_and_picture(void **state)
{
    (void)state;
    tl_error err = {0};
    tl_dataset *dataset = NULL;
    tl_processor *processor = NULL;
    if (tl_dataset_open("tests/data/split", &dataset, &err) != TL_OK ||
        tl_processor_open(TINY "/checkpoint", 0, &processor, &err) != TL_OK)
        fail_msg("%s", err.text);
    bool correct[24];
    assert_int_equal(dataset->n_rows, 24);
    for (size_t i = 0; i < 24; i++)
        correct[i] = i % 5 != 4;
    /* Six pictures, two questions: the order has to go by the hash of the resized
     * picture. From the same Python program, with Pillow. */
    static const tl_split_pair discovery[] = {{3, 23},  {21, 12}, {18, 12},
                                              {12, 23}, {8, 18},  {22, 21},
                                              {13, 21}, {20, 21}, {23, 22}};
    static const tl_split_pair evaluation[] = {{17, 1}, {1, 17}, {11, 17}};
    const tl_split_options options = {
        .n_prompts = 12, .n_answers = 100, .seed = TL_SPLIT_SEED};
    tl_arena *arena = tl_arena_create();
    tl_split split;
    if (tl_dataset_split(dataset, TL_IMAGE, correct, &options, processor, arena, &split,
                         &err) != TL_OK)
        fail_msg("%s", err.text);
    assert_int_equal(split.n_discovery, 9);
    assert_int_equal(split.n_evaluation, 3);
    assert_pairs_equal(split.discovery, discovery, 9);
    assert_pairs_equal(split.evaluation, evaluation, 3);
    assert_int_equal(tl_dataset_split(dataset, TL_TEXT, correct, &options, processor,
                                      arena, &split, &err),
                     TL_ERR_DATA);
    assert_string_equal(err.text, "tests/data/split/dataset.jsonl: text prompts: the "
                                  "dataset has no rows of that modality");
    tl_arena_destroy(arena);
    tl_processor_close(processor);
    tl_dataset_close(dataset);
}

static void a_modality_is_named_in_rows_of_the_dataset(void **state)
{
    (void)state;
    tl_error err = {0};
    tl_dataset *dataset = NULL;
    tl_processor *processor = NULL;
    if (tl_dataset_open(TINY "/goldens", &dataset, &err) != TL_OK ||
        tl_processor_open(TINY "/checkpoint", 0, &processor, &err) != TL_OK)
        fail_msg("%s", err.text);
    bool correct[12];
    for (size_t i = 0; i < 12; i++)
        correct[i] = true;
    for (int m = 0; m < TL_MODALITY_COUNT; m++) {
        tl_arena *arena = tl_arena_create();
        tl_split split;
        if (tl_dataset_split(dataset, (tl_modality)m, correct, NULL, processor, arena,
                             &split, &err) != TL_OK)
            fail_msg("%s", err.text);
        assert_int_equal(split.n_discovery, 4);
        assert_int_equal(split.n_evaluation, 2);
        for (size_t i = 0; i < 4; i++) {
            const tl_split_pair pair = split.discovery[i];
            assert_int_equal(dataset->rows[pair.row].modality, m);
            assert_int_equal(dataset->rows[pair.row].counterfactual,
                             pair.counterfactual);
        }
        tl_arena_destroy(arena);
    }
    tl_processor_close(processor);
    tl_dataset_close(dataset);
}

static void shares_are_of_the_answers_that_occur(void **state)
{
    (void)state;
    tl_dataset_row rows[2] = {{.id = "a"}, {.id = "b"}};
    tl_dataset d = {.rows = rows, .n_rows = 2};
    assert_int_equal(tl_split_answers(&d), 0);
    d.n_labels = 10;
    assert_int_equal(tl_split_answers(&d), 10);
    d.n_answers = 7;
    assert_int_equal(tl_split_answers(&d), 7);
    rows[1].group = "question";
    assert_int_equal(tl_split_answers(&d), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_prompts_are_drawn_as_published),
        cmocka_unit_test(shares_are_of_the_answers_that_occur),
        cmocka_unit_test(draws_shares_fills_cuts_and_groups),
        cmocka_unit_test(takes_what_is_there_when_no_number_is_given),
        cmocka_unit_test(rows_keep_their_own_counterfactual),
        cmocka_unit_test(every_seed_draws_its_own_split),
        cmocka_unit_test(rows_keep_their_own_part),
        cmocka_unit_test(impossible_wishes_are_explained),
        cmocka_unit_test(datasets_are_split_by_prompt_and_picture),
        cmocka_unit_test(a_modality_is_named_in_rows_of_the_dataset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
