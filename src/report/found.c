/* SPDX-License-Identifier: MIT
 * found.c - see found.h. */
#include "report/found.h"

#include <math.h>
#include <stdlib.h>

#include "report/draw.h"
#include "report/svg.h"

static const char *const prompts_of[TL_MODALITY_COUNT] = {"text", "image"};
static const char *const places[TL_SEGMENT_COUNT] = {"at the data", "at the question",
                                                     "at the last position"};

/* "; " between the parts of a sentence, nothing before the first. */
static const char *between(bool *is_first)
{
    const char *text = *is_first ? "" : "; ";
    *is_first = false;
    return text;
}

/* ---- what the model can do ------------------------------------------------------- */

static void write_accuracy(const tl_findings *f, FILE *page)
{
    bool is_first = true;
    fputs(
        "<li><strong>What the model can do.</strong> Share of prompts answered right, "
        "when it may choose among the task's labels only: ",
        page);
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        if (f->parts[m].present) {
            fputs(between(&is_first), page);
            tl_draw_interval(page, &f->parts[m].limited, "over prompts");
            fprintf(page, " of %zu %s", f->parts[m].n_prompts,
                    m == TL_TEXT ? "in text" : "as images");
        }
    fputs(".</li>\n", page);
}

/* ---- where it looks --------------------------------------------------------------- */

/* Of the scores of a modality: the shares of the segments, and the layers between which the
 * middle half of it lies. */
typedef struct spread {
    double shares[TL_SEGMENT_COUNT]; /* the rest is before the data */
    size_t from, to;
} spread;

static size_t layer_at(const double *layers, size_t n, double sum)
{
    size_t l = 0;
    double so_far = layers[0];
    while (l + 1 < n && so_far < sum)
        so_far += layers[++l];
    return l;
}

static bool measure_spread(const tl_finding_part *p, spread *out)
{
    enum { MOST = 512 };
    double layers[MOST] = {0}, sum = 0.0;
    const tl_study_scores *s = &p->scores;
    *out = (spread){.from = 0};
    if (p->importance_of_both == NULL || s->n_layers > MOST)
        return false;
    for (size_t l = 0; l < s->n_layers; l++)
        for (size_t t = 0; t < s->n_pos; t++) {
            const double value = p->importance_of_both[l * s->n_pos + t];
            layers[l] += value;
            sum += value;
            if (t >= s->data_begin)
                out->shares[t < s->data_end    ? TL_SEGMENT_DATA
                            : t + 1 < s->n_pos ? TL_SEGMENT_QUERY
                                               : TL_SEGMENT_GENERATION] += value;
        }
    for (size_t i = 0; i < TL_SEGMENT_COUNT; i++)
        out->shares[i] /= sum;
    out->from = layer_at(layers, s->n_layers, 0.25 * sum);
    out->to = layer_at(layers, s->n_layers, 0.75 * sum);
    return sum > 0.0 && isfinite(sum);
}

static void write_places(const tl_findings *f, FILE *page)
{
    bool any = false;
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const tl_finding_part *p = &f->parts[m];
        spread s;
        if (!measure_spread(p, &s))
            continue;
        if (!any)
            fputs("<li><strong>Where it looks.</strong> The attribution score of a "
                  "head or "
                  "neuron at a position says how much the answer hangs on it.",
                  page);
        any = true;
        fprintf(page, " Of all scores of %s prompts are", prompts_of[m]);
        for (size_t i = 0; i < TL_SEGMENT_COUNT; i++)
            fprintf(page, "%s %.0f&nbsp;%% %s", i == 0 ? "" : ",", 100.0 * s.shares[i],
                    places[i]);
        fprintf(
            page,
            "; the middle half is in layers %zu to %zu (of 0 to %zu; means over %zu "
            "prompts, without an interval).",
            s.from, s.to, p->scores.n_layers - 1, p->scores.n_pairs);
    }
    fputs(any ? "</li>\n" : "", page);
}

