/* SPDX-License-Identifier: MIT
 *
 * completion.c - what bash and zsh complete by: commands, the options of each, and the
 * values of an option: words, folders or files. See help.h.
 */
#include <string.h>

#include "cli/help.h"

/* What may stand for the value of an option. */
typedef enum values { WORDS, FOLDERS, FILES, ANYTHING } values;

static values values_of(const tl_line_option *o)
{
    const char *a = o->is_flag ? "" : o->setting->argument;
    return o->setting->choices != NULL                      ? WORDS
           : strcmp(a, "DIR") == 0 || strcmp(a, "RUN") == 0 ? FOLDERS
           : strncmp(a, "FILE", 4) == 0                     ? FILES
                                                            : ANYTHING;
}

/* Names of a choice; other names of the same value are left out. */
static void put_words(const tl_line_option *o, FILE *out)
{
    const tl_choice *first = o->setting->choices;
    for (const tl_choice *c = first; c->name != NULL; c++)
        if (tl_choice_name(first, c->value) == c->name)
            fprintf(out, "%s%s", c == first ? "" : " ", c->name);
}

/* ---- bash ------------------------------------------------------------------------ */

static void bash_values(const tl_command *command, FILE *out)
{
    tl_line_option options[TL_LINE_OPTIONS];
    const size_t n = tl_options_list(command, options);
    for (size_t i = 0; i < n; i++) {
        const tl_line_option *o = &options[i];
        const values v = values_of(o);
        if (o->is_flag || v == ANYTHING)
            continue;
        fprintf(out, "    '%s --%s') ", command->name, o->name);
        if (v == WORDS) {
            fputs("words='", out);
            put_words(o, out);
            fputs("' ;;\n", out);
        } else {
            fprintf(out, "COMPREPLY=($(compgen -%c -- \"$cur\")); return ;;\n",
                    v == FOLDERS ? 'd' : 'f');
        }
    }
}

void tl_help_bash(FILE *out)
{
    fputs("# bash completion of twinlens; made by `twinlens help --bash`.\n"
          "_twinlens() {\n"
          "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
          "  local command=${COMP_WORDS[1]} words=\n"
          "  [ \"$cur\" = '=' ] && cur=\n"
          "  [ \"$prev\" = '=' ] && prev=${COMP_WORDS[COMP_CWORD-2]}\n"
          "  if [ \"$COMP_CWORD\" -gt 2 ] && [[ \"$command ${COMP_WORDS[2]}\" == "
          "'task import-'* ]]; then\n"
          "    command=\"task ${COMP_WORDS[2]}\"\n"
          "  fi\n"
          "  COMPREPLY=()\n"
          "  if [ \"$COMP_CWORD\" -eq 1 ] || [ \"$COMP_CWORD\" -eq 2 -a \"$command\" = "
          "help ]; then\n"
          "    words='",
          out);
    for (size_t i = 0; tl_commands[i] != NULL; i++)
        if (strchr(tl_commands[i]->name, ' ') == NULL)
            fprintf(out, "%s ", tl_commands[i]->name);
    fputs("help --version'\n"
          "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
          "    return\n"
          "  fi\n"
          "  case \"$command $prev\" in\n",
          out);
    for (size_t i = 0; tl_commands[i] != NULL; i++)
        bash_values(tl_commands[i], out);
    fputs("  esac\n"
          "  if [ -z \"$words\" ]; then\n"
          "    case \"$cur\" in\n"
          "    -*) ;;\n"
          "    *) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
          "    esac\n"
          "    case \"$command\" in\n",
          out);
    for (size_t i = 0; tl_commands[i] != NULL; i++) {
        tl_line_option options[TL_LINE_OPTIONS];
        const size_t n = tl_options_list(tl_commands[i], options);
        fprintf(out, "    '%s') words='", tl_commands[i]->name);
        for (size_t k = 0; k < n; k++)
            fprintf(out, "--%s ", options[k].name);
        fputs("--help' ;;\n", out);
    }
    fputs("    esac\n"
          "  fi\n"
          "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
          "}\n"
          "complete -o filenames -F _twinlens twinlens\n",
          out);
}

/* ---- zsh ------------------------------------------------------------------------- */

/* Inside '...' and [...]: neither may end early, and a ':' would begin the next field. */
static void put_zsh(const char *text, FILE *out)
{
    for (const char *c = text; *c != '\0'; c++)
        if (*c == '\'')
            fputs("'\\''", out);
        else if (strchr("[]:\\", *c) != NULL)
            fprintf(out, "\\%c", *c);
        else
            fputc(*c, out);
}

static void zsh_option(const tl_line_option *o, FILE *out)
{
    fprintf(out, " \\\n      '%s--%s%s[", o->is_list ? "*" : "", o->name,
            o->is_flag ? "" : "=");
    put_zsh(o->setting->help, out);
    fputc(']', out);
    if (!o->is_flag) {
        fputc(':', out);
        put_zsh(o->setting->argument, out);
        fputc(':', out);
        switch (values_of(o)) {
        case WORDS:
            fputc('(', out);
            put_words(o, out);
            fputc(')', out);
            break;
        case FOLDERS: fputs("_files -/", out); break;
        case FILES: fputs("_files", out); break;
        case ANYTHING: break;
        }
    }
    fputc('\'', out);
}

void tl_help_zsh(FILE *out)
{
    fputs("#compdef twinlens\n"
          "# zsh completion of twinlens; made by `twinlens help --zsh`.\n"
          "_twinlens() {\n"
          "  local -a commands\n"
          "  commands=(\n",
          out);
    for (size_t i = 0; tl_commands[i] != NULL; i++) {
        if (strchr(tl_commands[i]->name, ' ') != NULL)
            continue;
        fprintf(out, "    '%s:", tl_commands[i]->name);
        put_zsh(tl_commands[i]->summary, out);
        fputs("'\n", out);
    }
    fputs("    'help:what a command can be told'\n"
          "  )\n"
          "  if (( CURRENT == 2 )); then\n"
          "    _describe command commands\n"
          "    return\n"
          "  fi\n"
          "  local command=$words[2]\n"
          "  if [[ \"$words[2] $words[3]\" == 'task import-'* ]]; then\n"
          "    command=\"task $words[3]\"\n"
          "  fi\n"
          "  shift words\n"
          "  (( CURRENT-- ))\n"
          "  case $command in\n"
          "    help) _describe command commands ;;\n",
          out);
    for (size_t i = 0; tl_commands[i] != NULL; i++) {
        tl_line_option options[TL_LINE_OPTIONS];
        const size_t n = tl_options_list(tl_commands[i], options);
        fprintf(out, "    '%s') _arguments '--help[list the options]'",
                tl_commands[i]->name);
        for (size_t k = 0; k < n; k++)
            zsh_option(&options[k], out);
        if (tl_commands[i]->operands != NULL)
            fputs(" \\\n      '*:operand:_files'", out);
        fputs(" ;;\n", out);
    }
    fputs("  esac\n"
          "}\n"
          "_twinlens \"$@\"\n",
          out);
}
