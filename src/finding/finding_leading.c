/* SPDX-License-Identifier: MIT
 *
 * finding_leading.c - the heads and neurons that lead by score, and what else is known of
 * them (include/twinlens/finding.h).
 */
#include "finding/findings_private.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "store/leading.h"
#include "store/score_file.h"
#include "twinlens/overlap.h"
#include "twinlens/safetensors.h"

/* ---- positions ------------------------------------------------------------------- */

const char *tl_finding_segment(const tl_finding_part *p, size_t pos)
{
    const tl_study_scores *s = &p->scores;
    return pos < s->data_begin  ? NULL
           : pos < s->data_end  ? tl_segment_name(TL_SEGMENT_DATA)
           : pos + 1 < s->n_pos ? tl_segment_name(TL_SEGMENT_QUERY)
                                : tl_segment_name(TL_SEGMENT_GENERATION);
}

const char *tl_finding_token(const tl_finding_part *p, size_t pos)
{
    static const char *const placeholders[] = {"{data}", "{query}", "{generation}"};
    const tl_study_scores *s = &p->scores;
    if (pos >= p->n_tokens)
        return "";
    if (p->tokens[pos].n_texts == 1)
        return p->tokens[pos].text;
    return pos < s->data_begin  ? "{before}"
           : pos < s->data_end  ? placeholders[TL_SEGMENT_DATA]
           : pos + 1 < s->n_pos ? placeholders[TL_SEGMENT_QUERY]
                                : placeholders[TL_SEGMENT_GENERATION];
}

/* ---- score files ----------------------------------------------------------------- */

/* One that is open, and where the smallest circuit of its modality ends. */
typedef struct scores {
    tl_safetensors *file;               /* NULL: there is none */
    const tl_tensor *of[TL_KIND_COUNT]; /* [n_layers, n_pos, n] */
    bool has_circuit;
    tl_leading_cut cuts[TL_KIND_COUNT];
} scores;

static tl_status open_scores(const char *path, scores *out, tl_error *err)
{
    tl_status status = tl_safetensors_open(path, &out->file, err);
    for (size_t k = 0; k < TL_KIND_COUNT && status == TL_OK; k++) {
        const char *name = tl_kind_name((tl_component_kind)k);
        status = tl_safetensors_need(out->file, name, &out->of[k], err);
        if (status == TL_ERR_NOT_FOUND)
            return tl_fail(err, TL_ERR_FORMAT,
                           "%s: there is no tensor '%s': not a score file", path, name);
        if (status == TL_OK && out->of[k]->n_dims != 3)
            status =
                tl_fail(err, TL_ERR_FORMAT,
                        "%s: '%s' has %zu dimensions, wanted 3: layers, positions, "
                        "%s",
                        path, name, out->of[k]->n_dims, name);
    }
    return status;
}

static tl_status open_study_scores(const tl_findings *f, tl_modality modality,
                                   tl_arena *arena, scores *out, tl_error *err)
{
    const tl_finding_part *p = &f->parts[modality];
    const tl_finding_point *smallest = tl_findings_smallest(p, TL_STUDY_CIRCUIT);
    if (p->importance[TL_KIND_HEADS] == NULL)
        return TL_OK;
    const char *path = tl_path_join(arena, f->folder, p->scores.file);
    tl_status status = path != NULL
                           ? open_scores(path, out, err)
                           : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
    out->has_circuit = status == TL_OK && smallest != NULL;
    for (size_t k = 0; k < TL_KIND_COUNT && out->has_circuit && status == TL_OK; k++) {
        const size_t n =
            k == TL_KIND_HEADS ? smallest->point->n_heads : smallest->point->n_neurons;
        if (n > tl_tensor_count(out->of[k]))
            return tl_fail(err, TL_ERR_FORMAT,
                           "%s: a circuit of %zu %s, and there are %zu", f->folder, n,
                           tl_kind_name((tl_component_kind)k),
                           tl_tensor_count(out->of[k]));
        status = tl_fail_while(
            err, tl_leading_cut_at(out->of[k], n, &out->cuts[k], err), "%s", path);
    }
    return status;
}

