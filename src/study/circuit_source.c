/* SPDX-License-Identifier: MIT
 * circuit_source.c - see circuit_source.h. */
#include "study/circuit_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "store/score_file.h"
#include "store/study_db.h"

/* ---- from scores ------------------------------------------------------------------ */

/* Where scores are, and how many of a kind are taken of them if nobody says. */
typedef struct scored {
    const char *path;
    tl_circuit_shape shape;
    size_t minimal[TL_KIND_COUNT];
} scored;

static tl_status read_minimal(const tl_study_db *db, tl_modality modality,
                              const char *folder, tl_arena *arena, scored *out,
                              tl_error *err)
{
    tl_study_minimal minimal = {.modality = modality};
    bool known = false;
    tl_status status =
        tl_study_db_find(db, TL_ROW_MINIMAL, &minimal, arena, &known, err);
    if (status == TL_OK && (!known || !minimal.found))
        return tl_fail(err, TL_ERR_DATA,
                       "%s: has no smallest faithful %s circuit, wanted --fraction P",
                       folder, tl_modality_name(modality));
    tl_study_point point = {
        .modality = modality, .kind = TL_STUDY_CIRCUIT, .point = minimal.point};
    if (status == TL_OK)
        status = tl_study_db_find(db, TL_ROW_POINT, &point, arena, NULL, err);
    if (status == TL_OK) {
        out->minimal[TL_KIND_HEADS] = point.n_heads;
        out->minimal[TL_KIND_NEURONS] = point.n_neurons;
    }
    return status;
}

static tl_status find_in_study(const char *folder, const tl_circuit_cut *cut,
                               bool minimal, tl_arena *arena, scored *out,
                               tl_error *err)
{
    tl_study_db *db = NULL;
    tl_study_scores found = {0};
    size_t n = 0;
    tl_status status = tl_study_db_open(folder, TL_STUDY_READ, &db, err);
    if (status != TL_OK)
        return status;
    for (int m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++) {
        tl_study_scores one = {.modality = (tl_modality)m};
        bool there = false;
        if (cut->modality >= 0 && cut->modality != m)
            continue;
        status = tl_study_db_find(db, TL_ROW_SCORES, &one, arena, &there, err);
        if (there)
            found = one;
        n += there;
    }
    if (status == TL_OK && n != 1)
        status = tl_fail(err, TL_ERR_ARGUMENT,
                         n == 0 ? "%s: has no scores%s%s"
                                : "%s: has scores of text and of image%s%s, wanted "
                                  "--modality text|image",
                         folder, n == 0 && cut->modality >= 0 ? " of " : "",
                         n == 0 && cut->modality >= 0
                             ? tl_modality_name((tl_modality)cut->modality)
                             : "");
    if (status == TL_OK) {
        out->path = tl_path_join(arena, folder, found.file);
        out->shape =
            (tl_circuit_shape){found.n_layers,
                               found.n_heads,
                               found.d_mlp,
                               {found.n_pos, found.data_begin, found.data_end}};
        status = out->path != NULL
                     ? tl_score_file_check(out->path, found.sha256, err)
                     : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
    }
    if (status == TL_OK && minimal)
        status = read_minimal(db, found.modality, folder, arena, out, err);
    tl_study_db_close(db);
    return status;
}

/* What --heads and --neurons say. */
static tl_status read_count(const char *text, tl_component_kind kind, size_t most,
                            size_t *out, tl_error *err)
{
    char *end = NULL;
    const unsigned long long n = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || n > most)
        return tl_fail(err, TL_ERR_ARGUMENT, "--%s is '%s', wanted 0 to %zu",
                       kind == TL_KIND_HEADS ? "heads" : "neurons", text, most);
    *out = (size_t)n;
    return TL_OK;
}

