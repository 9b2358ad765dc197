"""The reconstruction chain in ACTS: measurements in, track candidates out. Imports ``acts``; load on demand.

Shape letters: H hits on tracks (a hit counts once per track), T tracks.

Measurements enter through a reader written in Python and tracks leave through an algorithm written in Python, so
nothing touches the disk. Clock readings between the algorithms give the seconds of each stage.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import acts
import acts.examples as ex
import numpy as np

from hitloom.baselines.ckf_config import CKFConfig
from hitloom.baselines.geometry import (
    LONG_STRIP_VOLUMES,
    PIXEL_VOLUMES,
    SHORT_STRIP_VOLUMES,
    Floats,
    Ints,
    generic_detector,
)
from hitloom.baselines.measurements import Measurements

QUIET = acts.logging.FATAL
_UNIT = acts.UnitConstants


@dataclass(kw_only=True)
class Candidates:
    """Tracks of one event; a hit may be on several.

    Attributes
    ----------
    hit, track : (H,) int64
        Row of the measurement and of the track.
    chi2 : (T,) float64
        Sum of chi² over the track.
    num_seeds, num_found : int
        Seeds, and tracks before the ambiguity resolution.
    timing : dict
        Seconds by stage.
    """

    hit: Ints
    track: Ints
    chi2: Floats
    num_seeds: int = 0
    num_found: int = 0
    timing: dict[str, float] = field(default_factory=dict)


class _Reader(ex.IReader):
    """Hands measurements to the whiteboard."""

    def __init__(self, events: Sequence[Measurements]) -> None:
        ex.IReader.__init__(self, "HitloomReader", QUIET)
        self.events = events
        self.container = ex.WriteDataHandle(self, ex.MeasurementContainer, "OutputMeasurements")
        self.container.initialize("measurements")

    def availableEvents(self) -> tuple[int, int]:
        return 0, len(self.events)

    def read(self, context: Any) -> Any:
        event = self.events[context.eventNumber]
        container = ex.MeasurementContainer()
        container.reserve(len(event.geometry_id))
        rows = zip(event.geometry_id.tolist(), event.local.tolist(), event.variance.tolist(), strict=True)
        for identifier, local, variance in rows:
            container.emplaceMeasurement(acts.GeometryIdentifier(identifier), [0, 1], local, variance)
        self.container(context, container)
        return ex.ProcessCode.SUCCESS


class _Subset(ex.IAlgorithm):
    """Writes the subset of all measurements, which is what the algorithms of ACTS read.

    A subset refers to its container, so it must be made of the one on the whiteboard, not of the reader's.
    """

    def __init__(self) -> None:
        ex.IAlgorithm.__init__(self, "HitloomSubset", QUIET)
        self.container = ex.ReadDataHandle(self, ex.MeasurementContainer, "InputMeasurements")
        self.container.initialize("measurements")
        self.subset = ex.WriteDataHandle(self, ex.MeasurementSubset, "OutputMeasurementSubset")
        self.subset.initialize("measurement_subset")

    def execute(self, context: Any) -> Any:
        container = self.container(context.eventStore)
        self.subset(context, ex.MeasurementSubset(container, range(len(container))))
        return ex.ProcessCode.SUCCESS


class _Clock(ex.IAlgorithm):
    """Notes the time since the previous clock under a stage's name."""

    def __init__(self, name: str, laps: dict[int, list[tuple[str, float]]]) -> None:
        ex.IAlgorithm.__init__(self, f"Clock_{name}", QUIET)
        self.stage, self.laps = name, laps

    def execute(self, context: Any) -> Any:
        self.laps.setdefault(context.eventNumber, []).append((self.stage, time.perf_counter()))
        return ex.ProcessCode.SUCCESS


class _Collector(ex.IAlgorithm):
    """Takes tracks from the whiteboard."""

    def __init__(self) -> None:
        ex.IAlgorithm.__init__(self, "HitloomCollector", QUIET)
        self.results: dict[int, Candidates] = {}
        self.seeds = ex.ReadDataHandle(self, acts.SeedContainer, "InputSeeds")
        self.seeds.initialize("seeds")
        self.found = ex.ReadDataHandle(self, ex.ConstTrackContainer, "InputFound")
        self.found.initialize("ckf_tracks")
        self.tracks = ex.ReadDataHandle(self, ex.ConstTrackContainer, "InputTracks")
        self.tracks.initialize("tracks")

    def execute(self, context: Any) -> Any:
        hits: list[int] = []
        owners: list[int] = []
        chi2: list[float] = []
        for row, track in enumerate(self.tracks(context.eventStore)):
            chi2.append(track.chi2)
            for state in track.trackStatesReversed:
                if state.typeFlags.isMeasurement:
                    link = ex.IndexSourceLink.fromSourceLink(state.uncalibratedSourceLink)
                    hits.append(link.index())
                    owners.append(row)
        self.results[context.eventNumber] = Candidates(
            hit=np.array(hits, dtype=np.int64),
            track=np.array(owners, dtype=np.int64),
            chi2=np.array(chi2, dtype=np.float64),
            num_seeds=len(self.seeds(context.eventStore)),
            num_found=len(self.found(context.eventStore)),
        )
        return ex.ProcessCode.SUCCESS


