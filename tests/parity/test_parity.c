/*
 * test_parity.c - every number that the golden files of a tiny checkpoint hold,
 * recorded from transformers in float64: token ids, data segments, every site and
 * its gradient, scores, the logit differences of circuits, overlap, interchange,
 * alignment and back-patching. Both backends; Qwen2-VL from tests/data, other families
 * where ../shared is there.
 *
 * Relative error is max |a - b| / max |b| over one tensor. The limits are those of
 * the project's contract; measured when they were set: forward 4e-6, gradient 8e-6,
 * attribution 6e-6, logit differences 4e-6.
 */
#include "testing.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "twinlens/circuit.h"
#include "twinlens/dataset.h"
#include "twinlens/interchange.h"
#include "twinlens/pass.h"
#include "twinlens/statistics.h"
#include "twinlens/probe.h"
#include "twinlens/safetensors.h"

/* A checkpoint and what was recorded from it; the state of every test. */
typedef struct subject {
    const char *name, *checkpoint, *goldens;
} subject;

#define TINY TWINLENS_SOURCE_DIR "/tests/data/qwen2vl-tiny"
#define SHARED TWINLENS_SOURCE_DIR "/../shared"
#define SHARED_SUBJECT(name)                                                           \
    {                                                                                  \
        name, SHARED "/checkpoints/" name, SHARED "/goldens/" name                     \
    }
static const subject subjects[] = {
    {"qwen2vl-tiny", TINY "/checkpoint", TINY "/goldens"},
    SHARED_SUBJECT("gemma3-tiny"),
    SHARED_SUBJECT("pixtral-tiny"),
};

static const double FORWARD = 1e-4, GRADIENT = 2e-4, ATTRIBUTION = 2e-4,
                    LOGIT_DIFF = 1e-4, FAITHFULNESS = 1e-3;

enum { MAX_ROWS = 12 };

typedef struct fixture {
    tl_model *model;
    tl_processor *processor;
    tl_dataset *dataset;
    tl_arena *arena;
    tl_encoding encodings[MAX_ROWS];
    tl_input inputs[MAX_ROWS];
    int32_t answers[MAX_ROWS];
} fixture;

#define MUST(call)                                                                     \
    do {                                                                               \
        if ((call) != TL_OK)                                                           \
            fail_msg("%s", err.text);                                                  \
    } while (0)

static fixture setup(const subject *files, const char *backend)
{
    char path[512];
    fixture f = {.arena = tl_arena_create()};
    tl_error err = {0};
    const tl_model_options options = {.backend = backend};
    MUST(tl_model_open(files->checkpoint, &options, &f.model, &err));
    MUST(tl_processor_open(files->checkpoint, tl_model_dims(f.model)->n_vocab,
                           &f.processor, &err));
    snprintf(path, sizeof path, "%s/dataset.jsonl", files->goldens);
    MUST(tl_dataset_open(path, &f.dataset, &err));
    assert_int_equal(f.dataset->n_rows, MAX_ROWS);
    for (size_t i = 0; i < MAX_ROWS; i++) {
        MUST(tl_dataset_encode(f.dataset, i, f.processor, f.arena, &f.encodings[i],
                               &err));
        MUST(tl_model_input(f.model, &f.encodings[i], TL_ROPE_TRUE, f.arena,
                            &f.inputs[i], &err));
        MUST(tl_dataset_answer_id(f.dataset, i, f.processor, &f.answers[i], &err));
    }
    return f;
}

/* First row of a modality. */
static size_t first_row(const fixture *f, tl_modality modality)
{
    size_t i = 0;
    while (f->dataset->rows[i].modality != modality)
        i++;
    return i;
}

static tl_span span_of(const fixture *f, tl_modality modality)
{
    const tl_encoding *e = &f->encodings[first_row(f, modality)];
    return (tl_span){e->n_pos, e->data_begin, e->data_end};
}

