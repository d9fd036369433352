/* SPDX-License-Identifier: MIT
 *
 * cpu_amx.h - a tile of a product in bf16 (cpu_bf16.h) by the processor's matrix unit, AMX.
 */
#ifndef TWINLENS_BACKEND_CPU_CPU_AMX_H
#define TWINLENS_BACKEND_CPU_CPU_AMX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether the processor has one and the system lets this process use it, for which it is
 * asked here. */
bool tl_cpu_amx_is_there(void);

/* As tl_cpu_bf16_tile(). */
void tl_cpu_amx_tile(const uint32_t *tile, const uint32_t *panel, size_t pairs,
                     size_t width, float *c, size_t stride);

#endif