/* Whether the smallest circuit has the component. */
static tl_status look_up(const scores *s, tl_component_kind kind, size_t place,
                         bool *out, tl_error *err)
{
    float score = 0.0f;
    *out = false;
    if (place >= tl_tensor_count(s->of[kind])) /* of another model */
        return TL_OK;
    const tl_status status = tl_tensor_to_f32(s->of[kind], place, 1, &score, err);
    *out =
        status == TL_OK && tl_leading_is_within(&s->cuts[kind], (double)score, place);
    return status;
}

static const tl_interval not_measured = {NAN, NAN, NAN, NAN, 0, 0};

static tl_status list_leaders(const scores *s, tl_component_kind kind, size_t most,
                              tl_arena *arena, tl_finding_leader **out, size_t *n,
                              tl_error *err)
{
    const tl_tensor *of = s->of[kind];
    const size_t count = tl_tensor_count(of), room = most < count ? most : count;
    size_t *places = tl_arena_alloc(arena, room, sizeof *places);
    double *values = tl_arena_alloc(arena, room, sizeof *values);
    tl_finding_leader *list = tl_arena_alloc(arena, room, sizeof *list);
    if (places == NULL || values == NULL || list == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu components", room);
    const tl_status status = tl_leading_find(of, room, places, values, n, err);
    const size_t n_pos = of->dims[1], width = of->dims[2];
    for (size_t i = 0; i < *n && status == TL_OK; i++)
        list[i] = (tl_finding_leader){
            .layer = places[i] / width / n_pos,
            .pos = places[i] / width % n_pos,
            .index = places[i] % width,
            .score = values[i],
            .in_circuit = s->has_circuit &&
                          tl_leading_is_within(&s->cuts[kind], values[i], places[i]),
            .attributed = not_measured,
            .exact = not_measured};
    *out = list;
    return status;
}

static tl_status read_origin(const tl_safetensors *file, tl_arena *arena,
                             tl_score_file_origin *out, tl_error *err)
{
    const struct {
        const char *key, **to;
    } lines[] = {{"modality", &out->modality},
                 {TL_SCORES_MODEL, &out->model},
                 {TL_SCORES_DATASET, &out->dataset}};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const char *said = tl_safetensors_metadata(file, lines[i].key);
        if (said != NULL && (*lines[i].to = tl_arena_strdup(arena, said)) == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a name");
    }
    return TL_OK;
}

tl_status tl_score_file_leading(const char *path, size_t most, tl_arena *arena,
                                tl_finding_leaders *out, tl_score_file_origin *origin,
                                tl_error *err)
{
    scores s = {.file = NULL};
    tl_finding_leaders leaders = {.n = {0}};
    tl_score_file_origin of = {0};
    tl_status status = open_scores(path, &s, err);
    for (size_t k = 0; k < TL_KIND_COUNT && status == TL_OK; k++) {
        tl_finding_leader *list = NULL;
        status = tl_fail_while(err,
                               list_leaders(&s, (tl_component_kind)k, most, arena,
                                            &list, &leaders.n[k], err),
                               "%s: %s", path, tl_kind_name((tl_component_kind)k));
        leaders.of[k] = list;
    }
    if (status == TL_OK)
        status = read_origin(s.file, arena, &of, err);
    tl_safetensors_close(s.file);
    if (status == TL_OK) {
        *out = leaders;
        *origin = of;
    }
    return status;
}

/* ---- what patching has shown ------------------------------------------------------ */

/* Rows of exact effects; with `ig_steps` alone where there are several. */
typedef struct effects {
    const tl_study_effect *rows;
    size_t n, ig_steps;
} effects;

/* Studies with an older schema have patched a sample alone. */
static effects effects_of(const tl_findings *f, tl_modality modality)
{
    const tl_finding_part *p = &f->parts[modality];
    const tl_finding_validation *v = &f->validations[modality];
    return p->n_patched > 0
               ? (effects){p->patched, p->n_patched, p->patched[0].ig_steps}
               : (effects){v->effects, v->n_effects, v->ig_steps};
}

static tl_status measure(const effects *e, tl_component_kind kind, double *room,
                         tl_finding_leader *leader, tl_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < e->n; i++) {
        const tl_study_effect *row = &e->rows[i];
        if (row->ig_steps != e->ig_steps || row->layer != leader->layer ||
            row->pos != leader->pos || row->index != leader->index ||
            strcmp(row->kind, tl_kind_name(kind)) != 0)
            continue;
        room[n] = row->exact;
        room[e->n + n++] = row->attributed;
    }
    if (n == 0)
        return TL_OK;
    const tl_status status = tl_findings_mean(room, n, &leader->exact, err);
    return status == TL_OK ? tl_findings_mean(room + e->n, n, &leader->attributed, err)
                           : status;
}

