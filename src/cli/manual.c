/* SPDX-License-Identifier: MIT
 * manual.c - the manual page, and the page of options in docs. See help.h. */
#include <string.h>

#include "cli/help.h"
#include "twinlens/version.h"

/* ---- man ------------------------------------------------------------------------- */

/* '-' must stay one, a line must not begin with a dot or a quote. */
static void put_roff(const char *text, FILE *out)
{
    if (text[0] == '.' || text[0] == '\'')
        fputs("\\&", out);
    for (const char *c = text; *c != '\0'; c++)
        if (*c == '-')
            fputs("\\-", out);
        else if (*c == '\\')
            fputs("\\e", out);
        else
            fputc(*c, out);
}

static void man_option(const tl_line_option *o, FILE *out)
{
    char text[TL_HELP_TEXT];
    snprintf(text, sizeof text, "--%s", o->name);
    fputs(".TP\n.B ", out);
    put_roff(text, out);
    if (!o->is_flag) {
        fputs("\\fR \\fI", out);
        put_roff(o->setting->argument, out);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    tl_help_right(o, text);
    put_roff(text, out);
    fputc('\n', out);
}

/* Its own options in full, the settings by their names. */
static void man_command(const tl_command *command, FILE *out)
{
    tl_line_option options[TL_LINE_OPTIONS];
    const size_t n = tl_options_list(command, options);
    fprintf(out, ".SS %s\n", command->name);
    put_roff(command->summary, out);
    fputs(".\n", out);
    if (command->operand_help != NULL) {
        fputs(".TP\n.I ", out);
        put_roff(command->operands, out);
        fputc('\n', out);
        put_roff(command->operand_help, out);
        fputc('\n', out);
    }
    for (size_t i = 0; i < n; i++)
        if (!options[i].is_taken)
            man_option(&options[i], out);
    bool first = true;
    for (size_t i = 0; i < n; i++) {
        if (!options[i].is_taken)
            continue;
        fputs(first ? ".PP\nSettings: " : ", ", out);
        put_roff(options[i].name, out);
        first = false;
    }
    if (!first)
        fputs(".\n", out);
}

static void man_settings(FILE *out)
{
    size_t n = 0;
    const tl_setting *table = tl_settings_table(&n);
    for (size_t i = 0; i < n; i++) {
        const tl_line_option o = {.name = table[i].name,
                                  .value = table[i].value,
                                  .setting = &table[i],
                                  .is_taken = true};
        if (i == 0 || strcmp(table[i].group, table[i - 1].group) != 0) {
            fputs(".SS ", out);
            put_roff(table[i].group, out);
            fputc('\n', out);
        }
        man_option(&o, out);
    }
}

void tl_help_man(FILE *out)
{
    fprintf(out, ".TH TWINLENS 1 \"\" \"twinlens %s\" \"User Commands\"\n",
            tl_version());
    fputs(".SH NAME\n"
          "twinlens \\- how a vision\\-language model solves a task from text and from "
          "images\n"
          ".SH SYNOPSIS\n",
          out);
    for (size_t i = 0; tl_commands[i] != NULL; i++) {
        fprintf(out, "%s.B twinlens %s\n", i > 0 ? ".br\n" : "", tl_commands[i]->name);
        if (tl_commands[i]->operands != NULL)
            fprintf(out, ".I %s\n", tl_commands[i]->operands);
        fputs("[\\fIoptions\\fR]\n", out);
    }
    fputs(
        ".SH DESCRIPTION\n"
        "twinlens finds the attention heads and neurons that matter at every position "
        "of text and of image prompts of the same content (a circuit for each), "
        "measures how far the two circuits are the same parts and do the same job, "
        "shows in which layer image tokens start to look like text tokens, and writes "
        "late image states back into early layers.\n"
        ".PP\n"
        ".B twinlens study\n"
        "does all of this and writes a report; the other commands are its stages, from "
        "files to files. A study that was interrupted goes on when it is started "
        "again.\n"
        ".SH COMMANDS\n",
        out);
    for (size_t i = 0; tl_commands[i] != NULL; i++)
        man_command(tl_commands[i], out);
    fputs(".SH SETTINGS\n"
          "What several commands can be told, with the default in brackets.\n",
          out);
    man_settings(out);
    fputs(
        ".SH ENVIRONMENT\n"
        ".TP\n.B TWINLENS_BACKEND\n"
        "what computes when \\fB\\-\\-backend\\fR is not given.\n"
        ".SH EXIT STATUS\n"
        ".TP\n.B 0\ndone\n"
        ".TP\n.B 1\nfailed: one line on standard error says what was found and what "
        "was wanted\n"
        ".TP\n.B 2\nthe command line is wrong\n"
        ".SH EXAMPLES\n"
        ".nf\n"
        "twinlens task counting \\-\\-n 200 \\-\\-out counting\n"
        "twinlens study \\-\\-model Qwen2\\-VL\\-2B\\-Instruct \\-\\-dataset counting "
        "\\-\\-out runs/counting\n"
        "twinlens summary runs/counting\n"
        ".fi\n",
        out);
}

/* ---- markdown -------------------------------------------------------------------- */

/* A '|' would end the cell. */
static void put_cell(const char *text, FILE *out)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '|')
            fputc('\\', out);
        fputc(*c, out);
    }
}

