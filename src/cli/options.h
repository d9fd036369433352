/* SPDX-License-Identifier: MIT
 *
 * options.h - a command line, read as a command describes it: settings of the one table
 * (include/twinlens/setting.h), options of its own, and operands in front of or
 * between them.
 *
 *     typedef struct options {
 *         tl_settings settings; // first, when the command takes settings
 *         const char *out;
 *     } options;
 *     static const tl_taken settings[] = {{.name = "model"}, {.name = "ig-steps"}, {0}};
 *     static const tl_option own[] = {
 *         {.setting = {.name = "out", .kind = TL_SETTING_TEXT,
 *                      .offset = offsetof(options, out), .argument = "FILE",
 *                      .help = "where to write"},
 *          .required = true},
 *         TL_OPTIONS_END};
 *
 *     options o;
 *     status = tl_options_read(&tl_command_attribute, argc, argv, &o, sizeof o, err);
 *
 * Both `--name value` and `--name=value` are read. Everything that is wrong with a command
 * line is TL_ERR_ARGUMENT, and the text says what was wanted. Help, manual page,
 * completion and docs/options.md are made from the same descriptions.
 */
#ifndef TWINLENS_CLI_OPTIONS_H
#define TWINLENS_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "cli/command.h"
#include "twinlens/setting.h"

enum { TL_STRINGS = 64 };
typedef struct tl_strings {
    const char *texts[TL_STRINGS];
    size_t n;
} tl_strings;

/* An option that is no setting of a study. Its value goes to `offset` in the values of the
 * command. */
struct tl_option {
    tl_setting setting;
    bool is_flag; /* bool; takes no value */
    bool is_list; /* tl_strings; may be given more than once */
    bool required;
    size_t given; /* offset of a bool that says whether it was given; 0: not wanted */
};

/* Rows of an option table whose value is a word, one of several, or a number. */
#define TL_OPTION_TEXT(type, field, is_required, option, what, text)                   \
    {                                                                                  \
        .setting = {.name = option,                                                    \
                    .kind = TL_SETTING_TEXT,                                           \
                    .offset = offsetof(type, field),                                   \
                    .argument = what,                                                  \
                    .help = text},                                                     \
        .required = is_required                                                        \
    }
#define TL_OPTION_CHOICE(type, field, all, usual, option, what, text)                  \
    {                                                                                  \
        .setting = {.name = option,                                                    \
                    .kind = TL_SETTING_CHOICE,                                         \
                    .offset = offsetof(type, field),                                   \
                    .choices = all,                                                    \
                    .value = usual,                                                    \
                    .argument = what,                                                  \
                    .help = text},                                                     \
        .required = (usual) == NULL                                                    \
    }
#define TL_OPTION_COUNT(type, field, top, usual, option, what, text)                   \
    {                                                                                  \
        .setting = {                                                                   \
            .name = option,                                                            \
            .kind = TL_SETTING_COUNT,                                                  \
            .offset = offsetof(type, field),                                           \
            .least = 1,                                                                \
            .most = top,                                                               \
            .value = usual,                                                            \
            .argument = what,                                                          \
            .help = text                                                               \
        }                                                                              \
    }
#define TL_OPTION_FORCE(type)                                                          \
    {                                                                                  \
        .setting = {.name = "force",                                                   \
                    .offset = offsetof(type, force),                                   \
                    .help = "replace a dataset that is in DIR"},                       \
        .is_flag = true                                                                \
    }

#define TL_OPTIONS_END                                                                 \
    {                                                                                  \
        .required = false                                                              \
    }

/* A setting that a command takes, by its name in the table. */
struct tl_taken {
    const char *name;
    const char *as;    /* what the command calls it; NULL: the same */
    const char *value; /* the command's default; NULL: that of the table */
    bool required;
    size_t given;
};

/* An option that changes nothing beside another, and is refused there. */
struct tl_idle {
    const char *name, *beside;
    const char *value; /* the other's, given or not; NULL: it is given at all */
    bool unless;       /* beside every other value */
};

/* One option as it stands on a command line, whichever of the two it is. */
typedef struct tl_line_option {
    const char *name;
    const char *value; /* the default as text; NULL: none */
    const tl_setting *setting;
    bool is_flag, is_list, is_taken, required;
    size_t given;
} tl_line_option;

enum { TL_LINE_OPTIONS = 64 };
/* All options of a command: its own, then the settings, then --compat if one of them has a
 * published value. */
size_t tl_options_list(const tl_command *command,
                       tl_line_option options[TL_LINE_OPTIONS]);

/* Of --compat. */
extern const tl_setting tl_compat_setting;

/* Reads the words of a command line into `values`, a struct of `bytes` bytes. Every option
 * that is not given has its default. */
tl_status tl_options_read(const tl_command *command, int argc, char **argv,
                          void *values, size_t bytes, tl_error *err);

/* A value such as 252x252, both above 0. */
tl_status tl_options_extent(const char *option, const char *text, size_t *width,
                            size_t *height, tl_error *err);

#endif
