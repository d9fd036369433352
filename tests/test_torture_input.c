/* SPDX-License-Identifier: MIT
 *
 * test_torture_input.c - from files to tensors with memory that fails: tokenizer, processor,
 * pictures, dataset, split, safetensors, pictures of tasks.
 */
#include "torture.h"

#include <unistd.h>

#include "twinlens/circuit_file.h"
#include "twinlens/dataset.h"
#include "twinlens/safetensors.h"
#include "twinlens/scene.h"
#include "twinlens/split.h"

#define TINY "tests/data/qwen2vl-tiny"

enum { VOCABULARY = 640 };

/* Open while all tests run. */
static tl_processor *processor;
static tl_dataset *dataset, *pictures; /* pictures: rows that can be split */
static test_folder folder;

static void must(tl_status status, const tl_error *err)
{
    if (status != TL_OK)
        fail_msg("%s", err->text);
}

static int set_up(void **unused)
{
    (void)unused;
    tl_error err = {0};
    folder = test_folder_create();
    must(tl_processor_open(TINY "/checkpoint", VOCABULARY, &processor, &err), &err);
    must(tl_dataset_open(TINY "/goldens", &dataset, &err), &err);
    must(tl_dataset_open("tests/data/split", &pictures, &err), &err);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    tl_dataset_close(dataset);
    tl_dataset_close(pictures);
    tl_processor_close(processor);
    test_folder_remove(folder.path);
    return 0;
}

/* What a run makes: in `arena`, or to be closed. */
typedef struct made {
    tl_arena *arena;
    const char *path;
    size_t row;
    struct {
        tl_tokenizer *tokenizer;
        tl_processor *processor;
        tl_dataset *dataset;
        tl_safetensors *file;
        tl_encoding encoding;
        tl_pixels pixels;
        tl_image image;
        tl_split split;
        const tl_token *tokens;
        const int32_t *ids;
        size_t n;
        int32_t answer, other;
        const char *text;
    } out;
} made;

static void begin(void *state)
{
    made *m = state;
    memset(&m->out, 0, sizeof m->out);
    m->arena = tl_arena_create();
    assert_non_null(m->arena);
}

static void end(void *state)
{
    made *m = state;
    tl_tokenizer_close(m->out.tokenizer);
    tl_processor_close(m->out.processor);
    tl_dataset_close(m->out.dataset);
    tl_safetensors_close(m->out.file);
    tl_arena_destroy(m->arena);
}

/* Of everything that has been made, by content. */
static uint64_t digest(const void *state)
{
    const made *m = state;
    uint64_t d = 0;
    const tl_encoding *e = &m->out.encoding;
    d = torture_digest(d, e->ids, e->n_pos * sizeof *e->ids);
    d = torture_digest(d, &e->data_begin, sizeof e->data_begin);
    const tl_pixels *pixels[] = {&e->pixels, &m->out.pixels};
    for (size_t i = 0; i < 2; i++) {
        size_t n = pixels[i]->values != NULL;
        for (size_t k = 0; k < pixels[i]->n_dims; k++)
            n *= pixels[i]->dims[k];
        d = torture_digest(d, pixels[i]->values, n * sizeof *pixels[i]->values);
    }
    d = torture_digest(d, m->out.image.rgb,
                       m->out.image.width * m->out.image.height * 3);
    const tl_split *s = &m->out.split;
    d = torture_digest(d, s->discovery, s->n_discovery * sizeof *s->discovery);
    d = torture_digest(d, s->evaluation, s->n_evaluation * sizeof *s->evaluation);
    for (size_t i = 0; m->out.tokens != NULL && i < m->out.n; i++)
        d = torture_digest(d, &m->out.tokens[i].id, sizeof m->out.tokens[i].id);
    if (m->out.ids != NULL)
        d = torture_digest(d, m->out.ids, m->out.n * sizeof *m->out.ids);
    d = torture_digest(d, &m->out.answer, sizeof m->out.answer);
    d = torture_digest(d, &m->out.other, sizeof m->out.other);
    if (m->out.text != NULL)
        d = torture_digest(d, m->out.text, strlen(m->out.text));
    if (m->out.dataset != NULL)
        for (size_t i = 0; i < m->out.dataset->n_rows; i++)
            d = torture_digest(d, m->out.dataset->rows[i].query,
                               strlen(m->out.dataset->rows[i].query));
    if (m->out.file != NULL)
        d = torture_digest(d, tl_safetensors_at(m->out.file, 0)->data, 1);
    return d;
}

