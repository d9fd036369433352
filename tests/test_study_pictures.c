/* SPDX-License-Identifier: MIT
 *
 * test_study_pictures.c - the scores over a picture that a study keeps are those of the image
 * features, in every family: also where other tokens stand before or between them.
 */
#include "testing.h"

#include "cli/command.h"
#include "store/score_file.h"
#include "store/study_db.h"
#include "twinlens/safetensors.h"

static test_folder folder;
static tl_arena *arena;
static tl_error err;

static int begin(void **state)
{
    (void)state;
    folder = test_folder_create();
    arena = tl_arena_create();
    err = (tl_error){0};
    return 0;
}

static int end(void **state)
{
    (void)state;
    tl_arena_destroy(arena);
    test_folder_remove(folder.path);
    return 0;
}

static void copy_image(const char *from, const char *name)
{
    static char bytes[1 << 16];
    FILE *file = fopen(from, "rb");
    assert_non_null(file);
    const size_t n = fread(bytes, 1, sizeof bytes, file);
    assert_int_equal(fclose(file), 0);
    assert_in_range(n, 1, sizeof bytes - 1);
    test_file(&folder, name, bytes, n);
}

/* Two pictures of one size, each the counterfactual of the other: one discovery pair, so
 * that its own scores are those of the study. */
static void make_dataset(void)
{
    static const char rows[] =
        "{\"id\": \"a\", \"modality\": \"image\", \"image\": \"0.png\", \"query\": "
        "\"How"
        " many?\", \"answer\": \"apple\", \"cf\": \"b\", \"split\": \"discovery\"}\n"
        "{\"id\": \"b\", \"modality\": \"image\", \"image\": \"1.png\", \"query\": "
        "\"How"
        " many?\", \"answer\": \"dog\", \"cf\": \"a\", \"split\": \"evaluation\"}\n";
    copy_image("tests/data/images/basn2c16.png", "0.png");
    copy_image("tests/data/images/basn4a08.png", "1.png");
    test_file(&folder, "dataset.jsonl", rows, sizeof rows - 1);
    test_file(&folder, "task.json", "{\"name\": \"x\"}", 13);
}

static void run_study(char *family, char *out)
{
    char *arguments[] = {(char[]){"--model"},
                         family,
                         (char[]){"--dataset"},
                         folder.path,
                         (char[]){"--keep"},
                         (char[]){"all"},
                         (char[]){"--modality"},
                         (char[]){"image"},
                         (char[]){"--fractions"},
                         (char[]){"0.05,1"},
                         (char[]){"--bp-grid"},
                         (char[]){"none"},
                         (char[]){"--pictures"},
                         (char[]){"1"},
                         (char[]){"--validate"},
                         (char[]){"0"},
                         (char[]){"--threads"},
                         (char[]){"1"},
                         (char[]){"--out"},
                         out,
                         NULL};
    FILE *shown = fopen("/dev/null", "w");
    assert_non_null(shown);
    const tl_status status = tl_command_study.run(
        sizeof arguments / sizeof *arguments - 1, arguments, shown, &err);
    fclose(shown);
    if (status != TL_OK)
        fail_msg("%s: %s", family, err.text);
}

/* Where the token of cell `pos` stands, counted from the first of the data. */
typedef size_t place_of(const tl_study_picture *p, size_t n_cells, size_t pos);

static size_t one_behind_the_other(const tl_study_picture *p, size_t n_cells,
                                   size_t pos)
{
    (void)p, (void)n_cells;
    return pos;
}

/* The picture begins with a token of its own. */
static size_t behind_one(const tl_study_picture *p, size_t n_cells, size_t pos)
{
    (void)p, (void)n_cells;
    return 1 + pos;
}

/* Each row of it ends with one. */
static size_t in_rows_with_ends(const tl_study_picture *p, size_t n_cells, size_t pos)
{
    (void)n_cells;
    return pos + pos / p->n_columns;
}

/* The small picture first, then the rows of the tiles together, each with an end. */
static size_t in_rows_behind_the_small(const tl_study_picture *p, size_t n_cells,
                                       size_t pos)
{
    const size_t n_large = p->n_rows * p->n_columns;
    return pos < n_large ? n_cells - n_large + pos + pos / p->n_columns : pos - n_large;
}

/* Tiles of 3 x 3 tokens one behind the other, and the whole picture in as many. */
static size_t in_tiles_of_nine(const tl_study_picture *p, size_t n_cells, size_t pos)
{
    enum { SIDE = 3 };
    (void)n_cells;
    const size_t row = pos / p->n_columns, column = pos % p->n_columns,
                 tile = row / SIDE * (p->n_columns / SIDE) + column / SIDE;
    return pos < p->n_rows * p->n_columns
               ? (tile * SIDE + row % SIDE) * SIDE + column % SIDE
               : pos;
}

