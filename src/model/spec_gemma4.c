/* SPDX-License-Identifier: MIT
 * spec_gemma4.c - why Gemma-4 is not read: its decoder is another one in every size.
 *
 * What stands above the decoder counts on heads of one size in all layers, and on layers
 * whose keys and values are of their own input (docs/add-a-model.md, "What resists"). */
#include <stdio.h>
#include <string.h>

#include "model/spec_private.h"

typedef struct reasons {
    char text[400];
} reasons;

static void add_size(reasons *r, const char *key, size_t is)
{
    const size_t used = strlen(r->text);
    if (is > 0)
        snprintf(r->text + used, sizeof r->text - used, ", '%s' is %zu (wanted 0)", key,
                 is);
}

static tl_status add_switch(reasons *r, const char *key, const json_t *text,
                            const char *where, tl_error *err)
{
    bool on = false;
    const size_t used = strlen(r->text);
    const tl_status status = tl_json_get_bool(text, key, where, &on, err);
    if (on)
        snprintf(r->text + used, sizeof r->text - used, ", '%s' is true (wanted false)",
                 key);
    return status;
}

/* Layers that see everything have heads of another size: under a key for all of them, or,
 * as transformers 5.24 saves it, layer by layer. */
static tl_status add_heads(reasons *r, const json_t *text, const char *where,
                           tl_error *err)
{
    size_t sliding = 256, global = 512;
    const char *in = "", *name = NULL;
    json_t *layers = json_object_get(text, "per_layer_config"), *layer = NULL;
    tl_status status = tl_json_get_size(text, "head_dim", where, &sliding, err);
    if (status == TL_OK)
        status = tl_json_get_size(text, "global_head_dim", where, &global, err);
    if (json_is_object(layers))
        global = sliding;
    json_object_foreach(layers, name, layer)
    {
        if (status == TL_OK && global == sliding) {
            status = tl_json_get_size(layer, "head_dim", where, &global, err);
            in = name;
        }
    }
    if (status == TL_OK && global != sliding)
        snprintf(r->text, sizeof r->text,
                 ", 'head_dim' is %zu and '%s%.8s%s' %zu (wanted equal)", sliding,
                 in[0] != '\0' ? "per_layer_config." : "", in,
                 in[0] != '\0' ? ".head_dim" : "global_head_dim", global);
    return status;
}

tl_status tl_spec_refuse_gemma4(const json_t *config, const char *where, tl_spec *spec,
                                tl_error *err)
{
    const json_t *text = NULL;
    char inner[TL_WHERE_BYTES];
    reasons r = {0};
    size_t n_shared = 0;
    size_t per_layer = strcmp(spec->family, "gemma4") == 0 ? 256 : 0;
    tl_status status =
        tl_spec_get_object(config, "text_config", where, &text, inner, err);
    if (status != TL_OK || (status = add_heads(&r, text, inner, err)) != TL_OK ||
        (status = tl_json_get_size(text, "num_kv_shared_layers", inner, &n_shared,
                                   err)) != TL_OK ||
        (status = tl_json_get_size(text, "hidden_size_per_layer_input", inner,
                                   &per_layer, err)) != TL_OK)
        return status;
    add_size(&r, "num_kv_shared_layers", n_shared);
    add_size(&r, "hidden_size_per_layer_input", per_layer);
    if ((status = add_switch(&r, "attention_k_eq_v", text, inner, err)) != TL_OK ||
        (status = add_switch(&r, "enable_moe_block", text, inner, err)) != TL_OK)
        return status;
    return tl_fail(err, TL_ERR_UNSUPPORTED,
                   "%s: 'model_type' is '%s', whose decoder is not Gemma-3's%s%s",
                   where, spec->family, r.text[0] != '\0' ? ": " : "",
                   r.text[0] != '\0' ? r.text + 2 : "");
}
