/* SPDX-License-Identifier: MIT
 * most_frequent.c - see include/twinlens/statistics.h. */
#include "twinlens/statistics.h"

size_t tl_most_frequent(const size_t *values, size_t n)
{
    size_t best = 0, most = 0;
    for (size_t i = 0; i < n; i++) {
        size_t count = 0;
        for (size_t k = 0; k < n; k++)
            count += values[k] == values[i];
        if (count > most || (count == most && values[i] < best)) {
            most = count;
            best = values[i];
        }
    }
    return best;
}
