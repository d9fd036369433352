/* SPDX-License-Identifier: MIT
 * top_table.c - see top_table.h, and include/twinlens/report.h. */
#include "report/top_table.h"

#include <math.h>
#include <string.h>

#include "base/csv_write.h"
#include "base/file.h"
#include "base/sized.h"
#include "report/draw.h"
#include "report/input_text.h"
#include "report/json_interval.h"
#include "report/table.h"
#include "twinlens/report.h"

static const char *const singular[TL_KIND_COUNT] = {"head", "neuron"};

/* The leaders of a modality, and what their positions are; part NULL: nobody knows. */
typedef struct list {
    const tl_finding_part *part;
    tl_finding_leaders leaders;
    const char *modality, *other; /* modality NULL: a score file that does not say */
} list;

static tl_status read_list(const tl_findings *f, tl_modality modality, size_t most,
                           tl_arena *arena, list *out, tl_error *err)
{
    *out = (list){.part = &f->parts[modality],
                  .modality = tl_modality_name(modality),
                  .other = tl_modality_name(modality == TL_TEXT ? TL_IMAGE : TL_TEXT)};
    return tl_findings_leading(f, modality, most, arena, &out->leaders, err);
}

/* ---- tables ---------------------------------------------------------------------- */

/* ' red', with what has no width made visible; {data}; "-" where nothing is known. */
static const char *token_cell(const tl_finding_part *p, size_t pos, tl_arena *arena)
{
    const char *token = p != NULL ? tl_finding_token(p, pos) : "";
    if (token[0] == '\0')
        return "-";
    if (p->tokens[pos].n_texts != 1)
        return token;
    char *text = tl_arena_alloc(arena, 2 * strlen(token) + 3, 1), *at = text;
    if (text == NULL)
        return NULL;
    *at++ = '\'';
    for (; *token != '\0'; token++) {
        const char *known = strchr("\nn\tt\rr", *token);
        if (known != NULL && (unsigned char)*token < ' ') {
            *at++ = '\\';
            *at++ = known[1];
        } else {
            *at++ = *token;
        }
    }
    memcpy(at, "'", 2);
    return text;
}

/* Scores of neurons are small: digits that count, not decimals. */
static const char *number_cell(double value, tl_arena *arena)
{
    char text[32];
    snprintf(text, sizeof text, "%.3g", value + 0.0); /* never -0 */
    return tl_arena_strdup(arena, text);
}

static const char *interval_cell(const tl_interval *i, tl_arena *arena)
{
    char text[96];
    if (i->n == 0)
        return "not measured";
    if (!isfinite(i->low) || !isfinite(i->high))
        return number_cell(i->value, arena);
    snprintf(text, sizeof text, "%.3g (%.3g to %.3g)", i->value + 0.0, i->low + 0.0,
             i->high + 0.0);
    return tl_arena_strdup(arena, text);
}

static tl_status add_row(const list *l, const tl_finding_leader *x, size_t rank,
                         tl_table *table, tl_arena *arena, tl_error *err)
{
    const tl_finding_leaders *of = &l->leaders;
    char numbers[4][24], shared[64];
    const size_t counts[] = {rank, x->layer, x->index, x->pos};
    for (size_t i = 0; i < 4; i++)
        snprintf(numbers[i], sizeof numbers[i], "%zu", counts[i]);
    snprintf(shared, sizeof shared, "%zu of %zu", x->n_shared, x->n_aligned);
    const char *segment = l->part != NULL ? tl_finding_segment(l->part, x->pos) : NULL;
    const char *const cells[] = {numbers[0],
                                 numbers[1],
                                 numbers[2],
                                 numbers[3],
                                 token_cell(l->part, x->pos, arena),
                                 segment,
                                 number_cell(x->score, arena),
                                 interval_cell(&x->attributed, arena),
                                 interval_cell(&x->exact, arena),
                                 !of->has_circuit ? NULL
                                 : x->in_circuit  ? "yes"
                                                  : "no",
                                 of->has_other ? shared : NULL};
    return tl_table_add(table, arena, cells, err);
}

