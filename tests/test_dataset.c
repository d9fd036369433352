/* SPDX-License-Identifier: MIT
 *
 * test_dataset.c - what dataset.jsonl and task.json say, what is wrong with bad
 * ones, and rows as a model eats them.
 */
#include "testing.h"

#include "base/file.h"
#include "base/json.h"
#include "task/folded_labels.h"
#include "twinlens/dataset.h"
#include "twinlens/log.h"

#define TINY "tests/data/qwen2vl-tiny"
#define SHARED TWINLENS_SOURCE_DIR "/../shared"

/* ---- folders made for a test --------------------------------------------------- */

static test_folder make_folder(const char *rows, const char *task)
{
    test_folder f = test_folder_create();
    if (rows != NULL)
        test_file(&f, "dataset.jsonl", rows, strlen(rows));
    if (task != NULL)
        test_file(&f, "task.json", task, strlen(task));
    return f;
}

static tl_dataset *open_text(const char *rows, const char *task)
{
    const test_folder f = make_folder(rows, task);
    tl_error err = {0};
    tl_dataset *dataset = NULL;
    if (tl_dataset_open(f.path, &dataset, &err) != TL_OK)
        fail_msg("%s", err.text);
    test_folder_remove(f.path);
    return dataset;
}

/* ---- reading ---------------------------------------------------------------------- */

static void the_folder_or_its_file_open(void **state)
{
    (void)state;
    static const char *const paths[] = {TINY "/goldens", TINY "/goldens/dataset.jsonl"};
    for (size_t i = 0; i < 2; i++) {
        tl_error err = {0};
        tl_dataset *d = NULL;
        if (tl_dataset_open(paths[i], &d, &err) != TL_OK)
            fail_msg("%s", err.text);
        assert_string_equal(d->path, TINY "/goldens/dataset.jsonl");
        assert_string_equal(d->folder, TINY "/goldens");
        assert_string_equal(d->name, "counting");
        assert_int_equal(d->n_labels, 4);
        assert_string_equal(d->labels[3], "4");
        assert_int_equal(d->image_width, 0);
        assert_int_equal(d->n_rows, 12);

        const tl_dataset_row *text = &d->rows[0], *image = &d->rows[1];
        assert_string_equal(text->id, "text-0");
        assert_string_equal(text->pair, "0");
        assert_int_equal(text->modality, TL_TEXT);
        assert_string_equal(text->before, "Sequence:");
        assert_string_equal(text->data, " dog apple car apple");
        assert_string_equal(text->answer, "1");
        assert_null(text->image_path);
        assert_null(text->group);
        assert_int_equal(text->part, TL_PART_NONE);
        assert_int_equal(text->line, 1);
        assert_int_equal(text->counterfactual, 2);
        assert_int_equal(text->n_labels, 4);
        assert_int_equal(image->modality, TL_IMAGE);
        assert_null(image->data);
        assert_string_equal(image->image_path, TINY "/goldens/images/0.png");
        for (size_t k = 0; k < d->n_rows; k++)
            assert_int_equal(tl_dataset_find(d, d->rows[k].id), k);
        assert_true(tl_dataset_find(d, "text-99") == TL_NO_ROW);
        assert_true(tl_dataset_find(d, "") == TL_NO_ROW);
        tl_dataset_close(d);
    }
    tl_dataset_close(NULL);
}

static void what_is_optional_may_be_absent(void **state)
{
    (void)state;
    tl_dataset *d = open_text(
        "\xef\xbb\xbf{\"id\": \"a\", \"modality\": \"text\", \"data\": \"x\","
        " \"query\": \"\", \"answer\": \"1\", \"pair\": null}\r\n"
        "  \r\n\n"
        "{\"id\": \"b\", \"modality\": \"image\", \"image\": \"/i.png\", "
        "\"query\": \"?\","
        " \"answer\": \"2\", \"data\": \"\", \"split\": \"evaluation\", "
        "\"group\": \"g\","
        " \"labels\": [\"2\", \"3\"], \"x_note\": [1], \"predicted\": \"There\"}",
        "{\"answers\": [\"1\", \"2\"]}");
    assert_int_equal(d->n_rows, 2);
    assert_string_equal(d->name, "");
    assert_int_equal(d->n_labels, 0);
    assert_string_equal(d->rows[0].before, "");
    assert_null(d->rows[0].pair);
    assert_int_equal(d->rows[0].n_labels, 0);
    assert_true(d->rows[0].counterfactual == TL_NO_ROW);
    assert_string_equal(d->rows[1].image_path, "/i.png");
    assert_null(d->rows[1].data);
    assert_int_equal(d->rows[1].part, TL_EVALUATION);
    assert_string_equal(d->rows[1].group, "g");
    assert_int_equal(d->rows[1].n_labels, 2);
    assert_string_equal(d->rows[1].labels[1], "3");
    assert_null(d->rows[0].predicted);
    assert_string_equal(d->rows[1].predicted, "There");
    assert_int_equal(d->n_answers, 2);
    assert_string_equal(d->answers[1], "2");
    assert_int_equal(d->rows[1].line, 4);
    tl_dataset_close(d);
}

