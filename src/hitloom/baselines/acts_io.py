"""Measurements into ACTS and tracks out of it, in memory. Imports ``acts``; load on demand.

Shape letters: H hits on tracks (a hit counts once per track), T tracks.

Measurements enter through a reader written in Python and tracks leave through an algorithm written in Python. Clock
readings between the algorithms give the seconds of each stage.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import acts
import acts.examples as ex
import numpy as np

from hitloom.baselines.geometry import Floats, Ints
from hitloom.baselines.measurements import Measurements

QUIET = acts.logging.FATAL


@dataclass(kw_only=True)
class Candidates:
    """Tracks of one event; a hit may be on several.

    Attributes
    ----------
    hit, track : (H,) int64
        Row of the measurement and of the track.
    chi2 : (T,) float64
        Sum of chi² over the track.
    num_seeds, num_found : list of int
        Seeds, and tracks before the ambiguity resolution, by pass.
    timing : dict
        Seconds by stage.
    """

    hit: Ints
    track: Ints
    chi2: Floats
    num_seeds: list[int] = field(default_factory=list)
    num_found: list[int] = field(default_factory=list)
    timing: dict[str, float] = field(default_factory=dict)


class Reader(ex.IReader):
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


class Subset(ex.IAlgorithm):
    """Writes the subset of all measurements, which is what the algorithms of ACTS read.

    A subset refers to its container, so it must be made of the one on the whiteboard, not of the reader's.
    """

    def __init__(self) -> None:
        ex.IAlgorithm.__init__(self, "HitloomSubset", QUIET)
        self.container = ex.ReadDataHandle(self, ex.MeasurementContainer, "InputMeasurements")
        self.container.initialize("measurements")
        self.subset = ex.WriteDataHandle(self, ex.MeasurementSubset, "OutputMeasurementSubset")
        self.subset.initialize("subset_0")

    def execute(self, context: Any) -> Any:
        container = self.container(context.eventStore)
        self.subset(context, ex.MeasurementSubset(container, range(len(container))))
        return ex.ProcessCode.SUCCESS


class Clock(ex.IAlgorithm):
    """Notes the time since the previous clock under a stage's name."""

    def __init__(self, name: str, laps: dict[int, list[tuple[str, float]]]) -> None:
        ex.IAlgorithm.__init__(self, f"Clock_{name}", QUIET)
        self.stage, self.laps = name, laps

    def execute(self, context: Any) -> Any:
        self.laps.setdefault(context.eventNumber, []).append((self.stage, time.perf_counter()))
        return ex.ProcessCode.SUCCESS


class Collector(ex.IAlgorithm):
    """Takes the tracks of all passes from the whiteboard."""

    def __init__(self, num_passes: int) -> None:
        ex.IAlgorithm.__init__(self, "HitloomCollector", QUIET)
        self.results: dict[int, Candidates] = {}
        self.passes = [
            (
                self._handle(acts.SeedContainer, f"seeds_{number}"),
                self._handle(ex.ConstTrackContainer, f"ckf_tracks_{number}"),
                self._handle(ex.ConstTrackContainer, f"tracks_{number}"),
            )
            for number in range(num_passes)
        ]

    def _handle(self, kind: Any, key: str) -> Any:
        handle = ex.ReadDataHandle(self, kind, f"Input_{key}")
        handle.initialize(key)
        return handle

    def execute(self, context: Any) -> Any:
        hits: list[int] = []
        owners: list[int] = []
        chi2: list[float] = []
        num_seeds, num_found = [], []
        for seeds, found, tracks in self.passes:
            num_seeds.append(len(seeds(context.eventStore)))
            num_found.append(len(found(context.eventStore)))
            for track in tracks(context.eventStore):
                for state in track.trackStatesReversed:
                    if state.typeFlags.isMeasurement:
                        link = ex.IndexSourceLink.fromSourceLink(state.uncalibratedSourceLink)
                        hits.append(link.index())
                        owners.append(len(chi2))
                chi2.append(track.chi2)
        self.results[context.eventNumber] = Candidates(
            hit=np.array(hits, dtype=np.int64),
            track=np.array(owners, dtype=np.int64),
            chi2=np.array(chi2, dtype=np.float64),
            num_seeds=num_seeds,
            num_found=num_found,
        )
        return ex.ProcessCode.SUCCESS