static tl_status cut_scores(const scored *from, const tl_circuit_cut *cut,
                            tl_arena *arena, tl_component_set *out, tl_error *err)
{
    const tl_circuit_shape *s = &from->shape;
    const tl_dims dims = {
        .n_layers = s->n_layers, .n_heads = s->n_heads, .d_mlp = s->d_mlp};
    const size_t places = s->n_layers * s->span.n_pos,
                 all[TL_KIND_COUNT] = {places * s->n_heads, places * s->d_mlp};
    tl_scores scores;
    tl_ranking ranking;
    tl_fraction fraction;
    size_t counts[TL_KIND_COUNT] = {from->minimal[0], from->minimal[1]};
    tl_status status =
        tl_score_file_read(from->path, &dims, s->span.n_pos, arena, &scores, err);
    if (status == TL_OK)
        status =
            tl_fail_while(err, tl_ranking_from_scores(&scores, arena, &ranking, err),
                          "%s", from->path);
    if (status == TL_OK && cut->fraction != NULL)
        status = tl_fraction_parse(cut->fraction, &fraction, err);
    for (size_t k = 0; k < TL_KIND_COUNT && status == TL_OK; k++)
        if (cut->counts[k] != NULL)
            status = read_count(cut->counts[k], (tl_component_kind)k, all[k],
                                &counts[k], err);
        else if (cut->fraction != NULL)
            counts[k] = tl_fraction_of(fraction, all[k], cut->rounding);
    const tl_circuit circuit = {.ranking = &ranking,
                                .n_heads = counts[TL_KIND_HEADS],
                                .n_neurons = counts[TL_KIND_NEURONS]};
    return status == TL_OK ? tl_set_from_circuit(&circuit, arena, out, err) : status;
}

static const char *make_note(const scored *from, const tl_component_set *set,
                             bool minimal, tl_arena *arena)
{
    const size_t bytes = strlen(from->path) + 160;
    char *note = tl_arena_alloc(arena, bytes, 1);
    if (note != NULL)
        snprintf(note, bytes, "the first %zu heads and %zu neurons of %s%s",
                 tl_set_count(set, TL_KIND_HEADS), tl_set_count(set, TL_KIND_NEURONS),
                 from->path, minimal ? ", the smallest faithful circuit" : "");
    return note;
}

/* A study, or a file of scores. */
static tl_status read_scored(const char *source, const tl_circuit_cut *cut,
                             tl_arena *arena, tl_circuit_shape *shape,
                             tl_component_set *out, const char **note, tl_error *err)
{
    scored from = {.path = source};
    const bool sized = cut->fraction != NULL || cut->counts[TL_KIND_HEADS] != NULL ||
                       cut->counts[TL_KIND_NEURONS] != NULL;
    tl_status status = TL_OK;
    if (tl_file_is_folder(source))
        status = find_in_study(source, cut, !sized, arena, &from, err);
    else if (!sized)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "%s: how many of these? wanted --fraction P, --heads N or "
                       "--neurons N",
                       source);
    else if (cut->modality >= 0)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "%s: holds scores of one modality, wanted none named", source);
    else
        status =
            tl_score_file_shape(source, &from.shape.n_layers, &from.shape.span.n_pos,
                                &from.shape.n_heads, &from.shape.d_mlp, err);
    if (status == TL_OK)
        status = cut_scores(&from, cut, arena, out, err);
    if (status != TL_OK)
        return status;
    *note = make_note(&from, out, !sized, arena);
    *shape = from.shape;
    return *note != NULL ? TL_OK
                         : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a note");
}

/* ---- what is done with it ---------------------------------------------------------- */

typedef struct operation {
    const char *const *texts;
    size_t n;
    void (*apply)(const tl_component_set *from, tl_component_set *to);
} operation;

static void add_all(const tl_component_set *from, tl_component_set *to)
{
    tl_set_add(from, 0, from->n_pos, to);
}

/* The first shape that is said, and where the data are by whoever says it. */
static tl_status take_shape(const char *text, tl_circuit_shape *shape, bool *known,
                            tl_error *err)
{
    tl_circuit_shape said;
    bool found = false;
    const tl_status status = tl_circuit_shape_read(text, &said, &found, err);
    if (status != TL_OK || !found)
        return status;
    if (!*known)
        *shape = said;
    else if (shape->span.data_end == 0 && shape->span.n_pos == said.span.n_pos)
        shape->span = said.span;
    *known = true;
    return TL_OK;
}