/* The layer after which words for the same content are nearest, beside others. */
static const tl_finding_layer *nearest_layer(const tl_findings *f)
{
    const tl_finding_layer *nearest = f->layers;
    for (size_t l = 0; l < f->n_layers; l++)
        if (f->layers[l].difference.value > nearest->difference.value ||
            isnan(nearest->difference.value))
            nearest = &f->layers[l];
    return nearest;
}

static void write_alignment(const tl_findings *f, FILE *page)
{
    if (f->n_layers == 0)
        return;
    const tl_finding_layer *nearest = nearest_layer(f);
    fprintf(
        page,
        "<li><strong>Where images look most like text.</strong> The states of "
        "image tokens are compared with those of words for the same content, and with "
        "those of words for other content. The first cosine exceeds the second most "
        "after layer %zu (of 0 to %zu; chosen on the same pairs): by ",
        (size_t)(nearest - f->layers), f->n_layers - 1);
    tl_draw_interval(page, &nearest->difference, "over pairs of prompts");
    fputs(".</li>\n", page);
}

/* ---- circuits -------------------------------------------------------------------- */

static double threshold_of(const tl_findings *f)
{
    return strtod(tl_findings_key(f, "threshold"), NULL);
}

static void write_circuits(const tl_findings *f, FILE *page)
{
    bool is_first = true;
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const tl_finding_point *p =
            tl_findings_smallest(&f->parts[m], TL_STUDY_CIRCUIT);
        if (p == NULL)
            continue;
        if (is_first)
            fputs("<li><strong>How much of the model it takes.</strong> A circuit is "
                  "some of the model's heads and neurons, each at one position of the "
                  "prompt; its faithfulness is 1 when it does as well as the whole "
                  "model, and 0 when nothing of the model is left. ",
                  page);
        const bool begins = is_first;
        fprintf(page, "%s%s prompts, %.4g&nbsp;%% of all: ", between(&is_first),
                m == TL_TEXT ? "Text"
                : begins     ? "Image"
                             : "image",
                100.0 * p->fraction);
        tl_draw_interval(page, tl_findings_chosen(f, p), "over prompts");
        if (f->parts[m].is_shown)
            continue;
        fputs(" (not shown to be above ", page);
        tl_xml_text(page, tl_findings_key(f, "threshold"));
        if (f->parts[m].shown != NULL)
            fprintf(page, "; %.4g&nbsp;%% is", 100.0 * f->parts[m].shown->fraction);
        fputs(")", page);
    }
    if (!is_first)
        fputs(".</li>\n", page);
}

static void write_segments(FILE *page,
                           const tl_interval *const values[TL_SEGMENT_COUNT],
                           const char *over)
{
    bool is_first = true;
    for (size_t s = 0; s < TL_SEGMENT_COUNT; s++)
        if (values[s] != NULL) {
            fprintf(page, "%s%s ", between(&is_first), places[s]);
            tl_draw_interval(page, values[s], over);
        }
    fputs(".</li>\n", page);
}

/* Whether the scale from a random part to a circuit's own has a length: its own does better, in
 * both modalities. */
static bool has_scale(const tl_findings *f, size_t segment)
{
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        if (!f->has_swaps[m] ||
            !(f->swaps[m][segment].own.low > f->swaps[m][segment].random.high))
            return false;
    return true;
}

/* --niou ref: its values end at .01 and 1, and chance is no point of it. */
static bool is_published_overlap(const tl_findings *f)
{
    return strcmp(tl_findings_key(f, "niou"), "ref") == 0;
}

