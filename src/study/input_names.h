/* SPDX-License-Identifier: MIT
 * input_names.h - what people call a model and a dataset. A name stands beside a hash and
 * never for it: the same files under another name are the same study. */
#ifndef TWINLENS_STUDY_INPUT_NAMES_H
#define TWINLENS_STUDY_INPUT_NAMES_H

#include "study/session.h"

/*
 * Of a model folder that is there: ORG/NAME of an entry of the hub's cache; else `_name_or_path`
 * of config.json, when it looks like a name of the hub; else the folder's own name. `path` as
 * it was given; NULL is "bundled".
 */
tl_status tl_model_name(const char *path, tl_arena *arena, const char **out,
                        tl_error *err);

/* Of the dataset's folder. */
tl_status tl_dataset_name(const tl_dataset *dataset, tl_arena *arena, const char **out,
                          tl_error *err);

#endif
