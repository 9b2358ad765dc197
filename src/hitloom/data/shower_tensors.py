"""Tensor files of 2D clusters, one for each wire view: ``<slice>_<U|V|W>.pt``, in two published forms.

*List form*: one float32 tensor (hits, F) for each cluster, then the similarity (N, N). *Dict form*: ``clusters`` (such
a list), ``similarity``, and for each cluster ``cluster_mc_ids`` and ``cluster_mc_cnts``, the particles and how many of
its hits they have. Columns are those of a preset of :mod:`hitloom.data.shower_columns`, unscaled; clusters stand by
falling number of hits. Files are read as tensors and nothing else: no code in them is run.

A file holds less than an event: identifiers of clusters and hits are counted anew. The list form has no truth behind
its similarity (but for preset 2, which names the particle of every hit), so the event keeps the similarity itself; see
:mod:`hitloom.data.shower_truth`.

N clusters, M hits, F columns, K particles.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hitloom.data.files import atomic_file, reason
from hitloom.data.lartpc_detectors import Detector
from hitloom.data.shower_clusters import cluster_shares_of_counts
from hitloom.data.shower_columns import PRESETS, SUMMARY, hit_columns, preset_columns, summary_rows
from hitloom.data.shower_layout import VIEWS, is_shower_event, slice_number, view_code
from hitloom.data.shower_truth import Denominator, similarity_target, store_similarity
from hitloom.data.shower_view import shower_view
from hitloom.data.tensors import integers
from hitloom.errors import DataError
from hitloom.event import Event

Form = Literal["list", "dict"]
FORMS: tuple[Form, ...] = ("list", "dict")
_NAME = re.compile(r"(\d+)_([UVW])")
_CODES = {letter: code for code, letter in VIEWS.items()}
_KEYS = ("clusters", "similarity", "cluster_mc_ids", "cluster_mc_cnts")
SAME = 1e-4
"""A similarity may differ by so much from what its counts give."""


@dataclass(frozen=True, kw_only=True)
class TensorView:
    """What one file holds.

    ``counts``: for each cluster the identifiers of its particles and their hits; None in list form.
    """

    clusters: Sequence[Tensor]
    similarity: Tensor
    counts: Sequence[tuple[Tensor, Tensor]] | None = None


def file_key(path: Path) -> tuple[int, int]:
    """Return the slice and the code of the view that a name says.

    Raises
    ------
    DataError
        When it says none.
    """
    found = _NAME.fullmatch(path.stem)
    if found is None:
        raise DataError(f"{path}: the name says no slice and view; mend: <slice>_<U|V|W>.pt, such as 12_W.pt")
    return int(found[1]), _CODES[found[2]]


def write_tensors(
    event: Event, folder: str | Path, *, preset: int = 8, form: Form = "dict", denominator: Denominator = "all"
) -> Path:
    """Write a view into ``folder`` and return the path of the file.

    Raises
    ------
    DataError
        When the event is no wire view, has no truth, or lacks a column of the preset.
    """
    if not is_shower_event(event):
        raise DataError(f"{event.describe()}: is no wire view of 2D clusters")
    names = preset_columns(preset)
    num_hits = torch.bincount(event.part_point_index, minlength=event.num_points)
    order = torch.argsort(num_hits, descending=True, stable=True)
    rows = hit_columns(event, names)[torch.argsort(event.part_point_index, stable=True)]
    clusters: list[Tensor] = list(torch.split(rows, num_hits.tolist()))
    if SUMMARY in names:
        summary = summary_rows(event, names, scaled=False)
        clusters = [torch.cat([cluster, row[None]]) for cluster, row in zip(clusters, summary, strict=True)]
    clusters = [clusters[place].clone() for place in order.tolist()]
    similarity = similarity_target(event, denominator)[order][:, order].contiguous()
    content: Any = [*clusters, similarity]
    if form == "dict":
        counts = _counts(event, num_hits)
        content = {
            "clusters": clusters,
            "similarity": similarity,
            "cluster_mc_ids": [counts[place][0] for place in order.tolist()],
            "cluster_mc_cnts": [counts[place][1] for place in order.tolist()],
        }
    path = Path(folder) / f"{slice_number(event)}_{VIEWS[view_code(event)]}.pt"
    with atomic_file(path) as part:
        torch.save(content, part)
    return path


def _counts(event: Event, num_hits: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return for each cluster its particles and how many of its hits each has."""
    if "share_index" not in event:
        raise DataError(f"{event.describe()}: the data has no truth of clusters; mend: the list form")
    cluster, owner = event.share_index
    count = (event.share_fraction.double() * num_hits[cluster].double()).round().long()
    ends = torch.bincount(cluster, minlength=event.num_points).tolist()
    ids = event.object_id[owner]
    return [
        (one.clone(), other.clone())
        for one, other in zip(torch.split(ids, ends), torch.split(count, ends), strict=True)
    ]


