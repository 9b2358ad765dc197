"""How tracksters are spread, learnt from events: the statistics from which :mod:`trackster_sampler` draws dummy events.

For signal and for pile-up apart: in each event every object gives the energy-weighted mean of the 29 features of its
tracksters (its *pose*); a Gaussian mixture (at most 21 components for signal, 200 for pile-up) gives centres and
covariances of the poses; k-means over all events puts the centres into 21 and 200 clusters. The file is ``.npz`` of
plain arrays. The method is that of the linking code of CMS TICL; the drawn events are for tests, they are not physics.

Negative endcaps are mirrored onto the positive one first. Tracksters without a time count in a share of their own.
Shape letters: C clusters, N tracksters, K objects, F = 29 features.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitloom.data.files import atomic_file, reason
from hitloom.data.layer_clusters import NO_TIME
from hitloom.data.trackster_features import NODE_FEATURES
from hitloom.errors import DataError
from hitloom.event import Event

FloatArray = NDArray[np.float64]
CLASSES = ("signal", "pileup")
NUM_CLUSTERS = {"signal": 21, "pileup": 200}
FORMAT = "hitloom-trackster-statistics 1"
_TIME, _Z_MIN, _Z_MAX = (NODE_FEATURES.index(name) for name in ("time", "z_min", "z_max"))
_SIGNED = np.isin(NODE_FEATURES, ("barycenter_z", "barycenter_eta", "eVector0_z"))


@dataclass(frozen=True, kw_only=True)
class ClassStatistics:
    """Spread of the tracksters of one class.

    Attributes
    ----------
    poses_mean, poses_std : (C, F)
        Centres of the components in a cluster.
    cov_mean, cov_std : (C, F, F)
        Covariances of the components in a cluster.
    per_cluster_count_mean, per_cluster_count_std : (C,)
        Objects of the cluster in an event.
    trackster_rel_poses_mean, trackster_rel_poses_std : (C, F)
        Trackster minus its object's pose.
    trackster_count_mean, trackster_count_std : ()
        Tracksters of an object.
    count_mean, count_std : ()
        Objects of an event.
    missing_time : ()
        Share of tracksters without a time.
    low, high : (F,)
        Smallest and largest feature of a trackster.
    """

    poses_mean: FloatArray
    poses_std: FloatArray
    cov_mean: FloatArray
    cov_std: FloatArray
    per_cluster_count_mean: FloatArray
    per_cluster_count_std: FloatArray
    trackster_rel_poses_mean: FloatArray
    trackster_rel_poses_std: FloatArray
    trackster_count_mean: FloatArray
    trackster_count_std: FloatArray
    count_mean: FloatArray
    count_std: FloatArray
    missing_time: FloatArray
    low: FloatArray
    high: FloatArray

    @property
    def num_clusters(self) -> int:
        return len(self.poses_mean)


@dataclass(frozen=True, kw_only=True)
class TracksterStatistics:
    """Statistics of signal and, where the events have it, of pile-up.

    Examples
    --------
    >>> TracksterStatistics.fit(store).save("statistics.npz")  # doctest: +SKIP
    """

    classes: dict[str, ClassStatistics]

    @classmethod
    def fit(cls, events: Iterable[Event], *, seed: int = 0) -> TracksterStatistics:
        """Learn from events with the 29 features and matched tracksters; unmatched ones do not count.

        Raises
        ------
        DataError
            When an event has no such features or truth, or no trackster is matched.
        """
        collected: dict[str, list[_EventPoses]] = {name: [] for name in CLASSES}
        for event in events:
            for name, poses in _poses(event, seed).items():
                collected[name].append(poses)
        found = {
            name: _class_statistics(parts, NUM_CLUSTERS[name], seed)
            for name, parts in collected.items()
            if any(len(part.rows) for part in parts)
        }
        if not found:
            raise DataError("statistics of tracksters: no event has a matched trackster")
        return cls(classes=found)

    def save(self, path: str | Path) -> None:
        """Write plain arrays, ``<class>_<name>``, atomically."""
        arrays: dict[str, Any] = {
            f"{kind}_{field.name}": getattr(one, field.name)
            for kind, one in self.classes.items()
            for field in fields(ClassStatistics)
        }
        with atomic_file(Path(path)) as part, part.open("wb") as file:
            np.savez_compressed(file, format=np.array(FORMAT), features=np.array(NODE_FEATURES), **arrays)

    @classmethod
    def load(cls, path: str | Path) -> TracksterStatistics:
        """Read a file of :meth:`save`; nothing in it is unpickled.

        Raises
        ------
        DataError
            When the file is damaged, is another, or needs pickled objects as ``simTrackster.npz`` of the original does.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                if "format" not in file:
                    raise DataError(
                        f"{path}: no statistics of hitloom; pickled dictionaries (simTrackster.npz) could run "
                        "code when loaded and are refused; mend: hitloom data statistics STORE FILE"
                    )
                if str(file["format"]) != FORMAT or file["features"].tolist() != list(NODE_FEATURES):
                    raise DataError(f"{path}: statistics of another version; mend: hitloom data statistics STORE FILE")
                found = {
                    kind: ClassStatistics(
                        **{field.name: file[f"{kind}_{field.name}"] for field in fields(ClassStatistics)}
                    )
                    for kind in CLASSES
                    if f"{kind}_poses_mean" in file
                }
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: damaged, or not a file of statistics: {reason(error)}") from None
        return cls(classes=found)

    def describe(self) -> str:
        """Return the number of clusters of each class in words."""
        return ", ".join(f"{one.num_clusters} clusters of {kind}" for kind, one in self.classes.items())