static void teardown(fixture *f)
{
    tl_dataset_close(f->dataset);
    tl_processor_close(f->processor);
    tl_model_close(f->model);
    tl_arena_destroy(f->arena);
}

static void assert_near(const char *what, const float *got, size_t n,
                        const tl_tensor *want, double limit)
{
    assert_non_null(want);
    assert_int_equal(want->dtype, TL_F32);
    if (tl_tensor_count(want) != n)
        fail_msg("%s has %zu elements, the golden one %zu", what, n,
                 tl_tensor_count(want));
    const float *w = want->data;
    double worst = 0.0, scale = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double d = fabs((double)got[i] - (double)w[i]);
        worst = d > worst || isnan(d) ? d : worst;
        scale = fmax(scale, fabs((double)w[i]));
    }
    if (!(worst <= limit * scale))
        fail_msg("%s: relative error %.3g, limit %.3g", what, worst / scale, limit);
}

static json_t *golden_json(const subject *files, const char *name)
{
    json_t *json = NULL;
    tl_error err = {0};
    char path[512];
    snprintf(path, sizeof path, "%s/%s", files->goldens, name);
    MUST(tl_json_read(path, &json, &err));
    return json;
}

static tl_safetensors *golden_tensors(const subject *files, const char *name)
{
    tl_safetensors *file = NULL;
    tl_error err = {0};
    char path[512];
    snprintf(path, sizeof path, "%s/%s", files->goldens, name);
    MUST(tl_safetensors_open(path, &file, &err));
    return file;
}

static void prompts_have_the_same_tokens_segments_and_answers(void **state)
{
    const subject *files = *state;
    fixture f = setup(files, "ref");
    json_t *golden = golden_json(files, "encode.json");
    for (size_t i = 0; i < MAX_ROWS; i++) {
        const json_t *want = json_object_get(golden, f.dataset->rows[i].id);
        const json_t *ids = json_object_get(want, "input_ids"),
                     *data = json_object_get(want, "data");
        const tl_encoding *e = &f.encodings[i];
        assert_int_equal(e->n_pos, json_array_size(ids));
        for (size_t t = 0; t < e->n_pos; t++)
            assert_int_equal(e->ids[t], json_integer_value(json_array_get(ids, t)));
        assert_int_equal(e->data_begin, json_integer_value(json_array_get(data, 0)));
        assert_int_equal(e->data_end, json_integer_value(json_array_get(data, 1)));
        assert_int_equal(f.answers[i],
                         json_integer_value(json_object_get(want, "answer")));
    }
    json_decref(golden);
    teardown(&f);
}

/* Compares each site of one prompt as it passes. */
typedef struct comparison {
    const tl_safetensors *forward, *gradient;
    const char *modality;
    size_t seen;
} comparison;

static tl_status compare(void *user, const tl_tap_event *e, tl_error *err)
{
    (void)err;
    comparison *c = user;
    char name[64];
    const bool embed = e->backward && e->site == TL_SITE_RESID_PRE && e->layer == 0;
    if (embed)
        snprintf(name, sizeof name, "%s.embed", c->modality);
    else
        snprintf(name, sizeof name, "%s.%s.%zu", c->modality, tl_site_name(e->site),
                 e->layer);
    const tl_tensor *want =
        tl_safetensors_find(e->backward ? c->gradient : c->forward, name);
    if (want == NULL)
        return TL_OK; /* attn_out and mlp_out are not recorded */
    assert_near(name, e->values, e->n_pos * e->width, want,
                e->backward ? GRADIENT : FORWARD);
    c->seen++;
    return TL_OK;
}

