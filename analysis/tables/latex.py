"""A table as LaTeX: needs \\usepackage{booktabs} and nothing else."""

from __future__ import annotations

from analysis.tables.table import Cell, Column, Section, Table

_CHARACTERS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "\u00a0": "~",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
    '"': r"\textquotedbl{}",
    "−": r"$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≈": r"$\approx$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "σ": r"$\sigma$",
    "⊗": r"$\otimes$",
    "⊙": r"$\odot$",
    "↳": r"$\hookrightarrow$",
    "→": r"$\rightarrow$",
    "‡": r"$\ddagger$",
    "†": r"$\dagger$",
    "–": r"--",
    "—": r"---",
    "’": r"'",
    "“": r"``",
    "”": r"''",
    "…": r"\ldots{}",
    "²": r"$^2$",
    "§": r"\S{}",
}


def latex(table: Table) -> str:
    """A floating table with caption and label; the notes stand under it. Input it and compile."""
    columns = "".join("r" if column.numeric else "l" for column in table.columns)
    lines = [
        r"\begin{table}",
        r"\centering\footnotesize",
        rf"\caption{{{escape(table.title)}}}",
        rf"\label{{tab:{_label(table.label)}}}",
        r"\setlength{\tabcolsep}{3pt}",
        # Centred also where it is wider than the text.
        rf"\makebox[\linewidth][c]{{\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"\toprule",
        *_group_lines(table),
        *_heading_lines(table.columns),
        r"\midrule",
    ]
    for number, section in enumerate(table.sections):
        lines += _section_lines(section, len(table.columns), first=number == 0)
    lines += [r"\bottomrule", r"\end{tabular}}"]
    if table.notes:
        lines.append(r"\par\medskip\begin{minipage}{\linewidth}\scriptsize")
        lines += [rf"{escape(note)}\par" for note in table.notes]
        lines.append(r"\end{minipage}")
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def escape(text: str) -> str:
    """`text` for LaTeX, with nothing left that it would take for a command or could not print."""
    printed = (_CHARACTERS.get(character, character) for character in text.replace("\n", " "))
    return "".join(each if each.isascii() or _is_latin(each) else "?" for each in printed)


def _is_latin(character: str) -> bool:
    return "À" <= character <= "ÿ"


def _label(text: str) -> str:
    return "".join(character if character.isascii() and character.isalnum() else "-" for character in text)


def _group_lines(table: Table) -> list[str]:
    spans = table.groups()
    if not spans:
        return []
    cells, rules, start = [], [], 1
    for title, width in spans:
        cells.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(title)}}}")
        if title:
            rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
        start += width
    return [" & ".join(cells) + r" \\", " ".join(rules)]


def _heading_lines(columns: tuple[Column, ...]) -> list[str]:
    """Titles over two lines, so that eight columns fit a page."""
    tops, bottoms = zip(*(map(escape, column.lines) for column in columns), strict=True)
    lines = [" & ".join(tops) + r" \\"]
    return [*lines, " & ".join(bottoms) + r" \\"] if any(bottoms) else lines


def _section_lines(section: Section, width: int, *, first: bool) -> list[str]:
    lines = []
    if section.title:
        lines += [] if first else [r"\midrule"]
        lines.append(rf"\multicolumn{{{width}}}{{@{{}}l}}{{\textit{{{escape(section.title)}}}}} \\")
    return lines + [" & ".join(_cell(cell) for cell in row) + r" \\" for row in section.rows]


def _cell(cell: Cell) -> str:
    text = escape(cell.marked)
    return rf"\textbf{{\boldmath {text}}}" if cell.best else text