static void write_sharing(const tl_findings *f, FILE *page)
{
    const tl_interval *same[TL_SEGMENT_COUNT], *job[TL_SEGMENT_COUNT];
    size_t n_same = 0, n_jobs = 0;
    for (size_t s = 0; s < TL_SEGMENT_COUNT; s++) {
        const tl_finding_overlap *o = tl_findings_overlap(f, (tl_segment)s, "both");
        same[s] = o != NULL && !isnan(o->normalised.value) ? &o->normalised : NULL;
        job[s] = has_scale(f, s) && !isnan(f->swapped[s].value) ? &f->swapped[s] : NULL;
        n_same += same[s] != NULL;
        n_jobs += job[s] != NULL;
    }
    if (n_same > 0) {
        fprintf(
            page,
            "<li><strong>How far the two circuits are the same parts.</strong> Share "
            "of heads and neurons that both have, %s: ",
            is_published_overlap(f)
                ? "above chance by the published measure, which is .01 where nothing "
                  "is left"
                : "where 0 is what chance gives and 1 is all of them");
        write_segments(page, same, "over prompts and draws");
    }
    if (n_jobs > 0) {
        fputs(
            "<li><strong>How far they do the same job.</strong> A part of one circuit "
            "put into the place of the other's, where 0 is no better than a random "
            "part and 1 is as good as its own: ",
            page);
        write_segments(page, job, "over prompts and draws");
    }
}

/* ---- back-patching ---------------------------------------------------------------- */

static const char *small_p(double p, char text[16])
{
    if (p < 0.001)
        return "&lt; 0.001";
    snprintf(text, 16, "= %.3f", p);
    return text;
}

static void write_patching(const tl_findings *f, FILE *page)
{
    const tl_finding_change *c = &f->backpatch.chosen_elsewhere;
    if (f->backpatch.n_cells == 0)
        return;
    fputs("<li><strong>What back-patching brings.</strong> The states of image tokens "
          "after a later layer are written back into an earlier one; which layers is "
          "chosen on other prompts. The share of image prompts answered right changes "
          "by ",
          page);
    tl_draw_interval(page, &c->gain, "over prompts");
    fprintf(page,
            ": %zu become right, %zu become wrong (exact p %s), which is %s.</li>\n",
            c->n_fixed, c->n_broken, small_p(c->p, (char[16]){0}),
            !(c->p < 0.05)             ? "not more than chance"
            : c->n_fixed > c->n_broken ? "more than chance"
                                       : "a loss beyond chance");
}

void tl_found_write(const tl_findings *f, FILE *page)
{
    write_accuracy(f, page);
    write_places(f, page);
    write_circuits(f, page);
    write_sharing(f, page);
    write_alignment(f, page);
    write_patching(f, page);
}

/* ---- what is not shown ------------------------------------------------------------ */

static void write_unshown_circuits(const tl_findings *f, FILE *page)
{
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const tl_finding_part *p = &f->parts[m];
        const tl_finding_point *smallest = tl_findings_smallest(p, TL_STUDY_CIRCUIT);
        if (smallest == NULL && p->done) {
            fprintf(page,
                    "<li>any circuit of %s prompts: none of the sizes tried has a "
                    "faithfulness above ",
                    prompts_of[m]);
            tl_xml_text(page, tl_findings_key(f, "threshold"));
            fputs(".</li>\n", page);
        }
        if (smallest == NULL || p->is_shown)
            continue;
        const double low = tl_findings_chosen(f, smallest)->low;
        fprintf(page,
                "<li>that the circuit of %s prompts is as faithful as was wanted, "
                "above ",
                prompts_of[m]);
        tl_xml_text(page, tl_findings_key(f, "threshold"));
        fputs(": its faithfulness is ", page);
        tl_draw_interval(page, tl_findings_chosen(f, smallest), "over prompts");
        fprintf(page, ", %s.%s</li>\n",
                isnan(low)              ? "without an interval to go by"
                : low > threshold_of(f) ? "but over too few prompts"
                                        : "so that it may be less",
                f->n_overlaps > 0
                    ? " Overlap and interchange build on it and are no surer."
                    : "");
    }
}

