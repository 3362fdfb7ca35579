"""A table as LaTeX, as wide as the page of a paper at most."""

from __future__ import annotations

import re
from collections.abc import Sequence

from terminator.analysis.tables.table import Cell, Table

_MATH = {
    "<": "<", ">": ">", "|": "|", "−": "-", "±": r"\pm", "×": r"\times", "·": r"\cdot", "≈": r"\approx",
    "≥": r"\geq", "≤": r"\leq", "σ": r"\sigma", "⊗": r"\otimes", "⊙": r"\odot", "↳": r"\hookrightarrow",
    "→": r"\rightarrow", "∞": r"\infty", "α": r"\alpha", "ω": r"\omega", "₀": "_0",
    "‡": r"\ddagger", "†": r"\dagger", "²": "^2",
}  # fmt: skip
_LATEX: dict[str, str | int | None] = {
    **{character: rf"\{character}" for character in "&%$#_{}"},
    **{character: f"${command}$" for character, command in _MATH.items()},
    "\n": " ",
    "\\": r"\textbackslash{}",
    "\u00a0": "~",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    '"': r"{\ttfamily\char34}",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "’": "'",
    "“": "``",
    "”": "''",
    "…": r"\ldots{}",
    "§": r"\S{}",
}


LATEX_POINTS = 397.0  # the text width of NeurIPS; ICML's page, over both of its columns, has 487
# Sizes of type, and their quads in Computer Modern, which is wider than Times, and the wider the smaller it is.
LATEX_SIZES = ((r"\footnotesize", 9.3), (r"\scriptsize", 8.0), (r"\tiny", 6.9))
COLUMN_GAP = 6.0
LETTER = {**dict.fromkeys("ijlIt.,:;'|!()[]/f ", 0.3), **dict.fromkeys("mwMW±−+<>≈×→%@", 0.84)}
USUAL_LETTER = 0.5
FEWEST_POINTS = 48.0  # of a column that is broken over lines
BREAK = re.compile(r"([_=,@/-])(?=.)")
UNBROKEN = 8  # letters, where there is no such place
_BREAKABLE = r"\allowbreak{}"


def latex(table: Table) -> str:
    """A floating table with caption and label, as wide as the page at most; the notes stand under it.

    Input it and compile; it needs booktabs alone. In a paper with two columns it spans both. Advice is left out.
    """
    size, widths = _latex_widths(table)
    columns = "".join(
        f"p{{{width:.3f}\\linewidth}}" if width else "r" if column.numeric else "l"
        for column, width in zip(table.columns, widths, strict=True)
    )
    label = re.sub(r"[^A-Za-z0-9]", "-", table.label)
    both = r"table\ifdim\columnwidth<\textwidth*\fi"
    lines = [
        rf"\begin{{{both}}}",
        rf"\centering{size}",
        rf"\caption{{{_for_latex(table.title)}}}",
        rf"\label{{tab:{label}}}",
        rf"\setlength{{\tabcolsep}}{{{COLUMN_GAP / 2:g}pt}}",
        rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"\toprule",
        *_latex_head(table),
        r"\midrule",
    ]
    for number, section in enumerate(table.sections):
        if section.title:
            lines += [r"\midrule"] if number else []
            title = rf"\textit{{{_for_latex(section.title)}}}"
            lines.append(rf"\multicolumn{{{len(table.columns)}}}{{@{{}}l}}{{{title}}} \tabularnewline")
        for row in section.rows:
            lines.append(_latex_row([_latex_cell(*each) for each in zip(row, widths, strict=True)]))
    lines += [r"\bottomrule", r"\end{tabular}"]
    if table.notes:
        lines.append(r"\par\medskip\begin{minipage}{\linewidth}\scriptsize\raggedright")
        lines += [rf"{_for_latex(note)}\par" for note in table.notes]
        lines.append(r"\end{minipage}")
    return "\n".join([*lines, rf"\end{{{both}}}"]) + "\n"


def _latex_widths(table: Table) -> tuple[str, list[float]]:
    """The size of the type, and for each column of text that is broken over lines its share of the page; else 0."""
    rows = [[cell.marked for cell in row] for section in table.sections for row in section.rows]
    texts = [[*column.lines, *each] for column, each in zip(table.columns, zip(*rows, strict=True), strict=True)]
    ems = [max(map(_ems, each)) for each in texts] if rows else [_ems(column.title) for column in table.columns]
    room = LATEX_POINTS - COLUMN_GAP * (len(ems) - 1)
    wordy = [not column.numeric for column in table.columns]
    for command, points in LATEX_SIZES:
        natural = [points * each for each in ems]
        if sum(natural) <= room:
            return command, [0.0] * len(ems)
        left = room - sum(width for width, is_text in zip(natural, wordy, strict=True) if not is_text)
        if left >= FEWEST_POINTS * sum(wordy):
            break
    return command, [each / LATEX_POINTS for each in _shared_out(left, natural, wordy)]


def _shared_out(room: float, natural: Sequence[float], wordy: Sequence[bool]) -> list[float]:
    """The widths of the columns of text that have to be broken to fit into `room` together; 0 for all others."""
    broken = {number: width for number, width in enumerate(natural) if wordy[number]}
    while short := [number for number, width in broken.items() if width <= room / len(broken)]:
        for number in short:  # one that needs no more than its share keeps its width
            room -= broken.pop(number)
    return [max(FEWEST_POINTS, room / len(broken)) if number in broken else 0.0 for number in range(len(natural))]


def _ems(text: str) -> float:
    return sum(LETTER.get(letter, USUAL_LETTER if letter.islower() or letter.isdigit() else 0.7) for letter in text)


def _latex_head(table: Table) -> list[str]:
    """The groups, if there are any, and titles over two lines, so that eight columns fit a page."""
    lines, groups, rules, start = [], [], [], 1
    for title, width in table.groups():
        groups.append(rf"\multicolumn{{{width}}}{{c}}{{{_for_latex(title)}}}")
        if title:
            rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
        start += width
    if groups:
        lines += [_latex_row(groups), " ".join(rules)]
    tops, bottoms = zip(*(map(_for_latex, column.lines) for column in table.columns), strict=True)
    return [*lines, _latex_row(tops), *([_latex_row(bottoms)] if any(bottoms) else [])]


def _latex_row(cells: Sequence[str]) -> str:
    """What begins with a bracket or a star would be taken for an argument of the line before."""
    return ("{}" if cells[0][:1] in ("[", "*") else "") + " & ".join(cells) + r" \tabularnewline"


def _latex_cell(cell: Cell, width: float) -> str:
    if not width:
        text = _for_latex(cell.marked)
    else:
        parts = [part for long in BREAK.sub("\\1\0", cell.marked).split("\0") for part in _pieces(long)]
        text = rf"\raggedright {_BREAKABLE.join(map(_for_latex, parts))}"
    return rf"\textbf{{\boldmath {text}}}" if cell.best else text


def _pieces(text: str) -> list[str]:
    """A text without a place to break it at, in pieces; one with spaces in one."""
    step = len(text) if " " in text else UNBROKEN
    return [text[start : start + step] for start in range(0, len(text), step or 1)]


def _for_latex(text: str) -> str:
    """`text` for LaTeX, with nothing left that it would take for a command or could not print."""
    plain = re.sub(r"[^\x00-\x7fÀ-ÿ]", "?", text.translate(str.maketrans(_LATEX)))
    return plain.replace("--", "-{}-").replace("--", "-{}-")
