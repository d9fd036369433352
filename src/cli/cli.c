/* SPDX-License-Identifier: MIT
 * cli.c - finds the command, runs it, turns its status into 0, 1 or 2. */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "twinlens/log.h"
#include "twinlens/version.h"

enum { EXIT_MISUSE = 2 };

static const tl_command *const commands[] = {
    &tl_command_study,       &tl_command_summary,   &tl_command_inspect,
    &tl_command_predict,     &tl_command_attribute, &tl_command_evaluate,
    &tl_command_trace,       &tl_command_task,      &tl_command_overlap,
    &tl_command_interchange, &tl_command_align,     &tl_command_backpatch,
    &tl_command_validate,    &tl_command_export,    &tl_command_report,
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

tl_status tl_cli_misuse(tl_error *err, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return tl_fail(err, TL_ERR_ARGUMENT, "%s", text);
}

static void log_to_stderr(void *user, tl_log_level level, const char *text)
{
    (void)user;
    if (level != TL_LOG_DEBUG)
        fprintf(stderr, "twinlens: %s%s\n", level == TL_LOG_WARNING ? "warning: " : "",
                text);
}

/* A full disk shows itself only now, and must not look like success. */
static int finish(const char *what, int exit_code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return exit_code;
    fprintf(stderr, "twinlens %s: cannot write the result to standard output\n", what);
    return exit_code == EXIT_SUCCESS ? EXIT_FAILURE : exit_code;
}

static void print_overview(FILE *out)
{
    fprintf(out, "usage: twinlens <command> [<options>]\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(out, "\n`twinlens help <command>` lists its options.\n");
}

static int run_command(const tl_command *command, int argc, char **argv)
{
    tl_error err = {0};
    const tl_status status = command->run(argc, argv, stdout, &err);
    if (status == TL_OK)
        return finish(command->name, EXIT_SUCCESS);
    fflush(stdout);
    fprintf(stderr, "twinlens %s: %s\n", command->name, err.text);
    return status == TL_ERR_ARGUMENT ? EXIT_MISUSE : EXIT_FAILURE;
}

static const tl_command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(name, commands[i]->name) == 0)
            return commands[i];
    fprintf(stderr, "twinlens: unknown command '%s'; see 'twinlens help'\n", name);
    return NULL;
}

void tl_cli_wait_politely(char **argv)
{
    if (getenv("GOMP_SPINCOUNT") != NULL || getenv("OMP_WAIT_POLICY") != NULL)
        return;
    /* OpenMP reads its environment before main() begins: hence a new start. When that
     * is not possible, the only loss is time. */
    if (setenv("GOMP_SPINCOUNT", "2000", 1) == 0)
        execv("/proc/self/exe", argv);
}

int tl_cli_main(int argc, char **argv)
{
    tl_log_set(log_to_stderr, NULL);
    if (argc < 2) {
        print_overview(stderr);
        return EXIT_MISUSE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("twinlens %s\n", tl_version());
        return finish(argv[1], EXIT_SUCCESS);
    }
    const bool help = strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0;
    if (help && argc == 2) {
        print_overview(stdout);
        return finish(argv[1], EXIT_SUCCESS);
    }
    const tl_command *command = find_command(argv[help ? 2 : 1]);
    if (command == NULL)
        return EXIT_MISUSE;
    static char ask[] = "--help";
    char *for_help[] = {ask};
    return help ? run_command(command, 1, for_help)
                : run_command(command, argc - 2, argv + 2);
}
