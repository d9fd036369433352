/* SPDX-License-Identifier: MIT
 *
 * dataset.h - prompts on disk: a folder with dataset.jsonl (one row, one prompt),
 * task.json (the answer set, the size of images) and the images.
 *
 *     tl_dataset *dataset = NULL;
 *     status = tl_dataset_open("my-task", &dataset, &err);
 *     for (size_t i = 0; i < dataset->n_rows; i++)
 *         if (dataset->rows[i].modality == TL_IMAGE)
 *             status = tl_dataset_encode(dataset, i, processor, arena, &encoding, &err);
 *     tl_dataset_close(dataset);
 *
 * Rows are named by their index. What is wrong with a row is told with file, line
 * and id: TL_ERR_FORMAT when the row is not what a row is, TL_ERR_DATA when the
 * experiment cannot use it.
 */
#ifndef TWINLENS_DATASET_H
#define TWINLENS_DATASET_H

#include "twinlens/api.h"
#include "twinlens/processor.h"

TL_BEGIN_DECLS

#define TL_NO_ROW ((size_t)-1)

typedef enum tl_part {
    TL_PART_NONE, /* not said in the row, or not chosen */
    TL_DISCOVERY,
    TL_EVALUATION,
    TL_NO_PART, /* the row says 'none': for no circuit, and of any length */
} tl_part;

/* Optional strings are NULL when the row does not have them. */
typedef struct tl_dataset_row {
    const char *id;   /* unique */
    const char *pair; /* same content in the other modality; optional */
    tl_modality modality;
    const char *before; /* "" when the row does not say */
    const char *data;   /* NULL when the data is the image */
    const char *query;
    const char *system;        /* the row's, else the task's; NULL: the family's own */
    const char *answer;        /* not "" */
    const char *image_path;    /* joined to the dataset's folder; NULL for text */
    size_t counterfactual;     /* the row that `cf` names, or TL_NO_ROW */
    tl_part part;              /* what `split` says */
    const char *const *labels; /* the row's, else the task's */
    size_t n_labels;           /* 0: the whole vocabulary */
    const char *group;         /* counterfactuals come from the same one; optional */
    const char
        *predicted; /* what a model said, when it was asked elsewhere; optional */
    size_t line;    /* in dataset.jsonl, from 1 */
} tl_dataset_row;

typedef struct tl_dataset {
    const char *path;    /* of dataset.jsonl */
    const char *folder;  /* that it lies in */
    const char *name;    /* of the task; "" without task.json */
    const char *prompts; /* whose: "published qwen2_vl"; NULL: nobody says */
    const char *system;  /* of rows without one of their own; optional */
    const char *const *labels;
    size_t n_labels;                  /* 0: the whole vocabulary */
    const char *const *answers;       /* those of the labels that occur */
    size_t n_answers;                 /* 0: all of them */
    size_t image_width, image_height; /* images are first resized to it; 0: not */
    const tl_dataset_row *rows;
    size_t n_rows;
    const size_t *by_id;          /* [n_rows] in order of id, for tl_dataset_find */
    struct tl_dataset_told *told; /* what is warned of once; NULL: of nothing */
    tl_arena *arena;              /* holds all of the above */
} tl_dataset;

/*
 * `path` is the folder, or the .jsonl file itself; task.json and images lie beside
 * it. Without a task.json there is no answer set and no first resize. Keys nobody
 * knows are logged once each, unless they begin with "x_".
 *
 * task.json   {"name": "counting", "labels": ["1", "2"], "image_size": [252, 252]}
 *             image_size is [width, height], or one number for a square; "answers"
 *             as labels, when some labels are no row's answer; "system", the words of
 *             the system in rows without "system"
 */
tl_status tl_dataset_open(const char *path, tl_dataset **out, tl_error *err);
/* With everything that `dataset` points to; NULL does nothing. */
void tl_dataset_close(tl_dataset *dataset);

/* Index of the row with that id; TL_NO_ROW if there is none. */
size_t tl_dataset_find(const tl_dataset *dataset, const char *id);

/* The words of a row as the processor takes them, with the task's image size. They are
 * the dataset's, valid until it is closed. */
tl_prompt_text tl_dataset_prompt(const tl_dataset *dataset, size_t row);

/* Encodes one row; the encoding lives in `arena`. */
tl_status tl_dataset_encode(const tl_dataset *dataset, size_t row,
                            const tl_processor *processor, tl_arena *arena,
                            tl_encoding *out, tl_error *err);

/*
 * First token of the row's answer. TL_ERR_DATA when the answer has no token, or is
 * none of the row's labels (by first token, which is what the model can say), or when
 * another of them begins with the same token: right and wrong are then the same.
 */
tl_status tl_dataset_answer_id(const tl_dataset *dataset, size_t row,
                               const tl_processor *processor, int32_t *id,
                               tl_error *err);

/* First tokens of the row's labels in their order, each once (labels that share one count
 * as one answer): *ids receives [*count] in `arena`; *count is 0 when the answer may be
 * anything. */
tl_status tl_dataset_label_ids(const tl_dataset *dataset, size_t row,
                               const tl_processor *processor, tl_arena *arena,
                               const int32_t **ids, size_t *count, tl_error *err);

/*
 * The first answer tokens of a clean row and its counterfactual; TL_ERR_DATA naming
 * both rows when it is the same token, since their logit difference is then 0.
 */
tl_status tl_dataset_pair_ids(const tl_dataset *dataset, size_t clean,
                              size_t counterfactual, const tl_processor *processor,
                              int32_t *clean_id, int32_t *counterfactual_id,
                              tl_error *err);

/*
 * Checks that all encodings have one length and one data segment; rows[i] names
 * encodings[i]. `needed_by` begins the message: "attribute". TL_ERR_DATA naming
 * the first two rows that differ, and their sizes.
 */
tl_status tl_dataset_check_lengths(const tl_dataset *dataset, const size_t *rows,
                                   const tl_encoding *encodings, size_t n_rows,
                                   const char *needed_by, tl_error *err);

TL_END_DECLS

#endif
