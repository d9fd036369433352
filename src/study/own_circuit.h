/* SPDX-License-Identifier: MIT
 * own_circuit.h - a circuit that the user names, over the prompts of a modality. */
#ifndef TWINLENS_STUDY_OWN_CIRCUIT_H
#define TWINLENS_STUDY_OWN_CIRCUIT_H

#include "study/session.h"
#include "twinlens/circuit_file.h"

/*
 * The components of `circuit` (NULL: all of them) but for those of `without` (NULL: none),
 * both as tl_circuit_read() takes them, over prompts of n_pos positions; in the session's
 * arena. Warns of what is taken out and was not in.
 */
tl_status tl_own_circuit_read(tl_session *session, tl_modality modality, size_t n_pos,
                              const char *circuit, const char *without,
                              tl_component_set *out, tl_error *err);

#endif
