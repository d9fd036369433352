/* SPDX-License-Identifier: MIT
 *
 * vqa_dataset.h - a dataset folder (dataset.h) of questions about pictures that have no
 * partner in words: VQAv2 from its own two files, or any table of pictures, questions and
 * answers, such as RealWorldQA's.
 *
 *     const tl_vqa_source source = {.questions = "v2_OpenEnded_..._questions.json",
 *                                   .annotations = "v2_mscoco_..._annotations.json",
 *                                   .pictures = "val2014",
 *                                   .n = 3000, .tokenizer = tokenizer};
 *     tl_vqa_report report;
 *     status = tl_vqa_import(&source, "vqav2", false, &report, &err);
 *
 * A prompt is the picture and "QUESTION Answer in a single word."; its answer is the first
 * token of the majority's, and its labels are all answers that occur. Prompts are of any
 * length and of no part: they are predicted and back-patched.
 */
#ifndef TWINLENS_TASK_VQA_DATASET_H
#define TWINLENS_TASK_VQA_DATASET_H

#include <stdbool.h>

#include "twinlens/status.h"
#include "twinlens/tokenizer.h"

typedef struct tl_vqa_source {
    /* {"questions": [{"question_id", "image_id", "question"}]} and {"annotations":
     * [{"question_id", "image_id", "multiple_choice_answer"}], "data_subtype": "val2014"};
     * of several questions to a picture the first counts. */
    const char *questions, *annotations;
    /* Or: a CSV file or lines of JSON with `image`, or `file_name`, `question`, `answer`; all
     * of them. */
    const char *table;
    const char *pictures; /* folder; NULL: that of the table */
    size_t n;             /* prompts, or all if they are fewer */
    bool is_random;       /* a sample drawn with `seed`, not the first */
    uint64_t seed;
    const tl_tokenizer *tokenizer; /* that answers are cut with */
} tl_vqa_source;

typedef struct tl_vqa_report {
    size_t n_all;    /* questions in the file */
    size_t n_usable; /* one of each picture */
    size_t n;        /* prompts */
    size_t n_labels;
} tl_vqa_report;

/*
 * Everything is read and checked before anything is written; pictures are linked, or copied,
 * into the folder, which must be new or empty unless `replace`.
 *
 * Errors: TL_ERR_FORMAT and TL_ERR_DATA naming file and entry; TL_ERR_NOT_FOUND naming a
 * picture; TL_ERR_ARGUMENT when the folder is not empty; TL_ERR_IO.
 */
tl_status tl_vqa_import(const tl_vqa_source *source, const char *folder, bool replace,
                        tl_vqa_report *report, tl_error *err);

#endif
