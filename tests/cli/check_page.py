#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_page.py PAGE FIGURE... - what holds of every report: every drawing is XML with a title, a
description and no text outside of it; ids are unique; nothing is fetched; no script; every figure
carries numbers as CSV whose lines are equally long; the figures are those that are named, and all in
the contents; switches show what there is; contrasts are those of WCAG AA; no -0.000; 1 MiB or less."""
import base64
import csv
import html.parser
import io
import re
import sys
import xml.etree.ElementTree as xml

SVG = "{http://www.w3.org/2000/svg}"
EMPTY = {"meta", "br", "link", "img", "input"}


# ---- colours ------------------------------------------------------------------------------------


def luminance(color):
    parts = [int(color[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a, b):
    """As WCAG defines it: text needs 4.5, what else is to be seen 3."""
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def check_colors(text, drawings):
    """Words and lines on the page and in its drawings, in the light and in the dark."""
    style = re.search(r"<style>(.*?)</style>", text, re.S)[1]
    light, dark = [dict(re.findall(r"--(\w+):(#\w{6})", block)) for block in re.findall(r":root\{([^}]*--ink[^}]*)\}", style)]
    assert set(dark) == set(light)
    in_the_dark = dict(re.findall(r"\[fill=\"(#\w{6})\"\]\{fill:(#\w{6})\}", style))
    assert in_the_dark == dict(re.findall(r"\[stroke=\"(#\w{6})\"\]\{stroke:(#\w{6})\}", style))
    for colors, mapped in ((light, {}), (dark, in_the_dark)):
        for ground in ("paper", "shade"):
            for name in ("ink", "soft", "link"):
                assert contrast(colors[name], colors[ground]) >= 4.5, (name, colors[name], colors[ground])
        assert contrast(colors["line"], colors["paper"]) >= 3, colors
        for drawing in drawings:
            for color in re.findall(r"<text [^>]*fill=\"(#\w{6})\"", drawing):
                if color not in ("#000001", "#fffffe"):  # on cells that keep their colours
                    assert contrast(mapped.get(color, color), colors["paper"]) >= 4.5, (color, mapped.get(color))
        for color in ("#0072b2", "#d55e00", "#00795a", "#767676", "#333333", "#000000", "#f06010", "#777777"):
            assert contrast(mapped.get(color, color), colors["paper"]) >= 3, (color, mapped.get(color))
        for line, bar in (("#f06010", "#3b3b3b"), ("#000000", "#8f8f8f"), ("#000000", "#e3e3e3")):
            assert contrast(mapped.get(line, line), mapped.get(bar, bar)) >= 3, (line, bar)
    for drawing in drawings:  # words on cells: each behind the cell that it stands on
        for cell, word in re.findall(r"fill=\"(#\w{6})\"[^>]*>(?:<title>[^<]*</title></rect>)?\n<text [^>]*fill=\"(#000001|#fffffe)\"", drawing):
            assert contrast(cell, word) >= 4.5, (cell, word)


# ---- the page -----------------------------------------------------------------------------------


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.figures = [], [], [], []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        assert tag not in ("script", "link", "iframe"), tag
        assert not any(name.startswith("on") for name in attributes), attributes
        if tag not in EMPTY:
            self.open.append(tag)
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if tag == "figure":
            self.figures.append(attributes["id"])
        for name in ("href", "src"):
            if name in attributes:
                self.links.append(attributes[name])

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if tag not in EMPTY:
            assert self.open and self.open[-1] == tag, (tag, self.open)
            self.open.pop()


def number(element, name):
    return float(element.get(name, 0))


def check_drawing(text):
    root = xml.fromstring(text)
    assert all(e.get("href", "#").startswith(("#", "data:")) for e in root.iter())
    assert root.find(SVG + "title") is not None and root.find(SVG + "desc") is not None
    assert root.find(SVG + "title").text
    width, height = number(root, "width"), number(root, "height")
    assert 50 < width < 20000 and 50 < height < 2000, (width, height)
    bare = re.sub(r"data:[^\"]*", "", text)
    assert not re.search(r"\bnan\b", bare) and "inf" not in re.sub(r">[^<]*<", "><", bare)
    for element in root.iter():
        if element.tag in (SVG + "rect", SVG + "image"):
            x, y = number(element, "x"), number(element, "y")
            assert x >= -1 and x + number(element, "width") <= width + 1, xml.tostring(element)[:200]
            assert y >= -1 and y + number(element, "height") <= height + 1, xml.tostring(element)[:200]
        if element.tag != SVG + "text":
            continue
        # No browser here: about how wide the words are in the font.
        size = number(element, "font-size")
        long = 0.52 * size * len(element.text or "")
        x, y = number(element, "x"), number(element, "y")
        share = {"middle": 0.5, "end": 1}.get(element.get("text-anchor"), 0)
        first, last = -share * long, (1 - share) * long
        if element.get("transform"):
            assert element.get("transform").startswith("rotate(-90 ")
            assert y - last >= -3 and y - first <= height + 3, (element.text, y, height)
        else:
            assert x + first >= -3 and x + last <= width + 3, (element.text, x, width)


def main():
    path, wanted = sys.argv[1], sys.argv[2:]
    text = open(path, encoding="utf-8").read()
    page = Page()
    page.feed(text)
    page.close()
    assert not page.open, page.open
    assert len(set(page.ids)) == len(page.ids), [i for i in page.ids if page.ids.count(i) > 1]
    assert page.figures == wanted, (page.figures, wanted)
    assert re.findall(r"https?://[^\"]*", text).count("http://www.w3.org/2000/svg") == \
        len(re.findall(r"https?://", text)), "something is fetched"
    drawings = re.findall(r"<svg .*?</svg>", text, re.S)
    assert len(drawings) >= len(wanted)
    for drawing in drawings:
        check_drawing(drawing)
    check_colors(text, drawings)
    contents = re.findall(r"href=\"#([^\"]*)\"", re.search(r"<nav.*?</nav>", text, re.S)[0])
    assert set(page.figures) <= set(contents) <= set(page.ids), contents
    for figure in re.findall(r"<figure id.*?</figure>", text, re.S):
        choices = set(re.findall(r"class=\"pick-(\d)\"", figure))
        groups = {n for names in re.findall(r"<g class=\"([^\"]*)\"", figure) for n in re.findall(r"for-(\d)", names)}
        assert groups == choices and figure.count(" checked>") == (1 if choices else 0), (choices, groups)
    words = re.sub(r"<[^>]*>", " ", re.sub(r"<style>.*?</style>", "", text, flags=re.S))
    assert not re.search(r"(?<![\d.])-0\.0+(?![\d.])", words), re.search(r".{40}-0\.0+(?![\d.])", words)
    assert len(text) < 1 << 20, len(text)
    tables = [link for link in page.links if link.startswith("data:text/csv;base64,")]
    assert len(tables) == len(wanted), len(tables)
    for table in tables:
        rows = list(csv.reader(io.StringIO(base64.b64decode(table.split(",", 1)[1]).decode())))
        assert len(rows) > 1 and all(len(row) == len(rows[0]) for row in rows), rows[:3]
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids, link
        else:
            assert link.startswith("data:"), link[:80]


if __name__ == "__main__":
    main()