static void every_site_and_gradient_agrees(void **state)
{
    const subject *files = *state;
    static const char *const backends[] = {"ref", NULL /* the default */};
    for (size_t k = 0; k < 2; k++) {
        fixture f = setup(files, backends[k]);
        tl_safetensors *forward = golden_tensors(files, "forward.safetensors");
        tl_safetensors *gradient = golden_tensors(files, "gradient.safetensors");
        for (size_t row = 0; row < 2; row++) { /* text-0, image-0 */
            tl_error err = {0};
            tl_pass *pass = NULL;
            comparison c = {forward, gradient, row == 0 ? "text" : "image", 0};
            const tl_tap tap = {.on_site = compare, .user = &c, .sites = ~0u};
            const tl_pass_options options = {
                .taps = &tap, .n_taps = 1, .for_backward = true};
            const tl_pass_prompt prompt = {.input = f.inputs[row]};
            const size_t cf = f.dataset->rows[row].counterfactual;
            const size_t n_logits =
                f.inputs[row].n_pos * tl_model_dims(f.model)->n_vocab;
            float *logits = tl_arena_alloc(f.arena, n_logits, sizeof *logits);
            char name[32];
            MUST(tl_pass_create(f.model, &pass, &err));
            MUST(tl_pass_forward(pass, &prompt, 1, &options, &err));
            MUST(tl_pass_logits_all(pass, 0, logits, &err));
            MUST(tl_pass_backward(pass, &f.answers[row], &f.answers[cf], &err));
            snprintf(name, sizeof name, "%s.logits", c.modality);
            assert_near(name, logits, n_logits, tl_safetensors_find(forward, name),
                        FORWARD);
            /* 4 sites a layer, both ways */
            assert_int_equal(c.seen, 8 * tl_model_dims(f.model)->n_layers);
            tl_pass_destroy(pass);
        }
        tl_safetensors_close(forward);
        tl_safetensors_close(gradient);
        teardown(&f);
    }
}

/* Pairs of one modality, in the order of the file; their number. */
static size_t make_pairs(const fixture *f, tl_modality modality, tl_pair *pairs)
{
    size_t n = 0;
    for (size_t i = 0; i < MAX_ROWS; i++) {
        const tl_dataset_row *row = &f->dataset->rows[i];
        if (row->modality == modality)
            pairs[n++] = (tl_pair){f->inputs[i], f->inputs[row->counterfactual],
                                   f->answers[i], f->answers[row->counterfactual]};
    }
    return n;
}

static tl_status attribute(fixture *f, const tl_attribution_options *options,
                           const tl_pair *pairs, size_t n, tl_scores *out,
                           tl_error *err)
{
    tl_attribution *a = NULL;
    tl_status status =
        tl_attribution_create(f->model, pairs[0].clean.n_pos, options, &a, err);
    if (status == TL_OK)
        status = tl_attribution_add(a, pairs, n, err);
    if (status == TL_OK)
        status = tl_attribution_scores(a, f->arena, out, err);
    tl_attribution_destroy(a);
    return status;
}

/* With the least memory that is not refused, to a KiB, the same bits. */
static void check_least_memory(fixture *f, const char *name,
                               tl_attribution_options options, const tl_pair *pairs,
                               size_t n, const tl_scores *want)
{
    enum { KIB = 1 << 10 };
    tl_scores got;
    tl_error err = {0};
    size_t refused = 0, enough = (1 << 16) * (size_t)KIB;
    while (enough - refused > KIB) {
        const size_t middle = refused + (enough - refused) / 2 / KIB * KIB;
        options.memory_budget = middle > refused ? middle : refused + KIB;
        const tl_status status = attribute(f, &options, pairs, 1, &got, &err);
        if (status != TL_OK && status != TL_ERR_NO_MEMORY)
            fail_msg("%s, %zu bytes: %s", name, options.memory_budget, err.text);
        *(status == TL_OK ? &enough : &refused) = options.memory_budget;
    }
    assert_in_range(refused, 1, enough);
    options.memory_budget = enough;
    MUST(attribute(f, &options, pairs, n, &got, &err));
    const size_t places = want->n_layers * want->n_pos;
    assert_memory_equal(got.heads, want->heads,
                        places * want->n_heads * sizeof *got.heads);
    assert_memory_equal(got.neurons, want->neurons,
                        places * want->d_mlp * sizeof *got.neurons);
}

