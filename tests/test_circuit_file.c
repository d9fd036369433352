/* SPDX-License-Identifier: MIT
 *
 * test_circuit_file.c - circuits as files and lists: what they name, what is refused and how,
 * that a file which is written is read as the same set; and that a component that is taken
 * out of the model is what an edit of that component alone makes of the same prompt.
 */
#include "random_inputs.h"

#include "twinlens/array.h"
#include "twinlens/circuit_file.h"
#include "twinlens/pass.h"

enum { LAYERS = 3, HEADS = 4, NEURONS = 10, POS = 8, BEGIN = 2, END = 5 };

static const tl_circuit_shape shape = {LAYERS, HEADS, NEURONS, {POS, BEGIN, END}};
static test_folder folder;
static char path[512];
static tl_arena *arena;

static int set_up(void **unused)
{
    (void)unused;
    folder = test_folder_create();
    snprintf(path, sizeof path, "%s/circuit.json", folder.path);
    arena = tl_arena_create();
    return arena == NULL;
}

static int tear_down(void **unused)
{
    (void)unused;
    test_folder_remove(folder.path);
    tl_arena_destroy(arena);
    return 0;
}

static void write_text(const char *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static tl_component_set empty(void)
{
    tl_component_set set;
    assert_int_equal(tl_set_create(LAYERS, POS, HEADS, NEURONS, arena, &set, NULL),
                     TL_OK);
    return set;
}

static void assert_same(const tl_component_set *got, const tl_component_set *want)
{
    assert_memory_equal(got->heads, want->heads, LAYERS * POS * HEADS);
    assert_memory_equal(got->neurons, want->neurons, LAYERS * POS * NEURONS);
}

static tl_component_set read(const char *text)
{
    tl_component_set set;
    tl_error err = {0};
    if (tl_circuit_read(text, &shape, arena, &set, &err) != TL_OK)
        fail_msg("%s", err.text);
    return set;
}

static void a_file_and_a_list_name_the_same(void **unused)
{
    (void)unused;
    tl_component_set want = empty();
    for (size_t t = 0; t < POS; t++)
        want.heads[(1 * POS + t) * HEADS + 2] = 1;
    for (size_t t = BEGIN; t < END; t++)
        want.neurons[(2 * POS + t) * NEURONS + 9] = 1;
    for (size_t t = END; t < POS - 1; t++)
        want.heads[(2 * POS + t) * HEADS] = 1;
    want.neurons[(0 * POS + 7) * NEURONS + 3] = 1;
    want.neurons[(0 * POS + 7) * NEURONS + 4] = 1;
    write_text("{\"note\": \"by hand\", \"components\": [\n"
               " {\"layer\": 1, \"heads\": [2]},\n"
               " {\"layer\": 2, \"segment\": \"data\", \"neurons\": [9]},\n"
               " {\"layer\": 2, \"segment\": \"query\", \"heads\": [0]},\n"
               " {\"layer\": 0, \"position\": 7, \"neurons\": [4, 3]}]}");
    tl_component_set got = read(path);
    assert_same(&got, &want);
    got = read("L1H2,L2N9@data,L2H0@query,L0N3@7,L0N4@generation");
    assert_same(&got, &want);
    assert_int_equal(tl_set_count(&got, TL_KIND_HEADS), POS + 2);
    assert_int_equal(tl_set_count(&got, TL_KIND_NEURONS), END - BEGIN + 2);

    write_text("{\"components\": [{\"layer\": 0, \"heads\": \"all\"}]}");
    got = read(path);
    assert_int_equal(tl_set_count(&got, TL_KIND_HEADS), POS * HEADS);
    write_text("{\"components\": []}");
    got = read(path);
    assert_int_equal(tl_set_count(&got, TL_KIND_HEADS), 0);
}

static void what_is_written_is_read_again(void **unused)
{
    (void)unused;
    uint32_t seed = 5;
    tl_component_set set = empty();
    tl_circuit_shape said;
    tl_error err = {0};
    bool found = false;
    char note[900];
    memset(note, 'n', sizeof note - 1);
    note[sizeof note - 1] = '\0';
    memcpy(note, "\"quoted\" \\", 10);
    for (size_t i = 0; i < LAYERS * POS * HEADS; i++)
        set.heads[i] = test_uniform(&seed) > 0.5f;
    for (size_t i = 0; i < LAYERS * POS * NEURONS; i++)
        set.neurons[i] = i / NEURONS % 4 == 1 || test_uniform(&seed) > 0.7f;
    for (int with = 0; with < 2; with++) {
        const tl_span none = {.n_pos = POS};
        if (tl_circuit_write(path, &set, with ? &shape.span : &none, with ? note : NULL,
                             &err) != TL_OK)
            fail_msg("%s", err.text);
        const tl_component_set got = read(path);
        assert_same(&got, &set);
        assert_int_equal(tl_circuit_shape_read(path, &said, &found, &err), TL_OK);
        assert_true(found);
        assert_int_equal(said.n_layers, LAYERS);
        assert_int_equal(said.span.n_pos, POS);
        assert_int_equal(said.span.data_end, with ? END : 0);
    }
    assert_int_equal(tl_circuit_shape_read("L1H2", &said, &found, &err), TL_OK);
    assert_false(found);
    assert_int_equal(tl_circuit_write("circuit.txt", &set, &shape.span, NULL, &err),
                     TL_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "ends in .json"));
}

