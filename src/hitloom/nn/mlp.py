"""Multilayer perceptron: Linear, normalisation, activation; the last Linear is never normalised.

Shape letters: I inputs, H hidden width, O outputs, leading axes (...) of any number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from hitloom.errors import ConfigError, nearest
from hitloom.nn.fused import norm_silu
from hitloom.nn.norm import MaskedBatchNorm, PlainLayerNorm

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "SiLU": nn.SiLU,
    "Tanh": nn.Tanh,
    "ReLU": nn.ReLU,
    "GELU": nn.GELU,
    "LeakyReLU": nn.LeakyReLU,
    "Sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
}


def make_activation(name: str) -> nn.Module:
    """Return the activation called ``name``.

    Raises
    ------
    ConfigError
        When the name is unknown; the message gives the nearest one.
    """
    if name not in ACTIVATIONS:
        raise ConfigError(f"activation: unknown name '{name}'.{nearest(name, ACTIVATIONS)}")
    return ACTIVATIONS[name]()


class MLP(nn.Module):
    """Linear -> normalisation -> activation, ``num_layers`` times; the last Linear -> output activation.

    Shapes: (..., I) -> (..., O).

    Parameters
    ----------
    in_dim, hidden_dim, out_dim : int
    num_layers : int
        Number of Linear layers, at least 1.
    activation, output_activation : str
        Names in :data:`ACTIVATIONS`.
    layernorm, batchnorm : bool
        Normalisations after every Linear but the last, layer normalisation first when both are asked for.
    """

    def __init__(
        self,
        *,
        in_dim: int,
        hidden_dim: int,
        out_dim: int,
        num_layers: int,
        activation: str = "SiLU",
        output_activation: str = "identity",
        layernorm: bool = True,
        batchnorm: bool = False,
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise ConfigError(f"MLP: num_layers came as {num_layers}, wanted at least 1; mend: use 1 or more")
        widths = [in_dim, *[hidden_dim] * (num_layers - 1), out_dim]
        self.linears = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.norms = nn.ModuleList()
        for width in widths[1:-1]:
            layers = [PlainLayerNorm()] if layernorm else []
            self.norms.append(nn.ModuleList([*layers, *([MaskedBatchNorm(num_channels=width)] if batchnorm else [])]))
        self.activation = make_activation(activation)
        self.output_activation = make_activation(output_activation)
        self.row_wise = not batchnorm or num_layers == 1
        self.fusible = layernorm and not batchnorm and activation == "SiLU"

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Apply all layers; ``mask`` (...) bool says which rows count in batch statistics."""
        return self.output_activation(self.body(self.linears[0](x), mask))

    def body(self, first: Tensor, mask: Tensor | None = None) -> Tensor:
        """Go on from the output of the first Linear to the output of the last one, before the output activation."""
        if len(self.linears) == 1:
            return first
        return self.linears[-1](self.hidden(first, mask))

    def hidden(self, first: Tensor, mask: Tensor | None = None) -> Tensor:
        """Go on from the output of the first of several Linears to the input of the last."""
        value = first
        for depth, norms in enumerate(self.norms):
            if depth:
                value = self.linears[depth](value)
            if self.fusible:
                value = norm_silu(value)
            else:
                for norm in norms:  # type: ignore[attr-defined]
                    value = norm(value, mask)
                value = self.activation(value)
        return value

    def split_first(self, widths: Sequence[int]) -> tuple[Tensor, ...]:
        """Return the first weight (H, I) cut along its inputs: W [a, b] = W_a a + W_b b."""
        weight: Tensor = self.linears[0].weight  # type: ignore[assignment]
        return torch.split(weight, list(widths), dim=1)