static void torture_every(long long stride, const char *covers,
                          tl_status (*run)(void *, tl_error *), const char *path,
                          size_t row)
{
    made m = {.path = path, .row = row};
    torture(&(torture_case){.covers = covers,
                            .begin = begin,
                            .run = run,
                            .end = end,
                            .digest = digest,
                            .state = &m,
                            .outputs = &m.out,
                            .output_bytes = sizeof m.out,
                            .stride = stride});
}

static void torture_input(const char *covers, tl_status (*run)(void *, tl_error *),
                          const char *path, size_t row)
{
    torture_every(1, covers, run, path, row);
}

/* ---- tokenizer ------------------------------------------------------------------ */

static tl_status open_tokenizer(void *state, tl_error *err)
{
    made *m = state;
    return tl_tokenizer_open(m->path, &m->out.tokenizer, err);
}

static tl_status encode_text(void *state, tl_error *err)
{
    static const char text[] =
        "Sequence: dog  caf\xc3\xa9 e\xcc\x81 <|im_end|>12 \n apple";
    made *m = state;
    return tl_tokenizer_encode(tl_processor_tokenizer(processor), text, sizeof text - 1,
                               m->arena, &m->out.tokens, &m->out.n, err);
}

static tl_status text_of_token(void *state, tl_error *err)
{
    made *m = state;
    m->out.text = tl_tokenizer_text(tl_processor_tokenizer(processor), 453, m->arena);
    return m->out.text != NULL ? TL_OK : tl_fail(err, TL_ERR_NO_MEMORY, "NULL");
}

static void tokenizers(void **unused)
{
    (void)unused;
    torture_input("tl_tokenizer_open", open_tokenizer,
                  "tests/data/tokenizer/options.json", 0);
    torture_input("tl_tokenizer_open", open_tokenizer,
                  "tests/data/tokenizer/gemma3-tiny.json", 0);
    torture_input("tl_tokenizer_encode", encode_text, NULL, 0);
    torture_input("tl_tokenizer_text", text_of_token, NULL, 0);
}

/* ---- pictures --------------------------------------------------------------------- */

static tl_status read_image(void *state, tl_error *err)
{
    made *m = state;
    return tl_image_read(m->path, m->arena, &m->out.image, err);
}

static tl_status resize_image(void *state, tl_error *err)
{
    static const uint8_t rgb[5 * 4 * 3] = {1, 2, 3, 250, 9, 77};
    made *m = state;
    return tl_image_resize(&(tl_image){.width = 5, .height = 4, .rgb = rgb}, 9, 3,
                           TL_BICUBIC, m->arena, &m->out.image, err);
}