/* What stands in a file or is a list, and words of the one line that refuses it. */
static const char *const refused[][2] = {
    {"{\"component\": []}", "there is no key 'component'"},
    {"[]", "is no object"},
    {"{}", "there is no list 'components'"},
    {"{\"components\": [], \"note\": 3}", "'note' is no text"},
    {"{\"components\": [3]}", "components[0]: is no object"},
    {"{\"components\": [{\"layer\": 0, \"head\": 1}]}",
     "components[0]: there is no key 'head'"},
    {"{\"components\": [{\"layer\": 0}]}", "has neither heads nor neurons"},
    {"{\"components\": [{\"heads\": [1]}]}", "there is no 'layer'"},
    {"{\"components\": [{\"layer\": 3, \"heads\": [1]}]}", "layer 3, wanted 0 to 2"},
    {"{\"components\": [{\"layer\": -1, \"heads\": [1]}]}", "'layer' is no whole"},
    {"{\"components\": [{\"layer\": 1.5, \"heads\": [1]}]}", "'layer' is no whole"},
    {"{\"components\": [{\"layer\": 0, \"heads\": [4]}]}", "head 4, wanted 0 to 3"},
    {"{\"components\": [{\"layer\": 0, \"neurons\": [10]}]}",
     "neuron 10, wanted 0 to 9"},
    {"{\"components\": [{\"layer\": 0, \"neurons\": [\"1\"]}]}", "'neurons' is no"},
    {"{\"components\": [{\"layer\": 0, \"heads\": []}]}", "no list of numbers"},
    {"{\"components\": [{\"layer\": 0, \"heads\": \"some\"}]}", "no list of numbers"},
    {"{\"components\": [{\"layer\": 0, \"position\": 8, \"heads\": [1]}]}",
     "position 8, wanted 0 to 7"},
    {"{\"components\": [{\"layer\": 0, \"segment\": \"end\", \"heads\": [1]}]}",
     "segment 'end', wanted data, query or generation"},
    {"{\"components\": [{\"layer\": 0, \"segment\": 1, \"heads\": [1]}]}",
     "'segment' is no text"},
    {"{\"components\": [{\"layer\": 0, \"position\": 1, \"segment\": \"data\", "
     "\"heads\": [1]}]}",
     "a position and a segment"},
    {"{\"components\": [{\"layer\": 1, \"heads\": [2]}, {\"layer\": 1, \"position\": "
     "4, \"heads\": [2]}]}",
     "components[1]: head 2 of layer 1 at position 4 is named twice"},
    {"{\"components\": [], \"components\": []}", "duplicate"},
    {"{\"components\": [], \"shape\": {\"layers\": 3}}",
     "shape: there is no 'positions'"},
    {"{\"components\": [], \"shape\": {\"layers\": 4, \"positions\": 8, \"heads\": 4, "
     "\"neurons\": 10}}",
     "of 4 layers, 8 positions"},
    {"{\"components\": [], \"shape\": {\"layers\": 3, \"positions\": 8, \"heads\": 4, "
     "\"neurons\": 10, \"data\": [2, 6]}}",
     "data [2, 6]"},
    {"{\"components\": [], \"shape\": {\"layers\": 3, \"positions\": 8, \"heads\": 4, "
     "\"neurons\": 10, \"data\": [5, 8]}}",
     "not the last"},
    {"{\"components\": [], \"shape\": {\"layers\": 16000000, \"positions\": 16000000, "
     "\"heads\": 4, \"neurons\": 10}}",
     "are more than"},
    {"{\"components\": [", "line 1"},
    {"L3H1", "'L3H1': layer 3, wanted 0 to 2"},
    {"L1H4", "'L1H4': head 4, wanted 0 to 3"},
    {"L1N10@2", "neuron 10, wanted 0 to 9"},
    {"L1H1@8", "position 8, wanted 0 to 7"},
    {"L1H1@", "segment ''"},
    {"L1H1@7x", "segment '7x'"},
    {"L1H1@99999999999999999999", "segment '9999"},
    {"L1H1,L1H1", "'L1H1': head 1 of layer 1 at position 0 is named twice"},
    {"L1", "is no component such as L3H5"},
    {"L1K2", "is no component such as L3H5"},
    {"circuit.txt", "no file, whose name ends in .json"},
    {"L1H1,,L1H2", "empty"},
};

