/* SPDX-License-Identifier: MIT
 *
 * twinlens.h - all of the public API. Each header can be included alone as well, and its
 * first comment shows how it is used.
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
#include "twinlens/model.h"
#include "twinlens/pass.h"
#include "twinlens/site.h"

/* Experiments. */
#include "twinlens/circuit.h"
#include "twinlens/interchange.h"
#include "twinlens/overlap.h"
#include "twinlens/probe.h"
#include "twinlens/statistics.h"
#include "twinlens/validate.h"

/* What a study found. */
#include "twinlens/finding.h"
#include "twinlens/report.h"
#include "twinlens/rows.h"

#endif
