"""What an evaluation of pruned tracksters counts and draws."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hitloom.config import Config

BASELINES = ("keep_all", "energy_distance", "tight_clue3d")


class PruningEvaluationConfig(Config):
    """Settings of ``hitloom eval`` for pruned tracksters; every key has a working default.

    Attributes
    ----------
    threshold : float or None
        Prune above this probability; None = as the results were decided. Methods beside keep their decisions.
    scan_step : float
        Step of the threshold curves.
    resample : str
        What the bootstrap draws: ``tracksters``; ``collisions``, all tracksters of one together; ``auto``: collisions
        where the events come from a simulation, whose event ids say which collision a trackster is of.
    baselines : tuple of str
        Methods that stand beside the results though nobody named them, where they can be run.
    num_samples, num_sample_tracksters : int
        Configurations drawn from a model (``--checkpoint``) for each of the first so many tracksters; 0 = none.
    max_drawn : int
        Methods in one plot: this result and the others of best F1.
    num_displays : int
        Tracksters drawn before and after pruning.
    num_resamples, seed : int
        Bootstrap.
    plots : bool
        Whether to draw plots, which take most of the time.
    display : bool
        Whether the report embeds the 3D display.
    """

    threshold: float | None = Field(default=None, ge=0, le=1)
    scan_step: float = Field(default=0.02, gt=0, le=0.5)
    resample: Literal["auto", "tracksters", "collisions"] = "auto"
    baselines: tuple[Literal["keep_all", "energy_distance", "tight_clue3d"], ...] = BASELINES  # type: ignore[assignment]
    num_samples: int = Field(default=100, ge=0)
    num_sample_tracksters: int = Field(default=500, ge=1)
    max_drawn: int = Field(default=6, ge=1, le=6)
    num_displays: int = Field(default=6, ge=0, le=12)
    num_resamples: int = Field(default=1000, ge=1)
    seed: int = Field(default=1, ge=0)
    plots: bool = True
    display: bool = True