static void what_is_wrong_is_said_in_one_line(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        const char *text = refused[i][0];
        const bool is_list = strchr("{[", text[0]) == NULL;
        tl_component_set set = {0};
        tl_error err = {0};
        if (!is_list)
            write_text(text);
        if (tl_circuit_read(is_list ? text : path, &shape, arena, &set, &err) == TL_OK)
            fail_msg("%s: taken", text);
        if (strstr(err.text, refused[i][1]) == NULL || strchr(err.text, '\n') != NULL ||
            (!is_list && strstr(err.text, "circuit.json") == NULL))
            fail_msg("%s: '%s', wanted '%s'", text, err.text, refused[i][1]);
        assert_null(set.heads);
    }
}

static void segments_need_to_be_known(void **unused)
{
    (void)unused;
    const tl_circuit_shape unknown = {LAYERS, HEADS, NEURONS, {.n_pos = POS}};
    tl_component_set set;
    tl_error err = {0};
    assert_int_equal(tl_circuit_read("L0H0@data", &unknown, arena, &set, &err),
                     TL_ERR_DATA);
    assert_non_null(strstr(err.text, "nothing says where the data are"));
    assert_int_equal(tl_circuit_read("L0H0@generation", &unknown, arena, &set, &err),
                     TL_OK);
    write_text("{\"shape\": {\"layers\": 3, \"positions\": 8, \"heads\": 4, "
               "\"neurons\": 10, \"data\": [2, 5]}, \"components\": [{\"layer\": 0, "
               "\"segment\": \"data\", \"heads\": [0]}]}");
    assert_int_equal(tl_circuit_read(path, &unknown, arena, &set, &err), TL_OK);
    assert_int_equal(tl_set_count(&set, TL_KIND_HEADS), 3);
}

static void sets_are_intersected_and_taken_out(void **unused)
{
    (void)unused;
    const tl_component_set a = read("L0H0,L1N2@3"), b = read("L0H0@data,L2N4");
    tl_component_set both = empty(), rest = empty();
    const tl_component_set want_both = read("L0H0@data"),
                           want_rest = read("L0H0@0,L0H0@1,L0H0@5,L0H0@6,L0H0@7,"
                                            "L1N2@3");
    tl_set_add(&a, 0, POS, &both);
    tl_set_add(&a, 0, POS, &rest);
    tl_set_intersect(&b, &both);
    tl_set_remove(&b, &rest);
    assert_same(&both, &want_both);
    assert_same(&rest, &want_rest);
}

/* ---- what an edit makes of it ------------------------------------------------------- */

enum { T = 11, HEAD = 2, NEURON = 17, AT = 1 };