static void scores_agree_in_every_mode(void **state)
{
    const subject *files = *state;
    static const struct {
        const char *key;
        tl_modality modality;
        tl_rope rope;
        size_t n;
        tl_attribution_options options;
    } modes[] = {
        {"text.full", TL_TEXT, TL_ROPE_TRUE, 6, {0}},
        {"text.signed", TL_TEXT, TL_ROPE_TRUE, 1, {.raw_sign = true}},
        {"image.full", TL_IMAGE, TL_ROPE_TRUE, 6, {0}},
        {"image.signed", TL_IMAGE, TL_ROPE_TRUE, 1, {.raw_sign = true}},
        {"image.textonly", TL_IMAGE, TL_ROPE_TRUE, 6, {.ig_path = TL_IG_TEXT_ONLY}},
        {"text.midpoint", TL_TEXT, TL_ROPE_TRUE, 6, {.ig_rule = TL_IG_MIDPOINT}},
        {"image.midpoint", TL_IMAGE, TL_ROPE_TRUE, 6, {.ig_rule = TL_IG_MIDPOINT}},
        {"text.relp", TL_TEXT, TL_ROPE_TRUE, 6, {.method = TL_METHOD_RELP}},
        {"image.relp", TL_IMAGE, TL_ROPE_TRUE, 6, {.method = TL_METHOD_RELP}},
        {"image.published",
         TL_IMAGE,
         TL_ROPE_SEQUENTIAL,
         6,
         {.ig_path = TL_IG_TEXT_ONLY}},
    };
    static const char *const backends[] = {"ref", NULL /* the default */};
    tl_safetensors *golden = golden_tensors(files, "attribution.safetensors");
    for (size_t k = 0; k < 2; k++) {
        fixture f = setup(files, backends[k]);
        for (size_t m = 0; m < sizeof modes / sizeof modes[0]; m++) {
            tl_error err = {0};
            for (size_t i = 0; i < MAX_ROWS; i++)
                MUST(tl_model_input(f.model, &f.encodings[i], modes[m].rope, f.arena,
                                    &f.inputs[i], &err));
            tl_pair pairs[MAX_ROWS];
            const size_t n = make_pairs(&f, modes[m].modality, pairs);
            char name[64];
            snprintf(name, sizeof name, "%s.heads", modes[m].key);
            assert_int_equal(n, 6);
            /* Only families with several rotary axes have published positions. */
            if (modes[m].rope == TL_ROPE_SEQUENTIAL &&
                tl_safetensors_find(golden, name) == NULL)
                continue;
            tl_scores scores;
            MUST(attribute(&f, &modes[m].options, pairs, modes[m].n, &scores, &err));
            if (strstr(name, ".full") != NULL || strstr(name, ".relp") != NULL)
                check_least_memory(&f, name, modes[m].options, pairs, modes[m].n,
                                   &scores);
            const size_t places = scores.n_layers * scores.n_pos;
            assert_near(name, scores.heads, places * scores.n_heads,
                        tl_safetensors_find(golden, name), ATTRIBUTION);
            snprintf(name, sizeof name, "%s.neurons", modes[m].key);
            assert_near(name, scores.neurons, places * scores.d_mlp,
                        tl_safetensors_find(golden, name), ATTRIBUTION);
        }
        teardown(&f);
    }
    tl_safetensors_close(golden);
}

enum { MAX_FRACTIONS = 16 };

/* One modality: logit differences and faithfulness of the circuits of every golden
 * fraction, from the golden scores. */
