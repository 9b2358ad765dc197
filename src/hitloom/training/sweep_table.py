"""The table of a sweep: ``sweep.csv`` and ``sweep.md``, a row for each run."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hitloom.data.files import atomic_file

LAST = ("seconds", "seed", "error")


def write_table(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write both forms of the table, each atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("sweep.csv", _csv(rows)), ("sweep.md", "\n".join(markdown_lines(rows)) + "\n")):
        with atomic_file(folder / name) as part:
            part.write_text(text, encoding="utf-8")


def markdown_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the table as lines of Markdown, columns aligned."""
    columns = _columns(rows)
    cells = [list(columns), *[[_cell(row.get(name)) for name in columns] for row in rows]]
    widths = [max(len(line[place]) for line in cells) for place in range(len(columns))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    return [lines[0], "| " + " | ".join("-" * width for width in widths) + " |", *lines[1:]]


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    every = dict.fromkeys(name for row in rows for name in row)
    return [name for name in every if name not in LAST] + [name for name in LAST if name in every]


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, _columns(rows), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "/").replace("\n", " ")
