/* SPDX-License-Identifier: MIT
 * cli.h - the program, for main() and nobody else. */
#ifndef TWINLENS_CLI_H
#define TWINLENS_CLI_H

/* Exit status: 0 done, 1 failed, 2 misused. */
int tl_cli_main(int argc, char **argv);

/*
 * For main() alone, before anything else: starts the program once more with
 * GOMP_SPINCOUNT set, unless the caller's environment says how OpenMP's threads wait.
 * By default those that wait for the others spin for milliseconds, which on a machine
 * with other things to do takes the time of the very threads that they wait for.
 */
void tl_cli_wait_politely(char **argv);

#endif
