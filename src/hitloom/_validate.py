"""Checks of one event against the field table; called by :meth:`hitloom.event.Event.validate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from hitloom.errors import DataError

if TYPE_CHECKING:
    from hitloom.event import Event

_FINITE = (
    "pos",
    "x",
    "energy",
    "part_pos",
    "part_x",
    "part_energy",
    "edge_attr",
    "edge_y",
    "edge_weight",
    "edge_score",
    "point_y",
)


def validate_event(event: Event) -> None:
    """Raise :class:`DataError` at the first field that breaks the contract."""
    where = event.describe()
    if "pos" not in event:
        raise DataError(f"{where}: field 'pos' (N,3) is missing; every event needs positions in mm")
    sizes = _check_shapes(event, where)
    for name in _FINITE:
        if name in event and not bool(torch.isfinite(event[name]).all()):
            row = int((~torch.isfinite(event[name].reshape(len(event[name]), -1))).any(1).nonzero()[0, 0])
            raise DataError(
                f"{where}: field '{name}' holds NaN or infinity (first in row {row}); remove or mend the row"
            )
    _check_index(event, where, "object_index", -1, sizes.get("K", 0), "an object row, or -1 for noise")
    for name in ("edge_index", "truth_edge_index", "part_point_index"):
        _check_index(event, where, name, 0, sizes["N"], "a point row")
    relations = {
        "share_index": (("a point row", "N"), ("an object row", "K")),
        "member_index": (("a constituent row", "M"), ("a point row", "N")),
        "part_share_index": (("a constituent row", "M"), ("an object row", "K")),
    }
    for name, rows in relations.items():
        if name in event:
            for row, (meaning, letter) in enumerate(rows):
                _check_rows(event[name][row], f"{where}: field '{name}' row {row}", meaning, sizes.get(letter, 0))
    for name in ("point_id", "part_id", "object_id"):
        if name in event:
            values, counts = torch.unique(event[name], return_counts=True)
            if len(values) != len(event[name]):
                twice = int(values[counts > 1][0])
                raise DataError(f"{where}: field '{name}' holds {twice} more than once; identifiers must be unique")


def _check_shapes(event: Event, where: str) -> dict[str, int]:
    from hitloom.event import _FEATURE_NAMES, FIELDS

    sizes: dict[str, int] = {}
    origin: dict[str, str] = {}
    for name, field in FIELDS.items():
        if name not in event:
            continue
        value = event[name]
        if not isinstance(value, torch.Tensor):
            raise DataError(f"{where}: field '{name}' must be a tensor, not {type(value).__name__}")
        if value.dtype != field.dtype:
            raise DataError(f"{where}: field '{name}' must be {field.dtype}, not {value.dtype}")
        wanted = "(" + ",".join(str(part) for part in field.shape) + ")"
        if value.dim() != len(field.shape):
            raise DataError(f"{where}: field '{name}' must have shape {wanted}, not {tuple(value.shape)}")
        for size, part in zip(value.shape, field.shape, strict=True):
            if isinstance(part, int):
                if size != part:
                    raise DataError(f"{where}: field '{name}' must have shape {wanted}, not {tuple(value.shape)}")
            elif part in "NMETKAVS" and sizes.setdefault(part, size) != size:
                raise DataError(
                    f"{where}: field '{name}' has {part} = {size}, but field '{origin[part]}' has {sizes[part]}"
                )
            origin.setdefault(str(part), name)
        names_field = _FEATURE_NAMES.get(name)
        if names_field is not None and value.shape[1]:
            names = list(event[names_field]) if names_field in event else []
            if len(names) != value.shape[1]:
                raise DataError(
                    f"{where}: field '{name}' has {value.shape[1]} columns but {names_field} lists {len(names)}"
                )
    return sizes


def _check_index(event: Event, where: str, name: str, low: int, high: int, meaning: str) -> None:
    if name in event:
        _check_rows(event[name], f"{where}: field '{name}'", meaning, high, low=low)


def _check_rows(values: torch.Tensor, where: str, meaning: str, high: int, *, low: int = 0) -> None:
    if values.numel() == 0:
        return
    smallest, largest = int(values.min()), int(values.max())
    if smallest < low or largest >= high:
        wrong = smallest if smallest < low else largest
        raise DataError(f"{where} holds {wrong}; wanted {meaning} (from {low} to {high - 1})")
