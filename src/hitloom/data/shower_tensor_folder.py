"""Folders of tensor files of 2D clusters: ``train``, ``val`` and ``test`` with one file for each wire view.

Without splits the files stand in one folder ``all``. Files are read in the order of their slices, then U, V, W.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hitloom.data.files import refuse_existing, replace_folder, temporary_name
from hitloom.data.lartpc_detectors import get_detector
from hitloom.data.shower_layout import VIEWS, shower_event_id
from hitloom.data.shower_tensors import Form, file_key, tensor_view, write_tensors
from hitloom.data.shower_truth import Denominator
from hitloom.data.splits import SPLITS
from hitloom.errors import DataError
from hitloom.event import Event

WITHOUT_SPLIT = "all"


@dataclass(frozen=True, kw_only=True)
class TensorFile:
    """A file, the identifier that its event gets, and its split where a folder says one."""

    path: Path
    event_id: int
    split: str | None


def find_tensors(source: str | Path, *, views: Sequence[int] = tuple(VIEWS)) -> list[TensorFile]:
    """Return the files of these views, by slice and view.

    Raises
    ------
    DataError
        When there is none, a name says no slice and view, or two say the same.
    """
    source = Path(source)
    paths = [source] if source.is_file() else sorted(source.rglob("*.pt"))
    found: dict[int, TensorFile] = {}
    for path in paths:
        slice_, view = file_key(path)
        if view not in views:
            continue
        event_id = shower_event_id(slice_, view)
        if event_id in found:
            raise DataError(f"{path}: the same slice and view as {found[event_id].path}; mend: take one of them away")
        parts = path.relative_to(source).parts if path != source else ()
        split = parts[0] if len(parts) > 1 and parts[0] in SPLITS else None
        found[event_id] = TensorFile(path=path, event_id=event_id, split=split)
    if not found:
        raise DataError(f"{source}: no file <slice>_<U|V|W>.pt of the views that are wanted")
    return [found[event_id] for event_id in sorted(found)]


def read_tensor_files(
    files: Iterable[TensorFile],
    *,
    preset: int | None = None,
    detector: str | None = None,
    denominator: Denominator | None = None,
) -> Iterator[Event]:
    """Return an iterator over the events of files; arguments as in :func:`~.shower_tensors.tensor_view`."""
    known = None if detector is None else get_detector(detector)
    return (tensor_view(file.path, preset=preset, detector=known, denominator=denominator) for file in files)


def write_tensor_folder(
    events: Iterable[Event],
    folder: str | Path,
    *,
    split_of: Mapping[int, str] | None = None,
    preset: int = 8,
    form: Form = "dict",
    denominator: Denominator = "all",
    overwrite: bool = False,
) -> int:
    """Write one file for each view and return their number.

    Parameters
    ----------
    split_of : mapping or None
        Split of an event id, events without one are left out; None = all in one folder.
    preset, form, denominator
        See :func:`~.shower_tensors.write_tensors`.

    Raises
    ------
    DataError
        When the folder is taken or there is no event. Nothing is left then.
    """
    folder = Path(folder)
    refuse_existing(folder, overwrite=overwrite, may_replace=_holds_only_tensors)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = temporary_name(folder)
    number = 0
    try:
        for event in events:
            split = WITHOUT_SPLIT if split_of is None else split_of.get(int(event.event_id), "")
            if split:
                (part / split).mkdir(parents=True, exist_ok=True)
                write_tensors(event, part / split, preset=preset, form=form, denominator=denominator)
                number += 1
        if not number:
            raise DataError(f"{folder}: no event to write")
        replace_folder(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return number


def holds_tensors(path: Path) -> bool:
    """Return whether there is a tensor file of a wire view in a folder."""
    return any(path.rglob("*_[UVW].pt"))


def _holds_only_tensors(path: Path) -> bool:
    """Whether a folder holds nothing but such folders with tensor files."""
    if not path.is_dir() or not {entry.name for entry in path.iterdir()} <= {*SPLITS, WITHOUT_SPLIT}:
        return False
    return all(entry.suffix == ".pt" for split in path.iterdir() if split.is_dir() for entry in split.iterdir())
