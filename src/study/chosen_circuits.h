/* SPDX-License-Identifier: MIT
 * chosen_circuits.h - the circuits that a user asks for, over the prompts of a modality: of
 * several sizes from scores, or one of the user's own. */
#ifndef TWINLENS_STUDY_CHOSEN_CIRCUITS_H
#define TWINLENS_STUDY_CHOSEN_CIRCUITS_H

#include "study/session.h"
#include "twinlens/circuit_file.h"

typedef struct tl_chosen_options {
    const char *scores;                       /* NULL: a circuit of one's own */
    const char *kind_fraction[TL_KIND_COUNT]; /* instead of the session's sizes */
    bool random_given, any_scores;
    uint64_t random; /* of a random order, if given */
    const char *circuit,
        *without; /* as tl_circuit_read() takes them; NULL: all; none */
} tl_chosen_options;

/* In the session's arena. */
typedef struct tl_chosen_circuits {
    const tl_circuit *circuits;
    size_t n;
    const char *const *texts; /* their sizes, but where a kind has its own: */
    const char *const *kinds; /* [TL_KIND_COUNT]; NULL: as the circuit */
} tl_chosen_circuits;

/*
 * TL_ERR_DATA for scores that were made in another way than the session computes, unless any
 * are taken. A circuit of one's own has as sizes its shares of all heads and neurons; what is
 * taken out of it and was not in is warned of.
 */
tl_status tl_chosen_circuits_read(tl_session *session, const tl_chosen_options *options,
                                  const tl_selection *selection, size_t n_pos,
                                  tl_chosen_circuits *out, tl_error *err);

#endif
