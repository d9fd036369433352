/* SPDX-License-Identifier: MIT
 *
 * place.c - where the things of a scene are. Each has a cell of a grid to itself and
 * lies wholly within it, so nothing overlaps, whatever the size of the picture.
 */
#include <math.h>
#include <string.h>

#include "base/sized.h"
#include "scene/sample.h"

enum { LARGEST = 1024, LEAST_ITEM = 18 /* pixels that a person can still make out */ };

static const double PI = 3.14159265358979323846;

/* How a task's picture is divided, and how much of a cell a thing fills. */
typedef struct layout {
    size_t columns, rows;
    double least, most;  /* size of a thing / the cell's smaller side */
    double most_degrees; /* it is turned by, to either side */
} layout;

static const layout layouts[TL_TASKS] = {
    [TL_TASK_COUNTING] = {4, 4, 0.55, 0.86, 10},
    [TL_TASK_ARITHMETIC] = {6, 1, 0.80, 1.00, 0},
    [TL_TASK_COLOR_ORDERING] = {4, 1, 0.62, 0.88, 0},
    [TL_TASK_FACTUAL_RECALL] = {1, 1, 0.60, 0.85, 10},
    [TL_TASK_SENTIMENT] = {3, 3, 0.70, 0.86, 10},
};

static double cell_side(const tl_scene_options *o)
{
    const layout *l = &layouts[o->task];
    const double w = (double)o->width / (double)l->columns,
                 h = (double)o->height / (double)l->rows;
    return w < h ? w : h;
}

/* Small pictures have no pixels to waste: things are nearly as large as they may be. */
static double least_size(const layout *l, double side)
{
    const double wanted = 21 / side, least = l->least > wanted ? l->least : wanted;
    return least < 0.9 * l->most ? least : 0.9 * l->most;
}

static tl_status check_size(const tl_scene_options *o, tl_error *err)
{
    const layout *l = &layouts[o->task];
    if (o->width > LARGEST || o->height > LARGEST)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "a picture of %zux%zu is too large, wanted at most %dx%d",
                       o->width, o->height, LARGEST, LARGEST);
    if (o->width == 0 || o->height == 0 || l->most * cell_side(o) < LEAST_ITEM) {
        const double cell = ceil(LEAST_ITEM / l->most);
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "a picture of %zux%zu is too small for %s, wanted at least "
                       "%.0fx%.0f",
                       o->width, o->height, tl_task_name(o->task),
                       cell * (double)l->columns, cell * (double)l->rows);
    }
    return TL_OK;
}

tl_status tl_scene_options_take(const tl_scene_options *given, tl_scene_options *out,
                                tl_error *err)
{
    tl_scene_options o;
    tl_status status = tl_sized_copy(given, &o, sizeof o, "tl_scene_options", err);
    if (status != TL_OK)
        return status;
    if ((size_t)o.task >= TL_TASKS || (size_t)o.style > TL_STYLE_SMALL ||
        (size_t)o.content > TL_CONTENT_HELD_OUT)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "no such task, style or content: %d, %d, %d", (int)o.task,
                       (int)o.style, (int)o.content);
    if (o.width == 0 && o.height == 0)
        tl_scene_default_size(o.task, o.style, &o.width, &o.height);
    if ((status = check_size(&o, err)) == TL_OK)
        *out = o;
    return status;
}

static double uniform(tl_random *random, double from, double to)
{
    return from + (to - from) * (double)(tl_random_next(random) >> 11) * 0x1p-53;
}

static size_t below(tl_random *random, size_t n)
{
    return (size_t)tl_random_below(random, n);
}

/* Different cells for the items of a grid; in reading order when they are alike. */
static void choose_cells(tl_task task, const layout *l, tl_random *random, size_t n,
                         size_t *cells)
{
    const size_t n_cells = l->columns * l->rows;
    if (l->rows == 1) { /* their order is what they mean */
        for (size_t i = 0; i < n; i++)
            cells[i] = i;
        return;
    }
    bool taken[64] = {false};
    /* The first of a scene is the weather, which belongs above. */
    size_t begin = 0;
    if (task == TL_TASK_SENTIMENT) {
        cells[0] = below(random, l->columns);
        begin = 1;
    }
    for (size_t i = begin; i < n; i++) {
        const size_t first = begin * l->columns;
        do
            cells[i] = first + below(random, n_cells - first);
        while (taken[cells[i]]);
        taken[cells[i]] = true;
    }
}

void tl_scene_place(const tl_scene_options *o, tl_random *random, tl_scene *scene)
{
    const layout *l = &layouts[o->task];
    const double width = (double)o->width / (double)l->columns,
                 height = (double)o->height / (double)l->rows, side = cell_side(o);
    size_t cells[TL_SCENE_ITEMS];
    choose_cells(o->task, l, random, scene->n_items, cells);
    /* Digits of one number are set in one size, on one line. */
    const bool alike = o->task == TL_TASK_ARITHMETIC;
    const double one_size = uniform(random, least_size(l, side), l->most) * side,
                 one_height = uniform(random, 0, 1);
    for (size_t i = 0; i < scene->n_items; i++) {
        tl_item *item = &scene->items[i];
        item->angle = uniform(random, -l->most_degrees, l->most_degrees) * PI / 180;
        item->size =
            alike ? one_size : uniform(random, least_size(l, side), l->most) * side;
        /* What the turned square covers. */
        const double covers = item->size * (cos(item->angle) + fabs(sin(item->angle)));
        const double free_x = fmax(width - covers, 0);
        double free_y = fmax(height - covers, 0), top = 0;
        if (o->task == TL_TASK_COLOR_ORDERING) { /* a row on the ground */
            top = fmin(fmax(0.75 * height - 0.75 * item->size, 0), free_y);
            free_y = fmin(item->size / 2, free_y - top);
        } else if (alike) { /* a line of writing, which begins at the top */
            free_y = fmin(item->size / 5, free_y);
        }
        const double across = uniform(random, 0, 1), down = uniform(random, 0, 1);
        const size_t column = cells[i] % l->columns, row = cells[i] / l->columns;
        item->x = (double)column * width + covers / 2 + free_x * (alike ? 0.5 : across);
        item->y = (double)row * height + covers / 2 + top +
                  free_y * (alike ? one_height : down);
    }
    /* Reading order, which for sorting means: by cell. */
    for (size_t i = 1; i < scene->n_items; i++)
        for (size_t j = i; j > 0 && cells[j] < cells[j - 1]; j--) {
            const tl_item item = scene->items[j];
            const size_t cell = cells[j];
            scene->items[j] = scene->items[j - 1];
            cells[j] = cells[j - 1];
            scene->items[j - 1] = item;
            cells[j - 1] = cell;
        }
}

void tl_scene_default_size(tl_task task, tl_style style, size_t *width, size_t *height)
{
    /* Published: SPEC of the pictures; small: one thing in each cell of 28 pixels. */
    static const size_t sizes[2][TL_TASKS][2] = {
        [TL_STYLE_PUBLISHED] =
            {{252, 252}, {338, 75}, {252, 252}, {252, 252}, {252, 252}},
        [TL_STYLE_SMALL] = {{112, 112}, {168, 56}, {112, 56}, {84, 84}, {84, 84}},
    };
    *width = sizes[style][task][0];
    *height = sizes[style][task][1];
}
