"""Settings of the simulation of argon events: lengths in cm, energies in MeV, kinetic unless said otherwise."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field, model_validator

from hitloom.config import Config
from hitloom.grouping.chain_clusters import ChainConfig
from hitloom.simulate.parallel import package_versions

Range = tuple[float, float]
Counts = tuple[int, int]
ShowerSpecies = Literal["electron", "photon"]
TrackSpecies = Literal["muon", "pion", "proton"]
NOTE = "physics of argon in its main features: toy cascades, no nuclear model, no electronics"


def _check_range(name: str, limits: tuple[float, float] | tuple[int, int], *, positive: bool) -> None:
    low, high = limits
    if not (low > 0 if positive else low >= 0) or high < low:
        raise ValueError(
            f"{name} must be a range (low, high) with 0 {'<' if positive else '<='} low <= high, not {limits}"
        )


class GeneratorConfig(Config):
    """What starts in an event.

    Parameters
    ----------
    num_showers, num_tracks
        Ranges of the numbers of showers and tracks from the vertex, flat, both ends included.
    shower_species, track_species
        Kinds to draw from, each as often; muons and pions of either charge.
    shower_energy
        MeV, flat in the logarithm.
    track_length
        cm; mean of the exponential lengths of tracks. A track starts with the energy that takes it so far.
    min_track_length
        cm; shorter ones are drawn again.
    forward
        Directions: 0 = isotropic; else density exp(forward * cos(angle to the beam)).
    num_pi0
        Range of the number of neutral pions besides: each decays at the vertex into two photons.
    pi0_energy
        MeV kinetic, flat in the logarithm.
    num_cosmics
        Mean number of muons from above that cross the box within ``cosmic_radius`` of the vertex.
    cosmic_radius
        cm.
    cosmic_energy
        MeV, flat in the logarithm.
    margin
        cm between the vertex and the walls of the box (a tenth of the box where that is less).
    """

    num_showers: Counts = (1, 3)
    num_tracks: Counts = (1, 3)
    shower_species: tuple[ShowerSpecies, ...] = ("electron", "photon")
    track_species: tuple[TrackSpecies, ...] = ("muon", "pion", "proton")
    shower_energy: Range = (80.0, 2500.0)
    track_length: float = Field(default=60.0, gt=0.0, le=1000.0)
    min_track_length: float = Field(default=1.0, ge=0.0)
    forward: float = Field(default=0.0, ge=0.0, le=20.0)
    num_pi0: Counts = (0, 0)
    pi0_energy: Range = (50.0, 1000.0)
    num_cosmics: float = Field(default=0.0, ge=0.0, le=100.0)
    cosmic_radius: float = Field(default=150.0, gt=0.0)
    cosmic_energy: Range = (1000.0, 20000.0)
    margin: float = Field(default=50.0, ge=0.0)

    @model_validator(mode="after")
    def _check(self) -> GeneratorConfig:
        for name in ("num_showers", "num_tracks", "num_pi0"):
            _check_range(name, getattr(self, name), positive=False)
        for name in ("shower_energy", "pi0_energy", "cosmic_energy"):
            _check_range(name, getattr(self, name), positive=True)
        if not self.shower_species or not self.track_species:
            raise ValueError("shower_species and track_species must name at least one kind of particle each")
        if self.min_track_length > self.track_length:
            raise ValueError("min_track_length must not be longer than track_length")
        return self


class CascadeConfig(Config):
    """How particles go through argon.

    Parameters
    ----------
    step
        cm; longest step of a charged particle.
    cut, photon_cut
        MeV; electrons and positrons, and photons, below it leave their energy where they are.
    delta_cut
        MeV; knock-on electrons above it become particles of their own (below it they belong to the mean loss).
    bremsstrahlung_cut
        MeV; radiated photons above it become particles of their own.
    straggling
        Whether the loss of a step fluctuates.
    scattering
        Whether charged particles scatter.
    delta_rays
        Whether there are knock-on electrons; without them the whole loss stays on the track.
    interactions
        Whether charged pions and protons interact with nuclei and make further particles.
    decays
        Whether stopped muons and pions decay (Michel electrons); stopped negative ones are captured in part.
    """

    step: float = Field(default=0.3, gt=0.01, le=2.0)
    cut: float = Field(default=0.3, ge=0.05, le=10.0)
    photon_cut: float = Field(default=0.1, ge=0.02, le=10.0)
    delta_cut: float = Field(default=1.0, ge=0.1, le=100.0)
    bremsstrahlung_cut: float = Field(default=0.6, ge=0.05, le=100.0)
    straggling: bool = True
    scattering: bool = True
    delta_rays: bool = True
    interactions: bool = True
    decays: bool = True

    @model_validator(mode="after")
    def _check(self) -> CascadeConfig:
        if self.delta_cut < self.cut:
            raise ValueError("delta_cut must not be below cut")
        if self.bremsstrahlung_cut < self.photon_cut:
            raise ValueError("bremsstrahlung_cut must not be below photon_cut")
        return self


class ReadoutConfig(Config):
    """From deposits to hits of three views, and the truth of a hit.

    Parameters
    ----------
    group_distance
        cm; deposits of a wire nearer than this in drift belong to one hit.
    max_hit_length
        cm; longer ones are cut.
    intrinsic_width
        cm; added in quadrature to the spread of the deposits of a hit (diffusion, electronics).
    threshold
        MIP; weaker hits are not read.
    max_energy
        MIP; stronger hits are clipped.
    energy_smearing
        Relative width of the smearing of energies of hits.
    position_smearing
        cm; width of the smearing of drift positions of hits.
    dead_wires
        Share of the wires that read nothing.
    noise_hits
        Mean number of hits without a particle in a view, around the vertex.
    vertex_smearing
        mm; width of the smearing of each coordinate of the vertex that positions are relative to.
    drift_range
        cm; the drift position of the vertex relative to a gap is drawn flat within plus and minus this; 0 = it stays.
    rollup
        Truth of hits: ``standard``, or ``keep_compton`` (distant photons that make no shower keep their own number).
    """

    group_distance: float = Field(default=0.45, gt=0.0)
    max_hit_length: float = Field(default=1.5, gt=0.0)
    intrinsic_width: float = Field(default=0.12, ge=0.0)
    threshold: float = Field(default=0.15, ge=0.0)
    max_energy: float = Field(default=50.0, gt=0.0)
    energy_smearing: float = Field(default=0.0, ge=0.0, le=1.0)
    position_smearing: float = Field(default=0.0, ge=0.0)
    dead_wires: float = Field(default=0.0, ge=0.0, le=1.0)
    noise_hits: float = Field(default=0.0, ge=0.0, le=10000.0)
    vertex_smearing: float = Field(default=0.0, ge=0.0)
    drift_range: float = Field(default=180.0, ge=0.0)
    rollup: Literal["standard", "keep_compton"] = "standard"


class LArTPCConfig(Config):
    """Events in liquid argon: ``detector`` is a name of :mod:`hitloom.data.lartpc_detectors`."""

    detector: str = "dune-fd-hd"
    generator: GeneratorConfig = GeneratorConfig()
    cascade: CascadeConfig = CascadeConfig()
    readout: ReadoutConfig = ReadoutConfig()
    clusters: ChainConfig = ChainConfig()


def provenance_of(config: LArTPCConfig, *, seed: int) -> dict[str, Any]:
    """Return what made the events: settings, seed and versions; part of every event and of the store."""
    return {
        "simulation": "lartpc",
        "note": NOTE,
        "config": json.loads(config.model_dump_json()),
        "seed": seed,
        "versions": package_versions(),
    }