static void image_size_is_width_and_height(void **state)
{
    (void)state;
    static const struct {
        const char *task;
        size_t width, height;
    } cases[] = {{"{\"image_size\": [338, 75]}", 338, 75},
                 {"{\"image_size\": 252}", 252, 252},
                 {"{\"image_size\": null}", 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_dataset *d =
            open_text("{\"id\": \"a\", \"modality\": \"image\", \"query\": \"\","
                      " \"answer\": \"1\", \"image\": \"i.png\"}",
                      cases[i].task);
        assert_int_equal(d->image_width, cases[i].width);
        assert_int_equal(d->image_height, cases[i].height);
        const tl_prompt_text prompt = tl_dataset_prompt(d, 0);
        assert_int_equal(prompt.resize_width, cases[i].width);
        assert_int_equal(prompt.resize_height, cases[i].height);
        tl_dataset_close(d);
    }
}

#define START "{\"id\": \"a\", \"modality\": \"text\", "
#define REST "\"data\": \"x\", \"query\": \"?\", \"answer\": \"1\""
#define ROW_A START REST "}\n"

static void bad_datasets_are_explained(void **state)
{
    (void)state;
    /* The message follows the folder's path. */
    static const struct {
        const char *rows, *task, *message;
    } cases[] = {
        {"", NULL, "/dataset.jsonl: has no rows"},
        {"\n \n", NULL, "/dataset.jsonl: has no rows"},
        {ROW_A "[]\n", NULL, "/dataset.jsonl:2: not an object"},
        {ROW_A "\n{\"id\": \n", NULL, "/dataset.jsonl:3: column "},
        {START "\"id\": \"b\"}", NULL, "/dataset.jsonl:1: column "},
        {ROW_A ROW_A, NULL, "/dataset.jsonl:2: id 'a' is that of line 1 too"},
        {"{\"id\": 7}", NULL, "/dataset.jsonl:1: 'id' is 7, wanted a string"},
        {"{\"id\": \"a\"}", NULL, "/dataset.jsonl:1: no 'modality'"},
        {"{\"id\": \"a\", \"modality\": \"audio\"}", NULL,
         "/dataset.jsonl:1: 'modality' is 'audio', wanted 'text' or 'image'"},
        {"{\"modality\": \"text\"}", NULL, "/dataset.jsonl:1: no 'id'"},
        {"{\"id\": \"\", \"modality\": \"text\"}", NULL,
         "/dataset.jsonl:1: 'id' is empty"},
        {START "\"data\": \"x\", \"answer\": \"1\"}", NULL,
         "/dataset.jsonl:1: no 'query'"},
        {START "\"data\": \"x\", \"query\": \"?\"}", NULL,
         "/dataset.jsonl:1: no 'answer'"},
        {START "\"data\": \"x\", \"query\": \"?\", \"answer\": \"\"}", NULL,
         "/dataset.jsonl:1: 'answer' is empty"},
        {START "\"data\": \"x\", \"query\": \"?\", \"answer\": 1}", NULL,
         "/dataset.jsonl:1: 'answer' is 1, wanted a string"},
        {START "\"query\": \"?\", \"answer\": \"1\"}", NULL,
         "/dataset.jsonl:1: no 'data'"},
        {START "\"data\": \"\", \"query\": \"?\", \"answer\": \"1\"}", NULL,
         "/dataset.jsonl:1: 'data' is empty"},
        {START REST ", \"image\": \"i.png\"}", NULL,
         "/dataset.jsonl:1: a text row with an 'image'"},
        {"{\"id\": \"a\", \"modality\": \"image\", " REST "}", NULL,
         "/dataset.jsonl:1: no 'image'"},
        {"{\"id\": \"a\", \"modality\": \"image\", \"image\": \"i.png\", " REST "}",
         NULL,
         "/dataset.jsonl:1: both 'data' and 'image'; the data of an image row is the "
         "image"},
        {START REST ", \"split\": \"test\"}", NULL,
         "/dataset.jsonl:1: 'split' is 'test', wanted 'discovery', 'evaluation' "
         "or 'none'"},
        {START REST ", \"predicted\": 1}", NULL,
         "/dataset.jsonl:1: 'predicted' is 1, wanted a string"},
        {START REST ", \"labels\": \"1\"}", NULL,
         "/dataset.jsonl:1: 'labels' is not a list of answers"},
        {START REST ", \"labels\": []}", NULL,
         "/dataset.jsonl:1: 'labels' is not a list of answers"},
        {START REST ", \"labels\": [\"1\", 2]}", NULL,
         "/dataset.jsonl:1: 'labels' has an entry that is not a string, or is empty"},
        {START REST ", \"labels\": [\"\"]}", NULL,
         "/dataset.jsonl:1: 'labels' has an entry that is not a string, or is empty"},
        {START REST ", \"cf\": \"b\"}", NULL,
         "/dataset.jsonl:1: row 'a': 'cf' is 'b', and there is no such row"},
        {START REST ", \"cf\": \"a\"}", NULL,
         "/dataset.jsonl:1: row 'a': 'cf' names the row itself"},
        {START REST
         ", \"cf\": \"b\"}\n{\"id\": \"b\", \"modality\": \"image\", \"query\":"
         " \"\", \"answer\": \"1\", \"image\": \"i.png\"}",
         NULL,
         "/dataset.jsonl:1: row 'a': 'cf' is 'b', which is of modality image and not "
         "text"},
        {ROW_A, "[]", "/task.json: not an object"},
        {ROW_A, "{", "/task.json: line 1"},
        {ROW_A, "{\"name\": 1}", "/task.json: 'name' is 1, wanted a string"},
        {ROW_A, "{\"labels\": {}}", "/task.json: 'labels' is not a list of answers"},
        {ROW_A, "{\"answers\": 7}", "/task.json: 'answers' is not a list of answers"},
        {ROW_A, "{\"system\": [\"a\"]}",
         "/task.json: 'system' is an array, wanted a string"},
        {ROW_A, "{\"image_size\": [252]}",
         "/task.json: 'image_size' is not [width, height], each in 1..16384"},
        {ROW_A, "{\"image_size\": [252, 0]}",
         "/task.json: 'image_size' is not [width, height], each in 1..16384"},
        {ROW_A, "{\"image_size\": \"252\"}",
         "/task.json: 'image_size' is not [width, height], each in 1..16384"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const test_folder f = make_folder(cases[i].rows, cases[i].task);
        tl_error err = {0};
        tl_dataset *dataset = NULL;
        assert_int_equal(tl_dataset_open(f.path, &dataset, &err), TL_ERR_FORMAT);
        const size_t n = strlen(f.path);
        if (strncmp(err.text, f.path, n) != 0 ||
            strncmp(err.text + n, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("case %zu: %s, wanted %s", i, err.text, cases[i].message);
        assert_null(strchr(err.text, '\n'));
        assert_null(dataset);
        test_folder_remove(f.path);
    }
    const test_folder f = make_folder(NULL, NULL);
    tl_dataset *dataset = NULL;
    assert_int_equal(tl_dataset_open(f.path, &dataset, NULL), TL_ERR_NOT_FOUND);
    test_folder_remove(f.path);
    assert_int_equal(tl_dataset_open(f.path, &dataset, NULL), TL_ERR_NOT_FOUND);
}

static void count_warnings(void *user, tl_log_level level, const char *text)
{
    (void)text;
    *(size_t *)user += level == TL_LOG_WARNING;
}

static void unknown_keys_are_warned_of_once(void **state)
{
    (void)state;
    size_t n_warnings = 0;
    tl_log_set(count_warnings, &n_warnings);
    tl_dataset_close(open_text(START REST
                               ", \"note\": 1, \"x_mine\": 2}\n"
                               "{\"id\": \"b\", \"modality\": \"text\", " REST
                               ", \"note\": 1, \"qeury\": 2}",
                               "{\"label\": [], \"note\": 1}"));
    tl_log_set(NULL, NULL);
    assert_int_equal(n_warnings, 3); /* label, note, qeury */
}

static void modalities_have_names(void **state)
{
    (void)state;
    tl_modality modality = TL_TEXT;
    assert_int_equal(tl_modality_parse("image", &modality, NULL), TL_OK);
    assert_int_equal(modality, TL_IMAGE);
    assert_string_equal(tl_modality_name(modality), "image");
    assert_int_equal(tl_modality_parse("text", &modality, NULL), TL_OK);
    assert_int_equal(modality, TL_TEXT);
    assert_string_equal(tl_modality_name(modality), "text");
    tl_error err = {0};
    assert_int_equal(tl_modality_parse("both", &modality, &err), TL_ERR_ARGUMENT);
    assert_string_equal(err.text, "modality 'both', wanted text or image");
}

/* ---- rows as a model eats them ------------------------------------------------- */

static tl_processor *open_processor(void)
{
    tl_error err = {0};
    tl_processor *processor = NULL;
    if (tl_processor_open(TINY "/checkpoint", 0, &processor, &err) != TL_OK)
        fail_msg("%s", err.text);
    return processor;
}

static void rows_encode_and_have_answers(void **state)
{
    (void)state;
    tl_processor *processor = open_processor();
    tl_arena *arena = tl_arena_create();
    tl_error err = {0};
    tl_dataset *d = NULL;
    json_t *golden = NULL;
    if (tl_dataset_open(TINY "/goldens", &d, &err) != TL_OK ||
        tl_json_read(TINY "/goldens/encode.json", &golden, &err) != TL_OK)
        fail_msg("%s", err.text);
    size_t rows[12], n_of[TL_MODALITY_COUNT] = {0};
    tl_encoding encodings[TL_MODALITY_COUNT][12];
    for (size_t i = 0; i < d->n_rows; i++) {
        const json_t *want = json_object_get(golden, d->rows[i].id);
        const tl_modality m = d->rows[i].modality;
        tl_encoding *e = &encodings[m][n_of[m]];
        rows[n_of[m]++] = i;
        int32_t answer = -1, pair[2] = {-1, -1};
        if (tl_dataset_encode(d, i, processor, arena, e, &err) != TL_OK ||
            tl_dataset_answer_id(d, i, processor, &answer, &err) != TL_OK ||
            tl_dataset_pair_ids(d, i, d->rows[i].counterfactual, processor, &pair[0],
                                &pair[1], &err) != TL_OK)
            fail_msg("%s", err.text);
        assert_int_equal(e->n_pos, json_array_size(json_object_get(want, "input_ids")));
        assert_int_equal(answer, json_integer_value(json_object_get(want, "answer")));
        assert_int_equal(pair[0], answer);
        assert_int_not_equal(pair[1], answer);
    }
    for (int m = 0; m < TL_MODALITY_COUNT; m++)
        assert_int_equal(
            tl_dataset_check_lengths(d, rows, encodings[m], n_of[m], "attribute", NULL),
            TL_OK);

    const int32_t *labels = NULL;
    size_t n_labels = 0;
    assert_int_equal(
        tl_dataset_label_ids(d, 0, processor, arena, &labels, &n_labels, NULL), TL_OK);
    assert_int_equal(n_labels, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(labels[i], 16 + i);

    /* A text and an image are not equally long. */
    const tl_encoding two[] = {encodings[TL_TEXT][0], encodings[TL_IMAGE][0]};
    assert_int_equal(tl_dataset_check_lengths(d, rows, two, 2, "attribute", &err),
                     TL_ERR_DATA);
    assert_non_null(strstr(err.text, "attribute needs prompts of one length"));
    assert_non_null(strstr(err.text, "row 'image-0' has 45 tokens, data [18,22)"));
    /* Nor may the data of equally long prompts lie elsewhere, or end elsewhere. */
    for (size_t shift = 0; shift < 2; shift++) {
        tl_encoding moved[] = {encodings[TL_TEXT][0], encodings[TL_TEXT][1]};
        moved[1].data_begin += shift;
        moved[1].data_end += 1 - shift;
        assert_int_equal(tl_dataset_check_lengths(d, rows, moved, 2, "attribute", NULL),
                         TL_ERR_DATA);
    }
    json_decref(golden);
    tl_dataset_close(d);
    tl_arena_destroy(arena);
    tl_processor_close(processor);
}

static void labels_are_first_tokens_each_once(void **state)
{
    (void)state;
    tl_processor *processor = open_processor();
    tl_arena *arena = tl_arena_create();
    tl_dataset *d =
        open_text(START REST ", \"labels\": [\"31\", \"2\", \"32\", \"1\"]}\n"
                             "{\"id\": \"b\", \"modality\": \"text\", " REST "}",
                  NULL);
    const int32_t *ids = NULL;
    size_t count = 0;
    assert_int_equal(tl_dataset_label_ids(d, 0, processor, arena, &ids, &count, NULL),
                     TL_OK);
    assert_int_equal(count, 3); /* "31" and "32" both begin with "3" */
    assert_int_equal(ids[0], 18);
    assert_int_equal(ids[1], 17);
    assert_int_equal(ids[2], 16);
    assert_int_equal(tl_dataset_label_ids(d, 1, processor, arena, &ids, &count, NULL),
                     TL_OK);
    assert_int_equal(count, 0);
    tl_dataset_close(d);
    tl_arena_destroy(arena);
    tl_processor_close(processor);
}

/* "31" and "32" begin with "3": as long as they are nobody's answer they count as one. */
static void an_answer_is_alone_among_its_labels(void **state)
{
    (void)state;
    static const char labels[] = "{\"labels\": [\"31\", \"1\", \"32\", \"2\", \"2\"]}";
    tl_processor *processor = open_processor();
    size_t n_warnings = 0;
    tl_log_set(count_warnings, &n_warnings);
    tl_dataset *d =
        open_text(ROW_A "{\"id\": \"b\", \"modality\": \"text\", " REST "}\n"
                        "{\"id\": \"c\", \"modality\": \"text\", "
                        "\"data\": \"x\", \"query\": \"?\", "
                        "\"answer\": \"2\"}",
                  labels);
    int32_t id = -1;
    assert_int_equal(tl_dataset_answer_id(d, 0, processor, &id, NULL), TL_OK);
    assert_int_equal(id, 16);
    assert_int_equal(tl_dataset_answer_id(d, 2, processor, &id, NULL), TL_OK);
    assert_int_equal(tl_folded_labels_warn(d, processor, NULL), TL_OK);
    assert_int_equal(n_warnings, 1);
    tl_dataset_close(d);

    d = open_text(ROW_A "{\"id\": \"b\", \"modality\": \"text\", \"data\": \"x\", "
                        "\"query\": \"?\", \"answer\": \"32\"}",
                  labels);
    tl_error err = {0};
    assert_int_equal(tl_dataset_answer_id(d, 0, processor, &id, NULL), TL_OK);
    assert_int_equal(tl_dataset_answer_id(d, 1, processor, &id, &err), TL_ERR_DATA);
    assert_non_null(strstr(err.text,
                           "/dataset.jsonl:2: row 'b': the model cannot tell its "
                           "answer '32' from other labels: '31', '32' begin "
                           "with one token, '3'"));
    assert_int_equal(tl_folded_labels_warn(d, processor, NULL), TL_OK);
    assert_int_equal(n_warnings, 1); /* the row is refused */
    tl_log_set(NULL, NULL);
    tl_dataset_close(d);
    tl_processor_close(processor);
}

static void rows_that_cannot_be_used_are_named(void **state)
{
    (void)state;
    tl_processor *processor = open_processor();
    tl_arena *arena = tl_arena_create();
    tl_error err = {0};
    tl_dataset *d = open_text(
        START REST
        "}\n"
        "{\"id\": \"b\", \"modality\": \"text\", \"data\": \"x\", \"query\": \"?\","
        " \"answer\": \"9\"}\n"
        "{\"id\": \"c\", \"modality\": \"text\", \"data\": \"x\", \"query\": \"?\","
        " \"answer\": \"17\"}\n"
        "{\"id\": \"d\", \"modality\": \"image\", \"image\": \"none.png\", \"query\": "
        "\"\","
        " \"answer\": \"1\"}\n"
        "{\"id\": \"e\", \"modality\": \"text\", \"data\": \"<|image_pad|>\","
        " \"query\": \"\", \"answer\": \"1\"}\n",
        "{\"labels\": [\"1\", \"2\"]}");
    int32_t a = 77, b = 78;
    assert_int_equal(tl_dataset_answer_id(d, 1, processor, &a, &err), TL_ERR_DATA);
    assert_non_null(strstr(err.text,
                           "/dataset.jsonl:2: row 'b': answer '9' is none of its "
                           "2 labels ('1', ...)"));
    assert_int_equal(tl_dataset_pair_ids(d, 0, 2, processor, &a, &b, &err),
                     TL_ERR_DATA);
    assert_non_null(strstr(err.text,
                           "/dataset.jsonl:1: row 'a' and its counterfactual 'c' "
                           "(line 3) have the same answer by first token ('1', "
                           "'17')"));
    assert_int_equal(a, 77);
    assert_int_equal(b, 78);
    tl_encoding encoding;
    assert_int_equal(tl_dataset_encode(d, 3, processor, arena, &encoding, &err),
                     TL_ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "/dataset.jsonl:4: row 'd': "));
    assert_non_null(strstr(err.text, "/none.png"));
    assert_int_equal(tl_dataset_encode(d, 4, processor, arena, &encoding, &err),
                     TL_ERR_DATA);
    assert_non_null(strstr(err.text, "/dataset.jsonl:5: row 'e': the words contain "
                                     "<|image_pad|>"));
    tl_dataset_close(d);
    tl_arena_destroy(arena);
    tl_processor_close(processor);
}

/* In the prompt of a row stands its own system, else the task's, else the family's. */
static void a_system_is_the_rows_or_the_tasks(void **state)
{
    (void)state;
    static const char rows[] = "{\"id\": \"a\", \"modality\": \"text\", \"data\": "
                               "\"x\", \"query\": \"?\", \"answer\": \"1\"}\n"
                               "{\"id\": \"b\", \"modality\": \"text\", \"data\": "
                               "\"x\", \"query\": \"?\", \"answer\": \"1\", "
                               "\"system\": \"Mine.\"}\n"
                               "{\"id\": \"c\", \"modality\": \"text\", \"data\": "
                               "\"x\", \"query\": \"?\", \"answer\": \"1\", "
                               "\"system\": \"\"}\n";
    static const struct {
        const char *task, *system[3];
    } cases[] = {
        {"{\"system\": \"The task's.\"}", {"The task's.", "Mine.", ""}},
        {"{}", {"You are a helpful assistant.", "Mine.", ""}},
    };
    tl_processor *processor = NULL;
    tl_error err = {0};
    assert_int_equal(tl_processor_open(TINY "/checkpoint", 0, &processor, &err), TL_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_dataset *d = open_text(rows, cases[i].task);
        tl_arena *arena = tl_arena_create();
        for (size_t row = 0; row < d->n_rows; row++) {
            char want[256];
            const char *chat = NULL;
            const tl_prompt_text prompt = tl_dataset_prompt(d, row);
            snprintf(
                want, sizeof want,
                "<|im_start|>system\n%s<|im_end|>\n<|im_start|>user\nx?<|im_end|>\n"
                "<|im_start|>assistant\n",
                cases[i].system[row]);
            assert_int_equal(tl_processor_chat(processor, &prompt, arena, &chat, &err),
                             TL_OK);
            assert_string_equal(chat, want);
        }
        tl_arena_destroy(arena);
        tl_dataset_close(d);
    }
    tl_processor_set_chat(processor, TL_CHAT_RAW);
    tl_dataset *d = open_text(rows, NULL);
    tl_arena *arena = tl_arena_create();
    tl_encoding encoding;
    assert_int_equal(tl_dataset_encode(d, 0, processor, arena, &encoding, &err), TL_OK);
    assert_int_equal(encoding.data_begin, 0);
    assert_int_equal(tl_dataset_encode(d, 1, processor, arena, &encoding, &err),
                     TL_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "/dataset.jsonl:2: row 'b': "));
    tl_arena_destroy(arena);
    tl_dataset_close(d);
    tl_processor_close(processor);
}

static void keep_text(void *user, tl_log_level level, const char *text)
{
    tl_error *kept = user;
    assert_int_equal(level, TL_LOG_WARNING);
    assert_string_equal(kept->text, ""); /* a second one is too much */
    snprintf(kept->text, sizeof kept->text, "%s", text);
}

/* Said of the first row that loses something by it: a full alpha loses nothing. */
static void dropped_alpha_is_warned_of_once_for_a_dataset(void **state)
{
    (void)state;
    tl_processor *processor = NULL;
    tl_error err = {0};
    assert_int_equal(tl_processor_open(TINY "/checkpoint", 0, &processor, &err), TL_OK);
    static const char *const files[] = {"synthetic-opaque-rgba.png",
                                        "synthetic-opaque.webp", "synthetic-alpha.webp",
                                        "synthetic-rgba-interlaced.png"};
    char rows[4096];
    size_t used = 0;
    for (size_t i = 0; i < 4; i++)
        used += (size_t)snprintf(rows + used, sizeof rows - used,
                                 "{\"id\": \"%zu\", \"modality\": \"image\", "
                                 "\"image\": \"" TWINLENS_SOURCE_DIR
                                 "/tests/data/images/%s\", \"query\": \"?\", "
                                 "\"answer\": \"1\"}\n",
                                 i, files[i]);
    for (int dataset = 0; dataset < 2; dataset++) {
        tl_dataset *d = open_text(rows, "{\"image_size\": 56}");
        tl_arena *arena = tl_arena_create();
        tl_error said = {0};
        tl_log_set(keep_text, &said);
        for (size_t i = 0; i < 2 * d->n_rows; i++) {
            tl_encoding e;
            if (tl_dataset_encode(d, i % d->n_rows, processor, arena, &e, &err) !=
                TL_OK)
                fail_msg("%s", err.text);
            assert_int_equal(said.text[0] != '\0', i >= 2);
        }
        tl_log_set(NULL, NULL);
        assert_non_null(
            strstr(said.text, "synthetic-alpha.webp has transparent pixels"));
        tl_arena_destroy(arena);
        tl_dataset_close(d);
    }
    tl_processor_close(processor);
}

/* Other people's data sets: every row has to encode, all of a modality alike. */
static void trained_models_datasets_encode(void **state)
{
    (void)state;
    static const char *const names[] = {"arithmetic", "color", "counting", "factual",
                                        "sentiment"};
    if (!tl_file_exists(SHARED "/organism")) {
        printf("skipped: no ../shared\n");
        skip();
    }
    tl_error err = {0};
    tl_processor *processor = NULL;
    if (tl_processor_open(SHARED "/organism/checkpoint", 0, &processor, &err) != TL_OK)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[300];
        snprintf(path, sizeof path, SHARED "/organism/datasets/%s", names[i]);
        tl_dataset *d = NULL;
        if (tl_dataset_open(path, &d, &err) != TL_OK)
            fail_msg("%s", err.text);
        tl_arena *arena = tl_arena_create();
        for (int m = 0; m < TL_MODALITY_COUNT; m++) {
            size_t *rows = tl_arena_alloc(arena, d->n_rows, sizeof *rows), n = 0;
            tl_encoding *encodings =
                tl_arena_alloc(arena, d->n_rows, sizeof *encodings);
            for (size_t k = 0; k < d->n_rows; k++) {
                int32_t answer = -1;
                if (d->rows[k].modality != (tl_modality)m)
                    continue;
                if (tl_dataset_encode(d, k, processor, arena, &encodings[n], &err) !=
                        TL_OK ||
                    tl_dataset_answer_id(d, k, processor, &answer, &err) != TL_OK)
                    fail_msg("%s", err.text);
                rows[n++] = k;
            }
            assert_int_equal(n, 160);
            if (tl_dataset_check_lengths(d, rows, encodings, n, "a study", &err) !=
                TL_OK)
                fail_msg("%s", err.text);
        }
        tl_arena_destroy(arena);
        tl_dataset_close(d);
    }
    tl_processor_close(processor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_folder_or_its_file_open),
        cmocka_unit_test(what_is_optional_may_be_absent),
        cmocka_unit_test(image_size_is_width_and_height),
        cmocka_unit_test(bad_datasets_are_explained),
        cmocka_unit_test(unknown_keys_are_warned_of_once),
        cmocka_unit_test(modalities_have_names),
        cmocka_unit_test(rows_encode_and_have_answers),
        cmocka_unit_test(labels_are_first_tokens_each_once),
        cmocka_unit_test(an_answer_is_alone_among_its_labels),
        cmocka_unit_test(rows_that_cannot_be_used_are_named),
        cmocka_unit_test(a_system_is_the_rows_or_the_tasks),
        cmocka_unit_test(dropped_alpha_is_warned_of_once_for_a_dataset),
        cmocka_unit_test(trained_models_datasets_encode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
