/* SPDX-License-Identifier: MIT
 *
 * options.h - a command's options: one table says what may be given, where it goes
 * and what --help prints.
 *
 *     const char *out = NULL;
 *     size_t steps = 5;
 *     const tl_option options[] = {
 *         {"out", TL_OPTION_STRING, &out, "FILE", "where to write", .required = true},
 *         {"ig-steps", TL_OPTION_SIZE, &steps, "N", "interpolation steps (5)"},
 *     };
 *     status = tl_options_parse(options, 2, "attribute", argc, argv, out_file, &help, err);
 *
 * Both `--name value` and `--name=value` are read. Everything that is wrong with a
 * command line is a misuse (exit status 2), and the text says what was wanted.
 */
#ifndef TWINLENS_CLI_OPTIONS_H
#define TWINLENS_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "study/choices.h"
#include "twinlens/status.h"

typedef enum tl_option_kind {
    TL_OPTION_FLAG,    /* bool *; takes no value */
    TL_OPTION_STRING,  /* const char **; not empty; borrowed from argv */
    TL_OPTION_STRINGS, /* tl_strings *; the same, may be given more than once */
    TL_OPTION_SIZE,    /* size_t *; a positive decimal integer */
    TL_OPTION_COUNT,   /* size_t *; the same, or 0 */
    TL_OPTION_SEED,    /* uint64_t *; any decimal integer */
    TL_OPTION_BYTES,   /* size_t *; 500M, 8G, 1048576 */
    TL_OPTION_DOUBLE,  /* double *; a finite number */
    TL_OPTION_CHOICE,  /* int *, or NULL; one of the names in `choices` */
} tl_option_kind;

enum { TL_STRINGS = 64 };
typedef struct tl_strings {
    const char *texts[TL_STRINGS];
    size_t n;
} tl_strings;

typedef struct tl_option {
    const char *name; /* without the dashes */
    tl_option_kind kind;
    void *value;
    const char *argument; /* what stands for the value in --help; NULL for flags */
    const char *help;
    const tl_choice *choices;
    bool required;
    bool *given; /* set when the option is there; NULL: not wanted */
    /* What the published program has, as it would be given; NULL: the same or nothing
     * like it. Taken when the option is not given and one that sets_published is. */
    const char *published;
    bool sets_published;
} tl_option;

/* With --help: prints the table to `out`, sets *help, and checks nothing else. */
tl_status tl_options_parse(const tl_option *options, size_t count, const char *command,
                           int argc, char **argv, FILE *out, bool *help, tl_error *err);

/* A value such as 252x252, both above 0. */
tl_status tl_options_extent(const char *option, const char *text, size_t *width,
                            size_t *height, tl_error *err);

#endif
