"""The condition language of cuts, weights and targets: a mapping of a quantity to what it must be, AND-ed.

==========================  ===================================================
value                       the quantity must be
==========================  ===================================================
``true`` / ``false``        equal to it
``[lo, hi]``                within lo and hi, both included (``.inf`` allowed)
``[is, v]``                 equal to v
``[is_not, v]``             different from v
``[in, [a, b]]``            one of these
``[not_in, [a, b]]``        none of these
``[within, [lo, hi]]``      as ``[lo, hi]``
``[not_within, [lo, hi]]``  outside lo and hi
==========================  ===================================================

A quantity is a field of one number per point or object (``layer``, ``object_pt``), a feature by its name (``r``),
``object_vertex_radius``, ``object_generation`` (of TrackML ids; 0 = primary), ``object_is_primary``, or the name that
EggNet and acorn have for one (``hit_particle_pt``, ``track_particle_pt``, ``hit_r``). Noise fails every condition on a
property of an object, whatever the operator.
Shape letters: N points, K objects.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hitloom.errors import ConfigError, DataError, nearest
from hitloom.event import FIELDS, Event

_OF_PARTICLE = {
    "pt": "object_pt",
    "eta": "object_eta",
    "phi": "object_phi",
    "nhits": "object_num_points",
    "id": "object_id",
    "charge": "object_charge",
    "pdgId": "object_pdg",
    "radius": "object_vertex_radius",
    "primary": "object_is_primary",
}
_ALIASES = {
    **{f"{kind}_particle_{short}": name for kind in ("hit", "track") for short, name in _OF_PARTICLE.items()},
    "hit_module_id": "module",
    "hit_layer_id": "layer",
    "hit_volume_id": "volume",
    "hit_id": "point_id",
}
_TRUTH_POINT = ("object_index", "point_weight")
_DERIVED: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "object_vertex_radius": ("object_vertex", lambda vertex: torch.hypot(vertex[:, 0], vertex[:, 1])),
    # bits 24 to 35 of a TrackML particle id; 0 = primary
    "object_generation": ("object_id", lambda ids: (ids >> 24) & 0xFFF),
    "object_is_primary": ("object_id", lambda ids: (ids >> 24) & 0xFFF == 0),
}
_OPERATORS = ("is", "is_not", "in", "not_in", "within", "not_within")


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One condition: ``quantity operator operand``; operands of ranges are (lo, hi), of sets tuples."""

    quantity: str
    operator: str
    operand: Any

    @property
    def name(self) -> str:
        """The quantity in hitloom's naming, where EggNet's differs."""
        return _ALIASES.get(self.quantity, self.quantity)

    @property
    def of_object(self) -> bool:
        """Whether the quantity belongs to true objects."""
        return self.name.startswith("object_") and self.name != "object_index"

    @property
    def field(self) -> str | None:
        """The event field that holds the quantity, None for a feature."""
        source = _DERIVED[self.name][0] if self.name in _DERIVED else self.name
        return source if source in FIELDS else None

    def holds(self, values: Tensor) -> Tensor:
        """Return where ``values`` fulfil the condition; integers are compared as integers."""
        match self.operator:
            case "is":
                return _equal(values, self.operand)
            case "is_not":
                return ~_equal(values, self.operand)
            case "in" | "not_in":
                found = torch.zeros_like(values, dtype=torch.bool)
                for item in self.operand:
                    found |= _equal(values, item)
                return found if self.operator == "in" else ~found
            case "within":
                return _within(values, *self.operand)
            case _:
                return ~_within(values, *self.operand)


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Conditions that must all hold.

    Examples
    --------
    >>> conditions = Conditions.parse({"object_pt": [1, ".inf"], "layer": ["not_in", [14]]})
    >>> event = Event(pos=torch.zeros(3, 3), layer=torch.tensor([2, 2, 14]), object_index=torch.tensor([0, -1, 0]),
    ...               object_id=torch.tensor([5]), object_pt=torch.tensor([1.5]))
    >>> conditions.mask(event).tolist()
    [True, False, False]
    """

    items: tuple[Condition, ...]

    @classmethod
    def parse(cls, mapping: Mapping[str, Any], *, where: str = "conditions") -> Conditions:
        """Read a mapping as it stands in a recipe.

        Raises
        ------
        ConfigError
            One line with every mistake.
        """
        items, mistakes = [], []
        for quantity, value in mapping.items():
            try:
                items.append(_parse(str(quantity), value))
            except ConfigError as error:
                mistakes.append(str(error))
        if mistakes:
            raise ConfigError(f"{where}: " + "; ".join(mistakes))
        return cls(items=tuple(items))

    @property
    def uses_truth(self) -> bool:
        """Whether a condition looks at true objects; an input selected so is not what a detector delivers."""
        return any(item.name.startswith(("object_", "truth_")) or item.name in _TRUTH_POINT for item in self.items)

    def mask(self, event: Event) -> Tensor:
        """Return (N,) bool, the points of an event or of a batch that pass.

        Raises
        ------
        DataError
            When a quantity is not in the data; the message gives the nearest one.
        """
        passed = torch.ones(event.pos.shape[0], dtype=torch.bool, device=event.pos.device)
        for item in self.items:
            if item.of_object:
                rows = _object_rows(event)
                good = item.holds(_object_values(event, item))
                own = rows >= 0
                passed &= own
                passed[own] &= good[rows[own]]
            else:
                passed &= item.holds(_point_values(event, item))
        return passed

    def object_mask(self, event: Event) -> Tensor:
        """Return (K,) bool, the objects that pass; every condition must be on a property of objects.

        Raises
        ------
        DataError
            When a condition is on a property of points, or not in the data.
        """
        if "object_id" not in event:
            raise DataError(f"{event.describe()}: no table of true objects ('object_id') to select from")
        passed = torch.ones(event.object_id.shape[0], dtype=torch.bool, device=event.object_id.device)
        for item in self.items:
            if not item.of_object:
                raise DataError(f"{event.describe()}: '{item.quantity}' is no property of true objects")
            passed &= item.holds(_object_values(event, item))
        return passed


def point_mask(event: Event, conditions: Mapping[str, Any] | Conditions) -> Tensor:
    """Return (N,) bool, the points that pass all conditions; see :class:`Conditions`."""
    if not isinstance(conditions, Conditions):
        conditions = Conditions.parse(conditions)
    return conditions.mask(event)


def _parse(quantity: str, value: Any) -> Condition:
    if isinstance(value, bool):
        return Condition(quantity=quantity, operator="is", operand=value)
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ConfigError(f"'{quantity}': true, false, [lo, hi] or [operator, value] was wanted (got {value!r})")
    operator, operand = value
    if not isinstance(operator, str) or _is_infinity(operator):
        return Condition(quantity=quantity, operator="within", operand=_range(quantity, value))
    if operator not in _OPERATORS:
        raise ConfigError(f"'{quantity}': unknown operator '{operator}'.{nearest(operator, _OPERATORS)}")
    if operator in ("within", "not_within"):
        return Condition(quantity=quantity, operator=operator, operand=_range(quantity, operand))
    if operator in ("in", "not_in"):
        if not isinstance(operand, list | tuple | set | frozenset):
            raise ConfigError(f"'{quantity}': [{operator}, [values]] was wanted (got {operand!r})")
        items = tuple(_scalar(quantity, item) for item in operand)
        return Condition(quantity=quantity, operator=operator, operand=items)
    return Condition(quantity=quantity, operator=operator, operand=_scalar(quantity, operand))


def _is_infinity(text: str) -> bool:
    return text.lower() in (".inf", "-.inf", "inf", "-inf", "+.inf", "+inf")


def _scalar(quantity: str, value: Any) -> int | float | bool:
    if isinstance(value, str) and _is_infinity(value):
        value = float(value.replace(".", ""))
    if not isinstance(value, int | float) or (isinstance(value, float) and math.isnan(value)):
        raise ConfigError(f"'{quantity}': a number was wanted (got {value!r})")
    return value


def _range(quantity: str, value: Any) -> tuple[int | float, int | float]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ConfigError(f"'{quantity}': a range [lo, hi] was wanted (got {value!r})")
    low, high = (_scalar(quantity, item) for item in value)
    if low > high:
        raise ConfigError(f"'{quantity}': the range [{low}, {high}] is empty; mend: the smaller number first")
    return low, high


def _equal(values: Tensor, item: int | float | bool) -> Tensor:
    """Compare without sending integers through a float: a whole float becomes an int, another equals none."""
    if not values.is_floating_point() and isinstance(item, float):
        if not item.is_integer():
            return torch.zeros_like(values, dtype=torch.bool)
        item = int(item)
    return values == item


def _within(values: Tensor, low: int | float, high: int | float) -> Tensor:
    inside = torch.ones_like(values, dtype=torch.bool)
    if values.dtype == torch.bool:
        values = values.to(torch.int64)
    if low != -math.inf:
        inside &= values >= (low if values.is_floating_point() or low == math.inf else math.ceil(low))
    if high != math.inf:
        inside &= values <= (high if values.is_floating_point() or high == -math.inf else math.floor(high))
    return inside


def _object_rows(event: Event) -> Tensor:
    """Return (N,) the row of each point's object in the (batch-wide) table, -1 = noise."""
    if "object_index" not in event or "object_id" not in event:
        raise DataError(f"{event.describe()}: a condition on true objects, but the event has no truth for its points")
    return Event.object_key(event)


def _object_values(event: Event, item: Condition) -> Tensor:
    source, derive = _DERIVED.get(item.name, (item.name, None))
    field = FIELDS.get(source)
    if source not in event or field is None or (derive is None and field.shape != ("K",)):
        known = [name for name, field in FIELDS.items() if name in event and field.shape == ("K",)]
        known += [name for name, (needed, _) in _DERIVED.items() if needed in event]
        raise DataError(f"{event.describe()}: no object quantity '{item.quantity}'.{nearest(item.name, known)}")
    return event[source] if derive is None else derive(event[source])


def _point_values(event: Event, item: Condition) -> Tensor:
    features = event.column_names() if "x" in event else []
    for name in (item.name, item.name.removeprefix("hit_")):
        if name in features:
            return event.x[:, features.index(name)]
        field = FIELDS.get(name)
        if field is not None and field.shape == ("N",) and name in event:
            return event[name]
    known = [name for name, field in FIELDS.items() if name in event and field.shape in (("N",), ("K",))]
    raise DataError(f"{event.describe()}: no quantity '{item.quantity}'.{nearest(item.name, [*known, *features])}")
