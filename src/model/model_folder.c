/* SPDX-License-Identifier: MIT
 *
 * model_folder.c - where the files of a model lie (include/twinlens/model.h): in a folder,
 * in an entry of the hub's cache, or in the entry of a name as the hub has it.
 */
#include "twinlens/model.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "model/model_private.h"
#include "twinlens/log.h"

/* The revision that refs/main names, or else the snapshot changed last. */
static const char *find_snapshot(const char *path, tl_arena *arena)
{
    const char *snapshots = tl_path_join(arena, path, "snapshots");
    const char *ref = tl_path_join(arena, path, "refs/main");
    char *revision = NULL;
    size_t bytes = 0;
    if (snapshots == NULL || ref == NULL)
        return NULL;
    if (tl_file_read(ref, arena, &revision, &bytes, NULL) == TL_OK) {
        revision[strcspn(revision, "\r\n")] = '\0';
        const char *folder = tl_path_join(arena, snapshots, revision);
        if (folder != NULL && revision[0] != '\0' && tl_file_is_folder(folder))
            return folder;
    }
    const char *newest = NULL;
    struct timespec newest_time = {0};
    DIR *dir = opendir(snapshots);
    for (const struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        struct stat info;
        const char *folder =
            e->d_name[0] != '.' ? tl_path_join(arena, snapshots, e->d_name) : NULL;
        if (folder == NULL || stat(folder, &info) != 0)
            continue;
        const struct timespec t = info.st_mtim;
        if (newest == NULL || t.tv_sec > newest_time.tv_sec ||
            (t.tv_sec == newest_time.tv_sec && t.tv_nsec > newest_time.tv_nsec)) {
            newest = folder;
            newest_time = t;
        }
    }
    if (dir != NULL)
        closedir(dir);
    return newest;
}

/* ---- names of the hub ------------------------------------------------------------- */

/* ORG/NAME, of the letters that the hub allows. */
static bool is_hub_name(const char *path)
{
    const char *slash = strchr(path, '/');
    return slash != NULL && slash > path && slash[1] != '\0' && path[0] != '.' &&
           slash[1] != '.' && strchr(slash + 1, '/') == NULL &&
           strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789-_./") == strlen(path);
}

/* Where the hub's own programs keep what they fetch; NULL when the environment says
 * nothing, or without memory. */
static const char *hub_cache(tl_arena *arena)
{
    static const struct {
        const char *variable, *below;
    } places[] = {{"HF_HUB_CACHE", ""},
                  {"HF_HOME", "hub"},
                  {"XDG_CACHE_HOME", "huggingface/hub"},
                  {"HOME", ".cache/huggingface/hub"}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const char *value = getenv(places[i].variable);
        if (value != NULL && value[0] != '\0')
            return places[i].below[0] != '\0'
                       ? tl_path_join(arena, value, places[i].below)
                       : tl_arena_strdup(arena, value);
    }
    return NULL;
}

/* Of a name its entry in the cache, "CACHE/models--ORG--NAME"; of what is no name the
 * error that there is no such folder. */
static tl_status find_in_hub(const char *path, tl_arena *arena, const char **out,
                             tl_error *err)
{
    static const char prefix[] = "models--";
    const size_t org = strcspn(path, "/");
    const char *parent = tl_path_folder(arena, path);
    if (parent == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", path);
    if (!is_hub_name(path) || tl_file_exists(parent)) /* a path of this machine, then */
        return tl_fail(err, TL_ERR_NOT_FOUND, "%s: there is no such model folder",
                       path);
    const size_t bytes = strlen(prefix) + strlen(path) + 2;
    char *entry = tl_arena_alloc(arena, bytes, 1);
    const char *cache = hub_cache(arena);
    if (entry == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", path);
    snprintf(entry, bytes, "%s%.*s--%s", prefix, (int)org, path, path + org + 1);
    const char *folder = cache != NULL ? tl_path_join(arena, cache, entry) : NULL;
    if (folder == NULL || !tl_file_exists(folder))
        return tl_fail(
            err, TL_ERR_NOT_FOUND,
            "%s: there is no such folder, and none of that name in the hub's "
            "cache %s; `hf download %s` fetches it",
            path, cache != NULL ? cache : "", path);
    *out = folder;
    return TL_OK;
}

/* ---- folders ----------------------------------------------------------------------- */

/* What peft says of an adapter, " (LORA of 'ORG/NAME')"; "" of one whose file does not say
 * it, which is no reason to fail. */
static const char *describe_adapter(const char *path, tl_arena *arena)
{
    json_t *config = NULL;
    const char *type = NULL, *base = NULL;
    if (tl_json_read(path, &config, NULL) == TL_OK) {
        (void)tl_json_get_string(config, "peft_type", path, &type, NULL);
        (void)tl_json_get_string(config, "base_model_name_or_path", path, &base, NULL);
    }
    const size_t bytes =
        32 + (type != NULL ? strlen(type) : 0) + (base != NULL ? strlen(base) : 0);
    char *text = tl_arena_alloc(arena, bytes, 1);
    if (text != NULL && type == NULL && base == NULL)
        text[0] = '\0';
    else if (text != NULL)
        snprintf(text, bytes, " (%s%s%s%s)", type != NULL ? type : "",
                 type != NULL && base != NULL ? " of '"
                 : base != NULL               ? "of '"
                                              : "",
                 base != NULL ? base : "", base != NULL ? "'" : "");
    json_decref(config);
    return text;
}

/* An adapter beside a model is not applied, one alone is no model. */
static tl_status check_adapter(const char *folder, bool has_model, tl_arena *arena,
                               tl_error *err)
{
    const char *path = tl_path_join(arena, folder, "adapter_config.json");
    if (path != NULL && !tl_file_exists(path))
        return TL_OK;
    const char *adapter = path != NULL ? describe_adapter(path, arena) : NULL;
    if (adapter == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", folder);
    if (!has_model)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "%s: holds an adapter%s and no model; wanted its model, or a "
                       "folder with the adapter merged into it (merge_and_unload() of "
                       "peft)",
                       folder, adapter);
    tl_log(TL_LOG_WARNING,
           "%s: the adapter%s beside the model is not applied, the model's own weights "
           "are taken; merge_and_unload() of peft merges it into them",
           folder, adapter);
    return TL_OK;
}

tl_status tl_model_folder(const char *path, tl_arena *arena, const char **out,
                          tl_error *err)
{
    if (path == NULL)
        return tl_model_find_bundled(arena, out, err);
    if (!tl_file_exists(path)) {
        const tl_status status = find_in_hub(path, arena, &path, err);
        if (status != TL_OK)
            return status;
    }
    if (!tl_file_is_folder(path))
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "%s: a file, wanted the folder of a model as transformers saves "
                       "it, with config.json and *.safetensors",
                       path);
    const char *config = tl_path_join(arena, path, "config.json");
    if (config == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", path);
    const bool has_model = tl_file_exists(config);
    const char *snapshot = has_model ? path : find_snapshot(path, arena),
               *folder = snapshot != NULL ? snapshot : path;
    config = tl_path_join(arena, folder, "config.json");
    if (config == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", path);
    const tl_status status = check_adapter(folder, tl_file_exists(config), arena, err);
    if (status != TL_OK)
        return status;
    if (snapshot == NULL)
        return tl_fail(
            err, TL_ERR_NOT_FOUND,
            "%s: neither a config.json nor a folder snapshots/ of the hub's cache is "
            "there",
            path);
    *out = snapshot;
    return TL_OK;
}
