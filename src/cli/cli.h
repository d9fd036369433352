/* SPDX-License-Identifier: MIT
 * cli.h - the program, for main() and nobody else. */
#ifndef TWINLENS_CLI_H
#define TWINLENS_CLI_H

/* Exit status: 0 done, 1 failed, 2 misused. */
int tl_cli_main(int argc, char **argv);

#endif
