#!/usr/bin/env python3
"""Checks the links between the pages of the documentation: each file, and each heading in it, is there."""

import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
PAGES = [*TOP.glob("*.md"), *TOP.glob("docs/*.md")]


def text_of(page):
    """The page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def anchors(page):
    """Names of its headings, as GitHub makes them."""
    for heading in re.findall(r"^#+ (.*)$", text_of(page), flags=re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        yield re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")


def broken():
    for page in sorted(PAGES):
        for link in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = link.partition("#")
            file = (page.parent / path).resolve() if path else page
            if not file.exists():
                yield page, link, "there is no such file"
            elif anchor and file.suffix == ".md" and anchor not in anchors(file):
                yield page, link, "there is no such heading"


found = list(broken())
for page, link, why in found:
    print(f"{page.relative_to(TOP)}: {link}: {why}")
sys.exit(bool(found))
