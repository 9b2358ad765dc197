"""The older JSON form of tracksters: a list of objects, each with a list for every column.

Beside the columns of the ROOT layout, ``parents`` holds for each layer cluster the list of those that it follows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitloom.data.files import reason
from hitloom.data.jagged import Jagged
from hitloom.data.pruning_table import ID, NEEDED, OPTIONAL, ORIGIN, READ, TARGET, Place, TracksterTable
from hitloom.data.root_read import EVENT, check_numbers
from hitloom.errors import DataError, nearest

PARENTS = "parents"


def load_json(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a file.

    Raises
    ------
    DataError
        When it is no list of objects in JSON.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a whole JSON file: {reason(error)}; mend: write or copy it again") from None
    if not isinstance(found, list):
        raise DataError(f"{path}: holds {type(found).__name__}, but a list of tracksters was wanted")
    for entry, one in enumerate(found):
        if not isinstance(one, dict):
            raise DataError(f"{path}: entry {entry} is {type(one).__name__}, but an object with lists was wanted")
    return found


def json_event_ids(records: Sequence[Mapping[str, Any]]) -> NDArray[np.int64] | None:
    """Return the numbers of the events where every object has one."""
    numbers = [record.get(EVENT) for record in records]
    if not all(type(number) is int for number in numbers):
        return None
    return np.array(numbers, dtype=np.int64)


def json_table(
    path: Path,
    records: Sequence[Mapping[str, Any]],
    event_ids: NDArray[np.int64],
    *,
    first: int,
    renamed: Mapping[str, str],
) -> TracksterTable:
    """Return objects as a table; ``first`` is the number of the first in the file.

    Raises
    ------
    DataError
        Naming file, key and entry.
    """
    place = Place(path=path, called="key", renamed=renamed)
    columns = {}
    for name, column in READ.items():
        key = renamed.get(name, name)
        if name in OPTIONAL and not any(key in record for record in records):
            continue
        lists = [_numbers(_value(record, key, name, place, first + row)) for row, record in enumerate(records)]
        bad = [row for row, one in enumerate(lists) if one is None]
        if bad:
            raise DataError(f"{place.column(name, first + bad[0])}: a list of numbers was wanted")
        columns[name] = check_numbers(
            Jagged.of_lists([one for one in lists if one is not None]), column, f"{path}: key '{key}'", first
        )
    origin, target = [], []
    key = renamed.get(PARENTS, PARENTS)
    for row, record in enumerate(records):
        parents = _value(record, key, PARENTS, place, first + row)
        ids = columns[ID].entry(row)
        if not _are_lists_of_ids(parents) or len(parents) != len(ids):
            raise DataError(
                f"{place.column(PARENTS, first + row)}: a list of identifiers for each of {len(ids)} layer clusters "
                "was wanted"
            )
        origin.append(np.array([one for each in parents for one in each], dtype=np.int64))
        target.append(np.repeat(ids, [len(each) for each in parents]).astype(np.int64))
    return TracksterTable(
        place=place,
        columns=columns,
        links={ORIGIN: Jagged.of_lists(origin), TARGET: Jagged.of_lists(target)},
        event_ids=event_ids,
        entries=np.arange(first, first + len(records)),
    )


def _value(record: Mapping[str, Any], key: str, name: str, place: Place, entry: int) -> Any:
    if key not in record:
        raise DataError(f"{place.column(name, entry)} is missing.{nearest(key, record)}")
    return record[key]


def _numbers(value: Any) -> NDArray[Any] | None:
    """Return a list of numbers as an array; None when it is none."""
    if not isinstance(value, list) or not all(isinstance(one, int | float) for one in value):
        return None
    try:
        return np.array(value) if value else np.zeros(0, np.int64)
    except OverflowError:
        return None


def _are_lists_of_ids(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, list) and all(type(one) is int and -(2**63) <= one < 2**63 for one in each) for each in value
    )


def json_text(columns: Mapping[str, NDArray[Any]], parents: list[list[int]], **numbers: int) -> str:
    """Return one trackster as one line of JSON."""
    whole: Callable[[str], bool] = lambda name: (NEEDED | OPTIONAL)[name].number != "float"  # noqa: E731
    record: dict[str, Any] = dict(numbers)
    for name, values in columns.items():
        record[name] = values.astype(np.int64).tolist() if whole(name) else values.astype(np.float64).tolist()
    return json.dumps(record | {PARENTS: parents}, allow_nan=False)
