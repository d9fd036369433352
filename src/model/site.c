/* SPDX-License-Identifier: MIT
 * site.c - names of the sites (include/twinlens/site.h). */
#include "twinlens/site.h"

static const char *const names[TL_SITE_COUNT] = {
    [TL_SITE_RESID_PRE] = "resid_pre", [TL_SITE_Z] = "z",
    [TL_SITE_ATTN_OUT] = "attn_out",   [TL_SITE_MLP_POST] = "mlp_post",
    [TL_SITE_MLP_OUT] = "mlp_out",     [TL_SITE_RESID_POST] = "resid_post",
};

const char *tl_site_name(tl_site site)
{
    return names[site];
}
