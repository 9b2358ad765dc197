"""Settings of the simulation of close-by showers."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field, model_validator

from hitloom.config import Config
from hitloom.grouping.clue3d import Clue3dSettings
from hitloom.simulate.calorimeter_config import (
    NOTE,
    CalorimeterConfig,
    ClusterConfig,
    GunConfig,
    Range,
    ResponseConfig,
    ShowerConfig,
    Species,
)
from hitloom.simulate.parallel import package_versions


def _check_kinds(species: tuple[str, ...]) -> None:
    if not species:
        raise ValueError("species must name at least one kind of particle")


def _check_range(name: str, limits: Range) -> None:
    if not 0 < limits[0] <= limits[1]:
        raise ValueError(f"{name} must be a range (low, high) with 0 < low <= high, not {limits}")


class BackgroundConfig(Config):
    """Soft particles around every group of showers, in place of the slow pile-up of collisions.

    Parameters
    ----------
    density
        Mean number of particles on a cm2 of the front face.
    radius
        cm around the first shower of a group.
    species, energy
        Kinds to draw from, each as often; energies in GeV, flat in their logarithm.
    """

    density: float = Field(default=0.0075, ge=0.0, le=10.0)
    radius: float = Field(default=12.0, gt=0.0, le=100.0)
    species: tuple[Species, ...] = ("photon", "pion")
    energy: Range = (0.3, 5.0)

    @model_validator(mode="after")
    def _check(self) -> BackgroundConfig:
        _check_kinds(self.species)
        _check_range("energy", self.energy)
        return self


class CloseShowersConfig(Config):
    """Groups of close-by showers, CLUE3D on their layer clusters, and the rule of the labels.

    A particle is what enters the calorimeter: the photons of a neutral pion are two.

    Parameters
    ----------
    overlap
        0 to 1: how much of the trouble below there is; ``companion_share`` and the density of the background are
        multiplied by it.
    species
        Kinds to draw from, each as often, for every shower by itself.
    num_groups
        Groups in each endcap that is shot at.
    companion_share, group_size
        Share of the groups that have more than one shower, and how many those have; the rest are single showers.
    separation
        Distance in cm of the others from the first shower of the group on the front face, flat.
    energy, energy_ratio
        GeV of the first shower, and that of the others over it; flat in the logarithm.
    eta
        Range of \\|eta\\| of the first shower on the front face.
    endcap
        ``both``, ``forward`` (z > 0) or ``backward``.
    background
        :class:`BackgroundConfig`.
    pileup
        Mean number of real soft collisions of Pythia 8 (slow).
    iterations
        One or two iterations of CLUE3D: names of presets, or settings of their own.
    majority, all_noise, min_share, max_sims, min_size
        As in :func:`hitloom.data.pruning_tracksters.pruning_events`.
    geometry, shower, response, clusters
        As in :class:`~hitloom.simulate.calorimeter_config.CalorimeterConfig`.
    """

    overlap: float = Field(default=0.2, ge=0.0, le=1.0)
    species: tuple[Species, ...] = ("photon",)
    num_groups: int = Field(default=6, ge=0, le=1000)
    companion_share: float = Field(default=0.65, ge=0.0, le=1.0)
    group_size: int = Field(default=2, ge=2, le=20)
    separation: Range = (2.0, 6.0)
    energy: Range = (3.0, 300.0)
    energy_ratio: Range = (0.05, 0.6)
    eta: Range = (1.7, 2.7)
    endcap: Literal["both", "forward", "backward"] = "both"
    background: BackgroundConfig = BackgroundConfig()
    pileup: float = Field(default=0.0, ge=0.0, le=300.0)
    iterations: tuple[Literal["oldest", "later", "recent"] | Clue3dSettings, ...] = ("oldest", "recent")
    majority: Literal["count", "energy"] = "count"
    all_noise: Literal["keep", "drop"] = "keep"
    min_share: float = Field(default=0.1, ge=0.0, le=1.0)
    max_sims: int = Field(default=3, ge=1)
    min_size: int = Field(default=3, ge=1)
    geometry: str = "hgcal-v17"
    shower: ShowerConfig = ShowerConfig()
    response: ResponseConfig = ResponseConfig()
    clusters: ClusterConfig = ClusterConfig()

    @model_validator(mode="after")
    def _check(self) -> CloseShowersConfig:
        _check_kinds(self.species)
        for name in ("separation", "energy", "energy_ratio", "eta"):
            _check_range(name, getattr(self, name))
        if not 1 <= len(self.iterations) <= 2:
            raise ValueError(f"iterations: one or two of CLUE3D were wanted, not {len(self.iterations)}")
        return self

    def calorimeter(self) -> CalorimeterConfig:
        """Return the settings of the calorimeter, whose own gun does not fire."""
        return CalorimeterConfig(
            process="gun", gun=GunConfig(num_particles=0), pileup=self.pileup, geometry=self.geometry,
            upstream_interactions=0.0, shower=self.shower, response=self.response, clusters=self.clusters,
        )  # fmt: skip


def provenance_of(config: CloseShowersConfig, *, seed: int) -> dict[str, Any]:
    """Return what made the events: settings, seed and versions; part of every event and of the store."""
    return {
        "simulation": "close-showers",
        "note": NOTE,
        "config": json.loads(config.model_dump_json()),
        "seed": seed,
        "versions": package_versions("pythia8mc"),
    }