/* The prompt with one component of layer AT replaced at all positions by what it is in the
 * counterfactual, or by zero: an edit of that component and nothing else. */
static double edited(tl_model *model, const tl_pair *pair, tl_site site,
                     size_t component, bool zero)
{
    const tl_dims *d = tl_model_dims(model);
    const size_t width = site == TL_SITE_Z ? d->n_heads * d->d_head : d->d_mlp;
    tl_array values = {0};
    tl_pass *pass = NULL;
    tl_error err = {0};
    double ld = 0.0;
    assert_int_equal(tl_array_init(model, TL_F32, T * width, &values, &err), TL_OK);
    assert_int_equal(tl_pass_create(model, &pass, &err), TL_OK);
    const tl_site_range at = {.site = site, .first_layer = AT, .n_layers = 1};
    const tl_reading reading = {.at = at, .to = tl_array_f32(&values, 0)};
    const tl_pass_options reads = {.readings = &reading, .n_readings = 1};
    const tl_pass_prompt other = {.input = pair->counterfactual},
                         clean = {.input = pair->clean};
    if (!zero)
        assert_int_equal(tl_pass_forward(pass, &other, 1, &reads, &err), TL_OK);
    const tl_edit edit = {.rule = TL_EDIT_COMPONENT,
                          .at = at,
                          .from = tl_array_f32(&values, 0),
                          .component = component};
    const tl_pass_options edits = {.edits = &edit, .n_edits = 1};
    assert_int_equal(tl_pass_forward(pass, &clean, 1, &edits, &err), TL_OK);
    assert_int_equal(tl_pass_logit_diff(pass, 0, pair->answer,
                                        pair->counterfactual_answer, &ld, &err),
                     TL_OK);
    tl_pass_destroy(pass);
    tl_array_release(&values);
    return ld;
}

static void what_is_taken_out_is_what_an_edit_replaces(void **unused)
{
    (void)unused;
    tl_model *model = open_tiny("ref");
    const tl_dims *d = tl_model_dims(model);
    const tl_circuit_shape all = {d->n_layers, d->n_heads, d->d_mlp, {.n_pos = T}};
    const tl_pair pair = {.clean = random_input(model, arena, T, 0, 0, 1),
                          .counterfactual = random_input(model, arena, T, 0, 0, 2),
                          .answer = 20,
                          .counterfactual_answer = 30};
    const struct {
        const char *list;
        tl_site site;
        size_t component;
    } cases[] = {{"L1H2", TL_SITE_Z, HEAD}, {"L1N17", TL_SITE_MLP_POST, NEURON}};
    for (size_t i = 0; i < 4; i++) {
        tl_component_set set, out;
        tl_error err = {0};
        const bool zero = i >= 2;
        const tl_evaluate_options options = {.ablate = zero ? TL_ABLATE_ZERO
                                                            : TL_ABLATE_COUNTERFACTUAL};
        double found = 0.0;
        tl_evaluation result = {.circuit = &found};
        assert_int_equal(
            tl_set_create(d->n_layers, T, d->n_heads, d->d_mlp, arena, &set, &err),
            TL_OK);
        memset(set.heads, 1, d->n_layers * T * d->n_heads);
        memset(set.neurons, 1, d->n_layers * T * d->d_mlp);
        assert_int_equal(tl_circuit_read(cases[i % 2].list, &all, arena, &out, &err),
                         TL_OK);
        tl_set_remove(&out, &set);
        const tl_circuit circuit = {.set = &set};
        if (tl_evaluate(model, &pair, 1, &circuit, 1, &options, &result, &err) != TL_OK)
            fail_msg("%s", err.text);
        const double want =
            edited(model, &pair, cases[i % 2].site, cases[i % 2].component, zero);
        assert_close(cases[i % 2].list, i, found, want, 1e-5);
        assert_true(fabs(found - result.clean) > 1e-4); /* it does something */
    }
    tl_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_and_a_list_name_the_same),
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(what_is_wrong_is_said_in_one_line),
        cmocka_unit_test(segments_need_to_be_known),
        cmocka_unit_test(sets_are_intersected_and_taken_out),
        cmocka_unit_test(what_is_taken_out_is_what_an_edit_replaces),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
