/* SPDX-License-Identifier: MIT
 *
 * words.h - what the made-up tasks are about: objects, colours, facts, moods, each
 * with the emoji that shows it. Counts are given so that tables can be indexed.
 */
#ifndef TWINLENS_SCENE_WORDS_H
#define TWINLENS_SCENE_WORDS_H

#include <stddef.h>

/* A word and the emoji that a person would call so. */
typedef struct tl_icon {
    const char *word, *emoji;
} tl_icon;

/* Objects to count: the first TL_OBJECTS_SMALL are those of the small style. */
enum { TL_OBJECTS = 27, TL_OBJECTS_SMALL = 20 };
extern const tl_icon tl_objects[TL_OBJECTS];

enum { TL_COLORS = 8 };
typedef struct tl_color {
    const char *word;
    double red, green, blue; /* 0 .. 1 */
} tl_color;
extern const tl_color tl_colors[TL_COLORS];

/* Questions about an entity; all have the same number of words. */
typedef enum tl_question {
    TL_QUESTION_CONTINENT,
    TL_QUESTION_LANGUAGE,
    TL_QUESTION_CAPITAL,
    TL_QUESTION_COUNTRY,
    TL_QUESTION_SPORT,
    TL_QUESTION_INSTRUMENT,
    TL_QUESTIONS,
} tl_question;
extern const char *const tl_question_text[TL_QUESTIONS];
extern const char *const tl_question_name[TL_QUESTIONS];

/* A thing that facts are known of. */
typedef struct tl_entity {
    const char *name; /* as a sentence takes it: "the Statue of Liberty" */
    const char *word; /* in one word: "Liberty" */
    const char *emoji;
    const char *answer[TL_QUESTIONS]; /* NULL: not asked of this entity */
} tl_entity;
enum { TL_ENTITIES = 72 };
extern const tl_entity tl_entities[TL_ENTITIES];

/* Verbs that introduce an entity: "Consider France." */
enum { TL_INTRODUCTIONS = 32 };
extern const char *const tl_introductions[TL_INTRODUCTIONS];

typedef enum tl_mood { TL_HAPPY, TL_SAD, TL_NEUTRAL, TL_MOODS } tl_mood;
extern const char *const tl_mood_name[TL_MOODS];

/* A scene's parts, by mood. */
enum { TL_FACES = 8, TL_THINGS = 8, TL_WEATHERS = 4, TL_PERSONS = 12 };
extern const tl_icon tl_faces[TL_MOODS][TL_FACES]; /* what a person does */
extern const tl_icon tl_things[TL_MOODS][TL_THINGS];
extern const tl_icon tl_weathers[TL_MOODS][TL_WEATHERS];
extern const char *const tl_persons[TL_PERSONS];

#endif