/* ---- in the other modality -------------------------------------------------------- */

static tl_status look_at_other(const scores *other, tl_component_kind kind,
                               tl_modality modality, const tl_position_map *map,
                               tl_finding_leader *leader, tl_error *err)
{
    const tl_modality there = modality == TL_TEXT ? TL_IMAGE : TL_TEXT;
    const tl_tensor *of = other->of[kind];
    tl_status status = TL_OK;
    for (size_t i = 0; i < map->n_pairs && status == TL_OK; i++) {
        bool is_in = false;
        if (map->pairs[i][modality] != leader->pos)
            continue;
        status =
            look_up(other, kind,
                    (leader->layer * of->dims[1] + map->pairs[i][there]) * of->dims[2] +
                        leader->index,
                    &is_in, err);
        leader->n_aligned++;
        leader->n_shared += is_in;
    }
    return status;
}

static tl_span span_of(const tl_finding_part *p)
{
    return (tl_span){p->scores.n_pos, p->scores.data_begin, p->scores.data_end};
}

/* Both of which are open. */
static tl_status list_all(const tl_findings *f, tl_modality modality,
                          const scores both[TL_MODALITY_COUNT], size_t most,
                          tl_arena *arena, tl_finding_leaders *out, tl_error *err)
{
    const tl_modality other = modality == TL_TEXT ? TL_IMAGE : TL_TEXT;
    const effects e = effects_of(f, modality);
    const tl_span text = span_of(&f->parts[TL_TEXT]),
                  image = span_of(&f->parts[TL_IMAGE]);
    tl_position_map map = {.n_pairs = 0};
    tl_status status = TL_OK;
    out->has_circuit = both[modality].has_circuit;
    out->has_other = both[other].has_circuit;
    if (out->has_other)
        status = tl_position_map_init(&map, &text, &image, arena, err);
    double *room = tl_arena_alloc(arena, 2 * e.n, sizeof *room);
    if (status == TL_OK && room == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu effects", e.n);
    for (size_t k = 0; k < TL_KIND_COUNT && status == TL_OK; k++) {
        const tl_component_kind kind = (tl_component_kind)k;
        tl_finding_leader *list = NULL;
        status =
            list_leaders(&both[modality], kind, most, arena, &list, &out->n[k], err);
        for (size_t i = 0; i < out->n[k] && status == TL_OK; i++) {
            status = measure(&e, kind, room, &list[i], err);
            if (status == TL_OK && out->has_other)
                status =
                    look_at_other(&both[other], kind, modality, &map, &list[i], err);
        }
        out->of[k] = list;
    }
    return status;
}

tl_status tl_findings_leading(const tl_findings *f, tl_modality modality, size_t most,
                              tl_arena *arena, tl_finding_leaders *out, tl_error *err)
{
    scores both[TL_MODALITY_COUNT] = {{.file = NULL}};
    tl_finding_leaders leaders = {.n = {0}};
    tl_status status = TL_OK;
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++)
        status = open_study_scores(f, (tl_modality)m, arena, &both[m], err);
    if (status == TL_OK && both[modality].file != NULL)
        status = list_all(f, modality, both, most, arena, &leaders, err);
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        tl_safetensors_close(both[m].file);
    if (status == TL_OK)
        *out = leaders;
    return status;
}
