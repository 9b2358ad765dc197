"""What an evaluation counts, scans and draws."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, Literal

import pydantic
from pydantic import Field

from hitloom.config import Config

EPS_GRID = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
# Names that other packages use for the same quantities of a particle.
_ALIASES = {"nhits": "num_points", "num_hits": "num_points", "radius": "vertex_radius"}


class EvaluationConfig(Config):
    """Settings of ``hitloom eval``; every key has a working default.

    Attributes
    ----------
    presets : tuple of str
        Published conventions to count by, beside each other (:data:`hitloom.metrics.presets.PRESETS`).
    targets : mapping
        Own definition of the particles that count: quantity -> inclusive [low, high], for example
        ``{pt: [1, .inf], num_points: [3, .inf]}``; counted as preset ``own`` with every matching. Empty = none.
    eps, min_samples : float, int or None
        Another working point of DBSCAN, for which the stored embedding is grouped again; one alone keeps the other of
        the stored labels. Both None = the stored labels.
    scan : bool
        Whether to scan ``eps_grid`` x ``min_samples_grid`` on the stored embedding.
    max_scan_events : int or None
        Events in the scan, the first ones; None = all.
    pt_edges, eta_edges : tuple of float or None
        Bins of the curves in GeV and in eta; None = 9 logarithmic bins from 1 to 50 GeV, 49 bins in [-4, 4].
    axes : tuple of str
        Quantities that rates are drawn against.
    y_range : (low, high) or None
        Range of the rate axes of efficiency plots; None = 0 to 1.04.
    pt_unit : str
        Unit of pt on plots; stored numbers are always GeV.
    hit_selection : str
        Which hits the events hold, in words; stored and printed.
    truth_selected_input : bool
        Whether hits were removed from the input by truth; the report then says so.
    field_tesla : float or None
        Field along z for the pt of tracks from their own hits (``fake_per_fitted_track``); None = what the events'
        provenance records, no fit where it records nothing.
    num_resamples, seed : int
        Bootstrap over events.
    knn_k : int or None
        Neighbours of the graph on the stored embedding in the loss budget; None = no such stage.
    radius_neighbours : tuple of int
        Most neighbours of the graphs in the curves against the radius, where results hold an embedding and events truth
        edges; empty = no such curves.
    max_radius : float or None
        Largest radius of these curves; None = far enough for nearly all truth edges of the first event.
    max_radius_events : int or None
        Events in these curves, the first ones; None = all.
    display : bool
        Whether the report embeds the 3D event display.
    display_event : int or None
        Event to display; None = the first.
    max_display_hits : int
        Larger events show only what is above a pt threshold.
    """

    presets: tuple[str, ...] = (
        "hitloom",
        "headline",
        "eggnet",
        "acorn_atlas",
        "acorn_one_way",
        "acorn_two_way",
        "gnn_tracking",
        "hepattn",
    )
    targets: dict[str, tuple[float, float]] = Field(default_factory=dict)
    eps: float | None = Field(default=None, gt=0)
    min_samples: int | None = Field(default=None, ge=1)
    scan: bool = True
    eps_grid: tuple[float, ...] = EPS_GRID
    min_samples_grid: tuple[int, ...] = (2, 3, 4, 5)
    max_scan_events: int | None = Field(default=None, ge=1)
    pt_edges: tuple[float, ...] | None = None
    eta_edges: tuple[float, ...] | None = None
    axes: tuple[Literal["pt", "eta", "phi", "vertex_radius", "vertex_z", "num_points"], ...] = (
        "pt",
        "eta",
        "phi",
        "vertex_radius",
        "vertex_z",
        "num_points",
    )
    y_range: tuple[float, float] | None = None
    pt_unit: Literal["GeV", "MeV"] = "GeV"
    hit_selection: str = "all hits of the event"
    truth_selected_input: bool = False
    field_tesla: float | None = None
    num_resamples: int = Field(default=1000, ge=1)
    seed: int = Field(default=1, ge=0)
    knn_k: int | None = Field(default=10, ge=1)
    radius_neighbours: tuple[int, ...] = (5, 10, 20, 50)
    max_radius: float | None = Field(default=None, gt=0)
    max_radius_events: int | None = Field(default=20, ge=1)
    display: bool = True
    display_event: int | None = None
    max_display_hits: int = Field(default=12_000, ge=1)

    @pydantic.field_validator("targets", mode="before")
    @classmethod
    def _quantities(cls, value: Any) -> Any:
        """Accept ``object_pt`` and ``hit_particle_pt`` for ``pt``, and so on."""
        if not isinstance(value, dict):
            return value
        result = {}
        for name, bounds in value.items():
            quantity = str(name).removeprefix("object_").removeprefix("hit_particle_")
            quantity = _ALIASES.get(quantity, quantity)
            if quantity not in ("pt", "eta", "abs_eta", "phi", "vertex_radius", "vertex_z", "num_points"):
                raise ValueError(
                    f"unknown quantity '{name}'; wanted pt, eta, abs_eta, phi, vertex_radius, vertex_z or num_points"
                )
            result[quantity] = bounds
        return result

    @pydantic.field_validator("targets")
    @classmethod
    def _ranges(cls, value: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        for name, (low, high) in value.items():
            if not low <= high:
                raise ValueError(f"'{name}': wanted [low, high] with low <= high")
            if name == "num_points" and not (math.isinf(high) and low >= 1 and low == int(low)):
                raise ValueError("'num_points': wanted [whole number from 1, .inf]")
        return value

    @pydantic.field_validator("radius_neighbours")
    @classmethod
    def _neighbours(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if value and min(value) < 1:
            raise ValueError("wanted whole numbers from 1")
        return tuple(sorted(set(value)))

    @pydantic.field_validator("eps_grid", "min_samples_grid")
    @classmethod
    def _positive(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or min(value) <= 0 or not all(math.isfinite(item) for item in value):
            raise ValueError("wanted at least one value, all above 0")
        return tuple(sorted(set(value)))

    @pydantic.field_validator("pt_edges", "eta_edges")
    @classmethod
    def _rising(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and (len(value) < 2 or any(a >= b for a, b in pairwise(value))):
            raise ValueError("wanted at least two rising edges")
        return value

    @pydantic.field_validator("y_range")
    @classmethod
    def _range(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not value[0] < value[1]:
            raise ValueError("wanted [low, high] with low < high")
        return value
