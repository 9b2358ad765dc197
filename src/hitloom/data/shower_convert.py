"""Options of files of 2D clusters, and which slices of them are taken: for ``hitloom data convert``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitloom.data.shower_columns import preset_columns
from hitloom.data.shower_files import PandoraSource, open_pandora, read_pandora
from hitloom.data.shower_layout import VIEWS, VIEWS_STRIDE, shower_event_id, view_code
from hitloom.data.shower_root import from_beam
from hitloom.data.shower_tensor_folder import find_tensors, read_tensor_files, write_tensor_folder
from hitloom.data.shower_tensors import FORMS, Form
from hitloom.data.shower_truth import DENOMINATORS, Denominator
from hitloom.data.shower_write import write_pandora, write_pandora_folder
from hitloom.data.splits import hash_numbers
from hitloom.errors import DataError, nearest
from hitloom.event import Event

Splits = dict[str, list[int]]


@dataclass(frozen=True, kw_only=True)
class PandoraOptions:
    """How files of 2D clusters are read and written.

    Attributes
    ----------
    tree : str or None
        The tree of clusters in ROOT files; None = ``clusters``, or the only one that can be.
    detector : str or None
        Name of the table of detectors; None = recognised by the constants of ROOT files.
    views : tuple of int
        Codes of the views that are read.
    preset : int or None
        Columns of tensor files; reading: None = by their number, writing: None = 8.
    form : {"list", "dict"}
        Of tensor files that are written.
    denominator : {"all", "matched"}
        Hits that the similarity in tensor files counts.
    balance : bool
        Take equal numbers of beam and other slices of ROOT files; which, the seed says.
    sample : int or None
        Take so many slices, which the seed says.
    seed : int
    """

    tree: str | None = None
    detector: str | None = None
    views: tuple[int, ...] = tuple(VIEWS)
    preset: int | None = None
    form: Form = "dict"
    denominator: Denominator = "all"
    balance: bool = False
    sample: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, valid in (("form", self.form, FORMS), ("denominator", self.denominator, DENOMINATORS)):
            if value not in valid:
                raise DataError(f"unknown {name} '{value}'.{nearest(value, valid)}")
        if self.preset is not None:
            preset_columns(self.preset)


def view_codes(letters: str) -> tuple[int, ...]:
    """Return the codes of views that letters name.

    Examples
    --------
    >>> view_codes("UW")
    (4, 6)
    """
    codes = {letter: code for code, letter in VIEWS.items()}
    unknown = [letter for letter in letters.upper() if letter not in codes]
    if unknown or not letters:
        raise DataError(f"views '{letters}': letters of U, V and W were wanted")
    return tuple(sorted({codes[letter] for letter in letters.upper()}))


def open_root(
    source: Path, options: PandoraOptions, skip: int, limit: int | None
) -> tuple[Iterator[Event], int, Splits | None, dict[str, Any]]:
    """Return the views of ROOT files, how many at most, their splits (views without clusters too), what is known."""
    opened = open_pandora(source, tree=options.tree, detector=options.detector, views=options.views)
    rows = np.arange(len(opened.slices))[skip:][:limit]
    if options.balance:
        rows = balanced(opened, rows, options.seed)
    rows = sampled(rows, opened.slices, options)
    splits: Splits | None = None
    if any(file.split is not None for file in opened.files):
        splits = {}
        for slice_ in opened.slices[rows].tolist():
            ids = [shower_event_id(slice_, view) for view in opened.views]
            splits.setdefault(opened.split_of_slice(slice_) or "", []).extend(ids)
    facts = asdict(options) | {"detector": opened.files[0].constants.detector}
    return read_pandora(opened, rows=rows), len(rows) * len(opened.views), splits, facts


def open_tensors(
    source: Path, options: PandoraOptions, skip: int, limit: int | None
) -> tuple[Iterator[Event], int, Splits | None, dict[str, Any]]:
    """As :func:`open_root`, for tensor files; ``skip`` and ``limit`` count slices too."""
    if options.balance:
        raise DataError(f"{source}: tensor files do not say which particles are from the beam; mend: no --balance")
    files = find_tensors(source, views=options.views)
    slices = np.unique([file.event_id // VIEWS_STRIDE for file in files])
    kept = set(slices[sampled(np.arange(len(slices))[skip:][:limit], slices, options)].tolist())
    files = [file for file in files if file.event_id // VIEWS_STRIDE in kept]
    splits: Splits = {}
    for file in files:
        splits.setdefault(file.split or "", []).append(file.event_id)
    events = read_tensor_files(files, preset=options.preset, detector=options.detector, denominator=options.denominator)
    return events, len(files), splits if any(splits.keys() - {""}) else None, asdict(options)


def write_root(
    events: Iterable[Event], target: Path, options: PandoraOptions, overwrite: bool, split_of: dict[int, str] | None
) -> int:
    """Write one ROOT file, or where the target is a folder, one for each split."""
    tree = options.tree or "clusters"
    if target.suffix == ".root":
        return write_pandora(events, target, tree=tree, overwrite=overwrite)
    return write_pandora_folder(events, target, split_of=split_of or {}, tree=tree, overwrite=overwrite)


def write_tensors_of(
    events: Iterable[Event], target: Path, options: PandoraOptions, overwrite: bool, split_of: dict[int, str] | None
) -> int:
    """Write a folder of tensor files."""
    wanted = (event for event in events if view_code(event) in options.views)
    return write_tensor_folder(
        wanted, target, split_of=split_of, preset=options.preset or 8, form=options.form,
        denominator=options.denominator, overwrite=overwrite,
    )  # fmt: skip


def sampled(rows: NDArray[np.int64], slices: NDArray[np.int64], options: PandoraOptions) -> NDArray[np.int64]:
    """Return so many of the rows, in their order: those whose slices have the smallest hash of the seed."""
    if options.sample is None or options.sample >= len(rows):
        return rows
    return np.sort(rows[np.argsort(hash_numbers(slices[rows], options.seed), kind="stable")[: options.sample]])


def balanced(source: PandoraSource, rows: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return as many beam slices as others, in their order.

    A slice is a beam slice when more than half of its hits with truth are of particles from the beam.

    Raises
    ------
    DataError
        When a file does not say which particles are from the beam.
    """
    beam = np.concatenate([from_beam(file) for file in source.files])[rows]
    number = int(min(beam.sum(), (~beam).sum()))
    value = hash_numbers(source.slices[rows], seed)
    kept = []
    for kind in (beam, ~beam):
        mine = rows[kind]
        kept.append(mine[np.argsort(value[kind], kind="stable")[:number]])
    return np.sort(np.concatenate(kept))
