#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_page.py PAGE FIGURE... - what holds of every report: every drawing is XML with a title, a
description and no text outside of it; ids are unique; nothing is fetched; no script; every figure
carries numbers as CSV whose lines are equally long; the figures are those that are named."""
import base64
import csv
import html.parser
import io
import re
import sys
import xml.etree.ElementTree as xml

SVG = "{http://www.w3.org/2000/svg}"
EMPTY = {"meta", "br", "link", "img"}


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
    assert root.find(SVG + "title") is not None and root.find(SVG + "desc") is not None
    assert root.find(SVG + "title").text
    width, height = number(root, "width"), number(root, "height")
    assert 50 < width < 20000 and 50 < height < 2000, (width, height)
    assert "nan" not in text and "inf" not in re.sub(r">[^<]*<", "><", text)
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
