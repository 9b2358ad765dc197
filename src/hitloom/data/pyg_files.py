"""EggNet, acorn and Exa.TrkX event files: one ``torch_geometric`` object per file, one folder per split.

EggNet and acorn: ``.pyg`` files in trainset, valset, testset. Exa.TrkX: files named by the event id, without suffix, in
train, val, test or in one folder.
Files are only ever loaded with ``weights_only=True`` and a short list of allowed classes: a file that needs anything
else is refused and never unpickled.
"""

from __future__ import annotations

import pickle
import re
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.data.data import DataEdgeAttr, DataTensorAttr
from torch_geometric.data.storage import EdgeStorage, GlobalStorage, NodeStorage

from hitloom.data.files import reason, refuse_existing, replace_folder, temporary_name
from hitloom.data.pyg_dialects import data_entries, event_of, result_of
from hitloom.data.splits import SPLITS, assign_split, check_split_name
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.result import Result
from hitloom.units import factor

FOLDERS = {"train": "trainset", "val": "valset", "test": "testset"}
_SPLIT_OF = {folder: name for name, folder in FOLDERS.items()} | {name: name for name in SPLITS}


def _allowed() -> list[Any]:
    """Return the classes and functions that a file may name: PyG's containers and plain numpy arrays."""
    from numpy._core import multiarray

    names: list[Any] = [Data, DataEdgeAttr, DataTensorAttr, GlobalStorage, NodeStorage, EdgeStorage]
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        names += [(multiarray._reconstruct, f"{module}._reconstruct"), (multiarray.scalar, f"{module}.scalar")]
    names += [np.ndarray, np.dtype]
    return names + [type(np.dtype(kind)) for kind in "?bhilqBHILQefdU"]


def load_value(path: str | Path) -> Any:
    """Return what a PyTorch file holds: tensors, numbers, text, containers of PyG.

    Raises
    ------
    DataError
        When the file is damaged or needs a class that is not allowed.
    """
    path = Path(path)
    try:
        # torch warns of pickle protocols that it does not expect; such a file loads, or is refused below
        with torch.serialization.safe_globals(_allowed()), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        if found is None:
            raise DataError(f"{path}: damaged: {reason(error)}; mend: copy it again") from None
        raise DataError(
            f"{path}: holds an object of {found[1]}, which could run code when loaded, so it is refused; mend: save "
            "the event again as tensors, numbers and text"
        ) from None
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: damaged, or not a PyTorch file: {reason(error)}") from None


def load_safely(path: str | Path) -> dict[str, Any]:
    """Return the entries of a ``.pyg`` file.

    Raises
    ------
    DataError
        When the file is damaged, is no ``Data`` object, or needs a class that is not allowed.
    """
    value = load_value(path)
    if isinstance(value, Data):
        return dict(value.to_dict())
    if isinstance(value, dict):
        return value
    raise DataError(f"{path}: holds {type(value).__name__}; an event of EggNet or acorn (PyG Data) was wanted")


def find_pyg(source: str | Path, split: str | None = None) -> list[tuple[Path, str | None]]:
    """Return the files of a folder with their split, sorted by path; the split is None outside the three folders.

    Raises
    ------
    DataError
        When there is no file.
    """
    source = Path(source)
    if split is not None:
        check_split_name(split)
    if source.is_file():
        return [(source, None)]
    found = []
    for path in event_files(source):
        top = path.relative_to(source).parts[0]
        own = _SPLIT_OF.get(top) if len(path.relative_to(source).parts) > 1 else None
        if split is None or own == split:
            found.append((path, own))
    if not found:
        where = f"{source}/{FOLDERS[split]}" if split else str(source)
        raise DataError(f"{where}: no .pyg file there; an event folder of EggNet, acorn or Exa.TrkX was wanted")
    return found


def event_files(folder: Path) -> list[Path]:
    """Return the ``.pyg`` files below a folder, sorted by path; where there is none, the files named by a number."""
    if found := sorted(folder.rglob("*.pyg")):
        return found
    return sorted(path for path in folder.rglob("*") if path.name.isdecimal() and path.is_file())


def read_pyg(
    source: str | Path, *, split: str | None = None, unit: str = "GeV", skip: int = 0, limit: int | None = None
) -> Iterator[Event]:
    """Return an iterator over the events of a file or folder, sorted by path.

    Parameters
    ----------
    source : path
        Folder with trainset, valset, testset (searched at any depth), any other folder, or one file.
    split : str or None
        train, val or test; None = all.
    unit : str
        Unit of momenta in the files: GeV (TrackML) or MeV (ITk).
    skip, limit : int
        Files to leave out at the front, and to read at most.

    Raises
    ------
    DataError
        At once when there is no file or no such unit, else when a damaged or unsafe file is reached.
    """
    gev = factor(unit, "energy")
    files = find_pyg(source, split)[skip : None if limit is None else skip + limit]
    return (event_of(load_safely(path), gev=gev, where=str(path)) for path, _ in files)


def read_pyg_results(source: str | Path, *, split: str | None = None) -> Iterator[Result]:
    """Return an iterator over the results that the reference's inference wrote into its files."""
    for path, _ in find_pyg(source, split):
        result = result_of(load_safely(path), where=str(path))
        if result is None:
            raise DataError(f"{path}: no hit_label in it; wanted a file that went through the inference")
        yield result


def write_pyg(
    events: Iterable[Event],
    folder: str | Path,
    *,
    split_of: Mapping[int, str] | Callable[[int], str] | None = None,
    overwrite: bool = False,
    dialect: str = "prefixed",
) -> dict[str, int]:
    """Write each event into ``<folder>/{trainset,valset,testset}``; return counts by split.

    Parameters
    ----------
    dialect : str
        ``prefixed``, ``plain`` or ``exa``, see :func:`hitloom.data.pyg_dialects.data_entries`; ``exa`` has the folders
        train, val, test.
    split_of : mapping, callable or None
        Split of an event id ("" = left out); None = 80/10/10 by the hash of the id.

    Raises
    ------
    DataError
        When the folder is taken, an event comes twice, or there is none. Nothing is left then.
    """
    folder = Path(folder)
    refuse_existing(folder, overwrite=overwrite, may_replace=_is_pyg_folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = temporary_name(folder)
    counts = dict.fromkeys(SPLITS, 0)
    try:
        folders = dict(zip(SPLITS, SPLITS, strict=True)) if dialect == "exa" else FOLDERS
        for name in folders.values():
            (part / name).mkdir(parents=True)
        for event in events:
            event_id = int(event.event_id)
            if split_of is None:
                split = str(assign_split([event_id])[0])
            else:
                split = split_of(event_id) if callable(split_of) else split_of.get(event_id, "")
            if not split:
                continue
            check_split_name(split)
            name = str(event_id) if dialect == "exa" else f"event{event_id:09d}.pyg"
            path = part / folders[split] / name
            if path.exists():
                raise DataError(f"{folder}: event id {event_id} came twice")
            torch.save(Data.from_dict(data_entries(event, dialect=dialect)), path)
            counts[split] += 1
        if not sum(counts.values()):
            raise DataError(f"{folder}: no event to write (none is in train, val or test)")
        replace_folder(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return counts


def _is_pyg_folder(path: Path) -> bool:
    if not path.is_dir() or not {entry.name for entry in path.iterdir()} <= set(_SPLIT_OF):
        return False
    files = [entry for folder in path.iterdir() for entry in folder.iterdir()]
    return all(entry.suffix == ".pyg" or entry.name.isdecimal() for entry in files)
