/* SPDX-License-Identifier: MIT
 * pair.h - shared by attribution and evaluation: what both do with a pair. */
#ifndef TWINLENS_CIRCUIT_PAIR_H
#define TWINLENS_CIRCUIT_PAIR_H

#include "model/lanes.h"
#include "twinlens/circuit.h"

/* TL_ERR_DATA unless both prompts have n_pos positions and the answers differ. */
tl_status tl_pair_check(const tl_pair *pair, size_t n_pos, tl_error *err);

#endif
