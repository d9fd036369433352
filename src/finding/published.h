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

#endif
