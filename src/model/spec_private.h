/* SPDX-License-Identifier: MIT
 *
 * spec_private.h - what the readers of config.json share. A reader gets a spec of zeros
 * and fills it; what has to hold whatever the family, spec.c checks.
 */
#ifndef TWINLENS_MODEL_SPEC_PRIVATE_H
#define TWINLENS_MODEL_SPEC_PRIVATE_H

#include "base/json.h"
#include "model/spec.h"

typedef tl_status tl_spec_reader(const json_t *config, const char *where, tl_spec *spec,
                                 tl_error *err);
tl_spec_reader tl_spec_read_gemma3;
tl_spec_reader tl_spec_read_idefics3; /* and SmolVLM */
tl_spec_reader tl_spec_read_internvl;
tl_spec_reader tl_spec_read_llava;
tl_spec_reader tl_spec_read_llava_next;
tl_spec_reader tl_spec_read_llava_onevision;
tl_spec_reader tl_spec_read_mistral3;
tl_spec_reader tl_spec_read_paligemma;
tl_spec_reader tl_spec_read_qwen2_vl;
tl_spec_reader tl_spec_read_qwen2_5_vl;
tl_spec_reader tl_spec_read_qwen3_vl;
/* Never TL_OK. */
tl_spec_reader tl_spec_refuse_gemma4;

/* The decoder that both have. */
tl_spec_reader tl_spec_read_qwen2_decoder;
/* 'mrope_section', and the base where it stands beside it, from 'rope_scaling' or
 * 'rope_parameters'. */
tl_status tl_spec_get_mrope(const json_t *text, const char *where, tl_rope_spec *rope,
                            tl_error *err);
/* Patches of v->patch pixels on a side of an image. */
tl_status tl_spec_set_grid(size_t image, const char *where, tl_vision_spec *v,
                           tl_error *err);
/* Sizes, activation and grid of a tower, whose patches cut images of side `image` if the
 * keys are absent; what else is absent stays as it is. */
tl_status tl_spec_get_tower(const json_t *vision, const char *where, size_t image,
                            tl_vision_spec *v, tl_error *err);
/* What the towers of Qwen2.5-VL and Qwen3-VL have alike: sizes, activation and the base of
 * their rotary positions; what is absent stays as it is. */
tl_status tl_spec_get_qwen_tower(const json_t *vision, const char *where,
                                 tl_vision_spec *v, size_t *out_width, tl_error *err);
/* A tower of `type`, "siglip_vision_model" or "clip_vision_model". `vision` may be NULL. */
tl_status tl_spec_read_vit(const json_t *vision, const char *where, const char *type,
                           tl_vision_spec *out, tl_error *err);
/* TL_ERR_FORMAT when a tower's features do not fit into the decoder. */
tl_status tl_spec_check_features(const char *where, const char *key, size_t width,
                                 const tl_spec *spec, tl_error *err);

/* What models built as LLaVA share. The configuration `key`, and which of two kinds it says
 * that it is; the second may be NULL. */
tl_status tl_spec_get_part(const json_t *config, const char *where, const char *key,
                           const char *const kinds[2], const json_t **out, size_t *kind,
                           tl_error *err);
/* Llama's decoder or Mistral's. */
tl_status tl_spec_read_llama(const json_t *text, bool is_mistral, tl_spec *spec,
                             tl_error *err);
/* 'vision_feature_select_strategy': "default" leaves the first row out, "full" does not. */
tl_status tl_spec_check_strategy(const json_t *config, const char *where,
                                 const char *absent, const tl_vision_spec *v,
                                 tl_error *err);
/* Which layer's states the projector reads: -1 is the last; so many layers are run. */
tl_status tl_spec_get_feature_layer(const json_t *config, const char *where, int absent,
                                    tl_vision_spec *v, tl_error *err);
/* The projector's two layers, the head, which is tied where no key says so or is not, and
 * the token that stands for a feature. */
tl_status tl_spec_read_llava_rest(const json_t *config, const json_t *text,
                                  const char *where, bool tied, tl_spec *spec,
                                  tl_error *err);

