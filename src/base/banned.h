/* SPDX-License-Identifier: MIT
 * banned.h - included by the build in front of every file of src/: the functions
 * below have a safer form, and using one does not compile. */
#ifndef TWINLENS_BASE_BANNED_H
#define TWINLENS_BASE_BANNED_H

#include <stdio.h>  /* first, so that their own declarations are not hit */
#include <stdlib.h>
#include <string.h>

#pragma GCC poison sprintf vsprintf strcpy strcat strncpy strtok gets atoi atof atol

#endif
