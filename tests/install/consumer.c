/* SPDX-License-Identifier: MIT
 * consumer.c - a program against an installed twinlens, in C11 and in C++17: opens the
 * model of its argument or the bundled one, and says the version and what the model is. */
#include <stdio.h>
#include <string.h>

#include <twinlens/twinlens.h>

int main(int argc, char **argv)
{
    tl_error err = {TL_OK, ""};
    tl_model *model = NULL;
    if (tl_model_open("no-such-model", NULL, &model, &err) != TL_ERR_NOT_FOUND ||
        strstr(err.text, "no-such-model") == NULL || err.status != TL_ERR_NOT_FOUND ||
        strcmp(tl_version(), TL_VERSION) != 0)
        return 1;
    if (tl_model_open(argc > 1 ? argv[1] : NULL, NULL, &model, &err) != TL_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    printf("%s runs %s\n", tl_version(), tl_model_family(model));
    tl_model_close(model);
    return 0;
}
