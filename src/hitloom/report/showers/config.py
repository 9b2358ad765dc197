"""What an evaluation of shower growing counts and draws."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from hitloom.config import Config
from hitloom.metrics.hit_partition import MIN_EVENT_HITS

ADDED = ("none", "rules", "target", "perfect", "perfect_showers")


class ShowerEvaluationConfig(Config):
    """Settings of ``hitloom eval`` for shower growing; every key has a working default.

    Attributes
    ----------
    threshold, accessory_max_hits : float and int, or None
        Pairs of clusters are adjacent above the threshold; both also make the row ``target``. None = as the results
        were grouped, where they say so, else 0.6 and 2.
    denominator : str
        True similarity from shares of ``all`` hits, or of those with truth only (``matched``).
    without_truth : str
        ``drop`` hits without truth, or ``keep`` them: those of a view are then one more particle.
    min_event_hits : int
        Views with fewer hits that count are left out of means.
    min_particle_hits : int
        Hits of true particles with fewer in the view are left out.
    unassigned : str
        Clusters that a result puts into no group: groups of their ``own``, or ``drop`` their hits.
    added : tuple of str
        Rows that stand beside the results though nobody named them, where they can be made.
    num_pictures, num_matrices : int
        Slices drawn with their hits, and with their similarities.
    num_displays : int
        The first so many of these slices stand in the interactive display too.
    num_iterations, num_iterated_slices : int
        Curve against iterations, where a model is there to iterate (``--checkpoint``): so many of them, on the first
        so many slices; 0 = none.
    max_drawn : int
        Methods in one plot.
    num_resamples, seed : int
        Bootstrap over slices.
    plots : bool
        Whether to draw plots, which take most of the time.
    display : bool
        Whether the report embeds the interactive display.
    """

    threshold: float | None = Field(default=None, ge=0, le=1)
    accessory_max_hits: int | None = Field(default=None, ge=0)
    denominator: Literal["all", "matched"] = "all"
    without_truth: Literal["drop", "keep"] = "drop"
    min_event_hits: int = Field(default=MIN_EVENT_HITS, ge=1)
    min_particle_hits: int = Field(default=1, ge=1)
    unassigned: Literal["own", "drop"] = "own"
    added: tuple[Literal["none", "rules", "target", "perfect", "perfect_showers"], ...] = ADDED  # type: ignore[assignment]
    num_pictures: int = Field(default=3, ge=0)
    num_matrices: int = Field(default=1, ge=0)
    num_displays: int = Field(default=1, ge=1)
    num_iterations: int = Field(default=6, ge=0)
    num_iterated_slices: int = Field(default=50, ge=1)
    max_drawn: int = Field(default=6, ge=1, le=6)
    num_resamples: int = Field(default=1000, ge=1)
    seed: int = Field(default=1, ge=0)
    plots: bool = True
    display: bool = True

    @property
    def cut(self) -> float:
        """Threshold on the similarity where none is named: the published one."""
        return 0.6 if self.threshold is None else self.threshold

    def grouping(self) -> dict[str, Any]:
        """Return the settings of the row ``target``."""
        limit = 2 if self.accessory_max_hits is None else self.accessory_max_hits
        return {"threshold": self.cut, "accessory_max_hits": limit, "denominator": self.denominator}
