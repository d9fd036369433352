/* SPDX-License-Identifier: MIT
 *
 * twinlens.h - all of the public API. Each header can be included alone as well, and
 * its first comment shows how it is used. What holds for all of them:
 *
 * Errors. A function that can fail returns a tl_status and tells its story in a
 * tl_error; on failure its outputs keep the value that they had (status.h).
 *
 * Who owns what. What a function creates or opens is the caller's, who calls the
 * function that destroys or closes it; these take NULL. What a function makes in an
 * arena lives as long as the arena (or until it is rewound), and is freed with it. A
 * pointer that is returned without an arena among the arguments is borrowed: it belongs
 * to the first argument and is valid until that is closed or destroyed, unless the
 * declaration says otherwise. Arguments that are read are not kept: they may go away
 * when the function returns, unless the declaration says otherwise.
 *
 * Options. A struct of options begins with `size`, which says how large the caller's
 * struct is: sizeof the struct, or 0 for the one of the headers that the library was
 * built with. 0 in every other field is the default, so that {0}, {.seed = 7} and NULL
 * are full sets. A program compiled with older headers should set it; a library of a
 * newer version then takes the fields that it does not have for 0. Fields that the
 * library does not know are refused unless they are 0.
 *
 * Threads. Nothing is global but the log's sink (log.h), which is set before anything
 * else is called. Different objects can be used by different threads at the same time.
 * One object is used by one thread at a time, unless all of them take it as `const`.
 * A model may belong to passes of several threads, but only one of them computes at a
 * time: the others are refused (pass.h).
 * What computes uses threads of its own: tl_model_options says how many.
 */
#ifndef TWINLENS_TWINLENS_H
#define TWINLENS_TWINLENS_H

/* What all others stand on. */
#include "twinlens/alloc.h"
#include "twinlens/arena.h"
#include "twinlens/log.h"
#include "twinlens/status.h"
#include "twinlens/terms.h"
#include "twinlens/version.h"

/* Arrays and files of them. */
#include "twinlens/safetensors.h"
#include "twinlens/tensor.h"

/* From a prompt to what the model reads. */
#include "twinlens/dataset.h"
#include "twinlens/encoding.h"
#include "twinlens/image.h"
#include "twinlens/processor.h"
#include "twinlens/scene.h"
#include "twinlens/split.h"
#include "twinlens/tokenizer.h"

/* The model, forward and backward. */
#include "twinlens/array.h"
#include "twinlens/capture.h"
#include "twinlens/model.h"
#include "twinlens/pass.h"
#include "twinlens/site.h"

/* Experiments. */
#include "twinlens/circuit.h"
#include "twinlens/circuit_file.h"
#include "twinlens/interchange.h"
#include "twinlens/overlap.h"
#include "twinlens/probe.h"
#include "twinlens/statistics.h"
#include "twinlens/validate.h"

/* The main job, and what it found. */
#include "twinlens/finding.h"
#include "twinlens/report.h"
#include "twinlens/rows.h"
#include "twinlens/setting.h"
#include "twinlens/study.h"
#include "twinlens/team.h"

#endif
