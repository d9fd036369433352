/* SPDX-License-Identifier: MIT
 *
 * fingerprint.h - what models and datasets are known by everywhere, cheaply enough to be asked
 * by every command: score files carry the fingerprints of what they were made from, and so does
 * the manifest of a study.
 */
#ifndef TWINLENS_STUDY_FINGERPRINT_H
#define TWINLENS_STUDY_FINGERPRINT_H

#include "base/sha256.h"
#include "study/session.h"

typedef struct tl_fingerprint {
    char model[TL_SHA256_HEX], dataset[TL_SHA256_HEX];
} tl_fingerprint;

/*
 * SHA-256 of: config.json, and of each weight file its size, its first MiB (where the
 * header is) and 255 pieces of 4 KiB spread evenly over it, so that 15 GB cost no more than a
 * glance; dataset.jsonl and task.json, whole. Where files lie does not count.
 */
tl_status tl_fingerprint_take(const tl_settings *settings, const tl_dataset *dataset,
                              tl_arena *arena, tl_fingerprint *out, tl_error *err);

#endif