static void images(void **unused)
{
    (void)unused;
    static const char *const paths[] = {"tests/data/images/basi3p04.png",
                                        "tests/data/images/synthetic-exif-5.png",
                                        "tests/data/images/hippopotamus.jpeg",
                                        "tests/data/images/synthetic-xmp-8.webp"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        torture_input("tl_image_read", read_image, paths[i], 0);
    torture_input("tl_image_resize", resize_image, NULL, 0);
}

/* ---- processor ---------------------------------------------------------------------- */

static tl_status open_processor(void *state, tl_error *err)
{
    made *m = state;
    return tl_processor_open(m->path, VOCABULARY, &m->out.processor, err);
}

static tl_prompt_text prompt_of(size_t row)
{
    return tl_dataset_prompt(dataset, row);
}

static tl_status encode_prompt(void *state, tl_error *err)
{
    made *m = state;
    const tl_prompt_text prompt = prompt_of(m->row);
    return tl_processor_encode(processor, &prompt, m->arena, &m->out.encoding, err);
}

static tl_status write_chat(void *state, tl_error *err)
{
    made *m = state;
    const tl_prompt_text prompt = prompt_of(m->row);
    return tl_processor_chat(processor, &prompt, m->arena, &m->out.text, err);
}

static tl_status render_template(void *state, tl_error *err)
{
    made *m = state;
    bool agrees = false;
    const tl_prompt_text prompt = prompt_of(m->row);
    return tl_processor_template(processor, &prompt, m->arena, &m->out.text, &agrees,
                                 err);
}

static tl_status find_answer(void *state, tl_error *err)
{
    made *m = state;
    return tl_processor_answer_id(processor, "4", &m->out.answer, err);
}

static tl_status make_pixels(void *state, tl_error *err)
{
    made *m = state;
    return tl_processor_pixels(processor, prompt_of(m->row).image_path, 60, 56,
                               m->arena, &m->out.pixels, err);
}

static tl_status measure(void *state, tl_error *err)
{
    made *m = state;
    return tl_processor_measure(m->path, 60, 56, m->arena, &m->out.pixels, &m->out.n,
                                err);
}

static void processors(void **unused)
{
    (void)unused;
    static const char *const folders[] = {
        TINY "/checkpoint", "tests/data/families/gemma3", "tests/data/families/pixtral",
        "tests/data/families/internvl"};
    assert_int_equal(dataset->rows[0].modality, TL_TEXT);
    assert_int_equal(dataset->rows[1].modality, TL_IMAGE);
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        torture_input("tl_processor_open", open_processor, folders[i], 0);
        torture_input("tl_processor_measure", measure, folders[i], 0);
    }
    for (size_t row = 0; row < 2; row++) {
        torture_input("tl_processor_encode", encode_prompt, NULL, row);
        torture_input("tl_processor_chat", write_chat, NULL, row);
        torture_input("tl_processor_template", render_template, NULL, row);
    }
    torture_input("tl_processor_answer_id", find_answer, NULL, 0);
    torture_input("tl_processor_pixels", make_pixels, NULL, 1);
}

/* ---- dataset and split ----------------------------------------------------------------- */

static tl_status open_dataset(void *state, tl_error *err)
{
    made *m = state;
    return tl_dataset_open(m->path, &m->out.dataset, err);
}

static tl_status encode_row(void *state, tl_error *err)
{
    made *m = state;
    return tl_dataset_encode(dataset, m->row, processor, m->arena, &m->out.encoding,
                             err);
}

static tl_status find_answer_of_row(void *state, tl_error *err)
{
    made *m = state;
    return tl_dataset_answer_id(dataset, m->row, processor, &m->out.answer, err);
}

static tl_status find_labels(void *state, tl_error *err)
{
    made *m = state;
    return tl_dataset_label_ids(dataset, m->row, processor, m->arena, &m->out.ids,
                                &m->out.n, err);
}

static tl_status find_pair(void *state, tl_error *err)
{
    made *m = state;
    return tl_dataset_pair_ids(dataset, m->row, dataset->rows[m->row].counterfactual,
                               processor, &m->out.answer, &m->out.other, err);
}

static tl_status split_dataset(void *state, tl_error *err)
{
    static const bool correct[24] = {true, true, true, true, true, true, true, true};
    made *m = state;
    return tl_dataset_split(pictures, TL_IMAGE, correct, NULL, processor, m->arena,
                            &m->out.split, err);
}

static tl_status draw_split(void *state, tl_error *err)
{
    enum { ROWS = 40 };
    made *m = state;
    tl_split_row rows[ROWS];
    char ids[ROWS][12];
    for (int i = 0; i < ROWS; i++) {
        snprintf(ids[i], sizeof ids[i], "%d", i);
        rows[i] = (tl_split_row){.id = ids[i],
                                 .prompt = ids[i],
                                 .answer = ids[i % 5],
                                 .answer_id = i % 5,
                                 .group = i % 3 == 0 ? "a" : NULL,
                                 .correct = i % 7 != 0,
                                 .counterfactual = TL_NO_ROW};
    }
    return tl_split_draw(rows, ROWS, NULL, m->arena, &m->out.split, err);
}

