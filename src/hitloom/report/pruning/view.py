"""What a display of one trackster shows: its layer clusters before and after pruning, and its links.

Shape letters: N layer clusters, E links.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hitloom.event import Event
from hitloom.metrics.truth import BoolArray, FloatArray, IntArray
from hitloom.report.pruning.columns import PruningColumns, columns_of
from hitloom.result import Result

KINDS = {
    "TN": "kept, belongs to it",
    "TP": "pruned, did not belong",
    "FN": "kept, does not belong",
    "FP": "pruned, did belong",
}
"""Decision and truth of a layer cluster; positive = to prune."""


@dataclass(frozen=True, kw_only=True)
class PruningView:
    """Arrays behind the display of one trackster.

    Attributes
    ----------
    event_id : int
    why : str
        Why it was chosen.
    position : (N, 3) float, mm
    energy, layer : (N,) float and int
        GeV and number.
    probability : (N,) float or None
        To be pruned.
    pruned : (N,) bool
    to_prune : (N,) bool or None
    links : (2, E) int
    """

    event_id: int
    why: str
    position: FloatArray
    energy: FloatArray
    layer: IntArray
    probability: FloatArray | None
    pruned: BoolArray
    to_prune: BoolArray | None
    links: IntArray

    def kind(self) -> list[str]:
        """Return TP, FP, FN or TN for each layer cluster; without truth TP = pruned, TN = kept."""
        truth = self.pruned if self.to_prune is None else self.to_prune
        names = np.array([["TN", "FP"], ["FN", "TP"]])
        return [str(name) for name in names[truth.astype(int), self.pruned.astype(int)]]

    def text(self) -> str:
        """Return the trackster and what pruning did to it in one sentence."""
        whole = f"{len(self.energy)} layer clusters, {self.energy.sum():.3g} GeV"
        if self.to_prune is None:
            return f"{whole}; {int(self.pruned.sum())} pruned, {self.energy[self.pruned].sum():.3g} GeV"
        right, false = (self.energy[self.pruned & mask].sum() for mask in (self.to_prune, ~self.to_prune))
        return (
            f"{whole}; {int(self.to_prune.sum())} to prune with {self.energy[self.to_prune].sum():.3g} GeV; pruned "
            f"rightly {right:.3g} GeV, wrongly {false:.3g} GeV"
        )


def view_of(columns: PruningColumns, row: int, *, why: str = "") -> PruningView:
    """Return the view of one trackster of the columns."""
    from hitloom.metrics.pruning_probability import probability_of

    place = slice(int(columns.start[row]), int(columns.start[row + 1]))
    inside = (columns.links[0] >= place.start) & (columns.links[0] < place.stop)
    return PruningView(
        event_id=int(columns.event_id[row]),
        why=why,
        position=columns.position[place],
        energy=columns.energy[place],
        layer=columns.layer[place],
        probability=None if columns.logit is None else probability_of(columns.logit[place]),
        pruned=columns.pruned[place],
        to_prune=None if columns.to_prune is None else columns.to_prune[place],
        links=columns.links[:, inside] - place.start,
    )


def view_of_event(event: Event, result: Result) -> PruningView:
    """Return the view of one event and its result, with truth where the event knows it.

    Raises
    ------
    DataError
        When the two do not belong together.
    """
    return view_of(columns_of([event], [result], need_truth=False), 0)
