"""Classical methods that stand beside the learned systems: the same events in, the same labels out.

>>> from hitloom.baselines import baseline_names, get_baseline
>>> baseline = get_baseline("ckf")
>>> baseline.config_class.__name__, baseline.detector
('CKFConfig', 'tracker')
>>> baseline_names("calorimeter")
['distance', 'merge-all', 'merge-none', 'skeleton']

``baseline.run(events, baseline.config_class())`` yields one :class:`~hitloom.result.Result` per event, and refuses
events of another detector.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from hitloom.config import Config
from hitloom.data.pruning_layout import is_trackster_event
from hitloom.data.shower_layout import is_shower_event
from hitloom.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    from hitloom.event import Event
    from hitloom.result import Result

Detector = Literal["tracker", "calorimeter", "trackster", "lartpc"]

# name: detector, module, function, class of its configuration
_BASELINES: dict[str, tuple[Detector, str, str, str]] = {
    "ckf": ("tracker", "hitloom.baselines.ckf", "run_ckf", "CKFConfig"),
    "helix-dbscan": ("tracker", "hitloom.baselines.helix_dbscan", "run_helix_dbscan", "HelixDBSCANConfig"),
    "merge-all": ("calorimeter", "hitloom.baselines.candidate_links", "run_merge_all", "MergeAllConfig"),
    "merge-none": ("calorimeter", "hitloom.baselines.candidate_links", "run_merge_none", "MergeNoneConfig"),
    "distance": ("calorimeter", "hitloom.baselines.candidate_links", "run_distance", "DistanceConfig"),
    "skeleton": ("calorimeter", "hitloom.baselines.skeleton_links", "run_skeleton", "SkeletonConfig"),
    "keep-all": ("trackster", "hitloom.baselines.trackster_cuts", "run_keep_all", "KeepAllConfig"),
    "energy-distance": ("trackster", "hitloom.baselines.trackster_cuts", "run_energy_distance", "EnergyDistanceConfig"),
    "tight-clue3d": ("trackster", "hitloom.baselines.tight_clue3d", "run_tight_clue3d", "TightClue3dConfig"),
    "no-merging": ("lartpc", "hitloom.baselines.shower_growing", "run_no_merging", "NoMergingConfig"),
    "shower-growing": ("lartpc", "hitloom.baselines.shower_growing", "run_shower_growing", "ShowerGrowingConfig"),
    "shower-growing-mop-up": (
        "lartpc",
        "hitloom.baselines.shower_growing",
        "run_shower_growing_mop_up",
        "ShowerGrowingConfig",
    ),
    "shower-growing-tuned": (
        "lartpc",
        "hitloom.baselines.shower_growing",
        "run_shower_growing_tuned",
        "TunedShowerGrowingConfig",
    ),
}
# those that find their best settings on events with truth
_TUNERS = {
    "distance": "scan_distance",
    "energy-distance": "tune_energy_distance",
    "tight-clue3d": "tune_tight_clue3d",
    "shower-growing": "tune_shower_growing",
    "shower-growing-mop-up": "tune_shower_growing_mop_up",
    "shower-growing-tuned": "tune_shower_growing",
}
_TRACKSTER_FEATURES = ("barycenter_z", "raw_energy")


class Baseline(NamedTuple):
    """A method: ``run(events, config)`` yields results; the class of its settings; whose events it takes.

    ``tune(events)`` returns the settings that serve best on events with truth, for a fair comparison with what is
    trained on them; None = it has no such search.
    """

    run: Callable[..., Iterator[Result]]
    config_class: type[Config]
    detector: Detector
    tune: Callable[..., Config] | None = None


def baseline_names(detector: Detector | None = None) -> list[str]:
    """Return the names of the baselines, of one detector or all."""
    return sorted(name for name, entry in _BASELINES.items() if detector in (None, entry[0]))


def describe_baselines() -> str:
    """Return the names by detector, in one line for help and messages.

    Examples
    --------
    >>> describe_baselines()
    'ckf, helix-dbscan (tracker); distance, merge-all, merge-none, skeleton (calorimeter); energy-distance, keep-all, \
tight-clue3d (trackster); no-merging, shower-growing, shower-growing-mop-up, \
shower-growing-tuned (lartpc)'
    """
    return "; ".join(f"{', '.join(baseline_names(name))} ({name})" for name in get_args(Detector))


def get_baseline(name: str) -> Baseline:
    """Return the baseline called ``name``; nothing heavy is imported before it runs.

    Raises
    ------
    ConfigError
        When there is none of this name; the message gives the nearest one.
    """
    if name not in _BASELINES:
        raise ConfigError(f"unknown baseline '{name}'.{nearest(name, _BASELINES)}")
    detector, module_name, function, config_class = _BASELINES[name]
    module = importlib.import_module(module_name)
    inner = getattr(module, function)

    def run(events: Iterable[Event], config: Config | None = None) -> Iterator[Result]:
        return inner((_of_detector(event, detector, name) for event in events), config)

    tune = getattr(module, _TUNERS[name]) if name in _TUNERS else None
    return Baseline(run, getattr(module, config_class), detector, tune)


def detector_of(event: Event) -> Detector:
    """Return whose event this is.

    With the layer clusters of one trackster it is a trackster's, with 2D clusters of a wire view a LArTPC's, with the
    features of many tracksters a calorimeter's, else a tracker's.
    """
    if is_shower_event(event):
        return "lartpc"
    if is_trackster_event(event):
        return "trackster"
    names = event.column_names()
    return "calorimeter" if all(name in names for name in _TRACKSTER_FEATURES) else "tracker"


def _of_detector(event: Event, detector: Detector, name: str) -> Event:
    own = detector_of(event)
    if own != detector:
        raise DataError(
            f"{event.describe()}: baseline '{name}' is for a {detector}, and this event is one of a {own}; "
            f"mend: {', '.join(baseline_names(own))}"
        )
    return event
