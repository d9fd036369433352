/* SPDX-License-Identifier: MIT
 * attribute_prompt.c - the ten heads that matter most for one prompt, against another.
 *
 *     attribute_prompt MODEL DATASET CLEAN-ID COUNTERFACTUAL-ID */
#include <stdio.h>

#include "twinlens/circuit.h"
#include "twinlens/dataset.h"

int main(int argc, char **argv)
{
    tl_error err = {0};
    tl_model *model = NULL;
    tl_processor *processor = NULL;
    tl_dataset *dataset = NULL;
    tl_attribution *attribution = NULL;
    tl_arena *arena = tl_arena_create();
    tl_encoding clean, other;
    tl_pair pair;
    tl_scores scores;
    tl_ranking ranking;
    int code = 1;
    if (argc != 5 || tl_model_open(argv[1], NULL, &model, &err) != TL_OK ||
        tl_processor_open(argv[1], tl_model_dims(model)->n_vocab, &processor, &err) !=
            TL_OK ||
        tl_dataset_open(argv[2], &dataset, &err) != TL_OK)
        goto done;
    const size_t a = tl_dataset_find(dataset, argv[3]),
                 b = tl_dataset_find(dataset, argv[4]);
    if (a == TL_NO_ROW || b == TL_NO_ROW ||
        tl_dataset_encode(dataset, a, processor, arena, &clean, &err) != TL_OK ||
        tl_dataset_encode(dataset, b, processor, arena, &other, &err) != TL_OK ||
        tl_model_input(model, &clean, TL_ROPE_TRUE, arena, &pair.clean, &err) !=
            TL_OK ||
        tl_model_input(model, &other, TL_ROPE_TRUE, arena, &pair.counterfactual,
                       &err) != TL_OK ||
        tl_dataset_pair_ids(dataset, a, b, processor, &pair.answer,
                            &pair.counterfactual_answer, &err) != TL_OK ||
        tl_attribution_create(model, clean.n_pos, NULL, &attribution, &err) != TL_OK ||
        tl_attribution_add(attribution, &pair, 1, &err) != TL_OK ||
        tl_attribution_scores(attribution, arena, &scores, &err) != TL_OK ||
        tl_ranking_from_scores(&scores, arena, &ranking, &err) != TL_OK)
        goto done;
    for (uint32_t rank = 0; rank < 10; rank++)
        for (size_t i = 0; i < scores.n_layers * scores.n_pos * scores.n_heads; i++)
            if (ranking.heads[i] == rank)
                printf("layer %zu, position %zu, head %zu: %.4g\n",
                       i / scores.n_heads / scores.n_pos,
                       i / scores.n_heads % scores.n_pos, i % scores.n_heads,
                       (double)scores.heads[i]);
    code = 0;
done:
    if (code != 0)
        fprintf(stderr, "attribute_prompt: %s\n",
                err.text[0] ? err.text
                            : "wanted MODEL DATASET CLEAN-ID COUNTERFACTUAL-ID");
    tl_attribution_destroy(attribution);
    tl_dataset_close(dataset);
    tl_processor_close(processor);
    tl_model_close(model);
    tl_arena_destroy(arena);
    return code;
}
