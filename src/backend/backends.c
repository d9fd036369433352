/* SPDX-License-Identifier: MIT
 * backends.c - see backends.h. */
#include "backend/backends.h"

#include <string.h>

#ifdef TWINLENS_ONEDNN
#include "backend/cpu/cpu.h"
#endif

const char *tl_backend_default(void)
{
#ifdef TWINLENS_ONEDNN
    return "cpu";
#else
    return "ref";
#endif
}

tl_status tl_backend_create(const char *name, size_t n_threads, size_t cache_bytes,
                            tl_backend **out, tl_error *err)
{
    if (strcmp(name, "ref") == 0)
        return tl_backend_create_ref(out, err);
    if (strcmp(name, "cpu") != 0)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "there is no backend '%s', only 'ref' and 'cpu'", name);
#ifdef TWINLENS_ONEDNN
    return tl_backend_create_cpu(n_threads, cache_bytes, out, err);
#else
    (void)n_threads, (void)cache_bytes;
    return tl_fail(err, TL_ERR_UNSUPPORTED,
                   "the backend 'cpu' needs oneDNN, which this build was made without; "
                   "'ref' is there");
#endif
}

void tl_backend_destroy(tl_backend *backend)
{
    if (backend != NULL)
        backend->destroy(backend);
}

bool tl_backend_keeps_weights(const char *name)
{
    return strcmp(name, "cpu") == 0;
}

size_t tl_backend_scratch_bytes(const char *name, size_t n_threads, size_t max_in,
                                size_t max_out, bool bf16)
{
#ifdef TWINLENS_ONEDNN
    if (strcmp(name, "cpu") == 0)
        return tl_backend_cpu_scratch_bytes(n_threads, max_in, max_out, bf16);
#endif
    (void)name, (void)n_threads, (void)max_in, (void)max_out, (void)bf16;
    return 0;
}
