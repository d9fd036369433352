/* SPDX-License-Identifier: MIT
 *
 * published_content.c - what a published prompt is about; see published_prompt.h. The
 * names of the picture files tell: 3_people_1_bag_3_chair.png, 13plus45.png,
 * Andreas_Ivanschitz.png.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "task/published_prompt.h"

enum { MOST_WORDS = 32 };

typedef struct words {
    const char *items[MOST_WORDS];
    size_t n;
} words;

/* The file's name without folder and ending. */
static char *base_name(const char *path, tl_arena *arena)
{
    const char *slash = strrchr(path, '/');
    char *name = tl_arena_strdup(arena, slash != NULL ? slash + 1 : path);
    char *dot = name != NULL ? strrchr(name, '.') : NULL;
    if (dot != NULL)
        *dot = '\0';
    return name;
}

/* Cuts at the next separator, which becomes 0; NULL: nothing is left. */
static char *next_word(char **at, const char *separators)
{
    *at += strspn(*at, separators);
    if (**at == '\0')
        return NULL;
    char *word = *at;
    *at += strcspn(word, separators);
    if (**at != '\0')
        *(*at)++ = '\0';
    return word;
}

static void add_words(words *list, const char *word, unsigned long times)
{
    for (; times > 0 && list->n < MOST_WORDS; times--)
        list->items[list->n++] = word;
}

/* "3_people_1_bag_x2": a number and a word, again and again; the rest is a count of
 * pictures of the same. */
static void read_counts(char *name, words *list)
{
    for (char *word;
         (word = next_word(&name, "_")) != NULL && isdigit((unsigned char)*word);) {
        const unsigned long times = strtoul(word, NULL, 10);
        if ((word = next_word(&name, "_")) == NULL)
            break;
        add_words(list, word, times);
    }
}

static int by_letters(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "bag bag people: bag" */
static const char *join_counts(words *list, const char *asked, tl_arena *arena)
{
    size_t bytes = strlen(asked) + 3, at = 0;
    for (size_t i = 0; i < list->n; i++)
        bytes += strlen(list->items[i]) + 1;
    char *text = tl_arena_alloc(arena, bytes, 1);
    if (text == NULL || list->n == 0)
        return text != NULL ? "" : NULL;
    qsort(list->items, list->n, sizeof *list->items, by_letters);
    for (size_t i = 0; i < list->n; i++)
        at += (size_t)snprintf(text + at, bytes - at, "%s%s", i > 0 ? " " : "",
                               list->items[i]);
    snprintf(text + at, bytes - at, ": %s", asked);
    return text;
}

static const char *counting_content(const tl_published_prompt *p,
                                    const char *image_path, tl_arena *arena)
{
    words list = {.n = 0};
    char *text = image_path != NULL ? base_name(image_path, arena)
                                    : tl_arena_strdup(arena, p->content);
    if (text == NULL)
        return NULL;
    if (image_path != NULL)
        read_counts(text, &list);
    else
        for (char *word; (word = next_word(&text, " ")) != NULL;)
            add_words(&list, word, 1);
    return join_counts(&list, p->asked, arena);
}

/* "13plus45" is 13+45. */
static const char *arithmetic_content(const char *name, tl_arena *arena)
{
    static const struct {
        const char *word;
        char sign;
    } signs[] = {{"plus", '+'}, {"minus", '-'}, {"mult", '*'}, {"divide", '/'}};
    for (size_t i = 0; name != NULL && i < sizeof signs / sizeof *signs; i++) {
        const char *found = strstr(name, signs[i].word);
        if (found == NULL)
            continue;
        char *text = tl_arena_alloc(arena, strlen(name) + 1, 1);
        if (text == NULL)
            return NULL;
        snprintf(text, strlen(name) + 1, "%.*s%c%s", (int)(found - name), name,
                 signs[i].sign, found + strlen(signs[i].word));
        return text;
    }
    return name != NULL ? "" : NULL;
}

/* "Andreas Ivanschitz: What sport does this athlete play?" */
static const char *fact_content(const char *name, const char *asked, tl_arena *arena)
{
    if (name == NULL)
        return NULL;
    const size_t bytes = strlen(name) + strlen(asked) + 3;
    char *text = tl_arena_alloc(arena, bytes, 1);
    if (text == NULL)
        return NULL;
    snprintf(text, bytes, "%s: %s", name, asked);
    for (char *c = text; c < text + strlen(name); c++)
        if (*c == '_')
            *c = ' ';
    return text;
}

const char *tl_published_content(tl_task task, const tl_published_prompt *prompt,
                                 const char *image_path, tl_arena *arena)
{
    const bool is_picture = image_path != NULL;
    const char *name = is_picture ? base_name(image_path, arena) : prompt->content;
    switch (task) {
    case TL_TASK_COUNTING: return counting_content(prompt, image_path, arena);
    case TL_TASK_ARITHMETIC: return is_picture ? arithmetic_content(name, arena) : name;
    case TL_TASK_FACTUAL_RECALL: return fact_content(name, prompt->asked, arena);
    case TL_TASK_COLOR_ORDERING:
    case TL_TASK_SENTIMENT:
    case TL_TASKS: break;
    }
    return "";
}
