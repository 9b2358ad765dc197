"""The reconstruction chain in ACTS: measurements in, track candidates out. Imports ``acts``; load on demand."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import acts
import acts.examples as ex

from hitloom.baselines.acts_io import QUIET, Candidates, Clock, Collector, Reader, Subset
from hitloom.baselines.ckf_config import CKFConfig, PassConfig
from hitloom.baselines.geometry import LONG_STRIP_VOLUMES, PIXEL_VOLUMES, SHORT_STRIP_VOLUMES, generic_detector
from hitloom.baselines.measurements import Measurements
from hitloom.simulate.field import acts_field
from hitloom.simulate.tracker_config import TrackerConfig

FieldKind = Literal["constant", "solenoid"]
_UNIT = acts.UnitConstants
_ALL_ITERATIONS = 1_000_000


def run_chain(events: Sequence[Measurements], *, config: CKFConfig, field: FieldKind, tesla: float) -> list[Candidates]:
    """Run all passes over ``events`` in one sequencer, on one thread.

    ``tesla`` is the strength of the field in the centre, and everywhere for the seeding.
    """
    sequencer = ex.Sequencer(events=len(events), numThreads=1, logLevel=QUIET, trackFpes=False, outputTimingFile="")
    laps: dict[int, list[tuple[str, float]]] = {}
    collector = Collector(len(config.passes))
    sequencer.addReader(Reader(events))
    sequencer.addAlgorithm(Subset())
    sequencer.addAlgorithm(Clock("start", laps))
    for number in range(len(config.passes)):
        for stage, algorithm in _pass_algorithms(config, number, _field(field, tesla), tesla):
            sequencer.addAlgorithm(algorithm)
            sequencer.addAlgorithm(Clock(stage, laps))
    sequencer.addAlgorithm(collector)
    sequencer.run()
    for number, candidates in collector.results.items():
        for (_, begin), (stage, stop) in itertools.pairwise(laps[number]):
            candidates.timing[stage] = candidates.timing.get(stage, 0.0) + stop - begin
    return [collector.results[number] for number in range(len(events))]


@functools.lru_cache(maxsize=4)
def _field(field: FieldKind, tesla: float) -> Any:
    return acts_field(config=TrackerConfig(field=field, field_tesla=tesla))


def _pass_algorithms(config: CKFConfig, number: int, magnetic_field: Any, tesla: float) -> Iterator[tuple[str, Any]]:
    """Yield stage and algorithm of pass ``number``, in order; it reads the measurements that earlier ones left."""
    geometry = generic_detector().trackingGeometry()
    settings = config.passes[number]
    if number > 0:
        leftover = ex.MeasurementFilterAlgorithm(
            level=QUIET,
            inputTracks=f"tracks_{number - 1}",
            inputMeasurementSubset=f"subset_{number - 1}",
            outputMeasurementSubset=f"subset_{number}",
            includeOutliers=False,
        )
        yield "leftover", leftover
    space_points = ex.SpacePointMaker(
        level=QUIET,
        inputMeasurements=f"subset_{number}",
        outputSpacePoints=f"space_points_{number}",
        trackingGeometry=geometry,
        geometrySelection=[acts.GeometryIdentifier(volume=volume) for volume in settings.volumes],
    )
    yield "space_points", space_points
    yield "seeding", _seeding(settings, number, tesla)
    estimate = ex.TrackParamsEstimationAlgorithm(
        level=QUIET,
        inputSeeds=f"raw_seeds_{number}",
        outputSeeds=f"seeds_{number}",
        outputTrackParameters=f"start_parameters_{number}",
        trackingGeometry=geometry,
        magneticField=magnetic_field,
        initialSigmas=[
            settings.sigma_loc_mm,
            settings.sigma_loc_mm,
            settings.sigma_angle_rad,
            settings.sigma_angle_rad,
            0.0,
            1 * _UNIT.ns,
        ],
        initialSigmaPtRel=settings.sigma_pt_rel,
    )
    yield "parameters", estimate
    yield "ckf", _finder(config, number, geometry, magnetic_field)
    ambiguity = ex.GreedyAmbiguityResolutionAlgorithm(
        level=QUIET,
        inputTracks=f"ckf_tracks_{number}",
        outputTracks=f"tracks_{number}",
        maximumSharedHits=config.max_shared_hits,
        nMeasurementsMin=settings.min_measurements,
        maximumIterations=_ALL_ITERATIONS,
    )
    yield "ambiguity", ambiguity


def _seeding(settings: PassConfig, number: int, tesla: float) -> Any:
    low, high = settings.delta_r_min_mm, settings.delta_r_max_mm
    return ex.GridTripletSeedingAlgorithm(
        level=QUIET,
        inputSpacePoints=f"space_points_{number}",
        outputSeeds=f"raw_seeds_{number}",
        bFieldInZ=tesla * _UNIT.T,
        minPt=settings.min_pt_gev * _UNIT.GeV,
        cotThetaMax=settings.cot_theta_max,
        impactMax=settings.impact_max_mm,
        deltaRMin=low,
        deltaRMax=high,
        deltaRMinTop=low,
        deltaRMaxTop=high,
        deltaRMinBottom=low,
        deltaRMaxBottom=high,
        rMax=settings.r_max_mm,
        zMin=-settings.z_max_mm,
        zMax=settings.z_max_mm,
        rMinMiddle=settings.r_min_middle_mm,
        rMaxMiddle=settings.r_max_middle_mm,
        collisionRegionMin=-settings.collision_region_mm,
        collisionRegionMax=settings.collision_region_mm,
        sigmaScattering=settings.sigma_scattering,
        radLengthPerSeed=settings.rad_length_per_seed,
        maxSeedsPerSpM=settings.max_seeds_per_middle,
    )


def _finder(config: CKFConfig, number: int, geometry: Any, magnetic_field: Any) -> Any:
    cuts: tuple[list[float], ...] = (
        [],
        [config.chi2_measurement],
        [config.chi2_outlier],
        [config.num_measurements_per_surface],
    )
    make = ex.TrackFindingAlgorithm
    return ex.TrackFindingAlgorithm(
        level=QUIET,
        inputMeasurements=f"subset_{number}",
        inputInitialTrackParameters=f"start_parameters_{number}",
        inputSeeds=f"seeds_{number}" if config.seed_deduplication else "",
        outputTracks=f"ckf_tracks_{number}",
        trackingGeometry=geometry,
        magneticField=magnetic_field,
        findTracks=make.makeTrackFinderFunction(geometry, magnetic_field, QUIET),
        findTracksBrem=make.makeBremTrackFinderFunction(geometry, magnetic_field, QUIET),
        measurementSelectorCfg=acts.MeasurementSelector.Config([(acts.GeometryIdentifier(), cuts)]),
        trackSelectorCfg=acts.TrackSelector.Config(
            ptMin=config.min_track_pt_gev * _UNIT.GeV, minMeasurements=config.passes[number].min_measurements
        ),
        twoWay=config.two_way,
        seedDeduplication=config.seed_deduplication,
        stayOnSeed=False,
        pixelVolumeIds=list(PIXEL_VOLUMES),
        stripVolumeIds=list(SHORT_STRIP_VOLUMES + LONG_STRIP_VOLUMES),
        maxPixelHoles=config.max_pixel_holes,
        maxStripHoles=config.max_strip_holes,
        trimTracks=True,
    )
