"""Named columns of the hits of 2D clusters: what a network of shower growing reads, and how each column is scaled.

The published numbers of sets of columns are :data:`PRESETS`. How a column is scaled follows from its name alone: a
length is multiplied by one of three scales of the detector (``polar_r``, ``cartesian_x``, ``cartesian_z``, 1/cm), an
energy or a count becomes its natural logarithm, anything else stays. Logarithms are taken of at least
:data:`LOG_FLOOR`, so a hit without energy gives a finite number.

Presets 3 and 5 have one *summary row* for each cluster besides its hits, marked in the column ``summary``; its first
three columns are the hits of the cluster, the hits of the view and the clusters of the view. Summary rows are made by
:func:`network_rows` from the event as it is: no event holds them, so nothing counts them as hits and merging has
nothing to copy. Their counts become logarithms, never coordinates.

N clusters, M hits, F columns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hitloom.data.shower_layout import CLUSTER_FEATURES, VIEWS
from hitloom.data.shower_truth import hit_owners, named
from hitloom.errors import DataError, nearest
from hitloom.event import Event

LOG_FLOOR = 1e-3
"""Logarithms are taken of at least this."""

SUMMARY, ZERO = "summary", "zero"
CARDINALITY: tuple[str, ...] = ("num_hits", "num_clusters")
TIER = "tier"

_POLAR = ("r", "cos", "sin")
_VIEWS = ("view_u", "view_v", "view_w")
_ALL_LENGTHS = (*_POLAR, "x", "z", "x_width", "pitch")

PRESETS: dict[int, tuple[str, ...]] = {
    1: ("x", "z", "x_width", "x_gap", "energy"),
    2: ("x", "z", "x_width", "x_gap", "energy", "true_id"),
    3: ("x", "z", "x_width", "x_gap", "energy", SUMMARY),
    4: (*_POLAR, "x_width", "x_gap", "energy"),
    5: (*_POLAR, "x_width", "x_gap", "energy", ZERO, SUMMARY),
    6: ("x", "z", "x_width", "pitch", "x_gap", "energy"),
    7: (*_ALL_LENGTHS, "x_gap", "energy"),
    8: (*_ALL_LENGTHS, "x_gap", "energy", *_VIEWS),
    9: (*_ALL_LENGTHS, "x_gap", "energy", *_VIEWS, "volume_00", "volume_10"),
    10: (*_ALL_LENGTHS, "energy", *_VIEWS),
}
"""Columns of the published presets; 8 is the recommended one, 10 the one for detectors without drift gaps."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: where it comes from, the scale it is multiplied by, whether its logarithm is taken.

    ``of_cluster``: all hits of a cluster have the same value.
    """

    name: str
    source: str
    scale: str | None = None
    log: bool = False
    of_cluster: bool = False


_TABLE: dict[str, Column] = {
    column.name: column
    for column in (
        Column(name="r", source="distance of the hit from the vertex, cm", scale="polar_r"),
        Column(name="cos", source="x / r, 0 at the vertex"),
        Column(name="sin", source="z / r, 0 at the vertex"),
        Column(name="x", source="drift coordinate from the vertex, cm", scale="cartesian_x"),
        Column(name="z", source="wire coordinate from the vertex, cm", scale="cartesian_z"),
        Column(name="x_width", source="extent of the hit along the drift, cm", scale="cartesian_x"),
        Column(name="pitch", source="wire pitch of the view, cm", scale="cartesian_z"),
        Column(name="x_gap", source="signed distance from the nearest drift gap, cm", scale="cartesian_x"),
        Column(name="energy", source="energy of the hit, MIP", log=True),
        Column(name="view_u", source="1 in view U, else 0", of_cluster=True),
        Column(name="view_v", source="1 in view V, else 0", of_cluster=True),
        Column(name="view_w", source="1 in view W, else 0", of_cluster=True),
        Column(name="num_hits", source="hits of the cluster", log=True, of_cluster=True),
        Column(name="num_clusters", source="clusters of the view", log=True, of_cluster=True),
        Column(name=TIER, source="1 + how often clusters were merged before", log=True, of_cluster=True),
        Column(name="true_id", source="identifier of the true particle, -1 = none (a cheat, for checks only)"),
        Column(name=ZERO, source="always 0"),
        Column(name=SUMMARY, source="1 in a summary row of a cluster, 0 in its hits"),
    )
}
_VOLUME = re.compile(r"volume_(\d)(\d)")


def preset_columns(preset: int) -> tuple[str, ...]:
    """Return the columns of a preset.

    Raises
    ------
    DataError
        When there is no such preset.
    """
    if preset not in PRESETS:
        raise DataError(f"unknown preset {preset}; valid presets: {', '.join(map(str, PRESETS))}")
    return PRESETS[preset]


def column(name: str) -> Column:
    """Return the column of a name; ``volume_<t><d>`` is 1 in volume t with daughter volume d, for any two digits.

    Raises
    ------
    DataError
        When there is no such column; the message has the nearest name.
    """
    if name in _TABLE:
        return _TABLE[name]
    pair = _VOLUME.fullmatch(name)
    if pair is None:
        raise DataError(f"unknown column of hits '{name}'.{nearest(name, [*_TABLE, 'volume_00', 'volume_10'])}")
    return Column(name=name, source=f"1 in drift volume {pair[1]} with daughter volume {pair[2]}, else 0")


def column_report(names: Sequence[str]) -> list[dict[str, str | bool | None]]:
    """Return name, source, scale and log of each column, in order: for documentation and files beside a model."""
    columns = [column(name) for name in names]
    return [{"name": one.name, "source": one.source, "scale": one.scale, "log": one.log} for one in columns]


def hit_columns(event: Event, names: Sequence[str]) -> Tensor:
    """Return the columns of all hits as files have them (cm, MIP, counts): (M, F) float32.

    Parameters
    ----------
    event : Event
        One view, or a batch of views.

    Raises
    ------
    DataError
        When a column is unknown or the event has not what it is made of; the message names a preset without it.
    """
    return _rows(event, [column(name) for name in names], None, {})


def scaled_columns(
    event: Event,
    names: Sequence[str],
    scales: Mapping[str, float],
    *,
    replaced: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Return the columns of all hits as a network reads them, always finite: (M, F) float32.

    Parameters
    ----------
    event : Event
        One view, or a batch of views.
    scales : mapping
        ``polar_r``, ``cartesian_x`` and ``cartesian_z`` of the detector, 1/cm.
    replaced : mapping, optional
        (N,) for the names of columns of clusters: these numbers in place of the true ones, before any logarithm.

    Raises
    ------
    DataError
        As :func:`hit_columns`, and when a scale is missing.
    """
    return _rows(event, [column(name) for name in names], scales, replaced or {})


