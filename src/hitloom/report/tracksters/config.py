"""What an evaluation of tracksters counts and draws."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import pydantic
from pydantic import Field

from hitloom.config import Config

BASELINES = ("merge_all", "merge_none", "distance", "skeleton")


class TracksterEvaluationConfig(Config):
    """Settings of ``hitloom eval`` for tracksters; every key has a working default.

    Attributes
    ----------
    truths : tuple of str
        Objects to count by: ``SC`` (SimClusters), ``CP`` (CaloParticles, where the events know them). The headline is
        of the truth that the events are stored with.
    score_variant : str
        Form of the official scores: ``two_sided``, or ``one_sided`` where a layer cluster of which the other side holds
        more costs nothing.
    min_pt, max_pt, max_abs_eta : float
        Objects that count: generated pt in GeV within both ends, |eta| below the limit.
    thresholds : tuple of (E_max, cut) or None
        Working point of the edges: an edge whose heavier end has less than E_max GeV joins above the cut; the last
        E_max is infinite. None = as the results record, else 0.5 below 50 GeV and 0.8 from there on. Labels stay as
        they are stored.
    scan_step : float
        Step of the threshold curves.
    num_score_bins : int
        Bins of scores in histograms and in the reliability plot.
    baselines : tuple of str
        Methods that stand beside the results though nobody named them, where they can be run.
    axes : tuple of str
        Quantities that official rates are drawn against; the numbers hold all four.
    map_size : int
        Cells of the maps of missing and foreign energy along each axis of an endcap.
    max_feature_rows : int
        Tracksters and edges in the distributions of features, the first ones.
    num_attribution_events : int
        Events for the attributions of a network, the first ones.
    average_epochs : int
        Epochs of the moving average of loss curves.
    num_resamples, seed : int
        Bootstrap over events.
    plots : bool
        Whether to draw plots, which take most of the time.
    tables : bool
        Whether to write one row a trackster, a candidate and an object.
    display : bool
        Whether the report embeds the 3D display.
    display_event : int or None
        Event to display; None = the first.
    max_display_points : int
        Larger events show the layer clusters of most energy.
    """

    truths: tuple[Literal["SC", "CP"], ...] = ("SC", "CP")
    score_variant: Literal["two_sided", "one_sided"] = "two_sided"
    min_pt: float = Field(default=0.5, ge=0)
    max_pt: float = Field(default=300.0, gt=0)
    max_abs_eta: float = Field(default=3.1, gt=0)
    thresholds: tuple[tuple[float, float], ...] | None = None
    scan_step: float = Field(default=0.05, gt=0, lt=1)
    num_score_bins: int = Field(default=20, ge=2)
    baselines: tuple[Literal["merge_all", "merge_none", "distance", "skeleton"], ...] = BASELINES  # type: ignore[assignment]
    axes: tuple[Literal["energy", "eta", "phi", "pt"], ...] = ("energy", "eta", "phi", "pt")
    map_size: int = Field(default=24, ge=2)
    max_feature_rows: int = Field(default=200_000, ge=1)
    num_attribution_events: int = Field(default=10, ge=1)
    average_epochs: int = Field(default=8, ge=1)
    num_resamples: int = Field(default=1000, ge=1)
    seed: int = Field(default=1, ge=0)
    plots: bool = True
    tables: bool = True
    display: bool = True
    display_event: int | None = None
    max_display_points: int = Field(default=15_000, ge=1)

    @pydantic.field_validator("thresholds")
    @classmethod
    def _rising(cls, value: tuple[tuple[float, float], ...] | None) -> tuple[tuple[float, float], ...] | None:
        if value is None:
            return value
        limits = [limit for limit, _ in value]
        if not limits or not math.isinf(limits[-1]) or any(low >= high for low, high in pairwise(limits)):
            raise ValueError("wanted pairs [E_max, cut] with rising E_max, the last one .inf")
        if any(not 0 <= cut <= 1 for _, cut in value):
            raise ValueError("wanted cuts from 0 to 1")
        return value

    @pydantic.field_validator("truths")
    @classmethod
    def _some_truth(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("wanted SC, CP or both")
        return tuple(dict.fromkeys(value))
