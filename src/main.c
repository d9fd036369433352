/* SPDX-License-Identifier: MIT
 * main.c - the program; everything is in src/cli. */
#include "cli/cli.h"

int main(int argc, char **argv)
{
    return tl_cli_main(argc, argv);
}