static void datasets(void **unused)
{
    (void)unused;
    torture_input("tl_dataset_open", open_dataset, TINY "/goldens", 0);
    torture_input("tl_dataset_open", open_dataset, "tests/data/split", 0);
    for (size_t row = 0; row < 2; row++)
        torture_input("tl_dataset_encode", encode_row, NULL, row);
    torture_input("tl_dataset_answer_id", find_answer_of_row, NULL, 0);
    torture_input("tl_dataset_label_ids", find_labels, NULL, 0);
    torture_input("tl_dataset_pair_ids", find_pair, NULL, 0);
    torture_every(29, "tl_dataset_split", split_dataset, NULL, 0); /* of some 2700 */
    torture_input("tl_split_draw", draw_split, NULL, 0);
}

/* ---- safetensors ----------------------------------------------------------------------- */

static tl_status open_tensors(void *state, tl_error *err)
{
    made *m = state;
    return tl_safetensors_open(m->path, &m->out.file, err);
}

static tl_status write_tensors(void *state, tl_error *err)
{
    static const float values[] = {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f};
    static const char *const notes[][2] = {{"modality", "text"}};
    const tl_named_tensor tensors[] = {{"b", tl_tensor_f32(values, 2, 3, 0)},
                                       {"a", tl_tensor_f32(values, 5, 0, 0)}};
    made *m = state;
    return tl_safetensors_write(m->path, tensors, 2, notes, 1, err);
}

/* ---- circuits -------------------------------------------------------------------------- */

static const tl_circuit_shape circuit_shape = {2, 3, 4, {5, 1, 3}};

static tl_status write_circuit(void *state, tl_error *err)
{
    static uint8_t heads[2 * 5 * 3] = {1}, neurons[2 * 5 * 4] = {0, 1};
    const tl_component_set set = {2, 5, 3, 4, heads, neurons};
    made *m = state;
    return tl_circuit_write(m->path, &set, &circuit_shape.span, "a note", err);
}

static tl_status read_circuit(void *state, tl_error *err)
{
    made *m = state;
    tl_circuit_shape shape;
    tl_component_set set;
    bool found = false;
    tl_status status = tl_circuit_shape_read(m->path, &shape, &found, err);
    if (status == TL_OK)
        status = tl_circuit_read(m->path, &shape, m->arena, &set, err);
    if (status == TL_OK)
        status = tl_circuit_read("L1H2,L0N3@data", &shape, m->arena, &set, err);
    return status;
}

static void circuits(void **unused)
{
    (void)unused;
    char path[300];
    snprintf(path, sizeof path, "%s/written.json", folder.path);
    torture_input("tl_circuit_write", write_circuit, path, 0);
    torture_input("tl_circuit_shape_read tl_circuit_read", read_circuit, path, 0);
}

static void tensors(void **unused)
{
    (void)unused;
    char path[300];
    snprintf(path, sizeof path, "%s/written.safetensors", folder.path);
    torture_input("tl_safetensors_open", open_tensors, TINY "/checkpoint", 0);
    torture_input("tl_safetensors_write", write_tensors, path, 0);
}

/* ---- pictures of tasks ---------------------------------------------------------------------- */

static tl_scene_options scenes(void)
{
    return (tl_scene_options){.task = TL_TASK_COUNTING,
                              .style = TL_STYLE_SMALL,
                              .width = 84,
                              .height = 84,
                              .replace = true};
}

static tl_status write_scenes(void *state, tl_error *err)
{
    made *m = state;
    const tl_scene_options options = scenes();
    return tl_scene_write(&options, 2, 7, m->path, err);
}

static tl_status draw_sheet(void *state, tl_error *err)
{
    made *m = state;
    const tl_scene_options options = scenes();
    return tl_scene_sheet(&options, 2, 7, m->path, err);
}

static void pictures_of_tasks(void **unused)
{
    (void)unused;
    char path[300];
    snprintf(path, sizeof path, "%s/scenes", folder.path);
    torture_input("tl_scene_write", write_scenes, path, 0);
    snprintf(path, sizeof path, "%s/sheet.png", folder.path);
    torture_input("tl_scene_sheet", draw_sheet, path, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokenizers),        cmocka_unit_test(images),
        cmocka_unit_test(processors),        cmocka_unit_test(datasets),
        cmocka_unit_test(circuits),          cmocka_unit_test(tensors),
        cmocka_unit_test(pictures_of_tasks),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
