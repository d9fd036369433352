/* SPDX-License-Identifier: MIT
 * curve.c - areas under a faithfulness curve (include/twinlens/statistics.h). */
#include <math.h>

#include "twinlens/statistics.h"

tl_curve_area tl_curve_measure(const double *fractions, const double *faithfulness,
                               size_t n)
{
    double area = 0.0, away = 0.0, first = 0.0, x0 = 0.0, y0 = 0.0;
    size_t points = 0;
    for (size_t i = 0; i < n; i++) {
        const double x = fractions[i], y = faithfulness[i];
        if (isnan(y))
            continue;
        if (points++ == 0)
            first = x;
        else {
            area += (x - x0) * (y + y0) / 2;
            away += (x - x0) * (fabs(1 - y) + fabs(1 - y0)) / 2;
        }
        x0 = x;
        y0 = y;
    }
    if (points < 2 || x0 <= first)
        return (tl_curve_area){NAN, NAN};
    return (tl_curve_area){area / (x0 - first), away / (x0 - first)};
}
