"""Settings of the tracker simulation."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from hitloom.config import Config

Process = Literal["ttbar", "minbias", "zmumu", "gun"]


class TrackerConfig(Config):
    """What is collided, which particles enter the detector, and how the detector answers.

    Lengths mm, momenta GeV, field T. The defaults imitate the TrackML events; ``docs/simulation.md`` says how well.

    Parameters
    ----------
    process
        Hard process of vertex 1: ``ttbar``, ``minbias`` (one soft collision), ``zmumu`` (Z -> mu mu), or ``gun``
        (single particles, no generator).
    energy
        Centre-of-mass energy of the proton-proton collisions in TeV.
    pileup
        Mean of the Poisson number of additional soft collisions (Pythia ``SoftQCD:all``, so elastic and diffractive
        ones count: about 7 in 10 leave a charged particle in the detector).
    field, field_tesla
        ``solenoid``: finite solenoid (:mod:`hitloom.simulate.field`) with ``field_tesla`` in its centre;
        ``constant``: the same field everywhere.
    noise_fraction
        Noise hits as a share of all hits of the event.
    min_pt, max_eta, max_vertex_rho, max_vertex_z
        Generated particles enter the detector simulation inside these cuts; the last two are on the point of
        production. Secondaries made by Fatras are followed down to the momentum ``min_pt`` wherever they start.
    beam_sigma_xy, beam_sigma_z
        Standard deviation of the collision points around the origin, each transverse direction and along the beam.
    interactions, photon_conversions
        Material effects of Fatras: multiple scattering and energy loss; pair production by photons.
    nuclear_interactions
        Ends of hadron tracks in material and the slow particles that come out (:mod:`hitloom.simulate.nuclear`); an
        empirical model of what TrackML events show, since Fatras has none.
    detectors
        Path of a TrackML ``detectors.csv``. Given, module ids are TrackML's and every hit is checked against that
        table; else module ids are the ACTS sensitive ids (the same in the barrels, different in the endcaps).
    gun_pdg, gun_num_particles, gun_pt
        The gun's particle (its antiparticle as often), its number per event, and the range of its pt (log-uniform);
        flat in eta within ``max_eta`` and in phi.
    """

    process: Process = "ttbar"
    energy: float = Field(default=13.0, gt=0.1, le=1000.0)
    pileup: float = Field(default=0.0, ge=0.0, le=1500.0)
    field: Literal["solenoid", "constant"] = "solenoid"
    field_tesla: float = Field(default=2.0, gt=0.0, le=20.0)
    noise_fraction: float = Field(default=0.15, ge=0.0, lt=1.0)
    min_pt: float = Field(default=0.15, ge=0.05)
    max_eta: float = Field(default=4.0, gt=0.0, le=6.0)
    max_vertex_rho: float = Field(default=24.0, gt=0.0)
    max_vertex_z: float = Field(default=1000.0, gt=0.0)
    beam_sigma_xy: float = Field(default=0.015, ge=0.0)
    beam_sigma_z: float = Field(default=5.5, ge=0.0)
    interactions: bool = True
    photon_conversions: bool = False
    nuclear_interactions: bool = True
    detectors: Path | None = None
    gun_pdg: int = 13
    gun_num_particles: int = Field(default=10, ge=1, le=60000)
    gun_pt: tuple[float, float] = (0.5, 50.0)

    @model_validator(mode="after")
    def _check(self) -> TrackerConfig:
        low, high = self.gun_pt
        if not 0 < low <= high:
            raise ValueError(f"gun_pt must be a range (low, high) with 0 < low <= high, not {self.gun_pt}")
        if self.process == "gun" and low < self.min_pt:
            raise ValueError(f"gun_pt starts at {low}, below min_pt {self.min_pt}: those particles would be cut away")
        return self