/* Of one kind; a table without rows: there are none. */
static tl_status make_table(const list *l, tl_component_kind kind, tl_arena *arena,
                            tl_table *out, tl_error *err)
{
    enum { KNOWN = 11, SCORES = 7 };
    const char **heads = tl_arena_alloc(arena, KNOWN, sizeof *heads);
    char title[96], other[64];
    snprintf(title, sizeof title, "Leading %s%s%s", tl_kind_name(kind),
             l->modality != NULL ? ", " : "", l->modality != NULL ? l->modality : "");
    snprintf(other, sizeof other, "in the %s circuit", l->other);
    tl_table table = {.name = "top",
                      .title = tl_arena_strdup(arena, title),
                      .heads = heads,
                      .n_columns = l->part != NULL ? KNOWN : SCORES};
    const char *const names[KNOWN] = {"#",
                                      "layer",
                                      singular[kind],
                                      "position",
                                      "token",
                                      "segment",
                                      "score",
                                      "signed score",
                                      "effect of removing it",
                                      "in the circuit",
                                      tl_arena_strdup(arena, other)};
    if (heads == NULL || table.title == NULL || names[KNOWN - 1] == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a table");
    memcpy(heads, names, sizeof names);
    tl_status status = TL_OK;
    size_t most = 0, least = SIZE_MAX; /* of those that were patched at all */
    for (size_t i = 0; i < l->leaders.n[kind]; i++) {
        const size_t n = l->leaders.of[kind][i].exact.n;
        most = n > most ? n : most;
        least = n > 0 && n < least ? n : least;
    }
    if (l->part != NULL) {
        char pairs[128];
        const int used =
            snprintf(pairs, sizeof pairs, "Scores over %zu discovery pairs",
                     l->part->scores.n_pairs);
        if (most > least)
            snprintf(pairs + used, sizeof pairs - (size_t)used,
                     ", effects over %zu to %zu, few of which show little.", least,
                     most);
        else if (most > 0)
            snprintf(pairs + used, sizeof pairs - (size_t)used, ", effects over %zu.",
                     most);
        else
            snprintf(pairs + used, sizeof pairs - (size_t)used, ".");
        if ((table.note = tl_arena_strdup(arena, pairs)) == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a table");
    }
    for (size_t i = 0; i < l->leaders.n[kind] && status == TL_OK; i++)
        status = add_row(l, &l->leaders.of[kind][i], i + 1, &table, arena, err);
    *out = table;
    return status;
}

/* Its lines are those of a terminal. */
static const char note[] =
    "Layers, heads, neurons and positions are counted from 0. Score: the mean over "
    "discovery pairs by which circuits are chosen.\n"
    "Signed score, and effect of removing it: over the pairs on which it was patched, "
    "with 95 % intervals over these. The effect is exact:\n"
    "the logit difference with it at its counterfactual value, minus that of the clean "
    "run. Both are negative where it helps the answer.\n"
    "In the circuit: the smallest faithful one. In that of the other modality: at how "
    "many of the positions that play the same part\n"
    "there it has the same head or neuron. A word in braces: prompts have different "
    "tokens there.";

typedef struct wanted {
    bool modalities[TL_MODALITY_COUNT], kinds[TL_KIND_COUNT];
    size_t n;
} wanted;

/* Every table that has rows goes through `put`. */
static tl_status each_table(const tl_findings *f, const wanted *w, tl_arena *arena,
                            void (*put)(const tl_table *table, FILE *out), FILE *out,
                            bool *any, tl_error *err)
{
    tl_status status = TL_OK;
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++) {
        list l;
        if (!w->modalities[m])
            continue;
        status = read_list(f, (tl_modality)m, w->n, arena, &l, err);
        for (size_t k = 0; k < TL_KIND_COUNT && status == TL_OK; k++) {
            tl_table table = {.n_rows = 0};
            if (w->kinds[k])
                status = make_table(&l, (tl_component_kind)k, arena, &table, err);
            if (status == TL_OK && table.n_rows > 0) {
                put(&table, out);
                *any = true;
            }
        }
    }
    return status;
}

static const wanted all = {{true, true}, {true, true}, TL_TOP};

static void print_table(const tl_table *table, FILE *out)
{
    fputc('\n', out);
    tl_table_print(table, out);
}

tl_status tl_top_print(const tl_findings *f, FILE *out, tl_error *err)
{
    bool any = false;
    tl_arena *arena = tl_arena_create();
    const tl_status status =
        arena != NULL ? each_table(f, &all, arena, print_table, out, &any, err)
                      : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for tables");
    if (status == TL_OK && any)
        fprintf(out, "\n%s\n", note);
    tl_arena_destroy(arena);
    return status;
}

tl_status tl_draw_leading(const tl_findings *f, const char *prefix, FILE *page,
                          tl_error *err)
{
    (void)prefix;
    bool any = false;
    tl_arena *arena = tl_arena_create();
    const tl_status status =
        arena != NULL ? each_table(f, &all, arena, tl_table_html, page, &any, err)
                      : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for tables");
    if (status == TL_OK && any)
        fprintf(page, "<p class=\"note\">%s</p>\n", note);
    tl_arena_destroy(arena);
    return status;
}

/* ---- JSON ------------------------------------------------------------------------ */

static json_t *measured(const tl_interval *i)
{
    return i->n > 0 ? tl_json_interval(i) : json_null();
}

static json_t *leader_json(const tl_finding_part *p, const tl_finding_leaders *of,
                           const tl_finding_leader *x, tl_component_kind kind)
{
    const bool has_token = p != NULL && x->pos < p->n_tokens;
    const tl_study_token *t = has_token ? &p->tokens[x->pos] : NULL;
    return json_pack(
        "{s:I, s:I, s:I, s:s?, s:s?, s:s?, s:f, s:o, s:o, s:o, s:o}", "layer",
        (json_int_t)x->layer, singular[kind], (json_int_t)x->index, "position",
        (json_int_t)x->pos, "token", t != NULL && t->n_texts == 1 ? t->text : NULL,
        "first_token", t != NULL ? t->text : NULL, "segment",
        p != NULL ? tl_finding_segment(p, x->pos) : NULL, "score", x->score,
        "signed_score", measured(&x->attributed), "exact_effect", measured(&x->exact),
        "in_circuit", of->has_circuit ? json_boolean(x->in_circuit) : json_null(),
        "in_other_circuit",
        of->has_other && x->n_aligned > 0
            ? json_pack("{s:I, s:I, s:f}", "positions", (json_int_t)x->n_aligned,
                        "shared", (json_int_t)x->n_shared, "share",
                        (double)x->n_shared / (double)x->n_aligned)
            : json_null());
}

json_t *tl_top_json(const tl_finding_part *part, const tl_finding_leaders *leaders)
{
    json_t *kinds = json_object();
    if (part != NULL)
        json_object_set_new(kinds, "pairs",
                            json_integer((json_int_t)part->scores.n_pairs));
    for (size_t k = 0; k < TL_KIND_COUNT; k++) {
        json_t *rows = json_array();
        for (size_t i = 0; i < leaders->n[k]; i++)
            json_array_append_new(rows, leader_json(part, leaders, &leaders->of[k][i],
                                                    (tl_component_kind)k));
        json_object_set_new(kinds, tl_kind_name((tl_component_kind)k), rows);
    }
    return kinds;
}

/* ---- CSV ------------------------------------------------------------------------- */

static void write_interval(const tl_interval *i, FILE *out)
{
    const double numbers[] = {i->value, i->low, i->high};
    for (size_t k = 0; k < 3; k++) {
        fputc(',', out);
        tl_csv_write_number(out, 9, numbers[k]);
    }
}

static void write_line(const list *l, tl_component_kind kind, size_t i, FILE *out)
{
    const tl_finding_leader *x = &l->leaders.of[kind][i];
    const char *segment = tl_finding_segment(l->part, x->pos);
    fprintf(out, "%s,%s,%zu,%zu,%zu,%zu,", l->modality, tl_kind_name(kind), i + 1,
            x->layer, x->pos, x->index);
    tl_csv_write_text(out, tl_finding_token(l->part, x->pos));
    fprintf(out, ",%s,%.9g", segment != NULL ? segment : "", x->score);
    write_interval(&x->attributed, out);
    write_interval(&x->exact, out);
    fprintf(out, ",%zu,", x->exact.n);
    if (l->leaders.has_circuit)
        fprintf(out, "%d", x->in_circuit);
    if (l->leaders.has_other)
        fprintf(out, ",%zu,%zu\r\n", x->n_aligned, x->n_shared);
    else
        fputs(",,\r\n", out);
}

tl_status tl_top_csv(const tl_findings *f, FILE *out, tl_error *err)
{
    tl_arena *arena = tl_arena_create();
    tl_status status =
        arena != NULL ? TL_OK : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a list");
    fputs("modality,kind,rank,layer,position,idx,token,segment,score,signed_score,"
          "signed_low,signed_high,exact_effect,exact_low,exact_high,pairs,in_circuit,"
          "other_positions,other_shared\r\n",
          out);
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++) {
        list l;
        status = read_list(f, (tl_modality)m, TL_TOP, arena, &l, err);
        for (size_t k = 0; k < TL_KIND_COUNT && status == TL_OK; k++)
            for (size_t i = 0; i < l.leaders.n[k]; i++)
                write_line(&l, (tl_component_kind)k, i, out);
    }
    tl_arena_destroy(arena);
    return status;
}

