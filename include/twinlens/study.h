/* SPDX-License-Identifier: MIT
 *
 * study.h - the main job, from a model and a dataset to a study folder: predict, keep
 * what is right, split, attribute, faithfulness curve, smallest circuit; then overlap and
 * interchange of the two circuits, alignment, back-patching.
 *
 *     tl_settings settings;
 *     tl_settings_init(&settings);
 *     settings.model = "models/Qwen2-VL-2B-Instruct";
 *     settings.dataset = "my-task";
 *     settings.out = "runs/my-task";
 *     status = tl_study_run(&settings, NULL, NULL, &err);
 *
 * Every unit of work is on the disk before the next begins, so a study that was killed
 * goes on where it was, and ends with the same rows and files as one left alone. What it found is
 * read with finding.h and drawn with report.h.
 */
#ifndef TWINLENS_STUDY_H
#define TWINLENS_STUDY_H

#include <stddef.h>
#include <stdint.h>

#include "twinlens/api.h"
#include "twinlens/status.h"
#include "twinlens/team.h"
#include "twinlens/terms.h"

TL_BEGIN_DECLS

/* ---- settings ------------------------------------------------------------------------ */

/* The answers among which the right one must be the best. */
typedef enum tl_accuracy {
    TL_ACCURACY_LIMITED, /* the prompt's labels */
    TL_ACCURACY_FULL,    /* the whole vocabulary */
} tl_accuracy;

/* The rows that are studied. */
typedef enum tl_keep {
    TL_KEEP_CORRECT, /* those that the model answers correctly */
    TL_KEEP_ALL,     /* all of them */
    TL_KEEP_STORED,  /* those whose answer is the 'predicted' of the dataset */
} tl_keep;

/* The rows that are studied where one length is needed, with the data at one place. */
typedef enum tl_length {
    TL_LENGTH_ALL,       /* all, which must then be alike */
    TL_LENGTH_COMMONEST, /* those that are like most */
} tl_length;

/* The sizes of circuits on a faithfulness curve. */
typedef enum tl_grid {
    TL_GRID_REF,   /* the published program's 27 */
    TL_GRID_PAPER, /* 0.001, 0.005, 0.01, 0.02 .. 1.00 */
} tl_grid;

/* What the faithfulness of a circuit is over several prompts. */
typedef enum tl_faith {
    TL_FAITH_MEAN_RATIO, /* the mean of the prompts' ratios */
    TL_FAITH_RATIO_MEAN, /* the ratio of the sums */
    TL_FAITH_COUNT
} tl_faith;

/* Which pairs of text and image prompts are used in alignment and back-patching. */
typedef enum tl_bp_filter {
    TL_BP_FILTER_NONE,  /* all */
    TL_BP_FILTER_MODAL, /* those whose text has the most frequent length */
} tl_bp_filter;

/* Whether data positions are processed again behind the overwritten layers. */
typedef enum tl_bp_repeat { TL_BP_REPEAT_ON, TL_BP_REPEAT_OFF } tl_bp_repeat;

/* What a prompt's answer is chosen among when a cell is patched again and again. */
typedef enum tl_iter_labels {
    TL_ITER_LABELS_QUESTION, /* its own labels */
    TL_ITER_LABELS_UNION,    /* those of all prompts */
} tl_iter_labels;

/* Which layers are written into which. */
typedef enum tl_bp_grid {
    TL_BP_TRIANGLE, /* into all layers below the source */
    TL_BP_PAPER,    /* from the upper half of the layers into the lower */
    TL_BP_NONE,     /* no back-patching */
} tl_bp_grid;

/* How the best cell of the grid is looked for. */
typedef enum tl_bp_search {
    TL_BP_FULL,    /* all cells on all prompts */
    TL_BP_HALVING, /* successive halving, at a tenth of the cost (docs/math.md eq. 20) */
} tl_bp_search;

/*
 * Everything that a study can be told; each field is the option of `twinlens study` with
 * its name. An `int` is one of the values of the enum that is named beside it. Strings are
 * the caller's and must live as long as the call that gets the settings.
 */
