/* SPDX-License-Identifier: MIT
 * page_style.h - how the page looks: wide and narrow, light and dark, on paper. */
#ifndef TWINLENS_REPORT_PAGE_STYLE_H
#define TWINLENS_REPORT_PAGE_STYLE_H

#include <stdio.h>

/* The whole style sheet, without the element around it. */
void tl_page_style(FILE *page);

#endif
