"""What the encoder makes of the columns of a hit before anything else: lengths in reach, waves of positions, angles.

The published scales divide lengths by those of the whole detector, so a centimetre is a thousandth, and a network is
slow to learn what lies between neighbours. The expansion is part of the encoder: whoever calls it gives the published
columns.

- every length in units in which hits of a view differ by about one (:data:`UNITS`);
- sines and cosines of x, z and r with wavelengths of :data:`LONGEST` cm, half of it, a quarter ... (positions as in
  arXiv:1706.03762);
- cos and sin of twice, four times ... the angle of the hit at the vertex.

Shape letters: M hits, F columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from hitloom.data.shower_columns import column
from hitloom.errors import ConfigError
from hitloom.nn.point_inputs import fourier_terms

UNITS: dict[str, float] = {"r": 100.0, "x": 100.0, "z": 100.0, "x_gap": 100.0, "x_width": 1.0, "pitch": 1.0}
"""cm that become 1."""
LONGEST = 1024.0
"""cm; the longest wavelength of positions."""
NUM_ANGLES = 5
WAVES = ("r", "x", "z")


class HitExpansion(nn.Module):
    """Columns of hits and what is made of them. Shapes: (M, F) or (1, M, F) -> the same with ``num_outputs`` columns.

    Parameters
    ----------
    names : sequence of str
        The columns F.
    scales : mapping
        1/cm of the detector, by name.
    num_waves : int
        Wavelengths of positions.

    Raises
    ------
    ConfigError
        When a column that is expanded is not among the names.
    """

    if TYPE_CHECKING:  # TorchScript reads annotations of a class and does not know these
        unit: Tensor
        position: Tensor

    def __init__(self, names: Sequence[str], scales: Mapping[str, float], *, num_waves: int) -> None:
        super().__init__()
        missing = [name for name in (*WAVES, "cos", "sin") if name not in names]
        if missing:
            raise ConfigError(
                f"model.inputs.num_waves: column '{missing[0]}' is needed; mend: inputs.preset 7, 8, 9 or 10"
            )
        known = [column(name).scale if name in UNITS else None for name in names]
        unit = [
            1.0 if scale is None else 1 / (scales[scale] * UNITS[name])
            for name, scale in zip(names, known, strict=True)
        ]
        self.num_waves, self.num_angles = num_waves, NUM_ANGLES
        self.cos, self.sin = names.index("cos"), names.index("sin")
        self.register_buffer("unit", torch.tensor(unit), persistent=False)
        self.register_buffer("position", torch.tensor([names.index(name) for name in WAVES]), persistent=False)
        self.turn = 2 * UNITS["x"] / LONGEST  # positions in units of half the longest wavelength
        self.num_outputs = len(names) + 2 * (len(WAVES) * num_waves + NUM_ANGLES)

    def forward(self, columns: Tensor) -> Tensor:
        """Return the columns, the waves and the angles."""
        flat = columns.reshape(-1, columns.shape[-1]) * self.unit
        parts = [flat, fourier_terms(flat.index_select(1, self.position) * self.turn, self.num_waves)]
        cos, sin = flat[:, self.cos], flat[:, self.sin]
        for _ in range(self.num_angles):
            cos, sin = cos * cos - sin * sin, 2 * cos * sin
            parts += [torch.stack([cos, sin], 1)]
        out = torch.cat(parts, 1)
        return out if columns.ndim == 2 else out.view(columns.shape[0], columns.shape[1], self.num_outputs)
