/* SPDX-License-Identifier: MIT
 *
 * jinja.h - what a chat template makes of a conversation. Of Jinja it reads what such
 * templates are written in: for, if, set, namespaces, filters, tests and methods of texts
 * and lists. What it does not know it names; it never guesses.
 *
 *     json_t *variables = json_pack("{s:[{s:s, s:s}], s:b}", "messages", "role", "user",
 *                                   "content", "Hello", "add_generation_prompt", 1);
 *     status = tl_jinja_render("{% for m in messages %}{{ m.role }}: {{ m.content }}\n"
 *                              "{% endfor %}", variables, arena, &text, &err);
 *
 * Blanks around tags are treated as transformers has it (trim_blocks, lstrip_blocks). A
 * template is a stranger's program: steps, depth and bytes are limited.
 */
#ifndef TWINLENS_INPUT_JINJA_H
#define TWINLENS_INPUT_JINJA_H

#include <jansson.h>

#include "twinlens/arena.h"
#include "twinlens/status.h"

/*
 * variables  an object; none is changed
 * out        receives the text, in `arena`
 * Errors     TL_ERR_UNSUPPORTED (the text names the construct), TL_ERR_FORMAT (it is no
 *            template), TL_ERR_DATA (the template refuses the conversation, or reads what is
 *            not there), TL_ERR_NO_MEMORY
 */
tl_status tl_jinja_render(const char *source, const json_t *variables, tl_arena *arena,
                          const char **out, tl_error *err);

#endif
