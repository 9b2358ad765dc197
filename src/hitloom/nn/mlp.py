"""Multilayer perceptron: Linear, normalisation, activation; the last Linear is bare unless asked otherwise.

Shape letters: I inputs, H hidden width, O outputs, leading axes (...) of any number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from hitloom.errors import ConfigError, nearest
from hitloom.nn.dropout import dropout
from hitloom.nn.fused import norm_silu
from hitloom.nn.norm import AffineLayerNorm, MaskedBatchNorm, PlainLayerNorm

LayerNorm = Literal["affine", "plain", "none"]

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


def pyramid(hidden_dim: int, num_layers: int) -> tuple[int, ...]:
    """Return the hidden widths of a pyramid, each half of the one before.

    Examples
    --------
    >>> pyramid(1024, 4)
    (1024, 512, 256, 128)
    """
    widths = tuple(hidden_dim >> depth for depth in range(num_layers))
    if not widths or widths[-1] < 1:
        raise ConfigError(
            f"pyramid: {num_layers} layers from width {hidden_dim} came, wanted at least one layer and widths of at "
            "least 1; mend: fewer layers, or a larger width"
        )
    return widths


class MLP(nn.Module):
    """Linear -> normalisation -> activation, ``num_layers`` times; the last Linear -> output activation.

    Shapes: (..., I) -> (..., O).

    Parameters
    ----------
    in_dim, out_dim : int
    hidden_dim : int or sequence of int
        One width for all hidden layers, or the width of each.
    num_layers : int, optional
        Number of Linear layers, at least 1. Not given when ``hidden_dim`` lists the widths.
    activation, output_activation : str
        Names in :data:`ACTIVATIONS`.
    layernorm, batchnorm : bool
        Normalisations after every Linear but the last, layer normalisation first when both are asked for.
    affine : bool
        Layer normalisation has a scale and a shift for each channel (published: Exa.TrkX has, acorn and EggNet not).
    normalise_output : bool
        The last Linear is normalised too, before the output activation.
    dropout : float
        After every hidden activation.
    """

    def __init__(
        self,
        *,
        in_dim: int,
        hidden_dim: int | Sequence[int],
        out_dim: int,
        num_layers: int | None = None,
        activation: str = "SiLU",
        output_activation: str = "identity",
        layernorm: bool = True,
        batchnorm: bool = False,
        affine: bool = False,
        normalise_output: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        widths = [in_dim, *_hidden_widths(hidden_dim, num_layers), out_dim]
        self.linears = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.norms = nn.ModuleList()
        for width in widths[1:] if normalise_output else widths[1:-1]:
            layers: list[nn.Module] = []
            if layernorm:
                layers.append(AffineLayerNorm(num_channels=width) if affine else PlainLayerNorm())
            if batchnorm:
                layers.append(MaskedBatchNorm(num_channels=width))
            self.norms.append(nn.ModuleList(layers))
        self.activation = make_activation(activation)
        self.output_activation = make_activation(output_activation)
        self.dropout = dropout
        self.affine = affine and layernorm
        self.row_wise = not (batchnorm and len(self.norms))
        names = {activation, output_activation}
        self.fits_rows = not batchnorm and not dropout and names <= {"SiLU", "ReLU", "Tanh", "Sigmoid", "identity"}
        self.fusible = layernorm and not affine and not batchnorm and activation == "SiLU" and not dropout

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Apply all layers; ``mask`` (...) bool says which rows count in batch statistics."""
        return self.after_first(self.linears[0](x), mask)

    def after_first(self, first: Tensor, mask: Tensor | None = None) -> Tensor:
        """Go on from the output of the first Linear to the end."""
        return self.output_activation(self.body(first, mask))

    def body(self, first: Tensor, mask: Tensor | None = None) -> Tensor:
        """Go on from the output of the first Linear to what enters the output activation."""
        last = first if len(self.linears) == 1 else self.linears[-1](self.hidden(first, mask))
        if len(self.norms) == len(self.linears):
            for norm in self.norms[-1]:  # type: ignore[attr-defined]
                last = norm(last, mask)
        return last

    def hidden(self, first: Tensor, mask: Tensor | None = None) -> Tensor:
        """Go on from the output of the first of several Linears to the input of the last."""
        value = first
        for depth in range(len(self.linears) - 1):
            if depth:
                value = self.linears[depth](value)
            if self.fusible:
                value = norm_silu(value)
            else:
                for norm in self.norms[depth]:  # type: ignore[attr-defined]
                    value = norm(value, mask)
                value = self.activation(value)
                if self.dropout:
                    value = dropout(value, self.dropout, self.training)
        return value

    def split_first(self, widths: Sequence[int]) -> tuple[Tensor, ...]:
        """Return the first weight (H, I) cut along its inputs: W [a, b] = W_a a + W_b b."""
        weight: Tensor = self.linears[0].weight  # type: ignore[assignment]
        return torch.split(weight, list(widths), dim=1)


def _hidden_widths(hidden_dim: int | Sequence[int], num_layers: int | None) -> list[int]:
    if isinstance(hidden_dim, int):
        if num_layers is None or num_layers < 1:
            raise ConfigError(f"MLP: num_layers came as {num_layers}, wanted at least 1; mend: use 1 or more")
        return [hidden_dim] * (num_layers - 1)
    if num_layers is not None and num_layers != len(hidden_dim) + 1:
        raise ConfigError(
            f"MLP: num_layers came as {num_layers} with {len(hidden_dim)} hidden widths, wanted "
            f"{len(hidden_dim) + 1}; mend: leave num_layers out"
        )
    return list(hidden_dim)