static void check_curve(fixture *f, const tl_safetensors *attribution,
                        const json_t *golden, tl_modality modality)
{
    tl_error err = {0};
    const char *m = modality == TL_TEXT ? "text" : "image";
    char name[64];
    snprintf(name, sizeof name, "%s.full.heads", m);
    const tl_tensor *heads = tl_safetensors_find(attribution, name);
    snprintf(name, sizeof name, "%s.full.neurons", m);
    const tl_tensor *neurons = tl_safetensors_find(attribution, name);
    const tl_scores scores = {heads->dims[0],
                              heads->dims[1],
                              heads->dims[2],
                              neurons->dims[2],
                              (float *)(uintptr_t)heads->data,
                              (float *)(uintptr_t)neurons->data};
    tl_ranking ranking;
    MUST(tl_ranking_from_scores(&scores, f->arena, &ranking, &err));

    const json_t *fractions = json_object_get(golden, "fractions");
    const json_t *curve = json_object_get(json_object_get(golden, m), "faithfulness");
    const size_t n = json_array_size(fractions);
    tl_circuit circuits[MAX_FRACTIONS];
    char texts[MAX_FRACTIONS][24];
    assert_true(n <= MAX_FRACTIONS);
    for (size_t i = 0; i < n; i++) {
        snprintf(texts[i], sizeof texts[i], "%g",
                 json_number_value(json_array_get(fractions, i)));
        tl_fraction p;
        MUST(tl_fraction_parse(texts[i], &p, &err));
        circuits[i] = tl_circuit_at(&ranking, p, TL_FRACTION_EXACT);
    }
    tl_pair pairs[MAX_ROWS];
    tl_evaluation results[MAX_ROWS];
    double ld[MAX_ROWS][MAX_FRACTIONS];
    const size_t n_pairs = make_pairs(f, modality, pairs);
    for (size_t p = 0; p < n_pairs; p++)
        results[p].circuit = ld[p];
    MUST(tl_evaluate(f->model, pairs, n_pairs, circuits, n, NULL, results, &err));

    for (size_t i = 0; i < n; i++) {
        const double fraction = json_number_value(json_array_get(fractions, i));
        snprintf(name, sizeof name, fraction == 0.0 || fraction == 1.0 ? "%.1f" : "%g",
                 fraction);
        const json_t *want = json_object_get(curve, name);
        assert_non_null(want);
        double worst = 0.0, scale = 0.0, clean[MAX_ROWS], none[MAX_ROWS], one[MAX_ROWS],
               room[MAX_ROWS];
        for (size_t p = 0; p < n_pairs; p++) {
            const json_t *row = json_array_get(json_object_get(want, "ld"), p);
            const double got[3] = {results[p].clean, ld[p][i], results[p].none};
            clean[p] = got[0];
            one[p] = got[1];
            none[p] = got[2];
            for (size_t k = 0; k < 3; k++) {
                const double w = json_number_value(json_array_get(row, k));
                worst = fmax(worst, fabs(got[k] - w));
                scale = fmax(scale, fabs(w));
            }
        }
        if (!(worst <= LOGIT_DIFF * scale))
            fail_msg("%s, fraction %s: logit differences off by %.3g of %.3g", m, name,
                     worst, scale);
        const tl_faithfulness s =
            tl_faithfulness_summary(clean, none, one, n_pairs, room);
        const double ratio = json_number_value(json_object_get(want, "ratio_of_means"));
        const double mean = json_number_value(json_object_get(want, "mean_of_ratios"));
        if (!(fabs(s.ratio_of_means - ratio) <= FAITHFULNESS * (1.0 + fabs(ratio)) &&
              fabs(s.mean_of_ratios - mean) <= FAITHFULNESS * (1.0 + fabs(mean))))
            fail_msg("%s, fraction %s: faithfulness %.6f, %.6f; golden %.6f, %.6f", m,
                     name, s.ratio_of_means, s.mean_of_ratios, ratio, mean);
    }
}

