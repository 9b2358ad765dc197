"""``metrics.csv``: one row per finished epoch, rewritten atomically, so that a resumed run has no doubled rows."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hitloom.errors import DataError

FIRST = ("epoch", "step", "lr", "seconds", "train_loss", "val_loss")


class History:
    """Rows of a run by epoch."""

    def __init__(self, path: Path, *, rows: list[dict[str, Any]] | None = None) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = rows or []

    @classmethod
    def resume(cls, path: Path, *, num_epochs: int) -> History:
        """Take over the rows of finished epochs; later ones (written just before a kill) are dropped."""
        return cls(path, rows=[row for row in read_history(path) if row["epoch"] < num_epochs] if path.exists() else [])

    def add(self, row: Mapping[str, Any]) -> None:
        """Add one epoch and write the file."""
        self.rows.append(dict(row))
        names = list(dict.fromkeys([*FIRST, *(name for item in self.rows for name in item)]))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
        os.replace(temporary, self.path)


def read_history(path: str | Path) -> list[dict[str, Any]]:
    """Return the rows of a ``metrics.csv``; empty cells are left out, ``epoch`` and ``step`` are integers.

    Raises
    ------
    DataError
        When the file cannot be read or is no such table.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return [
            {
                name: int(value) if name in ("epoch", "step") else float(value)
                for name, value in row.items()
                if value not in ("", None)
            }
            for row in rows
        ]
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a table of epochs: {error}") from None