static tl_status apply(const operation *of, const tl_circuit_shape *shape,
                       tl_arena *arena, tl_component_set *set, tl_error *err)
{
    tl_status status = TL_OK;
    for (size_t i = 0; i < of->n && status == TL_OK; i++) {
        const tl_arena_mark mark = tl_arena_get_mark(arena);
        tl_component_set other;
        status = tl_circuit_read(of->texts[i], shape, arena, &other, err);
        if (status == TL_OK)
            of->apply(&other, set);
        tl_arena_rewind(arena, mark);
    }
    return status;
}

/* One segment and one kind. */
static tl_status restrict_to(const tl_circuit_algebra *a, const tl_circuit_shape *shape,
                             tl_arena *arena, tl_component_set *set, tl_error *err)
{
    const tl_component_set all = *set;
    size_t begin = 0, end = all.n_pos;
    if (a->segment >= 0 && a->segment != TL_SEGMENT_GENERATION &&
        shape->span.data_end == 0)
        return tl_fail(err, TL_ERR_DATA,
                       "nothing says where the data are: wanted the folder of a study, "
                       "or \"data\": [BEGIN, END] in the \"shape\" of a file");
    if (a->segment >= 0)
        tl_span_segment(&shape->span, (tl_segment)a->segment, &begin, &end);
    const tl_status status =
        tl_set_create(all.n_layers, all.n_pos, all.n_heads, all.d_mlp, arena, set, err);
    if (status != TL_OK)
        return status;
    tl_set_add(&all, begin, end, set);
    const size_t places = set->n_layers * set->n_pos;
    if (a->kind == TL_KIND_HEADS)
        memset(set->neurons, 0, places * set->d_mlp);
    if (a->kind == TL_KIND_NEURONS)
        memset(set->heads, 0, places * set->n_heads);
    return TL_OK;
}

tl_status tl_circuit_source_read(const char *source, const tl_circuit_cut *cut,
                                 const tl_circuit_algebra *a, tl_arena *arena,
                                 tl_circuit_shape *shape, tl_component_set *out,
                                 const char **note, tl_error *err)
{
    const operation operations[] = {{a->with, a->n_with, tl_set_intersect},
                                    {a->or_with, a->n_or_with, add_all},
                                    {a->without, a->n_without, tl_set_remove}};
    const bool is_scored = tl_file_exists(source) && !tl_circuit_is_file(source);
    bool known = is_scored;
    tl_circuit_shape s = {0};
    tl_component_set set;
    const char *made = NULL;
    tl_status status = TL_OK;
    if (is_scored)
        status = read_scored(source, cut, arena, &s, &set, &made, err);
    else if (!tl_circuit_is_file(source) && strspn(source, "L0123456789") < 2)
        status =
            tl_fail(err, TL_ERR_NOT_FOUND,
                    "%s: there is no such study or file, and it is no list such as "
                    "L3H5,L4N120@17",
                    source);
    else if (cut->fraction != NULL || cut->modality >= 0 || cut->counts[0] != NULL ||
             cut->counts[1] != NULL)
        status = tl_fail(err, TL_ERR_ARGUMENT,
                         "%s: is a circuit already, wanted a study or a score file "
                         "beside --modality, --fraction, --heads and --neurons",
                         source);
    else
        status = take_shape(source, &s, &known, err);
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < operations[i].n && status == TL_OK; k++)
            status = take_shape(operations[i].texts[k], &s, &known, err);
    if (status == TL_OK && !known)
        status = tl_fail(err, TL_ERR_DATA,
                         "%s: no file here says over how many layers, positions, heads "
                         "and neurons, wanted a \"shape\" in one",
                         source);
    if (status == TL_OK && !is_scored)
        status = tl_circuit_read(source, &s, arena, &set, err);
    for (size_t i = 0; i < 3 && status == TL_OK; i++)
        status = apply(&operations[i], &s, arena, &set, err);
    if (status == TL_OK)
        status = restrict_to(a, &s, arena, &set, err);
    if (status != TL_OK)
        return status;
    *shape = s;
    *out = set;
    /* Of what is combined or cut further it is not true. */
    *note =
        a->n_with + a->n_or_with + a->n_without == 0 && a->segment < 0 && a->kind < 0
            ? made
            : NULL;
    return TL_OK;
}
