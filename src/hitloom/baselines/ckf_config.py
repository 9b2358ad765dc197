"""Settings of the classical track finder; lengths mm, momenta GeV, fields T."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hitloom.baselines.geometry import PIXEL_VOLUMES
from hitloom.baselines.measurements import BIAS_U_MM, RESOLUTION_MM
from hitloom.config import Config


class PassConfig(Config):
    """One pass: grid triplet seeding, the start of the filter, the shortest track.

    Attributes
    ----------
    volumes
        Volumes whose hits become space points.
    r_max_mm, z_max_mm
        Space points beyond are not used.
    delta_r_min_mm, delta_r_max_mm
        Radial distance between neighbouring space points of a seed.
    collision_region_mm
        Half length of the interval in z in which a doublet must meet the beam line.
    cot_theta_max
        Largest cotangent of the polar angle (7.40627: pseudorapidity 2.7; 27.2899: 4.0).
    min_pt_gev
        Momentum below which the scattering allowance and the curvature cut let no seed pass.
    impact_max_mm
        Largest transverse impact parameter of a seed's circle.
    sigma_scattering, rad_length_per_seed
        Allowance for multiple scattering: standard deviations, and thickness in radiation lengths.
    max_seeds_per_middle
        Seeds kept per middle space point (plus one, in the convention of ACTS).
    r_min_middle_mm, r_max_middle_mm
        Radial range of the middle space point.
    sigma_loc_mm, sigma_angle_rad, sigma_pt_rel
        Standard deviations of the start of the filter: position, angles, relative transverse momentum.
    min_measurements
        Shortest track: in the selection of the filter, in the ambiguity resolution and after it.
    """

    volumes: tuple[int, ...] = PIXEL_VOLUMES
    r_max_mm: float = Field(default=200.0, gt=0)
    z_max_mm: float = Field(default=2000.0, gt=0)
    delta_r_min_mm: float = Field(default=1.0, ge=0)
    delta_r_max_mm: float = Field(default=60.0, gt=0)
    collision_region_mm: float = Field(default=250.0, gt=0)
    cot_theta_max: float = Field(default=7.40627, gt=0)
    min_pt_gev: float = Field(default=0.5, gt=0)
    impact_max_mm: float = Field(default=3.0, gt=0)
    sigma_scattering: float = Field(default=5.0, gt=0)
    rad_length_per_seed: float = Field(default=0.1, gt=0)
    max_seeds_per_middle: int = Field(default=1, ge=0)
    r_min_middle_mm: float = Field(default=60.0, ge=0)
    r_max_middle_mm: float = Field(default=120.0, gt=0)
    sigma_loc_mm: float = Field(default=1.0, gt=0)
    sigma_angle_rad: float = Field(default=0.0174533, gt=0)
    sigma_pt_rel: float = Field(default=0.1, gt=0)
    min_measurements: int = Field(default=3, ge=3)


class CKFConfig(Config):
    """Seeding, combinatorial Kalman filter and ambiguity resolution.

    Attributes
    ----------
    passes
        Each pass takes the hits that those before left; see :class:`PassConfig`.
    chi2_measurement, chi2_outlier
        A measurement below the first is taken, below the second noted as an outlier.
    num_measurements_per_surface
        Branches opened at a module with several compatible measurements.
    two_way
        Continue inwards from the seed after the outward search.
    seed_deduplication
        Skip a seed whose hits a found track already holds.
    max_pixel_holes, max_strip_holes
        Modules crossed without a measurement before a branch ends.
    min_track_pt_gev
        Lowest fitted transverse momentum of a branch.
    max_shared_hits
        Hits that two tracks may share after the greedy resolution.
    resolution_mm
        Standard deviations of u and v by volume.
    bias_u_mm
        Mean of measured minus true u by volume, taken off before the fit.
    field, field_tesla
        Magnetic field, see :mod:`hitloom.simulate.field`. "provenance" takes kind and strength from what the
        simulation recorded, and is the solenoid of ``field_tesla`` where nothing is recorded (TrackML data).
    num_events_per_run
        Events given to ACTS at a time.
    """

    passes: tuple[PassConfig, ...] = Field(default=(PassConfig(),), min_length=1)
    chi2_measurement: float = Field(default=15.0, gt=0)
    chi2_outlier: float = Field(default=25.0, gt=0)
    num_measurements_per_surface: int = Field(default=10, ge=1)
    two_way: bool = True
    seed_deduplication: bool = True
    max_pixel_holes: int = Field(default=1, ge=0)
    max_strip_holes: int = Field(default=2, ge=0)
    min_track_pt_gev: float = Field(default=0.0, ge=0)
    max_shared_hits: int = Field(default=3, ge=0)
    resolution_mm: dict[int, tuple[float, float]] = RESOLUTION_MM
    bias_u_mm: dict[int, float] = BIAS_U_MM
    field: Literal["provenance", "constant", "solenoid"] = "provenance"
    field_tesla: float = Field(default=2.0, gt=0)
    num_events_per_run: int = Field(default=8, ge=1)
