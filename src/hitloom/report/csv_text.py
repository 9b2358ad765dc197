"""Rows to CSV: one header, empty fields for what is undefined, floats with every digit, ids as they are."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any


def to_csv(rows: Sequence[Mapping[str, Any]], *, empty_header: Sequence[str] = ()) -> str:
    """Return rows as CSV text; columns in the order in which they first appear.

    Parameters
    ----------
    rows : sequence of mapping
    empty_header : sequence of str
        Columns to write when there is no row.

    Examples
    --------
    >>> to_csv([{"a": 1, "b": None}, {"a": 0.5, "c": "x, y"}])
    'a,b,c\\n1,,\\n0.5,,"x, y"\\n'
    """
    columns = list(dict.fromkeys(name for row in rows for name in row)) or list(empty_header)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_text(row.get(name)) for name in columns] for row in rows)
    return stream.getvalue()


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return repr(value) if isinstance(value, float) else str(value)