static void circuits_leave_the_same_logit_differences(void **state)
{
    const subject *files = *state;
    static const char *const backends[] = {"ref", NULL /* the default */};
    tl_safetensors *attribution = golden_tensors(files, "attribution.safetensors");
    json_t *golden = golden_json(files, "pipeline.json");
    for (size_t k = 0; k < 2; k++) {
        fixture f = setup(files, backends[k]);
        check_curve(&f, attribution, golden, TL_TEXT);
        check_curve(&f, attribution, golden, TL_IMAGE);
        teardown(&f);
    }
    json_decref(golden);
    tl_safetensors_close(attribution);
}

/* ---- both circuits --------------------------------------------------------------- */

/* The golden circuits of a tenth, and the map between their positions. */
static void read_circuits(const subject *files, fixture *f,
                          tl_component_set sets[TL_MODALITY_COUNT],
                          tl_position_map *map)
{
    tl_error err = {0};
    tl_safetensors *attribution = golden_tensors(files, "attribution.safetensors");
    const tl_span text = span_of(f, TL_TEXT), image = span_of(f, TL_IMAGE);
    MUST(tl_position_map_init(map, &text, &image, f->arena, &err));
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const tl_tensor *heads = tl_safetensors_find(
            attribution, m == TL_TEXT ? "text.full.heads" : "image.full.heads");
        const tl_tensor *neurons = tl_safetensors_find(
            attribution, m == TL_TEXT ? "text.full.neurons" : "image.full.neurons");
        const tl_scores scores = {heads->dims[0],
                                  heads->dims[1],
                                  heads->dims[2],
                                  neurons->dims[2],
                                  (float *)(uintptr_t)heads->data,
                                  (float *)(uintptr_t)neurons->data};
        tl_ranking ranking;
        tl_fraction tenth;
        MUST(tl_fraction_parse("0.1", &tenth, &err));
        MUST(tl_ranking_from_scores(&scores, f->arena, &ranking, &err));
        const tl_circuit circuit = tl_circuit_at(&ranking, tenth, TL_FRACTION_EXACT);
        MUST(tl_set_from_circuit(&circuit, f->arena, &sets[m], &err));
    }
    tl_safetensors_close(attribution);
}

static void circuits_overlap_by_as_much(void **state)
{
    const subject *files = *state;
    static const char segments[] = "DQG";
    fixture f = setup(files, "ref");
    tl_error err = {0};
    json_t *golden = golden_json(files, "pipeline.json");
    const json_t *want = json_object_get(golden, "overlap_0.1"),
                 *pairs = json_object_get(golden, "position_map");
    tl_component_set sets[TL_MODALITY_COUNT];
    tl_position_map map;
    tl_overlap got;
    read_circuits(files, &f, sets, &map);
    assert_int_equal(map.n_pairs, json_array_size(pairs));
    for (size_t i = 0; i < json_array_size(pairs); i++) {
        const json_t *pair = json_array_get(pairs, i);
        bool found = false;
        for (size_t k = 0; k < map.n_pairs; k++)
            found = found || (map.pairs[k][TL_TEXT] ==
                                  (size_t)json_integer_value(json_array_get(pair, 0)) &&
                              map.pairs[k][TL_IMAGE] ==
                                  (size_t)json_integer_value(json_array_get(pair, 1)));
        assert_true(found);
    }
    MUST(tl_overlap_measure(&sets[TL_TEXT], &sets[TL_IMAGE], &map, &got, &err));
    for (size_t s = 0; s < TL_SEGMENT_COUNT; s++)
        for (size_t k = 0; k < TL_KIND_COUNT; k++) {
            char name[24];
            snprintf(name, sizeof name, "%c.%s", segments[s],
                     tl_kind_name((tl_component_kind)k));
            assert_close(name, s, got.of[s][k].iou,
                         json_number_value(json_object_get(want, name)), 1e-9);
        }
    json_decref(golden);
    teardown(&f);
}

