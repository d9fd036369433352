/* SPDX-License-Identifier: MIT
 *
 * white_space.h - what Python's str.strip() takes off a text: chat templates trim with it.
 */
#ifndef TWINLENS_INPUT_WHITE_SPACE_H
#define TWINLENS_INPUT_WHITE_SPACE_H

/* Moves both ends of [*begin, *end), UTF-8, inwards over white space. */
void tl_trim(const char **begin, const char **end);

/* One end alone. */
void tl_trim_begin(const char **begin, const char *end);
void tl_trim_end(const char *begin, const char **end);

#endif
