"""Settings of the classical track finder; lengths mm, momenta GeV, fields T.

The values started from those of the ACTS example of the generic detector and were then tuned on simulated ttbar events
with 20 and 200 additional collisions; docs/baselines.md says what each change brought.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hitloom.baselines.geometry import PIXEL_VOLUMES, SHORT_STRIP_VOLUMES
from hitloom.baselines.measurements import BIAS_U_MM, RESOLUTION_MM
from hitloom.config import Config


class PassConfig(Config):
    """One pass: grid triplet seeding, the start of the filter, the shortest track. The defaults seed in the pixels.

    Attributes
    ----------
    volumes
        Volumes whose hits become space points.
    r_max_mm, z_max_mm
        Space points beyond are not used.
    r_min_middle_mm, r_max_middle_mm
        Radial range of the middle space point of a seed.
    delta_r_min_mm, delta_r_max_mm
        Radial distance between neighbouring space points of a seed.
    collision_region_mm
        Half length of the interval in z in which the line through two space points must meet the beam line.
    cot_theta_max
        Largest cotangent of the polar angle (7.40627: pseudorapidity 2.7; 27.2899: 4.0).
    min_pt_gev
        Transverse momentum that the curvature cut and the scattering allowance are made for.
    impact_max_mm
        Largest transverse impact parameter of a seed's circle.
    sigma_scattering, rad_length_per_seed
        Allowance for multiple scattering: standard deviations, and thickness in radiation lengths.
    max_seeds_per_middle
        Limit of seeds per middle space point (``maxSeedsPerSpM`` of ACTS).
    sigma_loc_mm, sigma_angle_rad, sigma_pt_rel
        Standard deviations of the start of the filter: position, angles, relative transverse momentum.
    min_measurements
        Shortest track: in the selection of the filter, in the ambiguity resolution and after it.
    """

    volumes: tuple[int, ...] = Field(default=PIXEL_VOLUMES, min_length=1)
    r_max_mm: float = Field(default=200.0, gt=0)
    z_max_mm: float = Field(default=2000.0, gt=0)
    r_min_middle_mm: float = Field(default=30.0, ge=0)
    r_max_middle_mm: float = Field(default=160.0, gt=0)
    delta_r_min_mm: float = Field(default=1.0, ge=0)
    delta_r_max_mm: float = Field(default=100.0, gt=0)
    collision_region_mm: float = Field(default=50.0, gt=0)
    cot_theta_max: float = Field(default=27.2899, gt=0)
    min_pt_gev: float = Field(default=0.2, gt=0)
    impact_max_mm: float = Field(default=2.0, gt=0)
    sigma_scattering: float = Field(default=3.0, gt=0)
    rad_length_per_seed: float = Field(default=0.1, gt=0)
    max_seeds_per_middle: int = Field(default=1, ge=0)
    sigma_loc_mm: float = Field(default=1.0, gt=0)
    sigma_angle_rad: float = Field(default=0.0174533, gt=0)
    sigma_pt_rel: float = Field(default=0.1, gt=0)
    min_measurements: int = Field(default=3, ge=3)


PIXEL_PASS = PassConfig()

# Tracks that start outside the first pixel layers: decays in flight and conversions, from the hits that are left.
STRIP_PASS = PassConfig(
    volumes=(8, *SHORT_STRIP_VOLUMES),
    r_max_mm=720.0,
    z_max_mm=3000.0,
    r_min_middle_mm=100.0,
    r_max_middle_mm=600.0,
    delta_r_min_mm=10.0,
    delta_r_max_mm=200.0,
    collision_region_mm=100.0,
    min_pt_gev=0.3,
    impact_max_mm=50.0,
    sigma_scattering=2.0,
    min_measurements=5,
)


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

    passes: tuple[PassConfig, ...] = Field(default=(PIXEL_PASS, STRIP_PASS), min_length=1)
    chi2_measurement: float = Field(default=20.0, gt=0)
    chi2_outlier: float = Field(default=30.0, gt=0)
    num_measurements_per_surface: int = Field(default=1, ge=1)
    two_way: bool = True
    seed_deduplication: bool = True
    max_pixel_holes: int = Field(default=1, ge=0)
    max_strip_holes: int = Field(default=1, ge=0)
    min_track_pt_gev: float = Field(default=0.0, ge=0)
    max_shared_hits: int = Field(default=3, ge=0)
    resolution_mm: dict[int, tuple[float, float]] = RESOLUTION_MM
    bias_u_mm: dict[int, float] = BIAS_U_MM
    field: Literal["provenance", "constant", "solenoid"] = "provenance"
    field_tesla: float = Field(default=2.0, gt=0)
    num_events_per_run: int = Field(default=8, ge=1)
