"""Parts of a network that are optimised apart: a learning rate, a bound and a norm of the gradient for each.

A system says which by ``parameter_groups() -> [(name, parameters, factor), ...]``: names of its own, every parameter in
exactly one of them, the rate as a multiple of ``training.lr``. Without that method all parameters are one part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hitloom.systems.base import System
from hitloom.training.run_config import TrainingSection


@dataclass(frozen=True, kw_only=True)
class Part:
    """Parameters with one learning rate, ``factor`` times that of the run; ``name`` is empty for the only part."""

    name: str
    parameters: list[nn.Parameter]
    factor: float = 1.0


def parts_of(system: System) -> list[Part]:
    """Return the parts of a system.

    Raises
    ------
    ValueError
        When a parameter of the system is in no part, or in two.
    """
    groups = getattr(system, "parameter_groups", None)
    if groups is None:
        return [Part(name="", parameters=list(system.parameters()))]
    parts = [Part(name=name, parameters=list(own), factor=float(factor)) for name, own, factor in groups()]
    found = [id(parameter) for part in parts for parameter in part.parameters]
    wanted = {id(parameter) for parameter in system.parameters()}
    if len(found) != len(set(found)) or set(found) != wanted:
        raise ValueError(f"parameter_groups of '{system.name}': every parameter in exactly one group was wanted")
    return parts


def make_optimizer(parts: list[Part], config: TrainingSection) -> torch.optim.Optimizer:
    """Return the optimiser as configured, one group for each part; the rates are set before each step."""
    kind = torch.optim.Adam if config.optimizer == "Adam" else torch.optim.AdamW
    return kind(
        [{"params": part.parameters} for part in parts],
        lr=config.lr,
        betas=config.betas,
        eps=config.eps,
        weight_decay=config.weight_decay,
        amsgrad=config.amsgrad,
    )


def clip_gradients(parts: list[Part], config: TrainingSection) -> dict[str, Tensor]:
    """Clip as configured and return the norms before: of all under an empty name, of each part under its own.

    Empty when nothing asks for a norm: no bound, and a network of one part.
    """
    if config.gradient_clip is None and config.max_gradient_norm is None and len(parts) == 1:
        return {}
    clip = math.inf if config.gradient_clip is None else config.gradient_clip
    norms = {part.name: torch.nn.utils.get_total_norm(_gradients(part)) for part in parts}
    whole = torch.stack(list(norms.values())).square().sum().sqrt() if len(parts) > 1 else norms[parts[0].name]
    for part in parts:
        norm = norms[part.name] if config.gradient_clip_per_group else whole
        torch.nn.utils.clip_grads_with_norm_(part.parameters, clip, norm)
    return norms | {"": whole}


def _gradients(part: Part) -> list[Tensor]:
    return [parameter.grad for parameter in part.parameters if parameter.grad is not None]
