/* SPDX-License-Identifier: MIT
 *
 * fuzz_circuit.c - any bytes as a circuit file, and as a list, over 2 layers, 2 heads, 3
 * neurons and 4 positions: a set that is read again as it is written, or refused.
 */
#include "fuzz.h"

#include "twinlens/circuit_file.h"

enum { LAYERS = 2, HEADS = 2, NEURONS = 3, POSITIONS = 4 };
static const tl_circuit_shape shape = {LAYERS, HEADS, NEURONS, {POSITIONS, 1, 2}};

static void check(const char *text, tl_arena *arena)
{
    tl_component_set set = {0}, again = {0};
    tl_error err = {0};
    if (tl_circuit_read(text, &shape, arena, &set, &err) != TL_OK) {
        if (set.heads != NULL || err.text[0] == '\0')
            abort();
        return;
    }
    char path[512];
    snprintf(path, sizeof path, "%s/again.json", fuzz_folder());
    if (tl_circuit_write(path, &set, &shape.span, "a note", &err) != TL_OK ||
        tl_circuit_read(path, &shape, arena, &again, &err) != TL_OK ||
        memcmp(set.heads, again.heads, LAYERS * POSITIONS * HEADS) != 0 ||
        memcmp(set.neurons, again.neurons, LAYERS * POSITIONS * NEURONS) != 0)
        abort();
    remove(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    char path[512], *text = malloc(bytes + 1);
    tl_circuit_shape said;
    bool found = false;
    tl_error err = {0};
    tl_arena *arena = tl_arena_create();
    if (text == NULL || arena == NULL)
        abort();
    memcpy(text, data, bytes);
    text[bytes] = '\0';
    if (!tl_circuit_is_file(text))
        check(text, arena);
    fuzz_write(path, "circuit.json", data, bytes);
    if (tl_circuit_shape_read(path, &said, &found, &err) != TL_OK && found)
        abort();
    check(path, arena);
    remove(path);
    tl_arena_destroy(arena);
    free(text);
    return 0;
}
