"""Which particles count (the denominator), which tracks are valid, and in which universe hits are counted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hitloom.errors import ConfigError, DataError, nearest
from hitloom.metrics.truth import BoolArray, EventTruth, IntArray

Universe = Literal["original", "input"]
ParticlesFrom = Literal["hits", "truth_edges"]

# The quantities of an axis or a condition; abs_eta is cut together with eta.
QUANTITIES = ("pt", "eta", "abs_eta", "phi", "vertex_radius", "vertex_z", "num_points")


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A range on one particle quantity; a value that is not a number never passes.

    Attributes
    ----------
    quantity : str
        One of pt, eta, abs_eta, phi, vertex_radius, vertex_z, num_points, or a column of ``EventTruth.extra``.
    low, high : float
    inclusive : bool
        Whether the ends belong to the range.
    """

    quantity: str
    low: float = -math.inf
    high: float = math.inf
    inclusive: bool = True

    def __str__(self) -> str:
        bracket = "[]" if self.inclusive else "()"
        return f"{self.quantity} in {bracket[0]}{self.low:g}, {self.high:g}{bracket[1]}"

    def passes(self, values: NDArray[Any]) -> BoolArray:
        """Return which values lie in the range, same shape."""
        if self.inclusive:
            return np.asarray((values >= self.low) & (values <= self.high))
        return np.asarray((values > self.low) & (values < self.high))


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Target particles, valid tracks and the universe.

    Attributes
    ----------
    min_pt : float or None
        GeV; ``pt > min_pt``, or ``>=`` with ``pt_inclusive``. None = no cut (and no pt needed).
    max_abs_eta : float or None
        ``|eta| < max_abs_eta``, strict.
    min_particle_hits : int
        n_p in the universe, inclusive.
    min_track_hits : int
        A track is valid with at least this many hits.
    universe : str
        ``original``: n_p counts hits before any cut; ``input``: hits given to the network.
    particles_from : str
        ``truth_edges``: a particle without truth edge (where no edges are given: with one hit) counts as noise.
    require_signal, require_reconstructable : bool
        The second acts only where the flag is given.
    conditions : tuple of Condition
    """

    min_pt: float | None = None
    pt_inclusive: bool = False
    max_abs_eta: float | None = None
    min_particle_hits: int = 3
    min_track_hits: int = 3
    universe: Universe = "original"
    particles_from: ParticlesFrom = "hits"
    require_signal: bool = False
    require_reconstructable: bool = False
    conditions: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        if self.universe not in ("original", "input"):
            raise ConfigError(f"unknown universe '{self.universe}'.{nearest(self.universe, ('original', 'input'))}")
        if self.particles_from not in ("hits", "truth_edges"):
            valid = ("hits", "truth_edges")
            raise ConfigError(f"unknown particles_from '{self.particles_from}'.{nearest(self.particles_from, valid)}")
        if self.min_track_hits < 1 or self.min_particle_hits < 1:
            raise ConfigError("min_track_hits and min_particle_hits: at least 1 was wanted")

    def kinematic_conditions(self) -> list[Condition]:
        """Return the cuts on pt, eta and phi, which a fitted track can be asked too."""
        cuts: list[Condition] = []
        if self.min_pt is not None:
            cuts.append(Condition(quantity="pt", low=self.min_pt, inclusive=self.pt_inclusive))
        if self.max_abs_eta is not None:
            cuts.append(Condition(quantity="abs_eta", high=self.max_abs_eta, inclusive=False))
        return cuts + [c for c in self.conditions if c.quantity in ("pt", "eta", "abs_eta", "phi")]

    def target(
        self, truth: EventTruth, particle_size: IntArray, is_particle: BoolArray, *, ignore: str = ""
    ) -> BoolArray:
        """Return which particles are targets.

        Parameters
        ----------
        particle_size : (K,) int64
            n_p in this selection's universe.
        is_particle : (K,) bool
            False for rows that count as noise.
        ignore : str
            Quantity whose cuts are left out, because it is the axis of a curve.

        Raises
        ------
        DataError
            When a cut needs a column that the truth does not have.
        """
        keep = is_particle.copy()
        if ignore == "num_points":
            keep &= particle_size >= 1
        else:
            keep &= particle_size >= self.min_particle_hits
        others = [c for c in self.conditions if c.quantity not in ("pt", "eta", "abs_eta", "phi")]
        for condition in self.kinematic_conditions() + others:
            if ignore and condition.quantity.removeprefix("abs_") == ignore:
                continue
            keep &= condition.passes(quantity(truth, condition.quantity, particle_size))
        if self.require_signal:
            if truth.is_signal is None:
                raise DataError("the selection requires signal particles, but the truth has no 'is_signal'")
            keep &= truth.is_signal
        if self.require_reconstructable and truth.reconstructable is not None:
            keep &= truth.reconstructable
        return keep

    def describe(self) -> dict[str, Any]:
        """Return the selection as plain values, for the record."""
        return {
            "universe": self.universe,
            "particles_from": self.particles_from,
            "min_pt": self.min_pt,
            "pt_inclusive": self.pt_inclusive,
            "max_abs_eta": self.max_abs_eta,
            "min_particle_hits": self.min_particle_hits,
            "min_track_hits": self.min_track_hits,
            "require_signal": self.require_signal,
            "require_reconstructable": self.require_reconstructable,
            "conditions": [str(condition) for condition in self.conditions],
            "text": self.text(),
        }

    def text(self) -> str:
        """Return the selection in one line.

        Examples
        --------
        >>> Selection(min_pt=1.0, max_abs_eta=2.5).text()
        'pt > 1 GeV, |eta| < 2.5, >= 3 hits (original universe); valid track >= 3 hits'
        """
        parts = []
        if self.min_pt is not None:
            parts.append(f"pt {'>=' if self.pt_inclusive else '>'} {self.min_pt:g} GeV")
        if self.max_abs_eta is not None:
            parts.append(f"|eta| < {self.max_abs_eta:g}")
        parts.append(f">= {self.min_particle_hits} hits ({self.universe} universe)")
        parts += [str(condition) for condition in self.conditions]
        parts += ["signal"] if self.require_signal else []
        parts += ["reconstructable where flagged"] if self.require_reconstructable else []
        parts += ["known from truth edges"] if self.particles_from == "truth_edges" else []
        return f"{', '.join(parts)}; valid track >= {self.min_track_hits} hits"


def quantity(truth: EventTruth, name: str, particle_size: IntArray) -> NDArray[Any]:
    """Return a particle quantity (K,) by name.

    Raises
    ------
    DataError
        When the truth does not have it.
    """
    if name == "num_points":
        return particle_size
    columns: Mapping[str, NDArray[Any] | None] = {
        "pt": truth.pt,
        "eta": truth.eta,
        "abs_eta": None if truth.eta is None else np.abs(truth.eta),
        "phi": truth.phi,
        "vertex_radius": truth.vertex_radius,
        "vertex_z": truth.vertex_z,
        **{key: np.asarray(value) for key, value in truth.extra.items()},
    }
    values = columns.get(name)
    if values is None:
        present = ["num_points", *(key for key, value in columns.items() if value is not None)]
        raise DataError(f"the truth has no particle quantity '{name}'.{nearest(name, present)}")
    return values
