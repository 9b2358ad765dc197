"""What a picture of one wire view shows: its hits, and to which cluster, group and particle each belongs.

Shape letters: N clusters, M hits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hitloom.data.shower_ceilings import target_result
from hitloom.data.shower_layout import VIEWS, slice_number, view_code
from hitloom.data.shower_truth import similarity_target
from hitloom.event import Event
from hitloom.metrics.hit_partition import hit_table, partition_counts, partition_rates
from hitloom.metrics.shower_particles import is_shower_pdg
from hitloom.metrics.truth import BoolArray, FloatArray, IntArray
from hitloom.report.join import join
from hitloom.report.pairs import pairs_of
from hitloom.report.showers.columns import hit_truth, labels_of
from hitloom.report.showers.config import ShowerEvaluationConfig
from hitloom.report.sources import Only
from hitloom.result import Result

PANELS = {
    "initial": "initial clusters",
    "predicted": "predicted groups",
    "true": "true particles",
    "target": "target: groups by the true similarity",
}
MIN_CLUSTER_HITS = 4
"""Clusters of at least so many hits set the limits of a picture."""


@dataclass(frozen=True, kw_only=True)
class ShowerView:
    """Arrays behind the picture of one wire view.

    Attributes
    ----------
    event_id, slice : int
    view : str
        Letter of the plane.
    why : str
        Why the slice was chosen.
    position, size : (M, 2) float, cm
        Middle, and width along drift (``x_width``) and wires (``pitch``), of each hit; the vertex is at 0, 0.
    energy : (M,) float
        MIP.
    cluster : (M,) int
    labels : dict of (M,) int
        By the names of :data:`PANELS`: number of each hit in each partition, -1 = none. What is not known is left out.
    pdg : (K,) int
        Of the particles that ``labels["true"]`` counts.
    predicted, wanted : (N, N) float or None
        Similarities.
    ari : dict
        Adjusted Rand index of each partition where truth is known.
    """

    event_id: int
    slice: int
    view: str
    why: str
    position: FloatArray
    size: FloatArray
    energy: FloatArray
    cluster: IntArray
    labels: dict[str, IntArray]
    pdg: IntArray
    predicted: FloatArray | None
    wanted: FloatArray | None
    ari: dict[str, float]

    @property
    def title(self) -> str:
        return f"Slice {self.slice}, view {self.view}"

    def is_shower(self) -> BoolArray:
        """Return whether each hit (M,) is of an electron, a positron or a photon; False where it is not known."""
        owner = self.labels.get("true")
        if owner is None or not len(self.pdg):
            return np.zeros(len(self.cluster), dtype=np.bool_)
        return np.asarray((owner >= 0) & is_shower_pdg(self.pdg)[np.maximum(owner, 0)])

    def limits(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return the ends of both axes in cm: all hits of clusters of four hits or more, else all hits."""
        large = np.bincount(self.cluster)[self.cluster] >= MIN_CLUSTER_HITS if len(self.cluster) else self.cluster > 0
        chosen = large if large.any() else np.ones(len(self.cluster), dtype=np.bool_)
        if not chosen.any():
            return (-1.0, 1.0), (-1.0, 1.0)
        low = (self.position[chosen] - self.size[chosen] / 2).min(0)
        high = (self.position[chosen] + self.size[chosen] / 2).max(0)
        edge = np.maximum(0.04 * (high - low), 1.0)
        (left, bottom), (right, top) = low - edge, high + edge
        return (float(left), float(right)), (float(bottom), float(top))

    def text(self) -> str:
        """Return the view and its indices in one sentence."""
        number = int(self.cluster.max(initial=-1)) + 1
        groups = len(np.unique(self.labels["predicted"]))
        index = ", ".join(f"{name} {value:.3f}" for name, value in self.ari.items())
        return (
            f"view {self.view}: {len(self.cluster)} hits in {number} clusters, {groups} groups"
            f"{f'; ARI: {index}' if index else ''}"
        )


def views_of(
    events: Iterable[Event],
    results: Iterable[Result],
    config: ShowerEvaluationConfig,
    chosen: Sequence[tuple[int, str]],
) -> list[ShowerView]:
    """Return the views of chosen slices: slice by slice in the given order, U, V, W."""
    if not chosen:
        return []
    reason = dict(chosen)
    wanted = frozenset(10 * number + code for number in reason for code in VIEWS)
    found = [
        view_of(event, result, config, why=reason[slice_number(event)])
        for event, result in pairs_of(events, Only(items=results, event_ids=wanted))
    ]
    order = [number for number, _ in chosen]
    return sorted(found, key=lambda view: (order.index(view.slice), view.view))


def view_of(event: Event, result: Result, config: ShowerEvaluationConfig, *, why: str = "") -> ShowerView:
    """Return the view of one event and its result, with truth where the event knows it.

    Raises
    ------
    DataError
        When the two do not belong together.
    """
    cluster = event.part_point_index.numpy()
    names = list(event.part_feature_names)
    hits = event.part_x.double().numpy()
    x, z, width, pitch, energy = (hits[:, names.index(name)] for name in ("x", "z", "x_width", "pitch", "energy"))
    labels = {"initial": cluster, "predicted": labels_of(event, result)[cluster]}
    pdg, wanted = np.zeros(0, dtype=np.int64), None
    if "part_share_index" in event and "object_pdg" in event:
        labels["true"], pdg = hit_truth(event), event.object_pdg.numpy()
    if "share_index" in event:
        wanted = similarity_target(event, config.denominator).numpy()
        labels["target"] = target_result(event, **config.grouping()).labels.numpy()[cluster]
    return ShowerView(
        event_id=result.event_id, slice=slice_number(event), view=VIEWS[view_code(event)], why=why,
        position=np.stack([x, z], axis=1), size=np.stack([width, pitch], axis=1), energy=energy, cluster=cluster,
        labels=labels, pdg=pdg, predicted=_matrix(event, result), wanted=wanted, ari=_indices(labels),
    )  # fmt: skip


def _matrix(event: Event, result: Result) -> FloatArray | None:
    """Return the predicted similarities (N, N) with 1 on the diagonal, None where the result keeps no pairs."""
    if result.edge_index is None or result.edge_score is None:
        return None
    joined = join(event, result)
    one, other = joined.rows[result.edge_index.numpy()]
    matrix = np.full((event.num_points, event.num_points), np.nan)
    np.fill_diagonal(matrix, 1.0)
    matrix[one, other] = matrix[other, one] = result.edge_score.double().sigmoid().numpy()
    return matrix


def _indices(labels: dict[str, IntArray]) -> dict[str, float]:
    if "true" not in labels:
        return {}
    truth = labels["true"]
    found = {}
    for name in [name for name in labels if name != "true"]:
        table = hit_table(
            event=np.zeros(len(truth)), group=labels[name], particle=truth, num_hits=np.ones(len(truth)), num_events=1
        )
        value = float(partition_rates(partition_counts(table), min_event_hits=1)["ari"][0])
        if np.isfinite(value):
            found[name] = value
    return found
