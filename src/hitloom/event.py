"""The event: one collision's points, graph and truth, every field declared once in :data:`FIELDS`.

Shape letters: N points, F features, M constituents, G constituent features, E edges, H edge features,
T truth edges, K true objects, A shares of points, V memberships,
S shares of constituents. Units: mm, GeV, ns, rad (:mod:`hitloom.units`).

``Event`` is a :class:`torch_geometric.data.Data`, so PyG's batching, loaders and layers work on it. Index fields
into points are shifted when events are batched. ``object_index`` is *not*: it stays local to its event, because a
shift would turn the -1 of noise into the last object of the event before. :meth:`Event.object_key` gives the
batch-wide key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor
from torch_geometric.data import Data

from hitloom.errors import DataError, nearest


@dataclass(frozen=True, kw_only=True)
class Field:
    """One declared field: its shape in letters, dtype, unit, meaning and the count that shifts it in a batch."""

    name: str
    group: str
    shape: tuple[str | int, ...]
    dtype: torch.dtype
    unit: str
    meaning: str
    shifted_by: str | None = None


def _table(*fields: Field) -> dict[str, Field]:
    return {field.name: field for field in fields}


def _field(
    group: str,
    name: str,
    shape: str,
    dtype: torch.dtype,
    unit: str,
    meaning: str,
    shifted_by: str | None = None,
) -> Field:
    sizes = tuple(int(part) if part.isdigit() else part for part in shape.split(","))
    return Field(name=name, group=group, shape=sizes, dtype=dtype, unit=unit, meaning=meaning, shifted_by=shifted_by)


_F32, _I64, _BOOL = torch.float32, torch.int64, torch.bool

FIELDS: dict[str, Field] = _table(
    _field("points", "pos", "N,3", _F32, "mm", "measured position x, y, z"),
    _field("points", "x", "N,F", _F32, "by feature", "raw physical features, columns named by feature_names"),
    _field("points", "point_id", "N", _I64, "", "identifier in the source (TrackML hit_id), unique in the event"),
    _field("points", "volume", "N", _I64, "", "detector volume in the source's numbering"),
    _field("points", "layer", "N", _I64, "", "detector layer in the source's numbering"),
    _field("points", "module", "N", _I64, "", "detector module in the source's numbering"),
    _field("points", "energy", "N", _F32, "GeV", "deposited or reconstructed energy"),
    _field("points", "time", "N", _F32, "ns", "measured time"),
    _field("constituents", "part_pos", "M,3", _F32, "mm", "position of a constituent"),
    _field("constituents", "part_x", "M,G", _F32, "by feature", "features, columns named by part_feature_names"),
    _field("constituents", "part_energy", "M", _F32, "GeV", "energy of a constituent"),
    _field("constituents", "part_point_index", "M", _I64, "", "row of the point it belongs to", "points"),
    _field("constituents", "part_id", "M", _I64, "", "identifier of a constituent in the source"),
    _field("constituents", "part_layer", "M", _I64, "", "layer of a constituent, 1 = first from the collision"),
    _field(
        "constituents",
        "member_index",
        "2,V",
        _I64,
        "",
        "constituent row above the row of a point that holds it; for constituents that several points or none hold",
        "parts,points",
    ),
    _field("constituents", "member_fraction", "V", _F32, "", "share of the constituent that the point holds"),
    _field("graph", "edge_index", "2,E", _I64, "", "edges, source row above target row", "points"),
    _field("graph", "edge_attr", "E,H", _F32, "by feature", "features of the edges"),
    _field("graph", "edge_y", "E", _F32, "", "target of an edge, 0 to 1"),
    _field("graph", "edge_weight", "E", _F32, "", "weight of an edge in the loss"),
    _field("graph", "edge_score", "E", _F32, "", "probability of an edge, from the stage that kept it"),
    _field("truth", "object_index", "N", _I64, "", "row of the dominant true object, -1 = none (noise)"),
    _field("truth", "truth_pos", "N,3", _F32, "mm", "true crossing point"),
    _field(
        "truth",
        "truth_momentum",
        "N,3",
        _F32,
        "GeV",
        "true momentum at the crossing point (noise: meaningless)",
    ),
    _field("truth", "point_weight", "N", _F32, "", "importance of the point in a weighted score"),
    _field("truth", "point_y", "N", _F32, "", "target of a point, 0 to 1 (pruning: 1 = not of its trackster)"),
    _field("truth", "truth_edge_index", "2,T", _I64, "", "consecutive points of one true object", "points"),
    _field("truth", "share_index", "2,A", _I64, "", "point row above object row of a soft share", "points,none"),
    _field("truth", "share_fraction", "A", _F32, "", "fraction of the point that the object owns"),
    _field(
        "truth", "part_share_index", "2,S", _I64, "", "constituent row above object row of a soft share", "parts,none"
    ),
    _field("truth", "part_share_fraction", "S", _F32, "", "fraction of the constituent's energy that the object made"),
    _field("truth", "match_score", "N", _F32, "", "0 = same as its object, 1 = nothing shared, -1 = no match"),
    _field("truth", "match_energy", "N", _F32, "GeV", "energy shared with its object, -1 = no match"),
    _field("objects", "object_id", "K", _I64, "", "identifier in the source (TrackML particle_id), exact"),
    _field("objects", "object_pdg", "K", _I64, "", "PDG particle code, 0 = unknown"),
    _field("objects", "object_charge", "K", _F32, "e", "electric charge"),
    _field("objects", "object_pt", "K", _F32, "GeV", "generated transverse momentum"),
    _field("objects", "object_eta", "K", _F32, "", "generated pseudorapidity"),
    _field("objects", "object_phi", "K", _F32, "rad", "generated azimuth"),
    _field("objects", "object_energy", "K", _F32, "GeV", "generated energy"),
    _field("objects", "object_momentum", "K,3", _F32, "GeV", "generated momentum px, py, pz"),
    _field("objects", "object_vertex", "K,3", _F32, "mm", "production vertex"),
    _field(
        "objects",
        "object_num_points",
        "K",
        _I64,
        "",
        "points of the object before any cut, as the source counts",
    ),
    _field("objects", "object_parent", "K", _I64, "", "identifier of the particle whose decay or interaction made it"),
    _field("objects", "object_raw_energy", "K", _F32, "GeV", "energy of the object in all constituents"),
    _field("objects", "object_is_signal", "K", _BOOL, "", "object of the hard process (not pile-up)"),
)

META: dict[str, str] = {
    "event_id": "integer identifier of the event",
    "feature_names": "names of the columns of x",
    "part_feature_names": "names of the columns of part_x",
    "edge_feature_names": "names of the columns of edge_attr",
    "source": "where the event came from: format and file",
    "provenance": "JSON text: settings, seeds and versions that made the event",
}

_TEXTS = META.keys() - {"event_id"}
_FEATURE_NAMES = {"x": "feature_names", "part_x": "part_feature_names", "edge_attr": "edge_feature_names"}


class Event(Data):
    """Points, graph and truth of one event; see :data:`FIELDS` for every field.

    Examples
    --------
    >>> event = Event(pos=torch.zeros(2, 3), object_index=torch.tensor([0, -1]), object_id=torch.tensor([7]))
    >>> event.validate().num_points, event.num_objects
    (2, 1)
    """

    @classmethod
    def of_values(cls, values: Mapping[str, Any]) -> Event:
        """Return the event of these fields, as ``Event(**values)`` would, for code that makes very many."""
        event = cls()
        event._store._mapping.update(values)
        return event

    def __contains__(self, key: str) -> bool:
        return key in self._store  # PyG lists all keys for every question

    def apply(self, func: Callable[[Any], Any], *names: str) -> Self:
        """Apply ``func`` to the tensors of these fields, default all; PyG would also look for some among the texts."""
        chosen = [name for name in names or self.keys() if name not in _TEXTS]
        return super().apply(func, *chosen)

    @property
    def num_points(self) -> int:
        return int(self.pos.shape[0])

    @property
    def num_parts(self) -> int:
        """Number of constituents."""
        return int(self.part_pos.shape[0]) if "part_pos" in self else 0

    @property
    def num_objects(self) -> int:
        return int(self.object_id.shape[0]) if "object_id" in self else 0

    @property
    def has_truth(self) -> bool:
        """Whether points are linked to true objects."""
        return "object_index" in self

    def __inc__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        field = FIELDS.get(key)
        if field is None:
            return super().__inc__(key, value, *args, **kwargs)
        if field.shifted_by == "points":
            return self.num_points
        if field.shifted_by is not None:
            sizes = {"points": self.num_points, "parts": self.num_parts, "none": 0}
            return torch.tensor([[sizes[name]] for name in field.shifted_by.split(",")])
        return 0

    def __cat_dim__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        field = FIELDS.get(key)
        if field is None:
            return super().__cat_dim__(key, value, *args, **kwargs)
        return 1 if field.shape[0] == 2 else 0

    def columns(self, names: Sequence[str]) -> Tensor:
        """Return the named feature columns of ``x``, in the order asked: (N, len(names)).

        Raises
        ------
        DataError
            When a feature is not in the data; the message names the event and the nearest feature.
        """
        available = self.column_names()
        for name in names:
            if name not in available:
                raise DataError(
                    f"{self.describe()}: feature '{name}' is needed and not in the data.{nearest(name, available)}"
                )
        return self.x[:, [available.index(name) for name in names]]

    def column_names(self) -> list[str]:
        """Return the names of the columns of ``x``; in a batch all events must agree."""
        names = self.feature_names if "feature_names" in self else []
        if names and not isinstance(names[0], str):
            if any(list(other) != list(names[0]) for other in names[1:]):
                raise DataError("events with different feature_names cannot share a batch")
            names = names[0]
        return list(names)

    def object_key(self) -> Tensor:
        """Return (N,) int64, equal for two points exactly when they share event and object; -1 for noise."""
        index = self.object_index
        batch = self.batch if "batch" in self else None
        if batch is None:
            return index
        slices = getattr(self, "_slice_dict", {}).get("object_id")
        if slices is None:
            offset = batch * (int(index.max()) + 1 if index.numel() else 1)
        else:
            offset = torch.as_tensor(slices, device=index.device)[batch]
        return torch.where(index >= 0, index + offset, index)

    def describe(self) -> str:
        """Return a short name for messages: source and event id."""
        source = self.source if "source" in self else "event"
        return f"{source}[event {self.event_id}]" if "event_id" in self else str(source)

    def provenance_dict(self) -> dict[str, Any]:
        """Return the parsed provenance, empty when none is recorded."""
        return json.loads(self.provenance) if self.get("provenance") else {}

    def select_points(self, keep: Tensor) -> Event:
        """Return a copy holding only the points of the mask ``keep`` (N,) bool; indices are renumbered.

        Objects stay (their counts before the cut stay in ``object_num_points``); edges, truth edges and constituents
        that lose an end go. Constituents listed by ``member_index`` stay: no point need hold them.
        """
        if keep.dtype != torch.bool or keep.shape != (self.num_points,):
            raise DataError(f"{self.describe()}: a boolean mask of shape ({self.num_points},) was wanted")
        new_row = torch.full((self.num_points,), -1, dtype=torch.int64)
        new_row[keep] = torch.arange(int(keep.sum()))
        part_keep = keep[self.part_point_index] if "part_point_index" in self else None
        new_part = None if part_keep is None else torch.cumsum(part_keep, 0) - 1
        kept_columns = {name: keep[self[name]].all(0) for name in ("edge_index", "truth_edge_index") if name in self}
        if part_keep is not None and "part_share_index" in self:
            kept_columns["part_share_index"] = part_keep[self.part_share_index[0]]
        if "share_index" in self:
            kept_columns["share_index"] = keep[self.share_index[0]]
        if "member_index" in self:
            kept_columns["member_index"] = keep[self.member_index[1]]
        result = Event()
        for name, value in self.to_dict().items():
            field = FIELDS.get(name)
            if field is None:
                result[name] = value
            elif field.shape[0] == "N":
                result[name] = value[keep]
            elif field.shape[0] == "M" and part_keep is not None:
                part = value[part_keep]
                result[name] = new_row[part] if name == "part_point_index" else part
            elif name == "share_index":
                kept = value[:, kept_columns[name]]
                result[name] = torch.stack([new_row[kept[0]], kept[1]])
            elif name == "member_index":
                kept = value[:, kept_columns[name]]
                result[name] = torch.stack([kept[0], new_row[kept[1]]])
            elif name == "part_share_index" and new_part is not None:
                kept = value[:, kept_columns[name]]
                result[name] = torch.stack([new_part[kept[0]], kept[1]])
            elif name.endswith("_fraction") and name.replace("fraction", "index") in kept_columns:
                result[name] = value[kept_columns[name.replace("fraction", "index")]]
            elif name in kept_columns:
                result[name] = new_row[value[:, kept_columns[name]]]
            elif field.shape[0] == "E":
                result[name] = value[kept_columns["edge_index"]]
            else:
                result[name] = value
        return result

    def validate(self) -> Event:
        """Check every declared field against the table and return the event itself.

        Raises
        ------
        DataError
            One line naming the event, the field, what came and what was wanted.
        """
        from hitloom._validate import validate_event

        validate_event(self)
        return self


def field_table_markdown() -> str:
    """Return the field table as Markdown, the source of the documentation page."""
    lines = ["| group | field | shape | dtype | unit | meaning |", "|---|---|---|---|---|---|"]
    for field in FIELDS.values():
        shape = "(" + ", ".join(str(part) for part in field.shape) + ("," if len(field.shape) == 1 else "") + ")"
        dtype = str(field.dtype).removeprefix("torch.")
        lines.append(f"| {field.group} | `{field.name}` | {shape} | {dtype} | {field.unit or '-'} | {field.meaning} |")
    lines += [f"| identity | `{name}` | - | - | - | {meaning} |" for name, meaning in META.items()]
    return "\n".join(lines) + "\n"