static bool is_published_otherwise(const tl_setting *s)
{
    return s->published != NULL &&
           (s->value == NULL || strcmp(s->published, s->value) != 0);
}

static void markdown_setting(const tl_setting *s, FILE *out)
{
    fprintf(out, "| `--%s` | ", s->name);
    put_cell(s->argument, out);
    fputs(" | ", out);
    put_cell(s->help, out);
    fprintf(out, " | %s | ", s->value != NULL ? s->value : s->unset);
    if (is_published_otherwise(s))
        fputs(s->published, out);
    fputs(s->in_manifest ? " | yes |\n" : " | |\n", out);
}

/* What --compat published sets. */
static void markdown_published(const tl_setting *table, size_t n, FILE *out)
{
    fputs("\n### What the published program does otherwise\n\n"
          "`--compat published` gives these settings, where they are not given, the "
          "second value.\n\n"
          "| setting | default | published | meaning |\n|---|---|---|---|\n",
          out);
    for (size_t i = 0; i < n; i++)
        if (is_published_otherwise(&table[i])) {
            fprintf(out, "| `--%s` | %s | %s | ", table[i].name,
                    table[i].value != NULL ? table[i].value : table[i].unset,
                    table[i].published);
            put_cell(table[i].help, out);
            fputs(" |\n", out);
        }
}

static void markdown_command(const tl_command *command, FILE *out)
{
    tl_line_option options[TL_LINE_OPTIONS];
    const size_t n = tl_options_list(command, options);
    size_t n_own = 0;
    fprintf(out, "\n### %s\n\n%s.\n\n    ", command->name, command->summary);
    tl_help_usage(command, out);
    fputc('\n', out);
    if (command->operand_help != NULL)
        fprintf(out, "\n`%s`: %s.\n", command->operands, command->operand_help);
    for (size_t i = 0; i < n; i++) {
        char left[TL_HELP_TEXT], right[TL_HELP_TEXT];
        if (options[i].is_taken)
            continue;
        if (n_own++ == 0)
            fputs("\n| option | meaning |\n|---|---|\n", out);
        tl_help_left(&options[i], left);
        tl_help_right(&options[i], right);
        fputs("| `", out);
        put_cell(left, out);
        fputs("` | ", out);
        put_cell(right, out);
        fputs(" |\n", out);
    }
    bool first = true;
    for (size_t i = 0; i < n; i++) {
        const tl_line_option *o = &options[i];
        if (!o->is_taken)
            continue;
        fprintf(out, "%s`--%s`", first ? "\nSettings: " : ", ", o->name);
        if (strcmp(o->name, o->setting->name) != 0)
            fprintf(out, " (`%s`)", o->setting->name);
        if (o->value != o->setting->value)
            fprintf(out, " (here %s)", o->value);
        first = false;
    }
    fputs(first ? "" : ".\n", out);
}

void tl_help_markdown(FILE *out)
{
    size_t n = 0;
    const tl_setting *table = tl_settings_table(&n);
    fputs(
        "# Options\n\n"
        "Made by `twinlens help --markdown`; a test holds this page to the program.\n\n"
        "## Settings\n\n"
        "What a study can be told. Other commands take those that concern them. From "
        "C: "
        "the fields of `tl_settings` (include/twinlens/study.h), or their names here "
        "(include/twinlens/setting.h).\n"
        "`--compat published` gives every setting that is not given the value of the "
        "published program. A study that differs in a setting of its manifest is "
        "another study.\n",
        out);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(table[i].group, table[i - 1].group) != 0)
            fprintf(out,
                    "\n### %s\n\n| setting | values | meaning | default | published | "
                    "in the manifest |\n|---|---|---|---|---|---|\n",
                    table[i].group);
        markdown_setting(&table[i], out);
    }
    markdown_published(table, n, out);
    fputs("\n## Commands\n", out);
    for (size_t i = 0; tl_commands[i] != NULL; i++)
        markdown_command(tl_commands[i], out);
}
