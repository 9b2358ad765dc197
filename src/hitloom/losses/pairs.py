"""Pairs of points: which belong together, and how random ones are drawn.

Shape letters: N points, P pairs, B events.
"""

from __future__ import annotations

import torch
from torch import Tensor


def same_object(key: Tensor, pairs: Tensor) -> Tensor:
    """Whether both points of a pair belong to the same true object; noise belongs to none, itself included.

    Parameters
    ----------
    key : (N,) int64
        Object of each point, -1 = noise (:meth:`hitloom.event.Event.object_key`); compared as integers.
    pairs : (2, P) int64

    Returns
    -------
    (P,) bool

    Examples
    --------
    >>> same_object(torch.tensor([5, 5, -1]), torch.tensor([[0, 0, 2], [1, 2, 2]])).tolist()
    [True, False, False]
    """
    first, second = key[pairs[0]], key[pairs[1]]
    return (first == second) & (first >= 0)


def random_pairs(num_points: int, num_pairs: int, *, generator: torch.Generator) -> Tensor:
    """Draw ordered pairs uniformly with replacement: (2, P) int64 on the CPU, (2, 0) without points.

    A point may meet itself, as in the published loss.
    """
    if num_points == 0:
        return torch.zeros(2, 0, dtype=torch.int64)
    return torch.randint(num_points, (2, num_pairs), generator=generator)


def partner_pairs(key: Tensor, *, generator: torch.Generator) -> Tensor:
    """Pair every point of an object with a point drawn uniformly from its own object (itself possible).

    Parameters
    ----------
    key : (N,) int64
        Object of each point, -1 = noise; noise gets no pair.

    Returns
    -------
    (2, P) int64, P = points with an object.
    """
    order = torch.argsort(key, stable=True)
    ordered = key[order].contiguous()
    first = torch.searchsorted(ordered, ordered)
    size = torch.searchsorted(ordered, ordered, right=True) - first
    draw = torch.rand(len(key), generator=generator, dtype=torch.float64).to(key.device)
    partner = first + torch.minimum((draw * size).long(), size - 1)
    member = ordered >= 0
    return torch.stack([order[member], order[partner[member]]])


def seeded_generator(*numbers: int) -> torch.Generator:
    """Return a CPU generator whose seed mixes all the numbers, for example (seed, step, event).

    The same numbers give the same draws on every machine, so a resumed run draws what the killed one would have.
    """
    state = 0x9E3779B97F4A7C15
    for number in numbers:  # splitmix64 over the sequence
        state = (state ^ (number & 0xFFFFFFFFFFFFFFFF)) & 0xFFFFFFFFFFFFFFFF
        state = (state + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return torch.Generator().manual_seed(state >> 1)