def run_chain(events: Sequence[Measurements], *, config: CKFConfig, magnetic_field: Any) -> list[Candidates]:
    """Run seeding, filter and ambiguity resolution over ``events`` in one sequencer, on one thread."""
    sequencer = ex.Sequencer(events=len(events), numThreads=1, logLevel=QUIET, trackFpes=False, outputTimingFile="")
    laps: dict[int, list[tuple[str, float]]] = {}
    collector = _Collector()
    sequencer.addReader(_Reader(events))
    sequencer.addAlgorithm(_Subset())
    sequencer.addAlgorithm(_Clock("start", laps))
    for stage, algorithms in _algorithms(config, magnetic_field).items():
        for algorithm in algorithms:
            sequencer.addAlgorithm(algorithm)
        sequencer.addAlgorithm(_Clock(stage, laps))
    sequencer.addAlgorithm(collector)
    sequencer.run()
    for number, candidates in collector.results.items():
        marks = laps[number]
        candidates.timing = {name: stop - begin for (_, begin), (name, stop) in zip(marks, marks[1:], strict=False)}
    return [collector.results[number] for number in range(len(events))]


def _algorithms(config: CKFConfig, magnetic_field: Any) -> dict[str, list[Any]]:
    """Return the algorithms by stage, in order."""
    geometry = generic_detector().trackingGeometry()
    seeding = config.seeding
    spacepoints = ex.SpacePointMaker(
        level=QUIET,
        inputMeasurements="measurement_subset",
        outputSpacePoints="spacepoints",
        trackingGeometry=geometry,
        geometrySelection=[acts.GeometryIdentifier(volume=volume) for volume in seeding.volumes],
    )
    triplets = ex.GridTripletSeedingAlgorithm(
        level=QUIET,
        inputSpacePoints="spacepoints",
        outputSeeds="raw_seeds",
        bFieldInZ=config.field_tesla * _UNIT.T,
        minPt=seeding.min_pt_gev * _UNIT.GeV,
        cotThetaMax=seeding.cot_theta_max,
        impactMax=seeding.impact_max_mm,
        deltaRMin=seeding.delta_r_min_mm,
        deltaRMax=seeding.delta_r_max_mm,
        deltaRMinTop=seeding.delta_r_min_mm,
        deltaRMaxTop=seeding.delta_r_max_mm,
        deltaRMinBottom=seeding.delta_r_min_mm,
        deltaRMaxBottom=seeding.delta_r_max_mm,
        rMax=seeding.r_max_mm,
        zMin=-seeding.z_max_mm,
        zMax=seeding.z_max_mm,
        rMinMiddle=seeding.r_min_middle_mm,
        rMaxMiddle=seeding.r_max_middle_mm,
        collisionRegionMin=-seeding.collision_region_mm,
        collisionRegionMax=seeding.collision_region_mm,
        sigmaScattering=seeding.sigma_scattering,
        radLengthPerSeed=seeding.rad_length_per_seed,
        maxSeedsPerSpM=seeding.max_seeds_per_middle,
    )
    estimate = ex.TrackParamsEstimationAlgorithm(
        level=QUIET,
        inputSeeds="raw_seeds",
        outputSeeds="seeds",
        outputTrackParameters="start_parameters",
        trackingGeometry=geometry,
        magneticField=magnetic_field,
        initialSigmas=[
            seeding.sigma_loc_mm,
            seeding.sigma_loc_mm,
            seeding.sigma_angle_rad,
            seeding.sigma_angle_rad,
            0.0,
            1 * _UNIT.ns,
        ],
        initialSigmaPtRel=seeding.sigma_qop_rel,
    )
    finder = ex.TrackFindingAlgorithm(
        level=QUIET,
        inputMeasurements="measurement_subset",
        inputInitialTrackParameters="start_parameters",
        inputSeeds="seeds" if config.seed_deduplication else "",
        outputTracks="ckf_tracks",
        trackingGeometry=geometry,
        magneticField=magnetic_field,
        findTracks=ex.TrackFindingAlgorithm.makeTrackFinderFunction(geometry, magnetic_field, QUIET),
        findTracksBrem=ex.TrackFindingAlgorithm.makeBremTrackFinderFunction(geometry, magnetic_field, QUIET),
        measurementSelectorCfg=acts.MeasurementSelector.Config(
            [
                (
                    acts.GeometryIdentifier(),
                    (
                        [],
                        [config.chi2_measurement],
                        [config.chi2_outlier],
                        [config.num_measurements_per_surface],
                    ),
                )
            ]
        ),
        trackSelectorCfg=acts.TrackSelector.Config(
            ptMin=config.min_track_pt_gev * _UNIT.GeV, minMeasurements=config.min_measurements
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
    ambiguity = ex.GreedyAmbiguityResolutionAlgorithm(
        level=QUIET,
        inputTracks="ckf_tracks",
        outputTracks="tracks",
        maximumSharedHits=config.max_shared_hits,
        nMeasurementsMin=config.min_measurements,
        maximumIterations=1_000_000,
    )
    return {
        "space_points": [spacepoints],
        "seeding": [triplets],
        "parameters": [estimate],
        "ckf": [finder],
        "ambiguity": [ambiguity],
    }