/* ---- `twinlens top` --------------------------------------------------------------- */

/* Leaves the other kind out. */
static json_t *kinds_json(const tl_finding_part *p, const tl_finding_leaders *leaders,
                          const wanted *w)
{
    json_t *kinds = tl_top_json(p, leaders);
    for (size_t k = 0; k < TL_KIND_COUNT; k++)
        if (!w->kinds[k])
            json_object_del(kinds, tl_kind_name((tl_component_kind)k));
    return kinds;
}

static tl_status write_study_json(const tl_findings *f, const wanted *w,
                                  tl_arena *arena, FILE *out, tl_error *err)
{
    static const char *const keys[] = {"task", "model", "model-name", "dataset",
                                       "dataset-name"};
    json_t *root = json_object(), *modalities = json_object();
    tl_status status = TL_OK;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        json_object_set_new(root, keys[i], json_string(tl_findings_key(f, keys[i])));
    json_object_set(root, "modalities", modalities);
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++) {
        list l;
        if (!w->modalities[m] || !f->parts[m].present)
            continue;
        status = read_list(f, (tl_modality)m, w->n, arena, &l, err);
        if (status == TL_OK)
            json_object_set_new(modalities, l.modality,
                                kinds_json(l.part, &l.leaders, w));
    }
    json_decref(modalities);
    if (status == TL_OK)
        return tl_json_dump(root, out, err);
    json_decref(root);
    return status;
}

