/* SPDX-License-Identifier: MIT
 * page_style.c - see page_style.h.
 *
 * Drawings carry their colours in themselves (svg.h), so that they can be taken out of the page.
 * In the dark a rule for each of these colours puts another in its place; what lies on a ground of
 * its own, such as a map, keeps its colours. tests/cli/check_page.py measures all contrasts.
 */
#include "report/page_style.h"

#include <stddef.h>

#include "report/figure.h"

/* clang-format off */
static const char style[] =
    ":root{--ink:#1a1a1a;--soft:#404040;--paper:#ffffff;--line:#8a8a8a;"
    "--faint:#dddddd;--link:#004f7c;--shade:#f4f4f2}"
    "@media screen and (prefers-color-scheme:dark){:root{--ink:#e8e8e6;--soft:#c6c6c2;--paper:#15181d;"
    "--line:#7d828a;--faint:#3a3f47;--link:#8cc8ff;--shade:#1f242b}}"
    "html{color:var(--ink);background:var(--paper);font:16px/1.5 system-ui,Helvetica,Arial,sans-serif;"
    "scroll-padding-top:3rem}"
    "body{max-width:92rem;margin:0 auto;padding:0 1rem 3rem}"
    "a{color:var(--link)}"
    ":focus-visible{outline:3px solid var(--link);outline-offset:2px}"
    "h1{font-size:1.6rem;line-height:1.2;margin:1rem 0 .5rem}"
    "h2{font-size:1.3rem;line-height:1.25;margin:2.5rem 0 .5rem;padding-top:.6rem;"
    "border-top:2px solid var(--ink);overflow-wrap:anywhere}"
    "h3{font-size:1.08rem;margin:1.6rem 0 .4rem}"
    "p,.found{max-width:62rem}"
    ".found li{margin:.35rem 0}"
    /* the contents: a row on top of a narrow window, a column beside a wide one */
    "nav{position:sticky;top:0;z-index:1;background:var(--paper);border-bottom:1px solid var(--line);"
    "margin:0 -1rem;padding:.4rem 1rem;overflow-x:auto;font-size:.88rem}"
    "nav ul{margin:0;padding:0;list-style:none;display:flex;gap:1rem;white-space:nowrap}"
    "nav a{display:inline-block;padding:.15rem 0}"
    "nav details{display:none}"
    "@media(min-width:1000px){"
    "body{display:grid;grid-template-columns:12.5rem minmax(0,1fr);column-gap:1.6rem}"
    "header{grid-column:1/-1}html{scroll-padding-top:1rem}"
    "nav{border:0;margin:0;padding:1rem 0;align-self:start;max-height:100vh;overflow:auto;"
    "box-sizing:border-box}"
    "nav ul{display:block;white-space:normal}nav details{display:block;padding-left:.7rem}"
    "nav a{display:block;line-height:1.3;padding:.2rem 0}}"
    /* figures: two drawings beside each other, the words in the place that is left */
    "figure{margin:0 0 1.5rem}figure>h3{border-top:1px solid var(--faint);padding-top:1rem}"
    "figcaption{font-size:.92rem;color:var(--soft);margin-top:.4rem;max-width:62rem}"
    "svg text{pointer-events:none}"
    "svg{display:block;max-width:100%;height:auto;margin-bottom:.8rem}"
    ".panels>svg{width:100%;max-width:34rem}"
    ".wide .panels{overflow-x:auto}"
    ".wide .panels>svg{width:auto;max-width:none}"
    "section[id$=leading] th,section[id$=leading] td{padding:.2rem .35rem;font-size:.8rem}"
    ".row{display:flex;gap:.6rem}.row>svg{flex:none;max-width:none}"
    "@media(min-width:760px),print{"
    ".odd,.even>.panels{display:grid;grid-template-columns:1fr 1fr;column-gap:1.6rem;align-items:start}"
    ".odd>h3{grid-column:1/-1}.odd>.panels{display:contents}"
    ".even>figcaption{max-width:none;columns:2;column-gap:1.6rem}}"
    ".asks,.asks~label{display:inline-block;margin:.2rem .9rem .7rem 0;font-size:.95rem}"
    ".asks~label{cursor:pointer}.asks~input{margin:0 .35rem 0 0}"
    /* tables */
    ".table{overflow-x:auto;margin-bottom:1rem}"
    "table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}"
    "th,td{padding:.2rem .7rem;border-bottom:1px solid var(--faint);text-align:right;vertical-align:top}"
    "th:first-child,td:first-child{text-align:left;padding-left:0}"
    "thead th{border-bottom:1.5px solid var(--ink)}"
    "th small{font-weight:400;color:var(--soft)}"
    ".study td{white-space:nowrap}.study td:first-child,.study td:last-child{white-space:normal}"
    ".study td:last-child,.study th:last-child{text-align:left;color:var(--soft)}"
    ".study tbody tr:nth-child(even){background:var(--shade)}"
    ".note,caption{font-size:.9rem;color:var(--soft);max-width:62rem;margin:.3rem 0 1.2rem;text-align:left}"
    "dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.1rem 1rem;font-size:.9rem}"
    "dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere}"
    "summary{cursor:pointer}"
    "@media(max-width:600px){.study td{white-space:normal}th,td{padding:.2rem .35rem}table{font-size:.8rem}"
    "dl{grid-template-columns:minmax(0,1fr)}dd{margin-bottom:.4rem}}"
    "@media print{nav,.asks~input,"
    ".asks~input:not(:checked)+label{display:none}body{display:block;max-width:none;padding:0;font-size:11pt}"
    "tr,svg,figcaption,.odd{break-inside:avoid}h2,h3{break-after:avoid}.wide .panels{overflow:visible}"
    ".wide .panels>svg{max-width:100%}a{color:inherit;text-decoration:none}}";
/* clang-format on */

/* A drawing's colour, and that in its place on a dark ground. */
static const char *const in_the_dark[][2] = {
    {"#222222", "#e2e2df"},       {TL_COLOR_LINE, "#c4c6ca"},
    {TL_COLOR_GRID, "#3a3f47"},   {TL_COLOR_TEXT, "#62b6ee"},
    {TL_COLOR_IMAGE, "#ff9d5c"},  {TL_COLOR_OTHER, "#3fc6a0"},
    {TL_COLOR_RANDOM, "#a6a9ae"}, {"#000000", "#f2f2f0"},
    {"#ffffff", "#15181d"},       {"#3b3b3b", "#d8d8d4"},
    {"#8f8f8f", "#80858c"},       {"#e3e3e3", "#454b54"},
    {"#f06010", "#c2480f"},       {"#a3007a", "#ee8ad6"},
    {"#8a3ffc", "#b794ff"},       {"#7a5c00", "#d1b05a"}};

void tl_page_style(FILE *page)
{
    fputs(style, page);
    for (size_t i = 0; i < TL_FIGURE_CHOICES; i++)
        fprintf(page,
                ".pick-%zu:checked~.panels [class^=for-]{display:none}"
                ".pick-%zu:checked~.panels .%s{display:inline}",
                i, i, tl_figure_choices[i]);
    fputs("@media screen and (prefers-color-scheme:dark){", page);
    for (size_t i = 0; i < sizeof in_the_dark / sizeof *in_the_dark; i++)
        fprintf(page, "svg [fill=\"%s\"]{fill:%s}svg [stroke=\"%s\"]{stroke:%s}",
                in_the_dark[i][0], in_the_dark[i][1], in_the_dark[i][0],
                in_the_dark[i][1]);
    fputs("}", page);
}
