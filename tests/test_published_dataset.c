/* SPDX-License-Identifier: MIT
 *
 * test_published_dataset.c - the published prompts as a dataset: the small table of tests/data,
 * what is wrong with a table, and, where ../shared has them, all the published ones:
 * their lengths and data segments in the real vocabularies, and the authors' selection.
 */
#include "testing.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "task/csv.h"
#include "task/published_dataset.h"
#include "twinlens/split.h"

#define SHARED TWINLENS_SOURCE_DIR "/../shared"
#define DATA "tests/data/published"
#define PICTURE TWINLENS_SOURCE_DIR "/tests/data/images/basn2c16.png"

/* A picture of every name in the table, all the same. */
static test_folder make_pictures(const char *table)
{
    const test_folder folder = test_folder_create();
    tl_arena *arena = tl_arena_create();
    tl_csv csv;
    assert_int_equal(tl_csv_read(table, arena, &csv, NULL), TL_OK);
    const size_t column = tl_csv_column(&csv, "relative_image_path");
    for (size_t i = 0; i < csv.n_rows; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", folder.path,
                 csv.fields[i * csv.n_columns + column]);
        for (char *at = path + strlen(folder.path) + 1;
             (at = strchr(at, '/')) != NULL;) {
            *at = '\0';
            mkdir(path, 0755);
            *at++ = '/';
        }
        if (!tl_file_exists(path))
            assert_int_equal(symlink(PICTURE, path), 0);
    }
    tl_arena_destroy(arena);
    return folder;
}

static tl_dataset *import_and_open(const tl_published_source *source,
                                   const char *folder, tl_published_report *report)
{
    tl_error err = {0};
    tl_dataset *dataset = NULL;
    if (tl_published_import(source, folder, false, report, &err) != TL_OK ||
        tl_dataset_open(folder, &dataset, &err) != TL_OK)
        fail_msg("%s", err.text);
    return dataset;
}

/* ---- the small table --------------------------------------------------------------- */

static tl_published_source small_source(const char *pictures)
{
    return (tl_published_source){
        .csv = {[TL_TEXT] = DATA "/textual.csv", [TL_IMAGE] = DATA "/visual.csv"},
        .pictures = pictures,
        .family = TL_PUBLISHED_QWEN2_VL,
        .task = TL_TASK_ARITHMETIC};
}

static void rows_say_what_the_tables_say(void **state)
{
    (void)state;
    const test_folder pictures = make_pictures(DATA "/visual.csv"),
                      folder = test_folder_create();
    const tl_published_source source = small_source(pictures.path);
    tl_published_report report;
    tl_dataset *d = import_and_open(&source, folder.path, &report);
    assert_int_equal(report.n[TL_TEXT], 24);
    assert_int_equal(report.n_right[TL_TEXT], 18);
    assert_int_equal(report.n[TL_IMAGE], 12);
    assert_int_equal(report.n_right[TL_IMAGE], 9);
    assert_int_equal(report.n_pairs, 12);
    assert_int_equal(report.n_prompts, 250);

    assert_string_equal(d->name, "arithmetic");
    assert_int_equal(d->n_labels, 10);
    assert_int_equal(d->n_answers, 0);
    assert_int_equal(d->image_width, 338);
    assert_int_equal(d->image_height, 75);
    assert_int_equal(d->n_rows, 48);
    const tl_dataset_row *text = &d->rows[20], *image = &d->rows[24],
                         *parallel = &d->rows[36];
    assert_string_equal(text->id, "text-20");
    assert_string_equal(text->before, "Question: ");
    assert_string_equal(text->data, "17*12");
    assert_string_equal(text->query, ". What is the result of the given arithmetic "
                                     "calculation? Answer in a single number.");
    assert_string_equal(text->answer, "2");
    assert_string_equal(text->predicted, "The");
    assert_null(text->pair);
    assert_null(text->group);
    assert_string_equal(image->id, "image-0");
    assert_string_equal(image->query, text->query + 2);
    assert_string_equal(image->pair, "0");
    assert_true(strstr(image->image_path, "/images/17mult12.png") != NULL);
    assert_string_equal(parallel->id, "parallel-0");
    assert_string_equal(parallel->pair, "0");
    assert_int_equal(parallel->part, TL_NO_PART);
    assert_string_equal(parallel->before, text->before);
    assert_string_equal(parallel->data, text->data);
    assert_string_equal(parallel->query, text->query);
    assert_string_equal(parallel->answer, image->answer);
    assert_null(parallel->predicted);
    for (size_t i = 24; i < 36; i++)
        assert_true(tl_file_exists(d->rows[i].image_path));
    tl_dataset_close(d);
    test_folder_remove(folder.path);
    test_folder_remove(pictures.path);
}

