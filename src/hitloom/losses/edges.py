"""Weighted binary cross-entropy of edges.

Positives are signal edges; negatives are false edges, and true ones that a rule declares background. An edge of weight
0 is masked. ``proportional``: the weighted sum over all edges divided by their number. ``equal``: the mean over the
positives plus the mean over the negatives. ``pos_weight`` multiplies the positives (Exa.TrkX, arXiv:2103.06995; acorn).

Shape letters: E edges.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from hitloom.losses.base import Loss

Balance = Literal["proportional", "equal"]


def edge_loss(
    logit: Tensor, signal: Tensor, *, weight: Tensor | None = None, pos_weight: float = 1.0, balance: Balance = "equal"
) -> Loss:
    """Return the parts ``edge_positive`` and ``edge_negative``, their sum being the loss.

    Parameters
    ----------
    logit : (E,) float
        Before the sigmoid; computed in float32.
    signal : (E,) bool
    weight : (E,) float32, not negative, or None
        0 masks an edge.
    pos_weight : float
        Factor of the positives.
    balance : str
        ``proportional`` or ``equal``.
    """
    weight = torch.ones(logit.shape, dtype=torch.float32, device=logit.device) if weight is None else weight
    value = binary_cross_entropy_with_logits(logit.float(), signal.float(), reduction="none") * weight
    counted = weight > 0
    num = {"edge_positive": int((signal & counted).sum()), "edge_negative": int((~signal & counted).sum())}
    everything = sum(num.values())
    parts = {
        name: torch.where(chosen, value, 0.0).sum() / max(1, everything if balance == "proportional" else num[name])
        for name, chosen in (("edge_positive", signal), ("edge_negative", ~signal))
    }
    return Loss(parts=parts, weights={"edge_positive": pos_weight}, counts=num)