def network_rows(
    event: Event,
    names: Sequence[str],
    scales: Mapping[str, float],
    *,
    replaced: Mapping[str, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the rows that a network reads and the cluster of each: (R, F) float32 and (R,) int64.

    These are the hits (R = M), or where ``summary`` is among the columns the hits and behind them one summary row for
    each cluster (R = M + N). See :func:`scaled_columns`.
    """
    rows = scaled_columns(event, names, scales, replaced=replaced)
    if SUMMARY not in names:
        return rows, event.part_point_index
    clusters = torch.arange(event.num_points, device=rows.device)
    summary = summary_rows(event, names, scaled=True, replaced=replaced)
    return torch.cat([rows, summary]), torch.cat([event.part_point_index, clusters])


def _rows(
    event: Event, columns: Sequence[Column], scales: Mapping[str, float] | None, replaced: Mapping[str, Tensor]
) -> Tensor:
    """Columns of hits side by side, then those of clusters; put in order only where the names mix them."""
    of_hits = [place for place, one in enumerate(columns) if not one.of_cluster]
    of_clusters = [place for place, one in enumerate(columns) if one.of_cluster]
    blocks = []
    if of_hits:
        source = _HitSource(event)
        block = torch.stack([_logged(source[columns[place].name], columns[place], scales) for place in of_hits], dim=1)
        if scales is not None and any(columns[place].scale for place in of_hits):
            block *= block.new_tensor([_factor(columns[place], scales) for place in of_hits])
        blocks.append(block)
    if of_clusters:
        values = [replaced.get(columns[place].name) for place in of_clusters]
        table = torch.stack(
            [
                _logged(_of_cluster(event, columns[place]) if value is None else value, columns[place], scales)
                for place, value in zip(of_clusters, values, strict=True)
            ],
            dim=1,
        )
        blocks.append(table.index_select(0, event.part_point_index))
    if not blocks:
        return event.part_x.new_zeros(len(event.part_x), 0)
    rows = torch.cat(blocks, dim=1)
    order = of_hits + of_clusters
    if order == sorted(order):
        return rows
    return rows[:, torch.argsort(torch.tensor(order)).to(rows.device)]


def _logged(value: Tensor, of: Column, scales: Mapping[str, float] | None) -> Tensor:
    return value.clamp(min=LOG_FLOOR).log() if of.log and scales is not None else value


def _factor(of: Column, scales: Mapping[str, float]) -> float:
    if of.scale is None:
        return 1.0
    if of.scale not in scales:
        raise DataError(
            f"column '{of.name}' is scaled by '{of.scale}', but only {', '.join(scales) or 'none'} is given"
        )
    return float(scales[of.scale])


class _HitSource:
    """Raw columns (M,) of hits by name; what several columns need is computed once."""

    def __init__(self, event: Event) -> None:
        self.event = event
        self.names = part_column_names(event)
        self._radius: Tensor | None = None

    def __getitem__(self, name: str) -> Tensor:
        if name in ("r", "cos", "sin"):
            radius = self._distance()
            if name == "r":
                return radius
            return self._stored("x" if name == "cos" else "z") / torch.where(radius > 0, radius, 1.0)
        if name.startswith("volume_"):
            pair = self._stored("tpc_volume", name), self._stored("daughter_volume", name)
            return ((pair[0] == int(name[-2])) & (pair[1] == int(name[-1]))).float()
        if name == "true_id":
            return self._true_ids()
        if name in (ZERO, SUMMARY):
            return self.event.part_x.new_zeros(len(self.event.part_x))
        return self._stored(name)

    def _true_ids(self) -> Tensor:
        owner = hit_owners(self.event)
        ids = self.event.object_id.to(self.event.part_x.dtype)
        return torch.cat([ids, ids.new_full((1,), -1.0)])[owner]  # row -1 = the last

    def _distance(self) -> Tensor:
        if self._radius is None:
            self._radius = torch.hypot(self._stored("x"), self._stored("z"))
        return self._radius

    def _stored(self, name: str, wanted: str = "") -> Tensor:
        if name not in self.names:
            raise DataError(_missing(self.event, wanted or name))
        return self.event.part_x[:, self.names.index(name)]


def _missing(event: Event, name: str) -> str:
    mend = {"x_gap": "preset 10, which has none", "volume_": "preset 8, which has none of the volumes"}
    preset = next((text for start, text in mend.items() if name.startswith(start)), "")
    return (
        f"{named(event)}: column '{name}' of the hits is wanted, but the data has "
        f"{', '.join(part_column_names(event)) or 'none'}" + (f"; mend: inputs.preset: {preset}" if preset else "")
    )


def part_column_names(event: Event) -> list[str]:
    """Return the names of the columns of ``part_x``; in a batch all events must agree.

    Raises
    ------
    DataError
        When they do not.
    """
    names = event.part_feature_names if "part_feature_names" in event else []
    if names and not isinstance(names[0], str):
        if any(list(other) != list(names[0]) for other in names[1:]):
            raise DataError("views with different columns of hits cannot share a batch")
        names = names[0]
    return list(names)


def _of_cluster(event: Event, of: Column) -> Tensor:
    """Return (N,) float32 of a column that all hits of a cluster share."""
    if of.name in _VIEWS:
        return (event.layer == sorted(VIEWS)[_VIEWS.index(of.name)]).float()
    if of.name == "num_clusters":
        return clusters_of_view(event)
    stored = event.x[:, CLUSTER_FEATURES.index(of.name)]
    return stored + 1 if of.name == TIER else stored


def clusters_of_view(event: Event) -> Tensor:
    """Return (N,) float32: how many clusters the view of each cluster has."""
    if "ptr" not in event:
        return event.x.new_full((event.num_points,), float(event.num_points))
    return event.ptr.diff().to(event.x.dtype).index_select(0, event.batch)


def summary_rows(
    event: Event, names: Sequence[str], *, scaled: bool, replaced: Mapping[str, Tensor] | None = None
) -> Tensor:
    """Return (N, F) the summary row of each cluster: three counts, or their logarithms, then zeros and a flag of 1."""
    num_hits = event.x[:, CLUSTER_FEATURES.index("num_hits")]
    view = event.batch if "ptr" in event else torch.zeros_like(num_hits, dtype=torch.int64)
    whole = event.x.new_zeros(int(event.num_graphs) if "ptr" in event else 1).index_add(0, view, num_hits)
    rows = event.x.new_zeros(event.num_points, len(names))
    for place, count in enumerate((num_hits, whole[view], clusters_of_view(event))):
        rows[:, place] = count.clamp(min=1).log() if scaled else count
    for place, one in enumerate(map(column, names)):
        if one.name == SUMMARY:
            rows[:, place] = 1.0
        elif one.of_cluster:
            value = (replaced or {}).get(one.name)
            rows[:, place] = _logged(_of_cluster(event, one) if value is None else value, one, {} if scaled else None)
    return rows