static void write_unshown_sharing(const tl_findings *f, FILE *page)
{
    for (size_t s = 0; s < TL_SEGMENT_COUNT; s++) {
        const tl_finding_overlap *o = tl_findings_overlap(f, (tl_segment)s, "both");
        if (o == NULL || o->normalised.low > (is_published_overlap(f) ? 0.01 : 0.0))
            continue;
        if (isnan(o->normalised.value)) {
            fprintf(page,
                    "<li>that the circuits share more than chance gives %s: it is "
                    "undefined there.</li>\n",
                    places[s]);
            continue;
        }
        fprintf(page,
                "<li>that the circuits share more than chance gives %s: ", places[s]);
        tl_draw_interval(page, &o->normalised, "over prompts and draws");
        fputs(isnan(o->normalised.low)   ? " has no interval.</li>\n"
              : is_published_overlap(f)  ? " may be no more.</li>\n"
              : o->normalised.high < 0.0 ? " is less than chance.</li>\n"
                                         : " may be 0 or less.</li>\n",
              page);
    }
    for (size_t s = 0; s < TL_SEGMENT_COUNT; s++) {
        const tl_interval *job = &f->swapped[s];
        if (!f->has_swaps[TL_TEXT] || !f->has_swaps[TL_IMAGE])
            continue;
        if (!has_scale(f, s) || isnan(job->value)) {
            fprintf(
                page,
                "<li>whether the two circuits do the same job %s: a random part does "
                "about as well there as the circuit's own, so that there is no scale "
                "to measure it on.</li>\n",
                places[s]);
            continue;
        }
        if (job->low > 0.0)
            continue;
        fprintf(page, "<li>that the two circuits do the same job %s: ", places[s]);
        tl_draw_interval(page, job, "over prompts and draws");
        fputs(isnan(job->low)   ? " has no interval.</li>\n"
              : job->high < 0.0 ? " is worse than a random part.</li>\n"
              : job->high < 1.0 ? " may be 0, no better than a random part.</li>\n"
                                : " may be 0, no better than a random part, and may be "
                                  "1.</li>\n",
              page);
    }
}

static void write_unshown_alignment(const tl_findings *f, FILE *page)
{
    if (f->n_layers == 0 || nearest_layer(f)->difference.low > 0.0)
        return;
    fputs("<li>that image tokens look like the words for their content: where their "
          "states are nearest, they are by ",
          page);
    tl_draw_interval(page, &nearest_layer(f)->difference, "over pairs of prompts");
    fputs(" nearer than to words for other content, which may be nothing.</li>\n",
          page);
}

static void write_unshown_patching(const tl_findings *f, FILE *page)
{
    const tl_finding_backpatch *b = &f->backpatch;
    if (b->n_cells == 0)
        return;
    const tl_finding_change *c = &b->chosen_elsewhere;
    if (!tl_finding_helps(c) && c->n_fixed > c->n_broken)
        fprintf(page,
                "<li>that back-patching helps: a gain as large would come about by "
                "chance with p %s.</li>\n",
                small_p(c->p, (char[16]){0}));
    else if (!tl_finding_helps(c))
        fprintf(page,
                "<li>that back-patching helps: no more prompts become right, %zu, than "
                "wrong, %zu.</li>\n",
                c->n_fixed, c->n_broken);
    if (b->has_text && tl_finding_text_at_ceiling(b))
        fputs("<li>that images gain more from it than text does: text prompts are all "
              "answered right without it and cannot gain.</li>\n",
              page);
}

void tl_found_write_not_shown(const tl_findings *f, FILE *page)
{
    write_unshown_circuits(f, page);
    write_unshown_sharing(f, page);
    write_unshown_alignment(f, page);
    write_unshown_patching(f, page);
    fputs("<li>what prompts of another kind, other tasks or other models would "
          "give: intervals say how far the numbers would move with other prompts of "
          "this dataset's kind, or with other random draws, no more.</li>\n",
          page);
}