static void without_pictures_there_is_only_text(void **state)
{
    (void)state;
    const test_folder folder = test_folder_create();
    const tl_published_source source = small_source(NULL);
    tl_published_report report;
    tl_dataset *d = import_and_open(&source, folder.path, &report);
    assert_int_equal(d->n_rows, 24);
    assert_int_equal(report.n[TL_IMAGE], 12);
    assert_int_equal(report.n_pairs, 0);
    for (size_t i = 0; i < d->n_rows; i++)
        assert_null(d->rows[i].pair);
    tl_dataset_close(d);

    /* What is there is replaced only when that is wanted. */
    tl_error err = {0};
    char wanted[400];
    assert_int_equal(tl_published_import(&source, folder.path, false, &report, &err),
                     TL_ERR_ARGUMENT);
    snprintf(wanted, sizeof wanted, "%s: is not empty; ", folder.path);
    assert_int_equal(strncmp(err.text, wanted, strlen(wanted)), 0);
    assert_int_equal(tl_published_import(&source, folder.path, true, &report, &err),
                     TL_OK);
    test_folder_remove(folder.path);
}

/* A dataset may be imported into the folder that its pictures are in. */
static void pictures_survive_their_own_folder(void **state)
{
    (void)state;
    const test_folder folder = make_pictures(DATA "/visual.csv");
    const tl_published_source source = small_source(folder.path);
    tl_published_report report;
    for (int time = 0; time < 2; time++) {
        tl_dataset *d = NULL;
        assert_int_equal(tl_published_import(&source, folder.path, true, &report, NULL),
                         TL_OK);
        assert_int_equal(tl_dataset_open(folder.path, &d, NULL), TL_OK);
        for (size_t i = 24; i < 36; i++)
            assert_true(tl_file_exists(d->rows[i].image_path));
        tl_dataset_close(d);
    }
    test_folder_remove(folder.path);
}

/* ---- tables of one or two rows ------------------------------------------------------- */

#define Q_BEFORE                                                                       \
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
#define Q_PICTURE "<|vision_start|><|image_pad|><|vision_end|>"
#define Q_AFTER "<|im_end|>\n<|im_start|>assistant\n"
#define TEXT_HEAD "prompt,gt_answer,pred_answer\n"
#define IMAGE_HEAD "relative_image_path,prompt,gt_answer,pred_answer\n"
#define FACT "What sport does this athlete play? Answer in a single word."
#define TEXT_FACT(name) "\"" Q_BEFORE "Consider " name ".\n" FACT Q_AFTER "\""
#define IMAGE_FACT "\"" Q_BEFORE Q_PICTURE FACT Q_AFTER "\""

typedef struct tables {
    const char *text, *image;
} tables;

static tl_status import_tables(const tables *t, tl_published_family family,
                               tl_task task, bool with_pictures,
                               const test_folder *folder, tl_published_report *report,
                               tl_error *err)
{
    char text[512], image[512], out[512];
    snprintf(text, sizeof text, "%s",
             test_file(folder, "t.csv", t->text, strlen(t->text)));
    snprintf(image, sizeof image, "%s",
             test_file(folder, "i.csv", t->image, strlen(t->image)));
    snprintf(out, sizeof out, "%s/out", folder->path);
    const tl_published_source source = {.csv = {[TL_TEXT] = text, [TL_IMAGE] = image},
                                        .pictures = with_pictures ? folder->path : NULL,
                                        .family = family,
                                        .task = task};
    return tl_published_import(&source, out, false, report, err);
}

static void facts_have_the_labels_of_their_question(void **state)
{
    (void)state;
    const tables t = {TEXT_HEAD TEXT_FACT("Ann Lee") ",tennis,golf\n",
                      IMAGE_HEAD "images/Bo_Ek.png," IMAGE_FACT ",golf,golf\n"
                                 "more/Ann_Lee.jpg," IMAGE_FACT ",tennis,golf\n"
                                 "images/Bo_Ek.png," IMAGE_FACT ",golf,tennis\n"};
    const test_folder folder = test_folder_create();
    char path[512];
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder.path, i == 0 ? "images" : "more");
        assert_int_equal(mkdir(path, 0755), 0);
    }
    test_file(&folder, "images/Bo_Ek.png", "a", 1);
    test_file(&folder, "more/Ann_Lee.jpg", "b", 1);
    tl_published_report report;
    tl_error err = {0};
    if (import_tables(&t, TL_PUBLISHED_QWEN2_VL, TL_TASK_FACTUAL_RECALL, true, &folder,
                      &report, &err) != TL_OK)
        fail_msg("%s", err.text);
    tl_dataset *d = NULL;
    snprintf(path, sizeof path, "%s/out", folder.path);
    assert_int_equal(tl_dataset_open(path, &d, NULL), TL_OK);
    assert_int_equal(d->n_labels, 0);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(d->rows[i].group, "What sport does this athlete play?");
        assert_int_equal(d->rows[i].n_labels, 2);
        assert_string_equal(d->rows[i].labels[0], "golf");
        assert_string_equal(d->rows[i].labels[1], "tennis");
    }
    assert_string_equal(d->rows[0].data, "Consider Ann Lee");
    assert_string_equal(d->rows[0].query, ".\n" FACT);
    assert_null(d->rows[0].pair);
    assert_int_equal(d->n_rows, 7);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(d->rows[4 + i].pair, d->rows[1 + i].pair);
        assert_string_equal(d->rows[4 + i].group, d->rows[1 + i].group);
        assert_string_equal(d->rows[4 + i].answer, d->rows[1 + i].answer);
    }
    assert_string_equal(d->rows[5].data, "Consider Ann Lee");
    snprintf(path, sizeof path, "%s/out/images/more/Ann_Lee.jpg", folder.path);
    assert_string_equal(d->rows[2].image_path, path);
    assert_int_equal(report.n_pairs, 3);
    assert_int_equal(tl_split_answers(d), 0);
    tl_dataset_close(d);
    test_folder_remove(folder.path);
}

