/*
 * test_finite.c - a weight that is infinite is found where it first shows: every pass names
 * layer, site, position and prompt, there and back.
 */
#include "random_inputs.h"
#include "variant.h"

#include "twinlens/circuit.h"
#include "twinlens/pass.h"

static test_folder folder;

static int make_folder(void **unused)
{
    (void)unused;
    folder = test_folder_create();
    return 0;
}

static int remove_folder(void **unused)
{
    (void)unused;
    test_folder_remove(folder.path);
    return 0;
}

/* A model with one infinite weight. */
static tl_model *open_poked(const char *tensor, size_t element, const char *backend)
{
    static size_t n;
    char path[400];
    tl_model *model = NULL;
    tl_error err = {0};
    snprintf(path, sizeof path, "%s/%zu", folder.path, n++);
    write_poked(tiny_checkpoint, path, tensor, element);
    const tl_model_options options = {.backend = backend, .n_threads = 1};
    if (tl_model_open(path, &options, &model, &err) != TL_OK)
        fail_msg("%s", err.text);
    return model;
}

/* Two prompts of random tokens; the status of a pass over them. */
static tl_status run(tl_model *model, bool back, tl_error *err)
{
    enum { N = 9 };
    tl_arena *arena = tl_arena_create();
    tl_pass *pass = NULL;
    tl_pass_prompt prompts[2];
    memset(prompts, 0, sizeof prompts);
    int32_t ids[2][N];
    for (size_t p = 0; p < 2; p++) {
        for (size_t i = 0; i < N; i++)
            ids[p][i] = (int32_t)(10 + 7 * p + 3 * i);
        const tl_encoding e = {
            .ids = ids[p], .n_pos = N, .name = p == 0 ? "first" : NULL};
        assert_int_equal(tl_model_input(model, &e, TL_ROPE_TRUE, arena,
                                        &prompts[p].input, err),
                         TL_OK);
    }
    assert_int_equal(tl_pass_create(model, &pass, err), TL_OK);
    const tl_pass_options options = {.last_only = true, .for_backward = back};
    tl_status status = tl_pass_forward(pass, prompts, 2, &options, err);
    if (status == TL_OK && back)
        status = tl_pass_backward(pass, (int32_t[]){20, 20}, (int32_t[]){30, 30}, err);
    double logit = 0.0;
    if (status == TL_OK && !back)
        status = tl_pass_logits_of(pass, 1, (int32_t[]){20}, 1, &logit, err);
    tl_pass_destroy(pass);
    tl_arena_destroy(arena);
    return status;
}

static void the_first_site_is_named(void **unused)
{
    (void)unused;
    static const struct {
        const char *tensor, *want;
    } cases[] = {
        {"model.layers.1.self_attn.v_proj.weight", "layer 1, z: element"},
        {"model.layers.1.self_attn.o_proj.weight", "layer 1, resid_mid: element"},
        {"model.layers.0.mlp.up_proj.weight", "layer 0, mlp_post: element"},
        {"model.layers.2.mlp.down_proj.weight", "layer 2, mlp_out: element"},
        {"model.norm.weight", "prompt 1 of the pass: the logit of token 20 is "},
    };
    static const char *const backends[] = {"ref", "cpu"};
    for (size_t b = 0; b < 2; b++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            tl_error err = {0};
            tl_model *model = open_poked(cases[i].tensor, 3, backends[b]);
            assert_int_equal(run(model, false, &err), TL_ERR_DATA);
            if (strstr(err.text, cases[i].want) == NULL)
                fail_msg("%s: %s", cases[i].tensor, err.text);
            if (i < 4)
                assert_non_null(strstr(err.text, "prompt 'first': layer"));
            tl_model_close(model);
        }
}

/* A row of the head does harm on the way back from its token, and nowhere before. */
static void a_gradient_is_looked_at_too(void **unused)
{
    (void)unused;
    enum { D_MODEL = 48 };
    tl_error err = {0};
    char want[64];
    tl_model *model = open_poked("lm_head.weight", 20 * D_MODEL + 5, "ref");
    assert_int_equal(run(model, false, &err), TL_ERR_DATA);
    assert_non_null(strstr(err.text, "the logit of token 20 is"));
    assert_int_equal(run(model, true, &err), TL_ERR_DATA);
    snprintf(want, sizeof want, "layer %zu, the gradient at resid_pre: ",
             tl_model_dims(model)->n_layers - 1);
    assert_non_null(strstr(err.text, want));
    tl_model_close(model);
    model = open_poked("lm_head.weight", 21 * D_MODEL + 5, "ref");
    assert_int_equal(run(model, false, &err), TL_OK);
    assert_int_equal(run(model, true, &err), TL_OK);
    tl_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_site_is_named),
        cmocka_unit_test(a_gradient_is_looked_at_too),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
