"""What the network reads of the hits: named columns, scaled for the detector; some only from an epoch on.

Columns that are appended to a preset (numbers of hits and clusters, the tier) are at first random numbers in [1, 2),
the same for all hits of a cluster, so that the network learns without them; from ``added_from_epoch`` on they are the
true ones. Until then evaluation reads 1.5 in their place: the middle of what training reads, and the same in every run.
The epoch travels with the weights, so weights that never saw the true columns do not meet them in inference either.

Shape letters: N clusters, M hits, R rows (hits, and summary rows where the columns have them), F columns.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hitloom.data.lartpc_detectors import get_detector
from hitloom.data.shower_columns import CARDINALITY, TIER, network_rows, preset_columns
from hitloom.errors import ConfigError, DataError
from hitloom.event import Event
from hitloom.systems.showers.config import InputConfig

BEFORE = 1.5  # in place of an appended column in evaluation, before the network was trained on it


class HitInputs(nn.Module):
    """Columns of the hits as the network reads them.

    Attributes
    ----------
    names : tuple of str
        All columns, those that are appended last.
    added : tuple of str
    scales : dict
        1/cm, by name.
    epoch : () int64
        Number of the epoch of training; a buffer.
    """

    epoch: Tensor

    def __init__(self, config: InputConfig) -> None:
        super().__init__()
        self.config = config
        base = config.columns if config.preset is None else preset_columns(config.preset)
        self.added = (CARDINALITY if config.cardinality else ()) + ((TIER,) if config.tier else ())
        self.names = (*(base or ()), *self.added)
        repeated = sorted({name for name in self.names if self.names.count(name) > 1})
        if repeated:
            raise ConfigError(f"model.inputs: column '{repeated[0]}' comes twice; mend: name it once")
        self.scales = dict(get_detector(config.detector).scales)
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))

    @property
    def num_inputs(self) -> int:
        """Number of columns F."""
        return len(self.names)

    @property
    def shows_added(self) -> bool:
        """Whether appended columns hold the true numbers."""
        return int(self.epoch) >= self.config.added_from_epoch

    def forward(self, event: Event) -> tuple[Tensor, Tensor]:
        """Return the rows (R, F) of all hits of an event or a batch, and the cluster (R,) of each.

        Raises
        ------
        DataError
            When a column is not in the data or not finite.
        """
        rows, cluster = network_rows(event, self.names, self.scales, replaced=self._replaced(event))
        if not bool(torch.isfinite(rows).all()):
            row, column = (~torch.isfinite(rows)).nonzero()[0].tolist()
            raise DataError(
                f"{event.describe()}: column '{self.names[column]}' of hit {row} is {float(rows[row, column])}, "
                "wanted a finite number; mend: the file, or leave the view out"
            )
        return rows, cluster

    def _replaced(self, event: Event) -> dict[str, Tensor]:
        if not self.added or self.shows_added:
            return {}
        device = event.part_x.device
        if self.training:
            return {name: 1 + torch.rand(event.num_points, device=device) for name in self.added}
        return {name: torch.full((event.num_points,), BEFORE, device=device) for name in self.added}
