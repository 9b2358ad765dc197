"""Which layer clusters of many tracksters still wait for their decision.

Shape letters: G tracksters, W most undecided layer clusters of a trackster, U all undecided, K decided in a step.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Undecided:
    """Which layer clusters wait, as a table (G, W) of their rows: those of a trackster first in its row, in order.

    Parameters
    ----------
    sizes : list of int
        Layer clusters of the tracksters, largest first, laid out one after the other.
    """

    def __init__(self, sizes: list[int], device: torch.device) -> None:
        self.left = [size for size in sizes if size]
        self.sizes = list(self.left)
        width = self.left[0] if self.left else 0
        size = torch.tensor(self.left, dtype=torch.int64, device=device)
        self.table = (size.cumsum(0) - size)[:, None] + torch.arange(width, device=device)
        self._set_mask()

    def _set_mask(self) -> None:
        """Note which places of the table hold a waiting layer cluster; None = all."""
        self.num_rows = sum(self.left)
        self.num_live_nodes = sum(self.sizes)
        left = torch.tensor(self.left, dtype=torch.int64, device=self.table.device)
        self.first = left.cumsum(0) - left  # where in the list of the waiting a trackster begins
        self.mask: Tensor | None = None
        if self.left and self.left[-1] != self.left[0]:
            self.mask = torch.arange(self.left[0], device=self.table.device) < left[:, None]

    def rows(self) -> Tensor:
        """Return the waiting layer clusters (U,), trackster by trackster."""
        return self.table.reshape(-1) if self.mask is None else self.table[self.mask]

    def spread(self, values: Tensor) -> Tensor:
        """Return values (U,) as a table (G, W), minus infinity in the empty places."""
        if self.mask is None:
            return values.reshape(self.table.shape)
        return values.new_full(self.table.shape, -torch.inf).masked_scatter(self.mask, values)

    def gather(self, table: Tensor) -> Tensor:
        """Return the filled places (U,) of a table (G, W)."""
        return table.reshape(-1) if self.mask is None else table[self.mask]

    def pick(self, confidence: Tensor, num: int) -> tuple[Tensor, Tensor]:
        """Choose the ``num`` most confident of each trackster: places (K,) in the list of the waiting, and rows (K,).

        Of equal ones the first.
        """
        self.num = min(num, self.left[0])
        if self.num == 1:
            column = confidence.argmax(1, keepdim=True)
        else:
            column = confidence.argsort(dim=1, descending=True, stable=True)[:, : self.num]
        self.column = column
        place, row = self.first[:, None] + column, self.table.gather(1, column)
        if self.left[-1] >= self.num:
            return place.reshape(-1), row.reshape(-1)
        left = torch.tensor(self.left, device=column.device)
        real = torch.arange(self.num, device=column.device) < left[:, None]
        return place[real], row[real]

    def remove(self) -> None:
        """Take the last choice out; tracksters without a waiting layer cluster leave."""
        self.left = [left - self.num for left in self.left if left > self.num]
        self.sizes = self.sizes[: len(self.left)]
        num_live, width = len(self.left), self.table.shape[1] - self.num
        table, column = self.table[:num_live], self.column[:num_live]
        if self.num == 1:
            place = torch.arange(width, device=table.device)
            self.table = table.gather(1, place + (place >= column))
        else:
            gone = torch.zeros_like(table, dtype=torch.bool).scatter_(1, column, True)
            rest = gone.to(torch.uint8).argsort(dim=1, stable=True)[:, :width]
            self.table = table.gather(1, rest)
        if self.left:
            self.table = self.table[:, : self.left[0]]
        self._set_mask()