/* A golden run: how large the circuit is, and what it leaves of each prompt. */
static void check_run(fixture *f, const json_t *want, const char *name,
                      tl_modality host, const tl_component_set *set)
{
    tl_error err = {0};
    tl_pair pairs[MAX_ROWS];
    tl_evaluation results[MAX_ROWS];
    double ld[MAX_ROWS];
    const size_t n = make_pairs(f, host, pairs);
    const tl_circuit circuit = {.set = set};
    assert_non_null(want);
    assert_int_equal(tl_set_count(set, TL_KIND_HEADS),
                     json_integer_value(json_object_get(want, "heads")));
    assert_int_equal(tl_set_count(set, TL_KIND_NEURONS),
                     json_integer_value(json_object_get(want, "neurons")));
    for (size_t p = 0; p < n; p++)
        results[p].circuit = &ld[p];
    MUST(tl_evaluate(f->model, pairs, n, &circuit, 1, NULL, results, &err));
    double worst = 0.0, scale = 0.0;
    for (size_t p = 0; p < n; p++) {
        const json_t *row = json_array_get(json_object_get(want, "ld"), p);
        const double w = json_number_value(json_array_get(row, 1));
        worst = fmax(worst, fabs(ld[p] - w));
        scale = fmax(scale, fabs(w));
    }
    if (!(worst <= LOGIT_DIFF * scale))
        fail_msg("%s: logit differences off by %.3g of %.3g", name, worst, scale);
}

static void swapped_circuits_leave_the_same_logit_differences(void **state)
{
    const subject *files = *state;
    static const char segments[] = "DQG";
    static const char *const backends[] = {"ref", NULL};
    json_t *golden = golden_json(files, "pipeline.json");
    const json_t *runs = json_object_get(golden, "interchange_0.1");
    for (size_t b = 0; b < 2; b++) {
        fixture f = setup(files, backends[b]);
        tl_component_set sets[TL_MODALITY_COUNT], mixed;
        tl_position_map map;
        tl_error err = {0};
        read_circuits(files, &f, sets, &map);
        for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
            for (size_t s = 0; s <= TL_SEGMENT_COUNT; s++) {
                char name[24];
                snprintf(name, sizeof name, "%s:%.*s", tl_modality_name((tl_modality)m),
                         s == TL_SEGMENT_NONE ? 4 : 1,
                         s == TL_SEGMENT_NONE ? "none" : segments + s);
                MUST(tl_interchange_build(sets, (tl_modality)m, s, &sets[1 - m], &map,
                                          f.arena, &mixed, &err));
                check_run(&f, json_object_get(runs, name), name, (tl_modality)m,
                          &mixed);
            }
        teardown(&f);
    }
    json_decref(golden);
}

/* ---- probes ---------------------------------------------------------------------- */

static void states_align_as_much(void **state)
{
    const subject *files = *state;
    static const char *const backends[] = {"ref", NULL};
    json_t *golden = golden_json(files, "pipeline.json");
    const json_t *want = json_object_get(golden, "alignment");
    for (size_t b = 0; b < 2; b++) {
        fixture f = setup(files, backends[b]);
        tl_error err = {0};
        const size_t n = MAX_ROWS / 2, n_layers = tl_model_dims(f.model)->n_layers;
        tl_parallel pairs[MAX_ROWS];
        size_t seen[TL_MODALITY_COUNT] = {0, 0};
        for (size_t i = 0; i < MAX_ROWS; i++) {
            const tl_encoding *e = &f.encodings[i];
            const tl_span span = {e->n_pos, e->data_begin, e->data_end};
            tl_parallel *pair = &pairs[seen[e->modality]++];
            *(e->modality == TL_TEXT ? &pair->text : &pair->image) = f.inputs[i];
            *(e->modality == TL_TEXT ? &pair->text_span : &pair->image_span) = span;
        }
        double matched[MAX_ROWS * 16], other[16];
        tl_alignment *alignment = NULL;
        assert_int_equal(json_array_size(want), n_layers);
        MUST(tl_alignment_create(f.model, TL_ALIGN_ACT, 0, &alignment, &err));
        for (size_t i = 0; i < n; i++) {
            tl_alignment_values values = {matched + i * n_layers, other, NULL, NULL};
            MUST(tl_alignment_add(alignment, &pairs[i], &err));
            MUST(tl_alignment_measure(alignment, i, NULL, 0, NULL, &values, &err));
        }
        tl_alignment_destroy(alignment);
        for (size_t l = 0; l < n_layers; l++) {
            double mean = 0;
            for (size_t i = 0; i < n; i++)
                mean += matched[i * n_layers + l] / (double)n;
            assert_close("alignment of layer", l, mean,
                         json_number_value(json_array_get(want, l)), 1e-4);
        }
        teardown(&f);
    }
    json_decref(golden);
}

