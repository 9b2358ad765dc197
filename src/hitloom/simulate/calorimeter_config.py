"""Settings of the calorimeter simulation."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field, model_validator

from hitloom.config import Config
from hitloom.simulate.parallel import package_versions

Process = Literal["gun", "ttbar", "minbias", "zmumu"]
Species = Literal["photon", "electron", "muon", "pion", "neutral_pion", "neutral_hadron"]
Range = tuple[float, float]
NOTE = "shapes of showers are toy, tuned to public tables"


class GunConfig(Config):
    """Single particles: log-uniform in energy, flat in eta and phi on the front face.

    Parameters
    ----------
    species
        Kinds to draw from, each as often; charged ones of either sign.
    num_particles
        Particles in each endcap that is shot at (``random``: in the event).
    energy, eta
        Ranges of the energy in GeV and of \\|eta\\| of the place on the front face.
    radius
        Distance from the beam on the front face in cm, instead of ``eta``.
    endcap
        ``both``, ``forward`` (z > 0), ``backward``, or ``random``: each group in one of the two.
    origin
        ``vertex``: from the collision point; ``front``: made on the front face, flying away from the origin.
    group_size, delta
        Particles come in groups; the places of a group on the front face lie on a line, ``delta`` cm apart.
    """

    species: tuple[Species, ...] = ("pion",)
    num_particles: int = Field(default=10, ge=0, le=60000)
    energy: Range = (10.0, 600.0)
    eta: Range = (1.6, 2.9)
    radius: float | None = Field(default=None, gt=0.0)
    endcap: Literal["both", "forward", "backward", "random"] = "both"
    origin: Literal["vertex", "front"] = "vertex"
    group_size: int = Field(default=1, ge=1)
    delta: float = Field(default=10.0, ge=0.0)

    @model_validator(mode="after")
    def _check(self) -> GunConfig:
        if not self.species:
            raise ValueError("species must name at least one kind of particle")
        for name, (low, high) in (("energy", self.energy), ("eta", self.eta)):
            if not 0 < low <= high:
                raise ValueError(f"{name} must be a range (low, high) with 0 < low <= high, not {(low, high)}")
        return self


class ShowerConfig(Config):
    """Shapes of the showers: toy values, tuned to public tables (``docs/calorimeter.md`` says how well).

    Parameters
    ----------
    moliere_radius
        cm; 90 % of an electromagnetic shower lie within on average.
    halo_fraction, halo_scale
        Share of the electromagnetic energy in the halo, and how much wider than the core it is.
    critical_energy
        GeV, of the electromagnetic section.
    stochastic_terms
        Electromagnetic sampling terms in sqrt(GeV) for silicon of 100, 200 and 300 um.
    neutral_pion_fraction, neutral_fraction
        Shares of the secondaries of a hadronic interaction that are neutral pions and other neutrals.
    multiplicity
        Mean number of secondaries at 1 GeV, and its growth with ln E.
    transverse_momentum
        Mean pt of a secondary to its parent in GeV.
    nuclear_energy
        Mean energy in GeV that an interaction at 1 GeV puts into the nucleus, and its growth with ln E.
    nuclear_visible, neutron_visible
        Shares of that energy seen at the spot, and seen far away from slow neutrons; the rest is lost.
    front_material
        Radiation lengths before the front face, which shift electromagnetic showers towards it; none for a gun there.
    neutron_reach, neutron_delay
        Mean distance in cm and mean delay in ns of the energy from slow neutrons.
    """

    moliere_radius: float = Field(default=2.8, gt=0.0)
    halo_fraction: float = Field(default=0.16, ge=0.0, le=1.0)
    halo_scale: float = Field(default=2.8, ge=1.0)
    critical_energy: float = Field(default=0.0095, gt=0.0)
    front_material: float = Field(default=0.65, ge=0.0)
    stochastic_terms: tuple[float, float, float] = (0.243, 0.214, 0.199)
    neutral_pion_fraction: float = Field(default=0.25, ge=0.0, le=1.0)
    neutral_fraction: float = Field(default=0.18, ge=0.0, le=1.0)
    multiplicity: Range = (2.5, 2.6)
    transverse_momentum: float = Field(default=0.5, gt=0.0)
    nuclear_energy: Range = (0.4, 0.25)
    nuclear_visible: float = Field(default=0.6, ge=0.0, le=1.0)
    neutron_visible: float = Field(default=0.2, ge=0.0, le=1.0)
    neutron_reach: float = Field(default=12.0, gt=0.0)
    neutron_delay: float = Field(default=4.0, ge=0.0)


class ResponseConfig(Config):
    """Cells, noise, thresholds, calibration and time.

    Parameters
    ----------
    thickness_radii
        Radii in cm at which silicon changes from 100 (120) to 200 to 300 um (assumed; public sources are silent).
    cell_areas
        cm2 of the silicon cells in the three regions.
    noise, threshold
        In units of what a minimum-ionising particle leaves; cells below the threshold are not read.
    calibration
        Factors on the energy of the three sections, so that the mean raw energy is the true one.
    time_resolution, time_threshold, missing_time
        ns for one cell; cells below the threshold (in the same units) have no time; share of clusters without time.
    min_time_cells
        Cells with a time that a cluster needs to have one.
    """

    thickness_radii: Range = (70.0, 100.0)
    cell_areas: tuple[float, float, float] = (0.562, 1.265, 1.265)
    noise: float = Field(default=0.131, ge=0.0)
    threshold: float = Field(default=0.5, ge=0.0)
    calibration: tuple[float, float, float] = (1.008, 1.29, 1.29)
    time_resolution: float = Field(default=0.05, ge=0.0)
    time_threshold: float = Field(default=5.0, ge=0.0)
    missing_time: float = Field(default=0.05, ge=0.0, le=1.0)
    min_time_cells: int = Field(default=3, ge=1)


class ClusterConfig(Config):
    """Layer clusters by CLUE, and tracksters by CLUE3D.

    Parameters
    ----------
    silicon_radius, scintillator_radius
        Density radius in cm; in (eta, phi) for scintillator.
    min_density
        In units of the noise of a cell.
    outlier_factor
        Outlier distance in density radii.
    preset
        Parameters of CLUE3D: ``oldest``, ``later`` or ``recent``.
    """

    silicon_radius: float = Field(default=1.3, gt=0.0)
    scintillator_radius: float = Field(default=0.0315, gt=0.0)
    min_density: float = Field(default=9.0, ge=0.0)
    outlier_factor: float = Field(default=2.0, ge=1.0)
    preset: Literal["oldest", "later", "recent"] = "recent"


class CalorimeterConfig(Config):
    """What flies into the endcaps and how they answer. The shapes of showers are toy, the particles of pile-up are not.

    Parameters
    ----------
    process
        ``gun`` (:class:`GunConfig`), or a hard process of Pythia 8: ``ttbar``, ``minbias``, ``zmumu``.
    pileup
        Mean of the Poisson number of additional soft collisions (Pythia ``SoftQCD:all``).
    energy
        Centre-of-mass energy of the proton-proton collisions in TeV.
    geometry
        Name of a table of layers, or path of one (:mod:`hitloom.data.endcap_geometry`).
    eta
        Range of \\|eta\\| on the front face within which particles enter.
    min_pt, max_vertex_rho, max_vertex_z
        Generated particles above ``min_pt`` in GeV and produced inside the two lengths in mm enter.
    beam_sigma_xy, beam_sigma_z, beam_sigma_t
        Spread of the collision points, mm and ns.
    field_tesla
        Field along the beam up to the front face; 0 = straight lines.
    upstream_interactions
        Probability that a hadron interacts before the calorimeter; then its products enter, with one parent.
    truth
        ``SC``: what enters the calorimeter; ``CP``: products of one particle are one object.
    """

    process: Process = "gun"
    pileup: float = Field(default=0.0, ge=0.0, le=300.0)
    energy: float = Field(default=14.0, gt=0.1, le=1000.0)
    geometry: str = "hgcal-v17"
    eta: Range = (1.5, 3.0)
    min_pt: float = Field(default=0.1, ge=0.05)
    max_vertex_rho: float = Field(default=1000.0, gt=0.0)
    max_vertex_z: float = Field(default=3000.0, gt=0.0)
    beam_sigma_xy: float = Field(default=0.015, ge=0.0)
    beam_sigma_z: float = Field(default=45.0, ge=0.0)
    beam_sigma_t: float = Field(default=0.18, ge=0.0)
    field_tesla: float = Field(default=0.0, ge=0.0, le=20.0)
    upstream_interactions: float = Field(default=0.1, ge=0.0, le=1.0)
    truth: Literal["SC", "CP"] = "SC"
    gun: GunConfig = GunConfig()
    shower: ShowerConfig = ShowerConfig()
    response: ResponseConfig = ResponseConfig()
    clusters: ClusterConfig = ClusterConfig()

    @model_validator(mode="after")
    def _check(self) -> CalorimeterConfig:
        low, high = self.eta
        if not 0 < low < high:
            raise ValueError(f"eta must be a range (low, high) with 0 < low < high, not {self.eta}")
        return self

    @property
    def max_eta(self) -> float:
        """Generated particles are kept up to here; the front face decides afterwards."""
        return self.eta[1] + 0.5


def provenance_of(config: CalorimeterConfig, *, seed: int) -> dict[str, Any]:
    """Return what made the events: settings, seed and versions; part of every event and of the store."""
    return {
        "simulation": "calorimeter",
        "note": NOTE,
        "truth": config.truth,
        "config": json.loads(config.model_dump_json()),
        "seed": seed,
        "versions": package_versions("pythia8mc"),
    }
