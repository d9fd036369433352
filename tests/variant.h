/*
 * variant.h - a model folder again, with its tensors under other names.
 */
#ifndef TESTS_VARIANT_H
#define TESTS_VARIANT_H

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testing.h"
#include "twinlens/arena.h"
#include "twinlens/safetensors.h"

/* The first rule whose prefix a name has: the prefix becomes another; NULL drops the
 * tensor. */
typedef struct rename_rule {
    const char *from, *to;
} rename_rule;

/* False when a rule drops it. */
static inline bool rename_tensor(const rename_rule *rules, size_t n_rules,
                                 const char *name, char out[256])
{
    snprintf(out, 256, "%s", name);
    for (size_t r = 0; r < n_rules; r++) {
        const size_t bytes = strlen(rules[r].from);
        if (strncmp(name, rules[r].from, bytes) != 0)
            continue;
        if (rules[r].to == NULL)
            return false;
        snprintf(out, 256, "%s%s", rules[r].to, name + bytes);
        return true;
    }
    return true;
}

/* Links in `target` to all that is beside the weights of `source`. */
static inline void link_rest(const char *source, const char *target)
{
    char from[1024], to[1024];
    DIR *dir = opendir(source);
    assert_non_null(dir);
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] == '.' || strcmp(e->d_name, "model.safetensors") == 0)
            continue;
        snprintf(from, sizeof from, "%.600s/%.200s", source, e->d_name);
        snprintf(to, sizeof to, "%.600s/%.200s", target, e->d_name);
        assert_int_equal(symlink(from, to), 0);
    }
    closedir(dir);
}

/* Folder `target`, new: the tensors of `source` renamed; links to all that is there
 * beside them. `broken`: the tensor that gets one row less, or NULL. */
static inline void write_renamed(const char *source, const char *target,
                                 const rename_rule *rules, size_t n_rules,
                                 const char *broken)
{
    tl_safetensors *file = NULL;
    tl_error err = {0};
    char to[1024];
    tl_arena *arena = tl_arena_create();
    if (tl_safetensors_open(source, &file, &err) != TL_OK)
        fail_msg("%s", err.text);
    const size_t count = tl_safetensors_count(file);
    tl_named_tensor *tensors = tl_arena_alloc(arena, count, sizeof *tensors);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        const char *old = tl_safetensors_name(file, i);
        char *renamed = tl_arena_alloc(arena, 256, 1);
        if (!rename_tensor(rules, n_rules, old, renamed))
            continue;
        tensors[n] = (tl_named_tensor){renamed, *tl_safetensors_at(file, i)};
        if (broken != NULL && strcmp(old, broken) == 0)
            tensors[n].tensor.dims[0]--;
        n++;
    }
    assert_int_equal(mkdir(target, 0755), 0);
    snprintf(to, sizeof to, "%.600s/model.safetensors", target);
    if (tl_safetensors_write(to, tensors, n, NULL, 0, &err) != TL_OK)
        fail_msg("%s", err.text);
    tl_safetensors_close(file);
    tl_arena_destroy(arena);

    link_rest(source, target);
}

/* The same, with one number of a tensor of bf16 or f32 made infinite. */
static inline void write_poked(const char *source, const char *target, const char *name,
                               size_t element)
{
    tl_safetensors *file = NULL;
    tl_error err = {0};
    char to[1024];
    bool found = false;
    tl_arena *arena = tl_arena_create();
    if (tl_safetensors_open(source, &file, &err) != TL_OK)
        fail_msg("%s", err.text);
    const size_t n = tl_safetensors_count(file);
    tl_named_tensor *tensors = tl_arena_alloc(arena, n, sizeof *tensors);
    for (size_t i = 0; i < n; i++) {
        tl_tensor *t = &tensors[i].tensor;
        tensors[i] =
            (tl_named_tensor){tl_safetensors_name(file, i), *tl_safetensors_at(file, i)};
        if (strcmp(tensors[i].name, name) != 0)
            continue;
        const size_t size = tl_dtype_bytes(t->dtype), bytes = tl_tensor_count(t) * size;
        unsigned char *copy = tl_arena_alloc(arena, bytes, 1);
        memcpy(copy, t->data, bytes);
        assert_true(t->dtype == TL_BF16 || t->dtype == TL_F32);
        memset(copy + element * size, 0, size);
        copy[(element + 1) * size - 2] = 0x80; /* 0x7f80 of bf16, 0x7f800000 of f32 */
        copy[(element + 1) * size - 1] = 0x7f;
        t->data = copy;
        found = true;
    }
    assert_true(found);
    assert_int_equal(mkdir(target, 0755), 0);
    snprintf(to, sizeof to, "%.600s/model.safetensors", target);
    if (tl_safetensors_write(to, tensors, n, NULL, 0, &err) != TL_OK)
        fail_msg("%s", err.text);
    tl_safetensors_close(file);
    tl_arena_destroy(arena);
    link_rest(source, target);
}

#endif
