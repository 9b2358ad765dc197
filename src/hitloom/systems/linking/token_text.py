"""Tracksters as text: every component of the candidate graph is told as the groups that it falls into.

The text of a group is SOS, its root (the trackster with the highest energy that no earlier group holds), the other
members by falling energy, EOS. Token ids: PAD 0, SOS 1, EOS 2, SEP 3 (reserved), then one token a trackster of the
component: the id of its place among them plus 4.

Shape letters: N tracksters, G groups, L tokens of a group (the longest), M tracksters of a component (the most).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hitloom.event import Event
from hitloom.grouping.components import connected_components
from hitloom.metrics.energy_overlap import match_groups
from hitloom.systems.linking.graph import edge_energy

PAD, SOS, EOS, SEP, NUM_SPECIAL = 0, 1, 2, 3, 4


@dataclass(frozen=True, kw_only=True)
class Text:
    """The groups of all components of at least two tracksters, padded.

    Attributes
    ----------
    nodes : (G, M) int64
        Rows of the component's tracksters by falling energy, -1 = none.
    taken : (G, M) bool
        Tracksters that earlier groups hold, and places without a trackster.
    tokens : (G, L) int64
        SOS, root, members ... and PAD; without EOS.
    following : (G, L) int64
        The token after each, EOS the last; PAD where there is nothing to learn (the root is given, not learned).
    """

    nodes: Tensor
    taken: Tensor
    tokens: Tensor
    following: Tensor


def component_rows(event: Event, edge_index: Tensor) -> list[Tensor]:
    """Return the rows of each component of at least two tracksters, by falling energy (the lower row on ties)."""
    labels = connected_components(edge_index.cpu(), event.num_points, min_size=2)
    order = torch.argsort(-edge_energy(event).cpu(), stable=True)
    named = labels[order]
    return [order[named == label] for label in range(int(labels.max()) + 1 if len(labels) else 0)]


def true_groups(event: Event) -> Tensor:
    """Return the true group (N,) of each trackster of an event or a batch; unmatched ones are alone."""
    return torch.from_numpy(match_groups(event.object_key().cpu().numpy()))


def tell(event: Event, edge_index: Tensor, *, max_tokens: int) -> Text:
    """Return the text of an event or a batch; a group of more than ``max_tokens`` tokens loses its lightest members."""
    truth = true_groups(event)
    nodes, taken, tokens, following = [], [], [], []
    for rows in component_rows(event, edge_index):
        group = truth[rows]
        free = torch.ones(len(rows), dtype=torch.bool)
        while bool(free.any()):
            root = int(free.nonzero()[0])
            members = ((group == group[root]) & free).nonzero()[:, 0]
            told = (members + NUM_SPECIAL).tolist()[: max_tokens - 1]
            nodes.append(rows)
            taken.append(~free)
            tokens.append(torch.tensor([SOS, *told]))
            following.append(torch.tensor([PAD, *told[1:], EOS if len(told) == len(members) else PAD]))
            free = free & (group != group[root])
    return Text(
        nodes=_padded(nodes, -1), taken=_padded(taken, True), tokens=_padded(tokens, PAD),
        following=_padded(following, PAD),
    )  # fmt: skip


def _padded(rows: list[Tensor], value: int | bool) -> Tensor:
    if not rows:
        return torch.zeros(0, 0, dtype=torch.bool if isinstance(value, bool) else torch.int64)
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)
