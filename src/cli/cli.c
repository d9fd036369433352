/* SPDX-License-Identifier: MIT
 * cli.c - finds the command, runs it, turns its status into 0, 1 or 2. */
#include "cli/cli.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli/help.h"
#include "cli/nearest.h"
#include "twinlens/log.h"
#include "twinlens/version.h"

enum { EXIT_MISUSE = 2 };

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

static int run_command(const tl_command *command, int argc, char **argv)
{
    tl_error err = {0};
    const tl_status status = command->run(argc, argv, stdout, &err);
    if (status == TL_OK)
        return finish(command->name, EXIT_SUCCESS);
    fflush(stdout);
    /* Messages begin with one word, which scripts can cut off. */
    fprintf(stderr, "twinlens %.*s: %s\n", (int)strcspn(command->name, " "),
            command->name, err.text);
    return status == TL_ERR_ARGUMENT ? EXIT_MISUSE : EXIT_FAILURE;
}

static void refuse_command(const char *word)
{
    tl_nearest nearest = tl_nearest_begin(word);
    for (size_t i = 0; tl_commands[i] != NULL; i++)
        tl_nearest_try(&nearest, tl_commands[i]->name);
    tl_nearest_try(&nearest, "help");
    if (nearest.name != NULL)
        fprintf(stderr, "twinlens: unknown command '%s'; did you mean '%s'?\n", word,
                nearest.name);
    else
        fprintf(stderr, "twinlens: unknown command '%s'; see 'twinlens help'\n", word);
}

/* The command that the words begin with, and how many of them name it: "task
 * import-published" is one command, "task counting" another. */
static const tl_command *find_command(int argc, char **argv, int *n_words)
{
    const tl_command *found = NULL;
    *n_words = 1;
    for (size_t i = 0; tl_commands[i] != NULL; i++) {
        const char *name = tl_commands[i]->name;
        const size_t length = strlen(argv[0]);
        if (strcmp(name, argv[0]) == 0 && found == NULL)
            found = tl_commands[i];
        if (argc > 1 && strncmp(name, argv[0], length) == 0 && name[length] == ' ' &&
            strcmp(name + length + 1, argv[1]) == 0) {
            *n_words = 2;
            return tl_commands[i];
        }
    }
    if (found == NULL)
        refuse_command(argv[0]);
    return found;
}

/* `twinlens help ...`; argv is what comes behind "help". */
static int help(int argc, char **argv)
{
    static const struct {
        const char *option;
        void (*print)(FILE *out);
    } pages[] = {{"--man", tl_help_man},
                 {"--markdown", tl_help_markdown},
                 {"--bash", tl_help_bash},
                 {"--zsh", tl_help_zsh}};
    int n_words = 0;
    if (argc == 0) {
        tl_help_overview(stdout);
        return finish("help", EXIT_SUCCESS);
    }
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        if (strcmp(argv[0], pages[i].option) == 0) {
            pages[i].print(stdout);
            return finish("help", EXIT_SUCCESS);
        }
    const tl_command *command = find_command(argc, argv, &n_words);
    if (command == NULL)
        return EXIT_MISUSE;
    tl_help_command(command, stdout);
    return finish(command->name, EXIT_SUCCESS);
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

int tl_cli_main(int argc, char **argv)
{
    tl_log_set(log_to_stderr, NULL);
    if (argc < 2) {
        tl_help_overview(stderr);
        return EXIT_MISUSE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("twinlens %s\n", tl_version());
        return finish(argv[1], EXIT_SUCCESS);
    }
    if (strcmp(argv[1], "help") == 0 || is_help(argv[1]))
        return help(argc - 2, argv + 2);
    int n_words = 0;
    const tl_command *command = find_command(argc - 1, argv + 1, &n_words);
    if (command == NULL)
        return EXIT_MISUSE;
    for (int i = 1 + n_words; i < argc; i++)
        if (is_help(argv[i]))
            return help(n_words, argv + 1);
    return run_command(command, argc - 1 - n_words, argv + 1 + n_words);
}
