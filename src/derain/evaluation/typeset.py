"""Tables as text: numbers, Markdown, CSV, LaTeX."""

import csv
import io
from collections.abc import Sequence
from typing import Any


def number(value: float | None, digits: int) -> str:
    """A number as tables print it; empty where there is none."""
    return "" if value is None else f"{value:.{digits}f}"


def count(value: float | None) -> str:
    """A number of parameters: 1.56 M, 169 k."""
    if value is None:
        return ""
    return f"{value / 1e6:.2f} M" if value >= 1e6 else f"{value / 1e3:.0f} k"


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table: header first, the first column left, the others right."""
    widths = [max(3, *(len(row[i]) for row in rows)) for i in range(len(rows[0]))]
    ruler = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    aligned = [
        [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        for row in rows
    ]
    return [f"| {' | '.join(row)} |" for row in [aligned[0], ruler, *aligned[1:]]]


def csv_text(rows: Sequence[Sequence[Any]]) -> str:
    """Rows as CSV: header first."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def latex(rows: Sequence[Sequence[str]], caption: str) -> str:
    """A LaTeX table in the style of booktabs: header first.

    Args:
        rows: Cells as text.
        caption: What the table shows.
    """
    lines = [f"{' & '.join(map(escape_latex, row))} \\\\" for row in rows]
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            "\\begin{table}",
            "  \\centering",
            f"  \\caption{{{escape_latex(caption)}}}",
            f"  \\begin{{tabular}}{{l{'r' * (len(rows[0]) - 1)}}}",
            "    \\toprule",
            f"    {lines[0]}",
            "    \\midrule",
            *(f"    {line}" for line in lines[1:]),
            "    \\bottomrule",
            "  \\end{tabular}",
            "\\end{table}",
            "",
        ]
    )


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "*": r"$^*$",
    "±": r"$\pm$", "≠": r"$\neq$", "≈": r"$\approx$", "∞": r"$\infty$", "×": r"$\times$",
    "→": r"$\to$",
}  # fmt: skip


def escape_latex(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(_LATEX.get(letter, letter) for letter in text)
