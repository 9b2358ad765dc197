"""Which true edges are signal, and how much each edge weighs in a loss: rules in order, the last that fits wins.

=============  ==============================================================
weight         an edge with it is
=============  ==============================================================
above 0        as its truth says: a true edge is signal, a false one is not
0              masked: in no loss
below 0        not signal, even where it is true; it weighs the absolute value
=============  ==============================================================

So ``{weight: 0, conditions: {edge_y: true}}`` before the rule of the targets masks the true edges that are no signal.
Shape letters: N points, E edges, K objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pydantic
import torch
from pydantic import Field
from torch import Tensor

from hitloom.config import Config
from hitloom.data.conditions import Condition, Conditions
from hitloom.data.edge_labels import same_object, truth_edge_weights
from hitloom.data.transforms import hard_cut
from hitloom.data.truth_edges import redundant_split
from hitloom.errors import ConfigError
from hitloom.event import Event

TRUTH_CUT_WARNING = (
    "truth-selected input: data.oracle_cuts removes points by looking at truth, which no detector delivers; every "
    "rate is of the selected points"
)
# names of acorn's files, without and with prefix
_EDGE_ALIASES = {
    "y": "edge_y",
    "y_pid": "same_object",
    "redundant_split_edges": "redundant_split",
    "track_redundant_split_edges": "redundant_split",
}
_OBJECT_ALIASES = {
    "pt": "object_pt",
    "nhits": "object_num_points",
    "primary": "object_is_primary",
    "pdgId": "object_pdg",
    "radius": "object_vertex_radius",
    "eta_particle": "object_eta",
    "particle_id": "object_id",
}
_EDGE_FIELDS = {
    "edge_y": (),
    "same_object": ("object_index", "object_id"),
    "redundant_split": ("object_index", "object_id", "object_vertex", "module"),
}


@dataclass(frozen=True, kw_only=True)
class EdgeTargets:
    """What a loss wants of edges.

    Attributes
    ----------
    signal : (E,) bool
        Positives: true, with a weight above 0.
    weight : (E,) float32
        At least 0; 0 = masked.
    """

    signal: Tensor
    weight: Tensor


class EdgeRule(Config):
    """A weight for the edges that fulfil all conditions.

    A condition on a property of objects (``object_pt``) is on the particle of a true edge, and false edges fail it; so
    it is with ``redundant_split``. ``edge_y`` is the truth of the edge, ``same_object`` whether both ends belong to one
    particle. Any other quantity (``layer``) is of points, and both ends must fulfil it.
    """

    weight: float = Field(allow_inf_nan=False)
    conditions: dict[str, Any] = Field(default_factory=dict)

    @pydantic.field_validator("conditions")
    @classmethod
    def _readable(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            _parse(value)
        except ConfigError as error:
            raise ValueError(str(error).removeprefix("conditions: ")) from None
        return value

    @property
    def items(self) -> tuple[Condition, ...]:
        """The conditions, in hitloom's names."""
        return _parse(self.conditions)


class EdgeWeighting(Config):
    """Weights of edges: ``true_default`` and ``false_default``, then ``rules`` in order; the last that fits wins.

    Without rules every edge weighs 1. A plain list of rules begins with true 0 and false 1, as acorn's does.
    ``by_point_weight`` multiplies true edges by :func:`~hitloom.data.edge_labels.truth_edge_weights`.
    """

    true_default: float = Field(default=1.0, allow_inf_nan=False)
    false_default: float = Field(default=1.0, allow_inf_nan=False)
    rules: tuple[EdgeRule, ...] = ()
    by_point_weight: bool = False

    @pydantic.model_validator(mode="before")
    @classmethod
    def _list_of_rules(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return {"true_default": 0.0, "false_default": 1.0, "rules": value} if value else {}
        return value

    @property
    def fields(self) -> tuple[str, ...]:
        """The event fields that the rules read."""
        names: list[str] = ["point_weight"] if self.by_point_weight else []
        for item in (item for rule in self.rules for item in rule.items):
            field = () if item.field is None else (item.field,)
            names += ["object_index", "object_id"] if item.of_object else []
            names += _EDGE_FIELDS.get(item.name, field)
        return tuple(dict.fromkeys(names))

    def apply(self, event: Event, edge_index: Tensor, true: Tensor) -> EdgeTargets:
        """Return signal and weight of the edges (2, E), given their truth (E,) bool.

        For truth edges, ``true`` is all true.

        Raises
        ------
        DataError
            When a quantity of a condition is not in the data.
        """
        weight = torch.where(true, self.true_default, self.false_default)
        for rule in self.rules:
            fits = torch.ones_like(true)
            for item in rule.items:
                fits = fits & _edge_mask(event, edge_index, true, item)
            weight = torch.where(fits, rule.weight, weight)
        if self.by_point_weight:
            weight[true] = weight[true] * truth_edge_weights(event, edge_index[:, true])
        return EdgeTargets(signal=true & (weight > 0), weight=weight.abs())


def oracle_cut(event: Event, conditions: Mapping[str, Any] | Conditions) -> Event:
    """Return the event without the points whose true objects fail the conditions; noise fails them too.

    The provenance says ``truth_selected_input``, and whoever calls it must say :data:`TRUTH_CUT_WARNING`.

    Raises
    ------
    ConfigError
        When no condition looks at truth: such a cut belongs under ``hard_cuts``.
    DataError
        When a quantity is not in the data.
    """
    if not isinstance(conditions, Conditions):
        conditions = Conditions.parse(conditions, where="oracle_cuts")
    plain = [item.quantity for item in conditions.items if not Conditions(items=(item,)).uses_truth]
    if plain:
        raise ConfigError(f"oracle_cuts: '{plain[0]}' does not look at truth; mend: put it under hard_cuts")
    return hard_cut(event, conditions)


def _parse(conditions: Mapping[str, Any]) -> tuple[Condition, ...]:
    names = _EDGE_ALIASES | _OBJECT_ALIASES
    items = Conditions.parse({names.get(name, name): value for name, value in conditions.items()}).items
    if len(items) < len(conditions):
        raise ConfigError(f"conditions: {list(conditions)} name one quantity twice")
    return items


def _edge_mask(event: Event, edge_index: Tensor, true: Tensor, item: Condition) -> Tensor:
    """Return (E,) bool, the edges that fulfil one condition."""
    if item.name == "edge_y":
        return item.holds(true)
    if item.name == "same_object":
        return item.holds(same_object(edge_index, event))
    if item.name == "redundant_split":
        return true & item.holds(redundant_split(event, edge_index))
    if not item.of_object:
        return Conditions(items=(item,)).mask(event)[edge_index].all(dim=0)
    row = Event.object_key(event)[edge_index[0]]
    own = true & (row >= 0)
    fits = torch.zeros_like(own)
    fits[own] = Conditions(items=(item,)).object_mask(event)[row[own]]
    return fits