static void back_patching_leaves_the_same_logit_differences(void **state)
{
    const subject *files = *state;
    static const char *const backends[] = {"ref", NULL};
    json_t *golden = golden_json(files, "pipeline.json");
    for (size_t b = 0; b < 2; b++) {
        fixture f = setup(files, backends[b]);
        tl_error err = {0};
        const char *key;
        const json_t *want;
        json_t *cells = json_object_get(golden, "back_patch");
        json_object_foreach(cells, key, want) /* "image:3->1:w1:x3" */
        {
            tl_backpatch_cell cell = {0};
            char modality[8];
            assert_int_equal(sscanf(key, "%7[a-z]:%zu->%zu:w%zu:x%zu", modality,
                                    &cell.source, &cell.destination, &cell.window,
                                    &cell.times),
                             5);
            const tl_modality m = modality[0] == 't' ? TL_TEXT : TL_IMAGE;
            double worst = 0.0, scale = 0.0;
            for (size_t i = 0, k = 0; i < MAX_ROWS; i++) {
                if (f.encodings[i].modality != m)
                    continue;
                const size_t cf = f.dataset->rows[i].counterfactual;
                const int32_t ids[2] = {f.answers[i], f.answers[cf]};
                double clean[2], patched[8];
                tl_backpatcher *patcher = NULL;
                MUST(tl_backpatcher_create(f.model, 0, &patcher, &err));
                MUST(tl_backpatcher_run(
                    patcher, &f.inputs[i], f.encodings[i].data_begin,
                    f.encodings[i].data_end, &cell, 1, ids, 2, clean, patched, &err));
                tl_backpatcher_destroy(patcher);
                const double *last = patched + 2 * (cell.times - 1),
                             w = json_number_value(json_array_get(want, k++));
                worst = fmax(worst, fabs(last[0] - last[1] - w));
                scale = fmax(scale, fabs(w));
            }
            if (!(worst <= LOGIT_DIFF * scale))
                fail_msg("%s: logit differences off by %.3g of %.3g", key, worst,
                         scale);
        }
        teardown(&f);
    }
    json_decref(golden);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_have_the_same_tokens_segments_and_answers),
        cmocka_unit_test(every_site_and_gradient_agrees),
        cmocka_unit_test(scores_agree_in_every_mode),
        cmocka_unit_test(circuits_leave_the_same_logit_differences),
        cmocka_unit_test(circuits_overlap_by_as_much),
        cmocka_unit_test(swapped_circuits_leave_the_same_logit_differences),
        cmocka_unit_test(states_align_as_much),
        cmocka_unit_test(back_patching_leaves_the_same_logit_differences),
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        if (!tl_file_exists(subjects[i].goldens)) {
            printf("skipped: no %s\n", subjects[i].goldens);
            continue;
        }
        for (size_t k = 0; k < sizeof tests / sizeof *tests; k++)
            tests[k].initial_state = (void *)(uintptr_t)&subjects[i];
        failed += cmocka_run_group_tests_name(subjects[i].name, tests, NULL, NULL);
    }
    return failed;
}
