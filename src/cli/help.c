/* SPDX-License-Identifier: MIT
 * help.c - help at the terminal. See help.h. */
#include "cli/help.h"

#include <string.h>

#include "cli/options.h"

/* ---- one option ------------------------------------------------------------------ */

void tl_help_left(const tl_line_option *o, char text[TL_HELP_TEXT])
{
    snprintf(text, TL_HELP_TEXT, "--%s%s%s", o->name, o->is_flag ? "" : " ",
             o->is_flag ? "" : o->setting->argument);
}

void tl_help_right(const tl_line_option *o, char text[TL_HELP_TEXT])
{
    const tl_setting *s = o->setting;
    const char *value = o->value != NULL ? o->value : o->required ? NULL : s->unset;
    const bool differs = s->published != NULL &&
                         (o->value == NULL || strcmp(s->published, o->value) != 0);
    snprintf(text, TL_HELP_TEXT, "%s%s%s%s%s%s%s", s->help, value != NULL ? " (" : "",
             value != NULL ? value : "", value != NULL ? ")" : "",
             differs ? " [published: " : "", differs ? s->published : "",
             differs ? "]" : "");
}

/* The name, and beside it the meaning, broken at blanks. */
static void print_option(const tl_line_option *o, FILE *out)
{
    enum { LEFT = 30, RIGHT = 66 };
    char left[TL_HELP_TEXT], right[TL_HELP_TEXT];
    tl_help_left(o, left);
    tl_help_right(o, right);
    fprintf(out, "  %-*s", LEFT - 2, left);
    int column = strlen(left) > LEFT - 3 ? RIGHT : 0; /* no room: on the next line */
    for (const char *word = right; *word != '\0';) {
        const int length = (int)strcspn(word, " ");
        if (column > 0 && column + 1 + length > RIGHT) {
            fprintf(out, "\n%*s", LEFT, "");
            column = 0;
        }
        fprintf(out, "%s%.*s", column > 0 ? " " : "", length, word);
        column += length + (column > 0);
        word += length;
        word += *word == ' ';
    }
    fputc('\n', out);
}

/* ---- one command ----------------------------------------------------------------- */

void tl_help_usage(const tl_command *command, FILE *out)
{
    tl_line_option options[TL_LINE_OPTIONS];
    const size_t n = tl_options_list(command, options);
    fprintf(out, "twinlens %s", command->name);
    if (command->operands != NULL)
        fprintf(out, " %s", command->operands);
    for (size_t i = 0; i < n; i++)
        if (options[i].required)
            fprintf(out, " --%s %s", options[i].name, options[i].setting->argument);
    if (n > 0)
        fputs(" [<options>]", out);
}

void tl_help_command(const tl_command *command, FILE *out)
{
    tl_line_option options[TL_LINE_OPTIONS];
    const size_t n = tl_options_list(command, options);
    const char *group = NULL;
    fputs("usage: ", out);
    tl_help_usage(command, out);
    fputs("\n\n", out);
    if (command->operand_help != NULL)
        fprintf(out, "  %-28s%s\n", command->operands, command->operand_help);
    for (size_t i = 0; i < n; i++) {
        const char *next = options[i].setting->group;
        if (next == NULL && group != NULL)
            fputc('\n', out);
        else if (next != NULL && (group == NULL || strcmp(group, next) != 0))
            fprintf(out, "\n%s\n", next);
        group = next;
        print_option(&options[i], out);
    }
}

/* ---- all commands ---------------------------------------------------------------- */

void tl_help_overview(FILE *out)
{
    fputs("usage: twinlens <command> [<options>]\n\n", out);
    for (size_t i = 0; tl_commands[i] != NULL; i++)
        fprintf(out, "  %-23s %s\n", tl_commands[i]->name, tl_commands[i]->summary);
    fputs("\n`twinlens help <command>` lists its options.\n", out);
}
