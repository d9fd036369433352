/* SPDX-License-Identifier: MIT
 * consumer.c - a program against an installed twinlens, in C11 and in C++17: opens what
 * is not there, and says the version. */
#include <stdio.h>
#include <string.h>

#include <twinlens/twinlens.h>

int main(void)
{
    tl_error err = {TL_OK, ""};
    tl_model *model = NULL;
    if (tl_model_open("no-such-model", NULL, &model, &err) != TL_ERR_NOT_FOUND ||
        strstr(err.text, "no-such-model") == NULL || err.status != TL_ERR_NOT_FOUND ||
        strcmp(tl_version(), TL_VERSION) != 0)
        return 1;
    puts(tl_version());
    return 0;
}