#define T_ROW TEXT_HEAD TEXT_FACT("Ann Lee") ",golf,golf\n"
#define I_ROW IMAGE_HEAD "images/a.png," IMAGE_FACT ",golf,golf\n"

static void bad_tables_are_explained(void **state)
{
    (void)state;
    static const struct {
        tables tables;
        tl_status status;
        tl_published_family family;
        tl_task task;
        const char *message; /* behind the folder's path */
    } cases[] = {
        {{"prompt,gt_answer\na,b\n", I_ROW},
         TL_ERR_FORMAT,
         TL_PUBLISHED_QWEN2_VL,
         TL_TASK_FACTUAL_RECALL,
         "/t.csv: no column 'pred_answer'; the first line has 2 others, beginning with "
         "'prompt'"},
        {{T_ROW, TEXT_HEAD "a,b,c\n"},
         TL_ERR_FORMAT,
         TL_PUBLISHED_QWEN2_VL,
         TL_TASK_FACTUAL_RECALL,
         "/i.csv: no column 'relative_image_path'; the first line has 3 others, "},
        {{I_ROW, I_ROW},
         TL_ERR_FORMAT,
         TL_PUBLISHED_QWEN2_VL,
         TL_TASK_FACTUAL_RECALL,
         "/t.csv: has a column 'relative_image_path', so its prompts have pictures; "
         "wanted the table of textual prompts"},
        {{TEXT_HEAD, I_ROW},
         TL_ERR_FORMAT,
         TL_PUBLISHED_QWEN2_VL,
         TL_TASK_FACTUAL_RECALL,
         "/t.csv: has no rows behind its header"},
        {{T_ROW "x,y\n", I_ROW},
         TL_ERR_FORMAT,
         TL_PUBLISHED_QWEN2_VL,
         TL_TASK_FACTUAL_RECALL,
         "/t.csv:9: 2 fields, the header has 3"},
        {{T_ROW "hello,golf,golf\n", I_ROW},
         TL_ERR_DATA,
         TL_PUBLISHED_QWEN2_VL,
         TL_TASK_FACTUAL_RECALL,
         "/t.csv:9: the prompt is in no known chat format, wanted that of qwen2_vl: "
         "'hello'"},
        {{T_ROW "\xff,golf,golf\n", I_ROW},
         TL_ERR_DATA,
         TL_PUBLISHED_QWEN2_VL,
         TL_TASK_FACTUAL_RECALL,
         "/t.csv:9: 'prompt' is not valid UTF-8"},
        {{T_ROW, I_ROW},
         TL_ERR_DATA,
         TL_PUBLISHED_GEMMA3,
         TL_TASK_FACTUAL_RECALL,
         "/t.csv:2: the prompt is in the chat format of qwen2_vl, wanted that of "
         "gemma3"},
        {{T_ROW, IMAGE_HEAD "a.png,<s>[INST][IMG]" FACT "[/INST],golf,golf\n"},
         TL_ERR_DATA,
         TL_PUBLISHED_QWEN2_VL,
         TL_TASK_FACTUAL_RECALL,
         "/i.csv:2: the prompt is in the chat format of llava, wanted that of "
         "qwen2_vl"},
        {{T_ROW, I_ROW},
         TL_ERR_DATA,
         TL_PUBLISHED_QWEN2_VL,
         TL_TASK_SENTIMENT,
         "/t.csv:2: the prompt is one of factual_recall, wanted sentiment"},
        {{TEXT_HEAD IMAGE_FACT ",golf,golf\n", I_ROW},
         TL_ERR_DATA,
         TL_PUBLISHED_QWEN2_VL,
         TL_TASK_FACTUAL_RECALL,
         "/t.csv:2: the prompt has a picture, wanted words only"},
        {{T_ROW, IMAGE_HEAD "a.png," TEXT_FACT("Ann Lee") ",golf,golf\n"},
         TL_ERR_DATA,
         TL_PUBLISHED_QWEN2_VL,
         TL_TASK_FACTUAL_RECALL,
         "/i.csv:2: the prompt has no picture, wanted one in front of the words"},
        {{TEXT_HEAD "\"" Q_BEFORE "Consider this." Q_AFTER "\",golf,golf\n", I_ROW},
         TL_ERR_DATA,
         TL_PUBLISHED_QWEN2_VL,
         TL_TASK_FACTUAL_RECALL,
         "/t.csv:2: the prompt is not worded as a text prompt of factual_recall is: "
         "'Consider this.'"},
        {{TEXT_HEAD TEXT_FACT("Ann Lee") ",,golf\n", I_ROW},
         TL_ERR_DATA,
         TL_PUBLISHED_QWEN2_VL,
         TL_TASK_FACTUAL_RECALL,
         "/t.csv:2: 'gt_answer' is empty"},
        {{TEXT_HEAD TEXT_FACT("Ann Lee") ",chess,golf\n", I_ROW},
         TL_ERR_DATA,
         TL_PUBLISHED_QWEN2_VL,
         TL_TASK_FACTUAL_RECALL,
         "/t.csv:2: 'gt_answer' is 'chess', and no picture in "},
        {{TEXT_HEAD "\"<s>[INST]Sequence: a b. How many \"\"a\"\" are in the sequence? "
                    "Answer in a single number. [/INST]\",8,8\n",
          I_ROW},
         TL_ERR_DATA,
         TL_PUBLISHED_LLAVA,
         TL_TASK_COUNTING,
         "/t.csv:2: 'gt_answer' is '8', wanted one of 1, 2, 3, 4, 5, 6, 7"},
        {{T_ROW, IMAGE_HEAD "images/../../a.png," IMAGE_FACT ",golf,golf\n"},
         TL_ERR_DATA,
         TL_PUBLISHED_QWEN2_VL,
         TL_TASK_FACTUAL_RECALL,
         "/i.csv:2: 'relative_image_path' is 'images/../../a.png', wanted the path of "
         "a "
         "file in the folder of pictures"},
        {{T_ROW, IMAGE_HEAD "/a.png," IMAGE_FACT ",golf,golf\n"},
         TL_ERR_DATA,
         TL_PUBLISHED_QWEN2_VL,
         TL_TASK_FACTUAL_RECALL,
         "/i.csv:2: 'relative_image_path' is '/a.png', wanted "},
        {{T_ROW, I_ROW},
         TL_ERR_NOT_FOUND,
         TL_PUBLISHED_QWEN2_VL,
         TL_TASK_FACTUAL_RECALL,
         "/i.csv:2: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const test_folder folder = test_folder_create();
        tl_published_report report;
        tl_error err = {0};
        char out[512];
        const tl_status status =
            import_tables(&cases[i].tables, cases[i].family, cases[i].task,
                          cases[i].status == TL_ERR_NOT_FOUND, &folder, &report, &err);
        const char *behind = err.text + strlen(folder.path);
        if (status != cases[i].status ||
            strncmp(err.text, folder.path, strlen(folder.path)) != 0 ||
            strncmp(behind, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("case %zu: status %d, %s, wanted %s", i, (int)status, err.text,
                     cases[i].message);
        assert_null(strchr(err.text, '\n'));
        snprintf(out, sizeof out, "%s/out", folder.path);
        assert_false(tl_file_exists(out)); /* nothing is written */
        if (status == TL_ERR_NOT_FOUND)
            assert_non_null(strstr(err.text, "/images/a.png: no such file; wanted the "
                                             "folder that 'images/a.png' starts from"));
        test_folder_remove(folder.path);
    }
}

/* ---- the published tables ------------------------------------------------------------ */

typedef struct segment {
    size_t begin, end;
} segment;

/* The published lengths and data segments; in words the question begins at `query`, and
 * equals that of the picture from there to the end but for `n_different` tokens: words
 * that name the medium or the object, and the first one where a blank is glued to it. */
static const struct expected {
    size_t n_pos[TL_MODALITY_COUNT];
    segment data[TL_MODALITY_COUNT];
    size_t query[TL_MODALITY_COUNT], n_different;
} expected[TL_PUBLISHED_FAMILIES][TL_TASKS] = {
    {{{46, 119}, {{16, 23}, {15, 96}}, {24, 97}, 3},
     {{44, 73}, {{17, 22}, {15, 51}}, {23, 52}, 1},
     {{64, 120}, {{14, 40}, {15, 96}}, {41, 97}, 3},
     {{37, 115}, {{14, 18}, {15, 96}}, {19, 97}, 0},
     {{57, 119}, {{14, 35}, {15, 96}}, {36, 98}, 0}},
    {{{30, 292}, {{2, 11}, {2, 273}}, {12, 274}, 3},
     {{28, 134}, {{2, 10}, {2, 116}}, {11, 117}, 1},
     {{48, 293}, {{2, 28}, {2, 273}}, {29, 274}, 3},
     {{21, 288}, {{2, 6}, {2, 273}}, {7, 274}, 1},
     {{41, 292}, {{2, 22}, {2, 273}}, {24, 275}, 0}},
    {{{35, 284}, {{4, 13}, {4, 261}}, {14, 263}, 3},
     {{34, 284}, {{4, 12}, {4, 261}}, {13, 263}, 1},
     {{54, 286}, {{4, 30}, {4, 261}}, {31, 263}, 3},
     {{28, 281}, {{4, 8}, {4, 261}}, {10, 263}, 0},
     {{48, 284}, {{4, 25}, {4, 261}}, {27, 263}, 0}},
};

static const char *const published_names[TL_PUBLISHED_FAMILIES] = {
    "qwen2-7b-vl-instruct", "pixtral-12b", "gemma-3-12b-it"};
static const char *const published_tasks[TL_TASKS] = {
    "counting", "arithmetic", "color_ordering", "factual_recall", "sentiment_analysis"};

/* Rows, and those with the right prediction, of text and of picture. */
static const size_t counts[TL_PUBLISHED_FAMILIES][TL_TASKS][TL_MODALITY_COUNT][2] = {
    {{{1523, 502}, {382, 271}},
     {{934, 927}, {1000, 676}},
     {{1865, 1620}, {1925, 1428}},
     {{415, 303}, {1264, 861}},
     {{231, 225}, {244, 226}}},
    {{{1519, 631}, {333, 221}},
     {{934, 240}, {1000, 217}},
     {{471, 365}, {496, 400}},
     {{453, 374}, {1264, 569}},
     {{236, 232}, {244, 170}}},
    {{{1523, 1130}, {382, 279}},
     {{934, 930}, {1000, 876}},
     {{1865, 1420}, {1925, 893}},
     {{452, 365}, {1264, 841}},
     {{221, 219}, {244, 226}}},
};

typedef struct published {
    tl_published_family family;
    tl_task task;
    char name[64]; /* "counting/pixtral-12b" */
    char csv[TL_MODALITY_COUNT][512];
    test_folder pictures, folder;
    tl_published_report report;
    tl_dataset *dataset;
    const char **chats; /* of the text rows, as the table has them */
    tl_arena *arena;
} published;

/* Descriptions that begin as the texts of the table do: the words of prompt i are in the
 * quotation marks of one of them. What was cut off is cut off again. */
static void write_descriptions(const published *p, const char *path)
{
    tl_csv texts, images;
    assert_int_equal(tl_csv_read(p->csv[TL_TEXT], p->arena, &texts, NULL), TL_OK);
    assert_int_equal(tl_csv_read(p->csv[TL_IMAGE], p->arena, &images, NULL), TL_OK);
    const size_t prompt = tl_csv_column(&texts, "prompt"),
                 picture = tl_csv_column(&images, "relative_image_path");
    json_t *all = json_array();
    for (size_t i = 0; i < images.n_rows; i++) {
        const char *chat = texts.fields[i % texts.n_rows * texts.n_columns + prompt];
        const char *begin = strstr(chat, "\"\"\"") + 3,
                   *end = strstr(begin, " ...\"\"\"");
        json_array_append_new(
            all,
            json_pack("{s:s, s:o}", "image_path",
                      strrchr(images.fields[i * images.n_columns + picture], '/') + 1,
                      "text_data",
                      json_sprintf("%.*s and more words behind it.", (int)(end - begin),
                                   begin)));
    }
    assert_int_equal(json_dump_file(all, path, 0), 0);
    json_decref(all);
}

static published open_published(tl_published_family family, tl_task task,
                                const tl_tokenizer *tokenizer)
{
    published p = {.family = family, .task = task, .arena = tl_arena_create()};
    snprintf(p.name, sizeof p.name, "%s/%s", published_tasks[task],
             published_names[family]);
    for (int m = 0; m < TL_MODALITY_COUNT; m++)
        snprintf(p.csv[m], sizeof p.csv[m], SHARED "/data/prompts/%s_%s_data.csv",
                 p.name, m == TL_TEXT ? "textual" : "visual");
    p.pictures = make_pictures(p.csv[TL_IMAGE]);
    p.folder = test_folder_create();
    char descriptions[512];
    snprintf(descriptions, sizeof descriptions, "%s/sentiment_vl.json",
             p.pictures.path);
    if (task == TL_TASK_SENTIMENT)
        write_descriptions(&p, descriptions);
    const tl_published_source source = {
        .csv = {[TL_TEXT] = p.csv[TL_TEXT], [TL_IMAGE] = p.csv[TL_IMAGE]},
        .pictures = p.pictures.path,
        .family = family,
        .task = task,
        .files = {.scenes = SHARED "/data/clevr/CLEVR_val_scenes_500.json",
                  .descriptions = descriptions,
                  .tokenizer = tokenizer}};
    p.dataset = import_and_open(&source, p.folder.path, &p.report);
    for (int m = 0; m < TL_MODALITY_COUNT; m++) {
        assert_int_equal(p.report.n[m], counts[family][task][m][0]);
        assert_int_equal(p.report.n_right[m], counts[family][task][m][1]);
    }
    tl_csv csv;
    assert_int_equal(tl_csv_read(p.csv[TL_TEXT], p.arena, &csv, NULL), TL_OK);
    const size_t column = tl_csv_column(&csv, "prompt");
    p.chats = tl_arena_alloc(p.arena, csv.n_rows, sizeof *p.chats);
    for (size_t i = 0; i < csv.n_rows; i++)
        p.chats[i] = csv.fields[i * csv.n_columns + column];
    return p;
}

static void close_published(published *p)
{
    tl_dataset_close(p->dataset);
    test_folder_remove(p->folder.path);
    test_folder_remove(p->pictures.path);
    tl_arena_destroy(p->arena);
}

static bool skip_without_shared(void)
{
    if (tl_file_exists(SHARED "/goldens/text_splits.json"))
        return false;
    printf("skipped: no ../shared\n");
    return true;
}

/* The real vocabulary; that of Pixtral calls three tokens otherwise than Mistral-Nemo's,
 * which is at hand. The configurations are the published ones. */
static const struct files {
    const char *tokenizer, *edit, *config, *images;
} model_files[TL_PUBLISHED_FAMILIES] = {
    {"qwen2", "", "olmOCR-7B_Qwen2-VL-7B__BrianYAU-NTEC/config.json",
     "cat " SHARED "/data/configs/olmOCR-7B_Qwen2-VL-7B__BrianYAU-NTEC/"
     "preprocessor_config.json"},
    {"mistral_nemo",
     " | sed -e 's/\"<pad>\"/\"[IMG]\"/' -e 's/\"\\[MIDDLE\\]\"/\"[IMG_BREAK]\"/' "
     "-e 's/\"\\[SUFFIX\\]\"/\"[IMG_END]\"/'",
     "pixtral/config.json",
     "sed 's/\"longest_edge\": 96/\"longest_edge\": 1024/' " SHARED
     "/checkpoints/pixtral-tiny/preprocessor_config.json"},
    {"gemma3", "", "medgemma-27b-it_Gemma3-27B__Ibtasam-98/config.json",
     "cat " SHARED
     "/data/configs/medgemma-27b-it_Gemma3-27B__Ibtasam-98/preprocessor_config.json"},
};

static test_folder make_model(tl_published_family family)
{
    const struct files *f = &model_files[family];
    const test_folder folder = test_folder_create();
    char command[4096];
    snprintf(command, sizeof command,
             "{ gzip -dc " SHARED "/data/tokenizers/%s/tokenizer.json.gz %s; } "
             "> %s/tokenizer.json && cp " SHARED "/data/configs/%s %s/config.json && "
             "{ %s; } > %s/preprocessor_config.json",
             f->tokenizer, f->edit, folder.path, f->config, folder.path, f->images,
             folder.path);
    assert_int_equal(system(command), 0);
    return folder;
}

static void assert_segments(const published *p, size_t row, const tl_encoding *e)
{
    const struct expected *want = &expected[p->family][p->task];
    const tl_modality m = p->dataset->rows[row].modality;
    if (e->n_pos != want->n_pos[m] || e->data_begin != want->data[m].begin ||
        e->data_end != want->data[m].end)
        fail_msg("%s, %s: %zu tokens, data [%zu,%zu), wanted %zu, [%zu,%zu)", p->name,
                 p->dataset->rows[row].id, e->n_pos, e->data_begin, e->data_end,
                 want->n_pos[m], want->data[m].begin, want->data[m].end);
}

/* One that shares no code with the processor: the chat of the table, and where the
 * row's data lies in it. */
static tl_encoding encode_chat(const published *p, size_t row,
                               const tl_tokenizer *tokenizer, tl_arena *arena)
{
    const tl_dataset_row *r = &p->dataset->rows[row];
    const char *chat = p->chats[row];
    char words[2048];
    snprintf(words, sizeof words, "%s%s%s", r->before, r->data, r->query);
    const char *found = strstr(chat, words);
    assert_non_null(found);
    const size_t begin = (size_t)(found - chat) + strlen(r->before);
    const size_t end = begin + strlen(r->data);
    const tl_token *tokens = NULL;
    tl_encoding e = {.modality = TL_TEXT};
    assert_int_equal(tl_tokenizer_encode(tokenizer, chat, strlen(chat), arena, &tokens,
                                         &e.n_pos, NULL),
                     TL_OK);
    int32_t *ids = tl_arena_alloc(arena, e.n_pos, sizeof *ids);
    e.ids = ids;
    for (size_t i = e.n_pos; i-- > 0;) {
        ids[i] = tokens[i].id;
        if (tokens[i].begin >= end || tokens[i].end <= begin)
            continue;
        e.data_begin = i;
        e.data_end = e.data_end == 0 ? i + 1 : e.data_end;
    }
    return e;
}

static void assert_answer_is_one_token(const published *p, size_t row,
                                       const tl_tokenizer *tokenizer, tl_arena *arena)
{
    const char *answer = p->dataset->rows[row].answer;
    const tl_token *tokens = NULL;
    size_t n = 0;
    assert_int_equal(tl_tokenizer_encode(tokenizer, answer, strlen(answer), arena,
                                         &tokens, &n, NULL),
                     TL_OK);
    if (n != 1)
        fail_msg("%s, %s: '%s' is %zu tokens", p->name, p->dataset->rows[row].id,
                 answer, n);
}

static void check_texts(const published *p, const tl_tokenizer *tokenizer)
{
    const tl_arena_mark mark = tl_arena_get_mark(p->arena);
    for (size_t i = 0; i < p->dataset->n_rows; i++) {
        assert_answer_is_one_token(p, i, tokenizer, p->arena);
        if (p->dataset->rows[i].modality == TL_TEXT &&
            p->dataset->rows[i].part != TL_NO_PART) {
            const tl_encoding e = encode_chat(p, i, tokenizer, p->arena);
            assert_segments(p, i, &e);
        }
        tl_arena_rewind(p->arena, mark);
    }
}

/* The first text row of the same group. */
static tl_encoding encode_partner(const published *p, size_t image,
                                  const tl_processor *processor)
{
    const char *group = p->dataset->rows[image].group;
    size_t row = 0;
    while (group != NULL && strcmp(p->dataset->rows[row].group, group) != 0)
        row++;
    tl_encoding text;
    assert_int_equal(
        tl_dataset_encode(p->dataset, row, processor, p->arena, &text, NULL), TL_OK);
    return text;
}

/* The positions of the two questions are each other's, one by one. */
static void assert_questions_match(const published *p, const tl_encoding *text,
                                   const tl_encoding *image)
{
    const struct expected *want = &expected[p->family][p->task];
    const size_t t = want->query[TL_TEXT], v = want->query[TL_IMAGE];
    assert_int_equal(text->n_pos - t, image->n_pos - v);
    size_t n_different = 0;
    for (size_t i = 0; t + i < text->n_pos; i++)
        n_different += text->ids[t + i] != image->ids[v + i];
    if (n_different > want->n_different)
        fail_msg("%s: %zu tokens of the question differ, wanted %zu at most", p->name,
                 n_different, want->n_different);
    assert_int_equal(text->ids[text->n_pos - 1], image->ids[image->n_pos - 1]);
}

/* All pictures are equally large, so rows of one question have one encoding. */
static bool is_first_of_query(const tl_dataset *d, size_t row)
{
    for (size_t i = 0; i < row; i++)
        if (d->rows[i].modality == TL_IMAGE &&
            strcmp(d->rows[i].query, d->rows[row].query) == 0)
            return false;
    return true;
}

/* Of the parallel texts most are as long as the published ones, which are those of the paper's
 * filter; others occur where an entity or a description has other tokens. */
static void check_parallel(const published *p, size_t n_as_long)
{
    static const size_t facts[TL_PUBLISHED_FAMILIES] = {415, 453, 452};
    const size_t n = p->report.n[TL_IMAGE];
    switch (p->task) {
    case TL_TASK_FACTUAL_RECALL:
        assert_int_equal(p->report.n_pairs, n);
        assert_int_equal(n_as_long, facts[p->family]);
        break;
    case TL_TASK_COLOR_ORDERING: /* of 500 scenes */
        assert_int_equal(p->report.n_pairs, p->family == TL_PUBLISHED_LLAVA ? 16 : 60);
        assert_int_equal(n_as_long, p->report.n_pairs);
        break;
    case TL_TASK_COUNTING:
    case TL_TASK_ARITHMETIC:
    case TL_TASK_SENTIMENT:
        assert_int_equal(p->report.n_pairs, n);
        assert_int_equal(n_as_long, n);
        break;
    case TL_TASKS: fail();
    }
}

static bool is_as_long(const published *p, const tl_encoding *e)
{
    const struct expected *want = &expected[p->family][p->task];
    return e->n_pos == want->n_pos[TL_TEXT] &&
           e->data_begin == want->data[TL_TEXT].begin &&
           e->data_end == want->data[TL_TEXT].end;
}

static void check_rows(const published *p, const tl_processor *processor)
{
    size_t n_as_long = 0;
    tl_error err = {0};
    tl_encoding e;
    const tl_arena_mark mark = tl_arena_get_mark(p->arena);
    for (size_t i = 0; i < p->dataset->n_rows; i++) {
        const bool is_image = p->dataset->rows[i].modality == TL_IMAGE;
        const tl_prompt_text prompt = tl_dataset_prompt(p->dataset, i);
        const char *chat = NULL;
        if (is_image && !is_first_of_query(p->dataset, i))
            continue;
        if (tl_dataset_encode(p->dataset, i, processor, p->arena, &e, &err) != TL_OK ||
            tl_processor_chat(processor, &prompt, p->arena, &chat, &err) != TL_OK)
            fail_msg("%s", err.text);
        if (p->dataset->rows[i].part == TL_NO_PART) {
            n_as_long += is_as_long(p, &e);
            tl_arena_rewind(p->arena, mark);
            continue;
        }
        assert_segments(p, i, &e);
        if (is_image) {
            const tl_encoding text = encode_partner(p, i, processor);
            assert_questions_match(p, &text, &e);
        } else {
            assert_string_equal(chat, p->chats[i]);
        }
        tl_arena_rewind(p->arena, mark);
    }
    check_parallel(p, n_as_long);
}

/* ---- the authors' selection ----------------------------------------------------------- */

static void assert_part(const published *p, const char *part, const tl_split_pair *got,
                        size_t n_got, const json_t *want)
{
    if (n_got != json_array_size(want))
        fail_msg("%s: %zu rows for %s, wanted %zu", p->name, n_got, part,
                 json_array_size(want));
    for (size_t i = 0; i < n_got; i++) {
        const json_t *pair = json_array_get(want, i);
        const size_t row = (size_t)json_integer_value(json_array_get(pair, 0));
        const size_t other = (size_t)json_integer_value(json_array_get(pair, 1));
        if (got[i].row != row || got[i].counterfactual != other)
            fail_msg("%s, %s %zu: row %zu against %zu, wanted %zu against %zu", p->name,
                     part, i, got[i].row, got[i].counterfactual, row, other);
    }
}

static void assert_split(const published *p, const tl_split *split)
{
    json_t *golden = NULL;
    assert_int_equal(tl_json_read(SHARED "/goldens/text_splits.json", &golden, NULL),
                     TL_OK);
    const json_t *want = json_object_get(json_object_get(golden, "splits"), p->name);
    assert_int_equal(split->n_correct,
                     json_integer_value(json_object_get(want, "correct")));
    assert_int_equal(split->n_correct, p->report.n_right[TL_TEXT]);
    assert_part(p, "discovery", split->discovery, split->n_discovery,
                json_object_get(want, "discovery"));
    assert_part(p, "evaluation", split->evaluation, split->n_evaluation,
                json_object_get(want, "evaluation"));
    json_decref(golden);
}

static bool is_right(const tl_dataset_row *row)
{
    return row->predicted != NULL && strcmp(row->predicted, row->answer) == 0;
}

/* Without a tokenizer: equal answers stand for equal tokens. */
static void check_split(const published *p)
{
    const tl_dataset *d = p->dataset;
    const size_t n = p->report.n[TL_TEXT];
    tl_split_row *rows = tl_arena_alloc(p->arena, n, sizeof *rows);
    for (size_t i = 0; i < n; i++) {
        size_t same = 0;
        while (strcmp(d->rows[same].answer, d->rows[i].answer) != 0)
            same++;
        rows[i] = (tl_split_row){.id = d->rows[i].id,
                                 .prompt = p->chats[i],
                                 .answer = d->rows[i].answer,
                                 .answer_id = (int32_t)same,
                                 .group = d->rows[i].group,
                                 .correct = is_right(&d->rows[i]),
                                 .counterfactual = TL_NO_ROW};
    }
    const tl_split_options options = {.n_prompts = p->report.n_prompts,
                                      .n_answers = tl_split_answers(d),
                                      .seed = TL_SPLIT_SEED};
    tl_split split;
    tl_error err = {0};
    if (tl_split_draw(rows, n, &options, p->arena, &split, &err) != TL_OK)
        fail_msg("%s: %s", p->name, err.text);
    assert_split(p, &split);
}

/* As `study --keep stored` does it. */
static void check_dataset_split(const published *p, const tl_processor *processor)
{
    const tl_dataset *d = p->dataset;
    bool *correct = tl_arena_alloc(p->arena, d->n_rows, sizeof *correct);
    for (size_t i = 0; i < d->n_rows; i++)
        correct[i] = is_right(&d->rows[i]);
    const tl_split_options options = {.n_prompts = p->report.n_prompts,
                                      .n_answers = tl_split_answers(d),
                                      .seed = TL_SPLIT_SEED};
    tl_split split;
    tl_error err = {0};
    if (tl_dataset_split(d, TL_TEXT, correct, &options, processor, p->arena, &split,
                         &err) != TL_OK)
        fail_msg("%s: %s", p->name, err.text);
    assert_split(p, &split);
}

/* ---- the tests ------------------------------------------------------------------------- */

static void check_family(tl_published_family family)
{
    const test_folder model = make_model(family);
    tl_processor *processor = NULL;
    tl_error err = {0};
    if (tl_processor_open(model.path, 0, &processor, &err) != TL_OK)
        fail_msg("%s", err.text);
    for (tl_task task = 0; task < TL_TASKS; task++) {
        published p = open_published(family, task, tl_processor_tokenizer(processor));
        check_texts(&p, tl_processor_tokenizer(processor));
        check_split(&p);
        check_rows(&p, processor);
        check_dataset_split(&p, processor);
        close_published(&p);
    }
    tl_processor_close(processor);
    test_folder_remove(model.path);
}

static void prompts_of_qwen2_vl_are_as_published(void **state)
{
    (void)state;
    if (skip_without_shared())
        skip();
    check_family(TL_PUBLISHED_QWEN2_VL);
}

static void prompts_of_pixtral_are_as_published(void **state)
{
    (void)state;
    if (skip_without_shared())
        skip();
    check_family(TL_PUBLISHED_LLAVA);
}

static void prompts_of_gemma3_are_as_published(void **state)
{
    (void)state;
    if (skip_without_shared())
        skip();
    check_family(TL_PUBLISHED_GEMMA3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_say_what_the_tables_say),
        cmocka_unit_test(without_pictures_there_is_only_text),
        cmocka_unit_test(pictures_survive_their_own_folder),
        cmocka_unit_test(facts_have_the_labels_of_their_question),
        cmocka_unit_test(bad_tables_are_explained),
        cmocka_unit_test(prompts_of_qwen2_vl_are_as_published),
        cmocka_unit_test(prompts_of_pixtral_are_as_published),
        cmocka_unit_test(prompts_of_gemma3_are_as_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
