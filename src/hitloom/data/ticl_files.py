"""Looking at CMS TICL dumper files: their folder, trees and events.

Trees are found by their whole name; of several cycles (``;1``, ``;2``) the highest counts. A file without keys is
passed over with a warning. B entries.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitloom.data.files import reason
from hitloom.data.root_read import opened, read_columns
from hitloom.data.root_records import Column
from hitloom.data.ticl_layout import EXTRA_TREE, FOLDERS, GRAPH_TREE, PROVENANCE_KEY
from hitloom.errors import DataError

_log = logging.getLogger(__name__)
Choose = Callable[[Path, list[str], dict[str, Any]], Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class TiclFile:
    """One file, looked at once: the folder of its trees, their names and sizes, what it says of its events.

    Attributes
    ----------
    split : str or None
        train, val or test, from the folder that the file lies in.
    trees : tuple of str
        Trees of interest that the file has; the entries of the first are the events.
    num_entries : int
        Of the first tree.
    extras : tuple of str
        Branches of the tree ``hitloom``.
    event_ids : (B,) int64 or None
        From the tree ``hitloom``.
    provenance : dict
        Of the events, where hitloom wrote the file.
    """

    path: Path
    split: str | None
    folder: str
    trees: tuple[str, ...]
    num_entries: int
    extras: tuple[str, ...]
    event_ids: NDArray[np.int64] | None
    provenance: dict[str, Any]

    def full_name(self, tree: str) -> str:
        """Return the name of a tree with its folder."""
        return f"{self.folder}/{tree}" if self.folder else tree


def look_at(path: Path, split: str | None, choose: Choose) -> TiclFile | None:
    """Return what a file holds; None, with a warning, when it has no keys.

    ``choose`` gets the names of all trees and the provenance, and says which trees are of interest, the main one first.

    Raises
    ------
    DataError
        When it is no ROOT file, or has none of the folders and trees.
    """
    with opened(path) as file:
        try:
            classes = file.classnames(recursive=True, cycle=False)
        except Exception as error:
            raise DataError(f"{path}: its list of keys cannot be read: {reason(error)}; mend: copy it again") from None
        if not classes:
            _log.warning("%s: holds nothing, passed over", path)
            return None
        folder = _folder_of(path, classes)
        prefix = f"{folder}/" if folder else ""
        names = [name.removeprefix(prefix) for name, kind in classes.items() if kind == "TTree"]
        names = [name for name in names if f"{prefix}{name}" in classes and "/" not in name]
        text = prefix + PROVENANCE_KEY
        try:
            provenance = _json(str(file[text])) if text in classes else {}
            chosen = [name for name in choose(path, names, provenance) if name in names]
            num_entries = int(file[prefix + chosen[0]].num_entries)
            extras = tuple(file[prefix + EXTRA_TREE].keys(recursive=False)) if EXTRA_TREE in chosen else ()
        except DataError:
            raise
        except Exception as error:
            raise DataError(f"{path}: a tree cannot be read: {reason(error)}; mend: copy the file again") from None
        ids = None
        if "event" in extras and num_entries:
            columns = read_columns(file, path, prefix + EXTRA_TREE, {"event": Column("Long64_t")})
            ids = columns["event"].values.astype(np.int64)
        return TiclFile(
            path=path,
            split=split,
            folder=folder,
            trees=tuple(chosen),
            num_entries=num_entries,
            extras=extras,
            event_ids=ids,
            provenance=provenance,
        )


def _folder_of(path: Path, classes: Mapping[str, str]) -> str:
    """Return the folder that holds the trees: one of the usual names, else the one that holds a usual tree."""
    trees = [name for name, kind in classes.items() if kind == "TTree"]
    usual = [folder for folder in FOLDERS if any(name.startswith(f"{folder}/") for name in trees)]
    for folder in usual:
        if f"{folder}/{GRAPH_TREE}" in trees:
            return folder
    for name in trees:
        parent, _, tree = name.rpartition("/")
        if not usual and tree in (GRAPH_TREE, "clusters"):
            return parent
    if not usual:
        raise DataError(
            f"{path}: no folder {' or '.join(FOLDERS)} with trees in it; it holds {', '.join(sorted(classes)[:5])}"
        )
    return usual[0]


def _json(text: str) -> dict[str, Any]:
    try:
        record = json.loads(text)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