/* Qwen2's decoder, positions on one axis. */
tl_status tl_spec_read_qwen2(const json_t *text, tl_spec *spec, tl_error *err);
/* With 'use_sliding_window' layers from 'max_window_layers' on slide, which nothing here
 * does; newer files list the layers. `first`: the key is absent. */
tl_status tl_spec_refuse_sliding(const json_t *text, const char *where, size_t first,
                                 size_t n_layers, tl_error *err);

/* Each leaves *out as it is when the key is absent or null. */
tl_status tl_spec_get_activation(const json_t *object, const char *key,
                                 const char *where, tl_activation *out, tl_error *err);
tl_status tl_spec_get_float(const json_t *object, const char *key, const char *where,
                            float *out, tl_error *err);

/* A number above 0. */
tl_status tl_spec_get_positive(const json_t *object, const char *key, const char *where,
                               float *out, tl_error *err);

/* An object inside `object`; NULL when it is absent or null. `inner` receives its name
 * for messages. */
enum { TL_WHERE_BYTES = 512 };
tl_status tl_spec_get_object(const json_t *object, const char *key, const char *where,
                             const json_t **out, char inner[TL_WHERE_BYTES],
                             tl_error *err);

/* Whether the head is the table of embeddings; `absent` when neither says. The key of the
 * decoder and the one outside must not contradict each other: versions of transformers
 * differ in which one they look at. With text_decides all that know text_config tie where
 * it says so, whatever is outside. */
tl_status tl_spec_get_tied_head(const json_t *config, const json_t *text,
                                const char *where, bool absent, bool text_decides,
                                bool *tied, tl_error *err);

/* The same as versions of transformers have it whose models differ in which key they look at
 * (up to 4.57 the decoder's, false when absent; 5.24 the one outside, `absent` when absent,
 * unless the folder holds another head): where they would make different models of a folder,
 * what is in it decides. */
tl_status tl_spec_get_head(const json_t *config, const json_t *text, const char *where,
                           bool absent, tl_spec *spec, tl_error *err);

/* An object of rope_scaling's kind: 'linear' divides positions by 'factor', 'llama3' those
 * of slow frequencies; nothing but these and 'default' can be honoured. */
tl_status tl_spec_get_scaling(const json_t *scaling, const char *where,
                              tl_rope_spec *rope, tl_error *err);
/* 'rope_scaling', or the 'rope_parameters' that transformers 5 saves in its place and
 * reads only where the other is absent, null or empty. */
tl_status tl_spec_get_rope_object(const json_t *text, const char *where,
                                  const json_t **out, char inner[TL_WHERE_BYTES],
                                  tl_error *err);
/* One rotary encoding for all layers: that object, and 'rope_theta' inside of it or else
 * beside it. Of the type 'dynamic' it is the plain one up to 'max_position_embeddings'. */
tl_status tl_spec_get_rope(const json_t *text, const char *where, tl_rope_spec *rope,
                           tl_error *err);

/* Of a tower's rotary encoding in two dimensions. */
tl_status tl_spec_get_tower_theta(const json_t *vision, const char *where,
                                  double *theta, tl_error *err);

/* Which key fills which field; none may be 0. */
typedef struct tl_size_field {
    const char *key;
    size_t *out;
} tl_size_field;
tl_status tl_spec_get_sizes(const json_t *object, const char *where,
                            const tl_size_field *fields, size_t count, tl_error *err);

/* A decoder's layers, widths, heads and vocabulary, but not the size of a head; what is
 * absent stays as it is in *d. Without the key there are `groups` keys and values, 0: one
 * for each query head, as null says as well. */
tl_status tl_spec_get_dims(const json_t *text, const char *where, size_t groups,
                           tl_dims *d, tl_error *err);

/* A key that must be absent, null or false: nothing here does what it asks for. */
tl_status tl_spec_refuse_if_set(const json_t *object, const char *key,
                                const char *where, tl_error *err);

#endif