typedef struct tl_settings {
    size_t size; /* of this struct, as the caller was compiled; tl_settings_init() */

    /* From what to where. */
    const char
        *model; /* a model folder or a hub cache entry; NULL: the bundled model */
    const char *dataset; /* a dataset folder, or its dataset.jsonl */
    const char *out;     /* the study folder */

    /* How it is computed; backend and precision alone can change a number. */
    const char *backend; /* NULL: $TWINLENS_BACKEND, else the best of this build */
    size_t threads;      /* 0: one a core */
    size_t memory;       /* bytes of activations; 0: what the machine has free */
    size_t cache;  /* bytes of converted weights; 0: 64 MiB, or less of `memory` */
    int precision; /* tl_precision */

    /* Which prompts are studied. */
    int modality;   /* tl_modality; TL_MODALITY_COUNT: those that the dataset has */
    int accuracy;   /* tl_accuracy */
    int keep;       /* tl_keep */
    size_t prompts; /* of each modality; 0: 250, or all if they are fewer */
    uint64_t seed;  /* of split, counterfactuals, random circuits, searches */
    int rope;       /* tl_rope */

    /* Attribution. */
    int method; /* tl_method; of relp the next three say nothing */
    size_t ig_steps;
    int ig_rule;       /* tl_ig_rule */
    int ig_path;       /* tl_ig_path */
    int head_reduce;   /* tl_head_reduce */
    int prompt_reduce; /* tl_prompt_reduce */
    int metric;        /* tl_metric */

    /* Circuits. */
    int grid;              /* tl_grid; not used when there are `fractions` */
    const char *fractions; /* "0.01,0.05", ascending; NULL: the grid's */
    int rounding;          /* tl_fraction_rounding, of --pct */
    int faith;             /* tl_faith */
    int ablate;            /* tl_ablate */
    double threshold;      /* what the smallest circuit's faithfulness exceeds */
    size_t circuit_tests;  /* random circuits that the smallest is tested against */
    size_t pictures;       /* image prompts kept for the report, each with its scores */
    size_t validate;       /* prompts of each modality with exact effects */

    /* The two circuits beside each other. */
    int rand_match;     /* tl_random_match */
    size_t rand_draws;  /* random circuits that the overlap is compared with */
    int niou;           /* tl_niou */
    int inter_rand;     /* tl_interchange_random */
    size_t inter_draws; /* random parts of each segment of an interchange */

    /* Alignment and back-patching. */
    int align;       /* tl_align */
    int bp_filter;   /* tl_bp_filter */
    int bp_repeat;   /* tl_bp_repeat */
    int iter_labels; /* tl_iter_labels */
    int bp_grid;     /* tl_bp_grid */
    int bp_search;   /* tl_bp_search */

    int length; /* tl_length; of what circuits may be of */

    /* How words become prompts. */
    int chat; /* tl_chat_form */
} tl_settings;

/* The default of every setting. */
void tl_settings_init(tl_settings *settings);

/* ---- progress ------------------------------------------------------------------------ */

/* What has just happened to a stage. */
typedef enum tl_progress_event {
    TL_PROGRESS_BEGIN,
    TL_PROGRESS_STEP,
    TL_PROGRESS_END,
} tl_progress_event;

typedef struct tl_progress_report {
    tl_progress_event event;
    const char *stage; /* "attribute image" */
    size_t n_done, n_units;
    double
        seconds; /* left of all stages, NaN when nothing is known yet; at the end of a
                     * stage: that it took */
} tl_progress_report;

/* Is called at each beginning, step and end, by the thread that does the work. */
typedef void tl_progress_fn(void *user, const tl_progress_report *report);

/* ---- the study ----------------------------------------------------------------------- */

/*
 * Runs a study, or goes on with one; does nothing when it is finished. `report` is told of
 * the progress, with `user`; NULL: nobody is.
 *
 * Errors: TL_ERR_ARGUMENT (a setting is not one that there is, or out of range: the text
 * names it, its value and the range), TL_ERR_NO_MEMORY (the plan does not fit; the text
 * says what would), TL_ERR_DATA (the folder holds a study made otherwise: the text names
 * the differences), TL_ERR_TOO_FEW (too few prompts are answered rightly, and nothing else
 * would be left to study: a modality that is too weak beside another is no error, but has no
 * circuits, which the findings say), and those of opening model, dataset and folder.
 */
tl_status tl_study_run(const tl_settings *settings, tl_progress_fn *report, void *user,
                       tl_error *err);

/*
 * The same by several processes, each of which makes this call with settings that differ in
 * `threads`, `memory` and `cache` at most (both of these are of one rank). All read the model,
 * the dataset and the study folder; rank 0 alone writes there. Rows and files are those of one
 * process, whatever the number of ranks, also when a study goes on with another number.
 * Processors must be of one kind: another kind may round otherwise.
 *
 * A rank that fails, or that is gone, ends the call: at once at rank 0, elsewhere when the
 * next message does not come or cannot be sent. What was done stays.
 */
tl_status tl_study_run_team(const tl_settings *settings, const tl_team *team,
                            tl_progress_fn *report, void *user, tl_error *err);

TL_END_DECLS

#endif