@dataclass(frozen=True, kw_only=True)
class _EventPoses:
    """One event's tracksters of one class, their objects' poses, and the components of the poses."""

    rows: FloatArray
    relative: FloatArray
    owner: NDArray[np.int64]
    centres: FloatArray
    covariances: FloatArray
    component: NDArray[np.int64]
    missing: int


def mirrored(x: FloatArray, negative: NDArray[np.bool_]) -> FloatArray:
    """Return features (N, F) with the marked tracksters in the other endcap."""
    result = np.array(x)
    result[negative[:, None] & _SIGNED] *= -1
    result[negative, _Z_MIN], result[negative, _Z_MAX] = -x[negative, _Z_MAX], -x[negative, _Z_MIN]
    return result


def _poses(event: Event, seed: int) -> dict[str, _EventPoses]:
    if "object_index" not in event:
        raise DataError(f"{event.describe()}: field 'object_index' is needed for statistics and not in the event")
    features = event.columns(NODE_FEATURES).double().numpy()
    index = event.object_index.numpy()
    signal = np.ones(event.num_objects, np.bool_)
    if "object_is_signal" in event:
        signal = event.object_is_signal.numpy()
    result = {}
    for name, wanted in (("signal", True), ("pileup", False)):
        rows = np.flatnonzero((index >= 0) & (signal[index] == wanted)) if len(signal) else np.zeros(0, np.int64)
        x = mirrored(features[rows], features[rows, 2] < 0)
        missing = x[:, _TIME] <= NO_TIME
        x[missing, _TIME] = x[~missing, _TIME].mean() if not missing.all() else 0.0
        _, owner = np.unique(index[rows], return_inverse=True)
        number = int(owner.max(initial=-1)) + 1
        weight = np.maximum(x[:, NODE_FEATURES.index("raw_energy")], 1e-6)
        whole = np.bincount(owner, weight, minlength=number)
        pose = np.stack([np.bincount(owner, weight * column, minlength=number) / whole for column in x.T], 1)
        pose = pose.reshape(number, len(NODE_FEATURES))
        centres, covariances, component = _components(pose, NUM_CLUSTERS[name], seed)
        result[name] = _EventPoses(
            rows=x, relative=x - pose[owner], owner=owner, centres=centres, covariances=covariances,
            component=component, missing=int(missing.sum()),
        )  # fmt: skip
    return result


def _components(pose: FloatArray, largest: int, seed: int) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
    """Return centres, covariances and the component of each pose, by a Gaussian mixture in units of the spread."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    number, width = pose.shape
    if number < 2:
        return pose, np.zeros((number, width, width)), np.arange(number)
    scale = pose.std(0)
    scale[scale == 0] = 1.0
    mixture = GaussianMixture(min(largest, number), random_state=seed, reg_covar=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        component = mixture.fit_predict(pose / scale)
    return mixture.means_ * scale, mixture.covariances_ * np.outer(scale, scale), component


def _class_statistics(parts: list[_EventPoses], largest: int, seed: int) -> ClassStatistics:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    centres = np.concatenate([part.centres for part in parts])
    covariances = np.concatenate([part.covariances for part in parts])
    event = np.concatenate([np.full(len(part.centres), row) for row, part in enumerate(parts)])
    scale = centres.std(0)
    scale[scale == 0] = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        labels = KMeans(min(largest, len(centres)), random_state=seed, n_init=1).fit_predict(centres / scale)
    labels = np.unique(labels, return_inverse=True)[1]
    number = int(labels.max()) + 1
    counts = np.zeros((len(parts), number))
    relatives: list[FloatArray] = []
    places: list[NDArray[np.int64]] = []
    for row, part in enumerate(parts):
        own = labels[event == row]
        np.add.at(counts[row], own[part.component], 1)
        relatives.append(part.relative)
        places.append(own[part.component[part.owner]])
    relative, place = np.concatenate(relatives), np.concatenate(places)
    rows = np.concatenate([part.rows for part in parts])
    tracksters = np.concatenate([np.bincount(part.owner) for part in parts])
    means = [(centres[labels == c], covariances[labels == c], relative[place == c]) for c in range(number)]
    return ClassStatistics(
        poses_mean=np.stack([centre.mean(0) for centre, _, _ in means]),
        poses_std=np.stack([centre.std(0) for centre, _, _ in means]),
        cov_mean=np.stack([covariance.mean(0) for _, covariance, _ in means]),
        cov_std=np.stack([covariance.std(0) for _, covariance, _ in means]),
        per_cluster_count_mean=counts.mean(0),
        per_cluster_count_std=counts.std(0),
        trackster_rel_poses_mean=np.stack([one.mean(0) for _, _, one in means]),
        trackster_rel_poses_std=np.stack([one.std(0) for _, _, one in means]),
        trackster_count_mean=np.array(tracksters.mean()),
        trackster_count_std=np.array(tracksters.std()),
        count_mean=np.array(counts.sum(1).mean()),
        count_std=np.array(counts.sum(1).std()),
        missing_time=np.array(sum(part.missing for part in parts) / len(rows)),
        low=rows.min(0),
        high=rows.max(0),
    )
