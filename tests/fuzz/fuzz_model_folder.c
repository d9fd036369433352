/* SPDX-License-Identifier: MIT
 *
 * fuzz_model_folder.c - any bytes as config.json and, behind a line "---", as
 * preprocessor_config.json: an architecture and sizes of images, or refused. The weights are
 * those of the tiny Qwen2-VL.
 */
#include "fuzz.h"

#include "twinlens/model.h"
#include "twinlens/processor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static char weights[512];
    if (weights[0] == '\0') {
        snprintf(weights, sizeof weights, "%s/model.safetensors", fuzz_folder());
        unlink(weights);
    }
    char config[512], images[512];
    const uint8_t *second = NULL;
    size_t n_second = 0;
    const size_t n_first = fuzz_cut(data, bytes, &second, &n_second);
    fuzz_write(config, "config.json", data, n_first);
    fuzz_write(images, "preprocessor_config.json", second, n_second);
    if (symlink(FUZZ_DATA "qwen2vl-tiny/checkpoint/model.safetensors", weights) != 0)
        abort();

    tl_error err = {0};
    tl_model *model = NULL;
    if (tl_model_open(fuzz_folder(), &(tl_model_options){.backend = "ref"}, &model,
                      &err) != TL_OK &&
        (model != NULL || err.text[0] == '\0'))
        abort();
    tl_model_close(model);

    tl_arena *arena = tl_arena_create();
    static const size_t sizes[][2] = {{56, 56}, {90, 20}};
    for (size_t i = 0; i < 2; i++) {
        tl_pixels pixels = {0};
        size_t n_tokens = 0;
        tl_processor_measure(fuzz_folder(), sizes[i][0], sizes[i][1], arena, &pixels,
                             &n_tokens, &err);
    }
    tl_arena_destroy(arena);
    remove(config);
    remove(images);
    remove(weights);
    return 0;
}
