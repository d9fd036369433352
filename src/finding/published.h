/* SPDX-License-Identifier: MIT
 *
 * published.h - what the paper reports for its models and tasks, to stand beside ours.
 * @source Nikankin et al., Same Task, Different Circuits, arXiv:2506.09047
 */
#ifndef TWINLENS_FINDING_PUBLISHED_H
#define TWINLENS_FINDING_PUBLISHED_H

#include "twinlens/finding.h"

typedef struct tl_published {
    const char *model;
    double accuracy[TL_MODALITY_COUNT];     /* table 4 */
    double size[TL_MODALITY_COUNT];         /* table 5: share of components */
    double faithfulness[TL_MODALITY_COUNT]; /* table 6 */
    double backpatched;                     /* table 1: accuracy of image prompts */
    struct {
        size_t window, source, destination;
    } best;                               /* table 7 */
    double overlap[TL_SEGMENT_COUNT];     /* figure 5, read off: normalised */
    double interchange[TL_SEGMENT_COUNT]; /* figure 6, read off: normalised */
} tl_published;

/* NULL when the study is not of the shape of a model of the paper, and its task. */
const tl_published *tl_published_find(const tl_findings *findings);

/* What is not the paper's in a study that it has numbers for: "" when the model has the name
 * of the paper's and the prompts are those that it used with it, as `task import-published`
 * makes them; else "other prompts", "other model", or "other model and prompts". */
const char *tl_published_differs(const tl_findings *findings);

/* The numbers to stand beside a study without a word: NULL where anything differs. */
const tl_published *tl_published_same(const tl_findings *findings);

/* The place among the paper's models of one of that name; how many these are when it is none. The
 * same of tasks. */
size_t tl_published_model_place(const char *name);
size_t tl_published_task_place(const char *task);

/* Figure 7, read off: between which values the curves of the five tasks lie at a layer. */
typedef struct tl_published_layer {
    size_t layer;
    double low, high;
} tl_published_layer;
enum { TL_PUBLISHED_LAYERS = 4 };
/* [TL_PUBLISHED_LAYERS] of a model's place; NULL when it is none of the paper's. */
const tl_published_layer *tl_published_alignment(size_t model_place);

/* Figure 9: the mean of its 45 points, as the text has it. */
extern const double tl_published_control;

#endif
