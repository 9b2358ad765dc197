"""The ``processed`` folders of TICL's linking code: one PyG object per event, and the scalers of the training events.

A dataset is a folder with ``processed/data_<i>.pt``, the empty file ``processed/DONE``, ``node_scaler.pt`` and
``edge_scaler.pt``. Its edges are rows (outer, inner); the event has columns (inner; outer). Files are loaded with
``weights_only=True`` and a short list of allowed classes alone.

Without ``cluster`` (layout A) a file does not say which particle a trackster belongs to: then the objects are the
groups of tracksters that edges with a target above 0 connect, and tracksters without such an edge have none.
Shape letters: N tracksters, E edges, K objects.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from hitloom.data.files import refuse_existing, replace_folder, temporary_name
from hitloom.data.pyg_files import load_safely, load_value
from hitloom.data.splits import SPLITS, assign_split
from hitloom.data.trackster_event import MM_PER_CM
from hitloom.data.trackster_features import EDGE_FEATURES, NODE_FEATURES, SKELETON_EDGE_FEATURES
from hitloom.data.trackster_truth import BOTH_PILEUP, BOTH_SIGNAL, CROSS, pair_class
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.grouping.components import connected_components

_log = logging.getLogger(__name__)
_NAME = re.compile(r"data_(\d+)\.pt")
_NEEDED = ("x", "edge_index", "edge_features", "y")
NO_TIME_BELOW = -90.0


@dataclass(frozen=True, kw_only=True)
class ProcessedFolder:
    """Files of a dataset in the order of their numbers, datasets by name.

    Attributes
    ----------
    files : tuple of (path, split)
        The split is the name of the dataset's folder, None when it is not train, val or test.
    scalers : dict
        ``node_scaler`` and ``edge_scaler`` as lists, of the training set where there are several.
    """

    files: tuple[tuple[Path, str | None], ...]
    scalers: dict[str, list[float]]

    def splits(self) -> dict[str, list[int]] | None:
        """Return the event ids (places in ``files``) of each split; None when no folder says one."""
        if all(split is None for _, split in self.files):
            return None
        return {name: [row for row, (_, split) in enumerate(self.files) if split == name] for name in SPLITS}


def is_processed(source: Path) -> bool:
    """Whether a folder is such a dataset, or holds some."""
    return bool(_datasets(source))


def _datasets(source: Path) -> list[Path]:
    """Return the folders that hold ``data_<i>.pt``: the path itself, one level below, or two."""
    candidates = [source, source / "processed", *(source / split for split in SPLITS)]
    candidates += [source / split / "processed" for split in SPLITS]
    return [folder for folder in candidates if folder.is_dir() and any(folder.glob("data_*.pt"))]


def open_processed(source: str | Path) -> ProcessedFolder:
    """Look at a dataset (its root or its ``processed`` folder), or at a folder with train, val and test.

    Raises
    ------
    DataError
        When there is no event in it, or a scaler is not a list of numbers.
    """
    source = Path(source)
    folders = _datasets(source)
    if not folders:
        raise DataError(f"{source}: no data_<i>.pt in it nor in 'processed'; a dataset of TICL's linking was wanted")
    files: list[tuple[Path, str | None]] = []
    scalers: dict[str, list[float]] = {}
    for folder in folders:
        root = folder.parent if folder.name == "processed" else folder
        split = root.name if root.name in SPLITS and root != source else None
        if not (folder / "DONE").exists():
            _log.warning("%s: no file DONE: the dataset may be unfinished", folder)
        numbered = sorted((int(found[1]), path) for path in folder.iterdir() if (found := _NAME.fullmatch(path.name)))
        files += [(path, split) for _, path in numbered]
        for name in ("node_scaler", "edge_scaler"):
            path = root / f"{name}.pt"
            if path.exists() and (split in (None, "train") or name not in scalers):
                scalers[name] = _scaler(path)
    return ProcessedFolder(files=tuple(files), scalers=scalers)


def _scaler(path: Path) -> list[float]:
    value = load_value(path)
    if not isinstance(value, Tensor) or not value.is_floating_point() or not bool(torch.isfinite(value).all()):
        raise DataError(f"{path}: one finite number for each feature was wanted, not {type(value).__name__}")
    return [float(number) for number in value.reshape(-1)]


def read_processed(source: str | Path | ProcessedFolder, *, skip: int = 0, limit: int | None = None) -> Iterator[Event]:
    """Return an iterator over the events of a dataset; the event id is the place of the file, so ids are unique.

    Raises
    ------
    DataError
        When a file is damaged, unsafe, or lacks a tensor.
    """
    folder = source if isinstance(source, ProcessedFolder) else open_processed(source)
    rows = range(len(folder.files))[skip : None if limit is None else skip + limit]
    return (_event_of(load_safely(folder.files[row][0]), row, folder.files[row][0]) for row in rows)


def _event_of(values: Mapping[str, Any], event_id: int, path: Path) -> Event:
    for name in _NEEDED:
        if not isinstance(values.get(name), Tensor):
            raise DataError(f"{path}: tensor '{name}' is missing; a sample of TICL's linking was wanted")
    x, edges, links = values["x"].float(), values["edge_index"].long(), values["edge_features"].float()
    names = {len(EDGE_FEATURES): EDGE_FEATURES, len(SKELETON_EDGE_FEATURES): SKELETON_EDGE_FEATURES}
    if x.dim() != 2 or x.shape[1] != len(NODE_FEATURES):
        raise DataError(f"{path}: 'x' has shape {tuple(x.shape)}; (N, {len(NODE_FEATURES)}) was wanted")
    if edges.dim() != 2 or edges.shape[1] != 2 or links.dim() != 2 or links.shape[1] not in names:
        raise DataError(
            f"{path}: 'edge_index' has shape {tuple(edges.shape)} and 'edge_features' {tuple(links.shape)}; (E, 2) and "
            "(E, 5) or (E, 7) were wanted"
        )
    event = Event(
        pos=(x[:, :3].double() * MM_PER_CM).float(),
        x=x,
        feature_names=list(NODE_FEATURES),
        energy=x[:, NODE_FEATURES.index("raw_energy")].clone(),
        time=x[:, NODE_FEATURES.index("time")].clone(),
        edge_index=edges.flip(1).T.contiguous(),
        edge_attr=links,
        edge_feature_names=list(names[links.shape[1]]),
        edge_y=values["y"].float().reshape(-1),
        event_id=event_id,
        source=f"processed {path.name}",
        provenance=json.dumps({"converted_from": "processed", "file": path.name, "truth": "SC"}),
    )
    event.validate()
    cluster = values.get("cluster")
    event.object_index = _groups(event) if cluster is None else cluster.long().reshape(-1)
    number = int(event.object_index.max()) + 1 if event.num_points else 0
    event.object_id = torch.arange(number)
    if isinstance(values.get("isPU"), Tensor):
        pileup = torch.zeros(number, dtype=torch.bool)
        rows = event.object_index >= 0
        pileup[event.object_index[rows]] = values["isPU"].reshape(-1)[rows] > 0
        event.object_is_signal = ~pileup
    return event.validate()


def _groups(event: Event) -> Tensor:
    true = event.edge_index[:, event.edge_y > 0]
    labels = connected_components(true, event.num_points)
    alone = torch.ones(event.num_points, dtype=torch.bool)
    alone[true.reshape(-1)] = False
    index = torch.full((event.num_points,), -1)
    index[~alone] = torch.unique(labels[~alone], return_inverse=True)[1]
    return index


def sample_of(event: Event) -> Data:
    """Return the sample of an event.

    ``isPU`` is 1 for pile-up, 0 for signal, -1 for an unmatched trackster; the three columns of ``PU_info`` are cross,
    both signal, both pile-up, and all false where an end is unmatched.

    Raises
    ------
    DataError
        When the event has no tracksters' features, edges or truth.
    """
    for name in ("x", "edge_index", "edge_attr", "edge_y", "object_index"):
        if name not in event:
            raise DataError(f"{event.describe()}: field '{name}' is needed for a sample of TICL's linking")
    kind = pair_class(event)
    signal = torch.ones(event.num_objects) if "object_is_signal" not in event else event.object_is_signal.float()
    pileup = torch.cat([1 - signal, torch.tensor([-1.0])])[event.object_index]
    inner, outer = event.edge_index
    roots = torch.ones(event.num_points, dtype=torch.bool)
    roots[outer] = False
    return Data(
        x=event.columns(NODE_FEATURES),
        edge_index=torch.stack([outer, inner], 1),
        edge_features=event.edge_attr,
        y=event.edge_y,
        isPU=pileup.long(),
        PU_info=torch.stack([kind == CROSS, kind == BOTH_SIGNAL, kind == BOTH_PILEUP], 1),
        cluster=event.object_index,
        roots=torch.nonzero(roots).reshape(-1),
    )


class Scalers:
    """Largest values of training samples, taken up one by one.

    The time of a trackster without one (-99) does not count, and a feature that is always 0 gets the scaler 1.
    """

    def __init__(self) -> None:
        self._node, self._edge = torch.zeros(0), torch.zeros(0)

    def take(self, sample: Data) -> None:
        """Take one sample into account."""
        x = sample.x.clone()
        time = NODE_FEATURES.index("time")
        x[x[:, time] < NO_TIME_BELOW, time] = 0.0
        for name, values in (("_node", x), ("_edge", sample.edge_features)):
            before = getattr(self, name)
            if not before.numel():
                before = torch.zeros(values.shape[1])
            top = values.abs().amax(0) if len(values) else torch.zeros_like(before)
            setattr(self, name, torch.maximum(before, top))

    def save(self, folder: Path) -> None:
        """Write ``node_scaler.pt`` and ``edge_scaler.pt``."""
        for name, values in (("node_scaler", self._node), ("edge_scaler", self._edge)):
            torch.save(torch.where(values > 0, values, 1.0), folder / f"{name}.pt")


def write_processed(
    events: Iterable[Event],
    folder: str | Path,
    *,
    split_of: Mapping[int, str] | None = None,
    overwrite: bool = False,
) -> dict[str, int]:
    """Write each event as ``<folder>/<split>/processed/data_<i>.pt`` and return the number of events by split.

    Every split gets the scalers of the training events.

    Parameters
    ----------
    split_of : mapping or None
        Split of an event id (absent = left out); None = 80/10/10 by the hash of the id.

    Raises
    ------
    DataError
        When the folder is taken, there is no event, or one lacks what a sample holds. Nothing is left then.
    """
    folder = Path(folder)
    refuse_existing(folder, overwrite=overwrite, may_replace=_is_split_folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = temporary_name(folder)
    counts = dict.fromkeys(SPLITS, 0)
    scalers = Scalers()
    try:
        for event in events:
            event_id = int(event.event_id)
            split = str(assign_split([event_id])[0]) if split_of is None else split_of.get(event_id, "")
            if not split:
                continue
            sample = sample_of(event)
            if split == "train":
                scalers.take(sample)
            own = part / split / "processed"
            own.mkdir(parents=True, exist_ok=True)
            torch.save(sample, own / f"data_{counts[split]}.pt")
            counts[split] += 1
        if not sum(counts.values()):
            raise DataError(f"{folder}: no event to write (none is in train, val or test)")
        for split, number in counts.items():
            if number:
                (part / split / "processed" / "DONE").touch()
                if counts["train"]:
                    scalers.save(part / split)
        replace_folder(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return counts


def _is_split_folder(path: Path) -> bool:
    """Whether a folder holds nothing but datasets named train, val and test."""
    if not path.is_dir() or not {entry.name for entry in path.iterdir()} <= set(SPLITS):
        return False
    names = {entry.name for split in path.iterdir() for entry in split.iterdir()}
    return names <= {"processed", "node_scaler.pt", "edge_scaler.pt"}
