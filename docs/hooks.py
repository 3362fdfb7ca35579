"""Hooks of mkdocs.yml: the README as the first page, and formulas as MathML, which needs no script from elsewhere."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert

LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|#)([^)\s]+)\)")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """The README's links, seen from docs/; files that are no part of the site are named without a link."""
    if page.file.src_uri != "index.md":
        return markdown

    def seen_from_here(link: re.Match[str]) -> str:
        text, target = link.groups()
        path = target.removeprefix("docs/")
        return f"[{text}]({path})" if files.get_file_from_path(path.partition("#")[0]) else text

    return LINK.sub(seen_from_here, Path(config.config_file_path).with_name("README.md").read_text("utf-8"))


def on_page_content(html: str, **_: Any) -> str:
    """Formulas as MathML."""

    def mathml(formula: re.Match[str]) -> str:
        _, bracket, text = formula.groups()
        # It knows align*, not aligned; browsers know style, not columnalign.
        latex = unescape(text).replace("{aligned}", "{align*}")
        found = convert(latex, display="block" if bracket == "[" else "inline")
        return re.sub(r'columnalign="(\w+)"', r'style="text-align: \1"', found)

    return FORMULA.sub(mathml, html)