static tl_status write_study(const tl_findings *f, const wanted *w, tl_arena *arena,
                             FILE *out, tl_error *err)
{
    char text[TL_INPUT_TEXT];
    bool any = false;
    fprintf(out, "task      %s\n", tl_study_task(f));
    fprintf(out, "dataset   %s\n", tl_input_text(f, "dataset", text));
    fprintf(out, "model     %s\n", tl_input_text(f, "model", text));
    const tl_status status = each_table(f, w, arena, print_table, out, &any, err);
    if (status == TL_OK && any)
        fprintf(out, "\n%s\n", note);
    return status;
}

/* A study without scores of what is wanted has nothing to list. */
static tl_status check_study(const tl_findings *f, const wanted *w, tl_error *err)
{
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        if (w->modalities[m] && f->parts[m].importance[TL_KIND_HEADS] != NULL)
            return TL_OK;
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        if (w->modalities[m] && f->parts[m].scores.file != NULL)
            return tl_fail(err, TL_ERR_NOT_FOUND, "%s: %s is not there", f->folder,
                           f->parts[m].scores.file);
    return tl_fail(err, TL_ERR_DATA, "%s: the study has no scores of %s prompts%s",
                   f->folder,
                   w->modalities[TL_TEXT] && w->modalities[TL_IMAGE] ? "any"
                   : w->modalities[TL_TEXT]                          ? "text"
                                                                     : "image",
                   f->finished ? "" : " yet");
}

static tl_status write_file(const char *path, const wanted *w, bool json,
                            tl_arena *arena, FILE *out, tl_error *err)
{
    list l = {.other = ""};
    tl_score_file_origin o;
    tl_status status = tl_score_file_leading(path, w->n, arena, &l.leaders, &o, err);
    if (status != TL_OK)
        return status;
    l.modality = o.modality;
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        if (l.modality != NULL && !w->modalities[m] &&
            strcmp(l.modality, tl_modality_name((tl_modality)m)) == 0)
            return tl_fail(err, TL_ERR_DATA, "%s: scores of %s prompts", path,
                           l.modality);
    if (json)
        return tl_json_dump(json_pack("{s:s, s:s?, s:s?, s:{s:o}}", "scores", path,
                                      "model", o.model, "dataset", o.dataset,
                                      "modalities",
                                      l.modality != NULL ? l.modality : "unknown",
                                      kinds_json(NULL, &l.leaders, w)),
                            out, err);
    fprintf(out, "scores    %s\n", path);
    if (o.dataset != NULL && o.model != NULL)
        fprintf(out, "dataset   %.12s\nmodel     %.12s\n", o.dataset, o.model);
    for (size_t k = 0; k < TL_KIND_COUNT && status == TL_OK; k++) {
        tl_table table;
        if (!w->kinds[k])
            continue;
        status = make_table(&l, (tl_component_kind)k, arena, &table, err);
        if (status == TL_OK)
            print_table(&table, out);
    }
    return status;
}

static tl_status write_any(const char *path, const wanted *w, bool json,
                           tl_arena *arena, FILE *out, tl_error *err)
{
    tl_findings f;
    if (!tl_file_is_folder(path))
        return write_file(path, w, json, arena, out, err);
    tl_status status = tl_findings_read(path, arena, &f, err);
    if (status == TL_OK)
        status = check_study(&f, w, err);
    if (status != TL_OK)
        return status;
    return json ? write_study_json(&f, w, arena, out, err)
                : write_study(&f, w, arena, out, err);
}

tl_status tl_top_write(const char *path, const tl_top_options *options, FILE *out,
                       tl_error *err)
{
    tl_top_options o;
    tl_status status = tl_sized_copy(options, &o, sizeof o, "tl_top_options", err);
    if (status != TL_OK)
        return status;
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", path);
    wanted w = {.n = o.n > 0 ? o.n : TL_TOP};
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        w.modalities[m] = !o.one_modality || o.modality == (tl_modality)m;
    for (size_t k = 0; k < TL_KIND_COUNT; k++)
        w.kinds[k] = !o.one_kind || o.kind == (tl_component_kind)k;
    status = write_any(path, &w, o.json, arena, out, err);
    tl_arena_destroy(arena);
    return status;
}
