/* SPDX-License-Identifier: MIT
 *
 * help.h - what a command can be told, for whoever asks: a person at a terminal, man, a
 * shell that completes, a page of docs. All of it is made from the descriptions of the
 * commands and from the table of settings.
 */
#ifndef TWINLENS_CLI_HELP_H
#define TWINLENS_CLI_HELP_H

#include <stdio.h>

#include "cli/options.h"

/* `twinlens help`, and `twinlens help COMMAND`. */
void tl_help_overview(FILE *out);
void tl_help_command(const tl_command *command, FILE *out);

/* `twinlens help --man`: the manual page. --markdown: docs/options.md. --bash, --zsh: what
 * these shells complete by. */
void tl_help_man(FILE *out);
void tl_help_markdown(FILE *out);
void tl_help_bash(FILE *out);
void tl_help_zsh(FILE *out);

/* ---- their parts ------------------------------------------------------------------- */

enum { TL_HELP_TEXT = 512 };

/* "twinlens evaluate --scores FILE [<options>]" */
void tl_help_usage(const tl_command *command, FILE *out);
/* "--ig-steps N" */
void tl_help_left(const tl_line_option *option, char text[TL_HELP_TEXT]);
/* "interpolation steps (5)" */
void tl_help_right(const tl_line_option *option, char text[TL_HELP_TEXT]);

#endif