/* Tiles of 2 x 2 tokens, two words in front of each and one behind each row of tiles; then
 * the small whole, which is the second view. */
static size_t in_tiles_with_words(const tl_study_picture *p, size_t n_cells, size_t pos)
{
    enum { SIDE = 2, TILE = SIDE * SIDE };
    (void)n_cells;
    const size_t columns = p->n_columns / SIDE, rows = p->n_rows / SIDE,
                 all = p->n_rows * p->n_columns, row = pos / p->n_columns,
                 column = pos % p->n_columns,
                 tile = row / SIDE * columns + column / SIDE;
    if (pos >= all)
        return rows * columns * (TILE + 2) + rows + pos - all;
    return tile * (TILE + 2) + row / SIDE + row % SIDE * SIDE + column % SIDE;
}

static void check_family(const char *family, size_t n_cells, place_of *place)
{
    char model[100], out[300], path[400];
    tl_study_db *db = NULL;
    tl_rows pictures = {0}, views = {0}, rows = {0};
    tl_study_scores about = {.modality = TL_IMAGE};
    tl_scores s;
    snprintf(model, sizeof model, "tests/data/families/%s", family);
    snprintf(out, sizeof out, "%s/%s", folder.path, family);
    run_study(model, out);
    if (tl_study_db_open(out, TL_STUDY_READ, &db, &err) != TL_OK ||
        tl_study_db_get(db, TL_ROW_PICTURE, NULL, 0, arena, &pictures, &err) != TL_OK ||
        tl_study_db_get(db, TL_ROW_PICTURE_VIEW, NULL, 0, arena, &views, &err) !=
            TL_OK ||
        tl_study_db_get(db, TL_ROW_PICTURE_SCORE, NULL, 0, arena, &rows, &err) !=
            TL_OK ||
        tl_study_db_find(db, TL_ROW_SCORES, &about, arena, NULL, &err) != TL_OK)
        fail_msg("%s: %s", family, err.text);
    snprintf(path, sizeof path, "%s/%s", out, about.file);
    const tl_dims dims = {
        .n_layers = about.n_layers, .n_heads = about.n_heads, .d_mlp = about.d_mlp};
    if (tl_score_file_read(path, &dims, about.n_pos, arena, &s, &err) != TL_OK)
        fail_msg("%s", err.text);
    assert_int_equal(about.n_pairs, 1);
    assert_int_equal(pictures.n, 1);
    const tl_study_picture *p = pictures.rows;
    const tl_study_picture_score *got = rows.rows;
    size_t cells = p->n_rows * p->n_columns;
    const tl_study_picture_view *view = views.rows;
    for (size_t i = 0; i < views.n; i++)
        cells += view[i].n_rows * view[i].n_columns;
    assert_int_equal(cells, n_cells);
    assert_int_equal(rows.n, s.n_layers * n_cells);
    for (size_t i = 0; i < rows.n; i++) {
        const size_t at = about.data_begin + place(p, n_cells, got[i].pos);
        assert_in_range(at, about.data_begin, about.data_end - 1);
        const float *heads = s.heads + (got[i].layer * s.n_pos + at) * s.n_heads,
                    *neurons = s.neurons + (got[i].layer * s.n_pos + at) * s.d_mlp;
        double sums[2] = {0.0, 0.0};
        for (size_t h = 0; h < s.n_heads; h++)
            sums[0] += fabs((double)heads[h]);
        for (size_t k = 0; k < s.d_mlp; k++)
            sums[1] += fabs((double)neurons[k]);
        assert_close(family, i, got[i].heads, sums[0], 0.0);
        assert_close(family, i, got[i].neurons, sums[1], 0.0);
    }
    tl_study_db_close(db);
}

static void scores_over_a_picture_are_those_of_its_features(void **state)
{
    (void)state;
    make_dataset();
    check_family("qwen2_5_vl", 1, one_behind_the_other);
    check_family("gemma3", 4, behind_one);
    check_family("pixtral", 4, in_rows_with_ends);
    check_family("llava_next", 21, in_rows_behind_the_small);
    check_family("llava_onevision", 32, in_rows_behind_the_small);
    check_family("internvl3_5", 4 * 9 + 9, in_tiles_of_nine);
    check_family("smolvlm", 9, one_behind_the_other); /* not cut */
    check_family("idefics3", (4 * 4 + 1) * 4, in_tiles_with_words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scores_over_a_picture_are_those_of_its_features,
                                        begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