def load_tensors(path: Path) -> TensorView:
    """Return what a file holds, in either form.

    Raises
    ------
    DataError
        When it is damaged, holds anything but tensors, or is of neither form.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: cannot be read as tensors: {reason(error)}; mend: write the file again") from None
    if isinstance(content, Mapping):
        missing = [key for key in _KEYS if key not in content]
        if missing:
            raise DataError(f"{path}: '{missing[0]}' is missing; it holds {', '.join(map(str, content)) or 'nothing'}")
        counts = list(zip(content["cluster_mc_ids"], content["cluster_mc_cnts"], strict=False))
        found = TensorView(clusters=list(content["clusters"]), similarity=content["similarity"], counts=counts)
    elif isinstance(content, list | tuple) and content:
        found = TensorView(clusters=list(content[:-1]), similarity=content[-1])
    else:
        raise DataError(f"{path}: holds {type(content).__name__}, but a list of tensors or a dict was wanted")
    _check(found, str(path))
    return found


def _check(found: TensorView, where: str) -> None:
    number = len(found.clusters)
    widths = {tuple(one.shape[1:]) if isinstance(one, Tensor) else () for one in found.clusters}
    if len(widths) > 1 or any(len(width) != 1 for width in widths):
        raise DataError(f"{where}: clusters of different or no columns: {sorted(widths)}")
    for place, cluster in enumerate(found.clusters):
        if not len(cluster):
            raise DataError(f"{where}: cluster {place} has no hit")
        if not bool(torch.isfinite(cluster).all()):
            raise DataError(f"{where}: cluster {place} holds NaN or infinity; mend or drop the file")
    if not isinstance(found.similarity, Tensor) or found.similarity.shape != (number, number):
        shape = tuple(found.similarity.shape) if isinstance(found.similarity, Tensor) else "no tensor"
        raise DataError(f"{where}: similarity {shape}, but {number} clusters want ({number}, {number})")
    if number and not bool((found.similarity - found.similarity.T).abs().max() <= SAME):
        raise DataError(f"{where}: the similarity is not symmetric")
    if found.counts is not None and len(found.counts) != number:
        raise DataError(f"{where}: counts of particles for {len(found.counts)} of {number} clusters")


def guess_preset(width: int, where: str) -> int:
    """Return the only preset of so many columns.

    Raises
    ------
    DataError
        When there is none, or several.
    """
    fitting = [number for number, names in PRESETS.items() if len(names) == width]
    if len(fitting) == 1:
        return fitting[0]
    there = f"presets {', '.join(map(str, fitting))} have them all" if fitting else "no preset has so many"
    raise DataError(f"{where}: {width} columns: {there}; mend: name one with --preset")


def tensor_view(
    path: Path, *, preset: int | None = None, detector: Detector | None = None, denominator: Denominator | None = None
) -> Event:
    """Return the event of a file.

    Parameters
    ----------
    preset : int or None
        None = by the number of columns, where only one has it.
    detector : Detector or None
        Its wire pitch is taken where the columns have none; its scales are recorded.
    denominator : {"all", "matched"} or None
        Of the similarity in list form; None = not known. In dict form the counts say it.

    Raises
    ------
    DataError
        When the file is not what it should be, or the preset does not fit.
    """
    slice_, view = file_key(path)
    found = load_tensors(path)
    if not found.clusters:
        raise DataError(f"{path}: no cluster")
    width = found.clusters[0].shape[1]
    preset = guess_preset(width, str(path)) if preset is None else preset
    names = preset_columns(preset)
    if len(names) != width:
        raise DataError(f"{path}: {width} columns, but preset {preset} has {len(names)}: {', '.join(names)}")
    sizes = [len(cluster) for cluster in found.clusters]
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    table = torch.cat(list(found.clusters)).float().numpy()
    at = {name: table[:, place] for place, name in enumerate(names)}
    if SUMMARY in at:
        hit = at[SUMMARY] < 0.5
        cluster, at = cluster[hit], {name: values[hit] for name, values in at.items()}
        if len(np.unique(cluster)) < len(sizes):
            raise DataError(f"{path}: a cluster has a summary row alone, and no hit")
    _check_view(at, view, path)
    owner, objects = None, None
    if "true_id" in at:
        ids = np.rint(at["true_id"]).astype(np.int64)
        known = np.unique(ids[ids >= 0])
        owner = np.where(ids >= 0, np.searchsorted(known, ids), -1)
        objects = {"object_id": known, "object_pdg": np.zeros_like(known)}
    scales = {} if detector is None else {"detector": detector.name, "scales": dict(detector.scales)}
    event = shower_view(
        _raw_columns(at, view, detector, path),
        cluster,
        slice_=slice_,
        view=view,
        point_id=np.arange(len(sizes)),
        part_id=np.arange(len(cluster)),
        owner=owner,
        objects=objects,
        source=f"pandora-pt {path.name}",
        provenance={"detector": None, "preset": preset}
        | scales
        | ({"denominator": denominator} if denominator else {}),
    )
    if owner is None and found.counts is not None:
        _set_counts(event, found, path)
    elif owner is None:
        store_similarity(event, found.similarity.float())
    return event


def _check_view(at: Mapping[str, NDArray[np.float32]], view: int, path: Path) -> None:
    """Check that the columns of views say what the name of the file says."""
    for code, name in zip(sorted(VIEWS), ("view_u", "view_v", "view_w"), strict=True):
        if name in at and bool((at[name] != (code == view)).any()):
            raise DataError(
                f"{path}: column '{name}' contradicts view {VIEWS[view]} of the name; mend: the right name, or --preset"
            )


def _raw_columns(
    at: Mapping[str, NDArray[np.float32]], view: int, detector: Detector | None, path: Path
) -> dict[str, NDArray[Any]]:
    """Return the columns that events hold from those of a preset."""
    found = {name: at[name] for name in ("x", "z", "x_width", "x_gap", "pitch", "energy") if name in at}
    if "x" not in found:
        found |= {"x": at["r"] * at["cos"], "z": at["r"] * at["sin"]}
    if "pitch" not in found:
        if detector is None:
            raise DataError(f"{path}: the columns hold no wire pitch; mend: name the detector with --detector")
        found["pitch"] = np.full(len(found["x"]), detector.pitch[view], dtype=np.float32)
    if "volume_00" in at:
        known = (at["volume_00"] + at["volume_10"]) > 0.5
        found["tpc_volume"] = np.where(known, at["volume_10"] > 0.5, -1).astype(np.float32)
        found["daughter_volume"] = np.where(known, 0, -1).astype(np.float32)
    return found


def _set_counts(event: Event, found: TensorView, path: Path) -> None:
    """Set the shares of the clusters from the counts of the dict form, and check the similarity against them."""
    counts = found.counts or []
    sizes = [len(ids) for ids, _ in counts]
    if any(len(ids) != len(number) for ids, number in counts):
        raise DataError(f"{path}: 'cluster_mc_ids' and 'cluster_mc_cnts' of a cluster differ in length")
    cluster = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(sizes, dtype=torch.int64))
    empty = torch.zeros(0, dtype=torch.int64)
    ids = torch.cat([empty, *(ids.long() for ids, _ in counts)])
    number = torch.cat([empty, *(number.long() for _, number in counts)])
    known = (ids >= 0) & (number > 0)
    cluster, ids, number = cluster[known], ids[known], number[known]
    event.object_id = torch.unique(ids)
    event.object_pdg = torch.zeros_like(event.object_id)
    num_hits = torch.bincount(event.part_point_index, minlength=event.num_points)
    owner = torch.searchsorted(event.object_id, ids)
    event.share_index, event.share_fraction, event.object_index = cluster_shares_of_counts(
        cluster, owner, number, num_hits, event.num_objects
    )
    held = integers(np.zeros(event.num_points)).index_add_(0, cluster, number)
    if bool((held > num_hits).any()):
        place = int((held > num_hits).nonzero()[0])
        raise DataError(f"{path}: cluster {place} has {int(num_hits[place])} hits, but counts of {int(held[place])}")
    if all(float((similarity_target(event, one) - found.similarity).abs().max()) > SAME for one in ("all", "matched")):
        raise DataError(f"{path}: the similarity is not what the counts of particles give, whatever hits are counted")
