"""Division of events into train, val and test by a hash of (seed, event id): no order, no neighbours, no chance.

The hash is BLAKE2b of the text ``"<seed>:<event id>"``, read as a number in [0, 1). With fractions, an event's split
depends on its own id alone; with counts, the events are sorted by the hash first and taken then. Only where a split
that was asked for would stay empty (a handful of events), :func:`divide` moves an event into it. B events.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitloom.data.files import atomic_file, reason
from hitloom.errors import DataError, nearest

SPLITS = ("train", "val", "test")
DEFAULT_FRACTIONS = (0.8, 0.1, 0.1)
_log = logging.getLogger(__name__)


def hash_numbers(event_ids: ArrayLike, seed: int) -> NDArray[np.float64]:
    """Return (B,) numbers in [0, 1), uniform over ids and the same on every machine."""
    digests = (
        hashlib.blake2b(f"{seed}:{int(event_id)}".encode(), digest_size=8).digest() for event_id in np.ravel(event_ids)
    )
    # 53 bits, so that no value rounds up to 1
    return np.array([(int.from_bytes(digest, "big") >> 11) / 2**53 for digest in digests], dtype=np.float64)


def assign_split(
    event_ids: ArrayLike, fractions: Sequence[float] = DEFAULT_FRACTIONS, seed: int = 0
) -> NDArray[np.str_]:
    """Return (B,) the split of each event: train, val, test, or "" for the rest when the fractions sum below 1.

    Independent of the order and of which other events are there.

    Raises
    ------
    DataError
        When there are not three fractions, one is negative, or they sum above 1.

    Examples
    --------
    >>> assign_split([1, 2], fractions=(1.0, 0.0, 0.0)).tolist()
    ['train', 'train']
    """
    if len(fractions) != 3 or min(fractions) < 0 or sum(fractions) > 1 + 1e-9:
        raise DataError(f"fractions: three numbers from 0 that sum to at most 1 were wanted, not {list(fractions)}")
    edges = np.cumsum(fractions)
    if abs(edges[-1] - 1) < 1e-9:
        edges[edges == edges[-1]] = 1.0
    place = np.searchsorted(edges, hash_numbers(event_ids, seed), side="right")
    return np.array([*SPLITS, ""])[place]


def take_split(event_ids: ArrayLike, counts: Sequence[int], seed: int = 0) -> NDArray[np.str_]:
    """Return (B,) the split of each event, with exact counts: sorted by the hash, then taken; "" for the rest.

    When there are fewer events than asked, every split shrinks in proportion, to one event at least while there are
    enough of them, and a warning says the counts.

    Raises
    ------
    DataError
        When there are not three counts or one is negative.
    """
    sizes = _whole_counts(counts)
    ids = np.ravel(np.asarray(event_ids, dtype=np.int64))
    if sizes.sum() > ids.size:
        exact = sizes * ids.size / sizes.sum()
        asked, sizes = sizes, np.floor(exact).astype(np.int64)
        for place in np.argsort(sizes - exact, kind="stable")[: ids.size - sizes.sum()]:
            sizes[place] += 1
        if ids.size >= np.count_nonzero(asked):
            for place in np.flatnonzero((sizes == 0) & (asked > 0)):
                sizes[np.argmax(sizes)] -= 1
                sizes[place] += 1
        _log.warning("split: %s events were asked for, %d are there: %s are taken", asked, ids.size, sizes)
    order = np.lexsort((ids, hash_numbers(ids, seed)))
    result = np.full(ids.size, "", dtype="<U5")
    ends = np.cumsum(sizes)
    for name, start, end in zip(SPLITS, ends - sizes, ends, strict=True):
        result[order[start:end]] = name
    return result


def _take_groups(event_ids: ArrayLike, counts: Sequence[int], seed: int, group: int) -> NDArray[np.str_]:
    """As :func:`take_split`, but a group goes as a whole to the split that its first event would be in."""
    numbers, row = np.unique(np.ravel(event_ids) // group, return_inverse=True)
    order = np.lexsort((numbers, hash_numbers(numbers, seed)))
    sizes = np.bincount(row)[order]
    first = np.cumsum(sizes) - sizes
    result = np.full(len(numbers), "", dtype="<U5")
    wanted = take_split(np.arange(len(row)), counts, seed)  # shrinks where there are too few
    ends = np.cumsum([(wanted == name).sum() for name in SPLITS])
    place = np.searchsorted(ends, first, side="right")
    result[order] = np.array([*SPLITS, ""])[place]
    return result[row]


def _whole_counts(counts: Sequence[int]) -> NDArray[np.int64]:
    if len(counts) != 3 or min(counts) < 0 or any(int(count) != count for count in counts):
        raise DataError(f"counts: three whole numbers from 0 were wanted, not {list(counts)}")
    return np.array([int(count) for count in counts], dtype=np.int64)


def divide(
    event_ids: ArrayLike,
    *,
    fractions: Sequence[float] | None = None,
    counts: Sequence[int] | None = None,
    lists: Mapping[str, Sequence[int]] | None = None,
    seed: int = 0,
    group: int = 1,
) -> NDArray[np.str_]:
    """Return (B,) the split of each event, by lists of ids or counts when given, else by fractions (0.8, 0.1, 0.1).

    With three events or more, fractions above 0 give splits that are not empty: one that would be gets, from the
    largest other, the event whose hash is nearest to its own interval.

    Parameters
    ----------
    group : int
        Events whose ids agree after division by this number stay together, such as the views of one slice: their
        common number is hashed. Counts are then of events still, met up to less than one group. Lists say it all.

    Raises
    ------
    DataError
        When more than one is given, or one is impossible.
    """
    if sum(given is not None for given in (fractions, counts, lists)) > 1:
        raise DataError("split: fractions, counts or lists were wanted, not several of them")
    if counts is not None:
        return take_split(event_ids, counts, seed) if group == 1 else _take_groups(event_ids, counts, seed, group)
    if lists is not None:
        place = {int(event_id): name for name in SPLITS for event_id in lists.get(name, ())}
        return np.array([place.get(int(event_id), "") for event_id in np.ravel(event_ids)], dtype="<U5")
    fractions = DEFAULT_FRACTIONS if fractions is None else fractions
    if group > 1:
        numbers, row = np.unique(np.ravel(event_ids) // group, return_inverse=True)
        return divide(numbers, fractions=fractions, seed=seed)[row]
    return _without_empty(event_ids, assign_split(event_ids, fractions, seed), fractions, seed)


def _without_empty(
    event_ids: ArrayLike, split: NDArray[np.str_], fractions: Sequence[float], seed: int
) -> NDArray[np.str_]:
    if len(split) < 3:
        return split
    ends = np.cumsum(fractions)
    for name, fraction, end in zip(SPLITS, fractions, ends, strict=True):
        if fraction > 0 and not (split == name).any():
            names, counts = np.unique(split, return_counts=True)
            rows = np.flatnonzero(split == names[np.argmax(counts)])
            value = hash_numbers(np.ravel(event_ids)[rows], seed)
            distance = np.maximum(end - fraction - value, value - end)
            split[rows[np.argmin(distance)]] = name
    return split


def check_split_name(name: str) -> None:
    """Raise :class:`DataError` with the nearest valid name when ``name`` is no split."""
    if name not in SPLITS:
        raise DataError(f"unknown split '{name}'.{nearest(name, SPLITS)}")


def write_splits(
    path: Path,
    *,
    fractions: Sequence[float] | None = None,
    counts: Sequence[int] | None = None,
    lists: Mapping[str, Sequence[int]] | None = None,
    seed: int = 0,
) -> None:
    """Record how a store is divided, as JSON, atomically; one of fractions, counts and lists of event ids."""
    record: dict[str, Any] = {"seed": seed}
    if counts is not None:
        record["counts"] = _whole_counts(counts).tolist()
    if fractions is not None:
        assign_split([], fractions)
        record["fractions"] = [float(part) for part in fractions]
    if lists is not None:
        record["lists"] = {name: [int(event_id) for event_id in lists[name]] for name in SPLITS if name in lists}
    with atomic_file(path) as part:
        part.write_text(json.dumps(record) + "\n", encoding="utf-8")


def read_splits(path: Path) -> dict[str, Any]:
    """Return the recorded division as arguments of :func:`divide`; empty when none is recorded.

    Raises
    ------
    DataError
        When the file is not such a record.
    """
    if not path.is_file():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot read the split: {reason(error)}; mend: hitloom data split again") from None
    if not isinstance(record, dict) or not set(record) <= {"seed", "counts", "fractions", "lists"}:
        raise DataError(f"{path}: not the record of a split; mend: hitloom data split again")
    return record
