"""The network of the tree mode: it gives potentials of nodes and links, and everything else is exact.

The links of CLUE3D make every trackster a tree, so the joint probability of all decisions can be written down with its
normalisation: phi = Linear(d, 2 M)(h) for the states of a layer cluster, psi = Linear(2 d, 4 M^2)(h_follower, h_leader)
for those at the ends of a link (:mod:`hitloom.nn.tree_markov`). The first M states are those of keeping, the others
those of pruning; M = 1 is the published model, where states are decisions.

Shape letters: N points, E links, G tracksters, F features, M hidden states of a decision, K = 2 M states, d width.
"""

from __future__ import annotations

from torch import Tensor, nn

from hitloom.event import Event
from hitloom.nn.dropout import dropout
from hitloom.nn.forest import Forest
from hitloom.nn.tree_markov import log_marginals
from hitloom.systems.pruning.backbones import make_backbone
from hitloom.systems.pruning.config import PruningConfig
from hitloom.systems.pruning.network import initial_layers


class TreeModel(nn.Module):
    """Features -> potentials.

    Shapes: x (N, F), edge_index (2, E), leader above follower -> phi (N, K), psi (E, K, K) by (state of the follower,
    state of the leader).

    Parameters
    ----------
    config : PruningConfig
    num_inputs : int
        Number F of features.
    """

    def __init__(self, *, config: PruningConfig, num_inputs: int) -> None:
        super().__init__()
        dim = config.hidden
        self.dropout = config.tree.dropout
        self.initial = initial_layers(num_inputs=num_inputs, width=dim, norm=config.norm)
        self.backbone = make_backbone(dim=dim, config=config.tree)
        self.num_states = 2 * config.tree.num_states
        self.node = nn.Linear(dim, self.num_states)
        self.follower = nn.Linear(dim, self.num_states**2)
        self.leader = nn.Linear(dim, self.num_states**2, bias=False)

    def forward(self, x: Tensor, edge_index: Tensor) -> tuple[Tensor, Tensor]:
        h = self.backbone(self.initial(x), edge_index)
        h = dropout(h, self.dropout, self.training)
        leader, follower = edge_index
        # the Linear of a pair is the sum of two projections of nodes
        pair = self.follower(h).index_select(0, follower) + self.leader(h).index_select(0, leader)
        return self.node(h), pair.view(-1, self.num_states, self.num_states)


def event_forest(event: Event) -> Forest:
    """Return the links of an event or a batch as a forest.

    Raises
    ------
    DataError
        Naming the event, when its links are no forest.
    """
    batch = event.get("batch")
    return Forest.from_links(
        event.edge_index, event.num_points, graph=batch, num_graphs=1 if batch is None else int(event.num_graphs),
        describe=lambda graph: _describe(event, graph),
    )  # fmt: skip


def _describe(event: Event, graph: int) -> str:
    """Return the name of one event of a batch."""
    if event.get("batch") is None:
        return event.describe()
    source, number = (event.get(name) for name in ("source", "event_id"))
    name = source[graph] if isinstance(source, list) else source or "event"
    return str(name) if number is None else f"{name}[event {int(number[graph])}]"


def keep_logit(phi: Tensor, psi: Tensor, forest: Forest) -> Tensor:
    """Return the logit (N,) of the marginal probability that a layer cluster belongs to its trackster."""
    logits = by_decision(log_marginals(phi, psi, forest))
    return logits[:, 0] - logits[:, 1]


def by_decision(log_p: Tensor) -> Tensor:
    """Return the logarithm of the probability of keeping and of pruning (N, 2) from those of the states (N, K)."""
    return log_p.unflatten(1, (2, log_p.shape[1] // 2)).logsumexp(2)
