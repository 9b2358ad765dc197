"""The mode ``tree``: decisions by an exact Markov model on the links of each trackster.

The loss is the negative log-likelihood of the true decisions of a trackster over its number of layer clusters, mean
over tracksters; the likelihood is the sum over configurations of states that agree with the truth, over that of all. A
class weight would make it another model than the one that is normalised, so there is none: the balance is a matter of
the threshold, chosen afterwards.

Shape letters: N layer clusters, E links, S samples, K states.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hitloom.event import Event
from hitloom.losses.base import Loss
from hitloom.nn.tree_markov import log_partition, map_configuration, sample
from hitloom.result import Scores
from hitloom.systems.pruning.config import PruningConfig
from hitloom.systems.pruning.inputs import TracksterNodes
from hitloom.systems.pruning.modes import Mode
from hitloom.systems.pruning.objective import mean_over_graphs
from hitloom.systems.pruning.tree import TreeModel, event_forest, keep_logit


class Tree(Mode):
    """See the module.

    Parameters
    ----------
    config : PruningConfig
    """

    def __init__(self, config: PruningConfig) -> None:
        super().__init__(config)
        self.model = TreeModel(config=config, num_inputs=self.inputs.num_inputs)

    def forward(self, event: Event) -> Scores:
        """Return the keep logit of the marginal probability of each layer cluster, and the potentials.

        ``own``: ``phi`` (N, K) and ``psi`` (E, K, K); where the likeliest configuration decides also its decisions,
        ``pruned`` (N,) bool.

        Raises
        ------
        DataError
            When the links of a trackster are no forest.
        """
        forest = event_forest(event)
        phi, psi = self.potentials(event)
        own = {"phi": phi, "psi": psi}
        with torch.no_grad():
            point_score = keep_logit(phi, psi, forest)
            if self.config.tree.decode == "map":
                own["pruned"] = is_prune_state(map_configuration(phi, psi, forest), phi)
        return Scores(point_score=point_score, own=own)

    def potentials(self, event: Event) -> tuple[Tensor, Tensor]:
        """Return phi (N, K) and psi (E, K, K) of an event or a batch."""
        nodes = TracksterNodes.of(event)
        phi, psi = self.model(self.inputs(nodes), nodes.edge_index)
        return phi.float(), psi.float()

    def loss(self, scores: Scores, event: Event) -> Loss:
        """Return the part ``likelihood``."""
        forest, phi, psi = event_forest(event), scores.own["phi"], scores.own["psi"]
        prune = is_prune_state(torch.arange(phi.shape[1], device=phi.device), phi)
        untrue = prune[None, :] != (event.point_y > 0.5)[:, None]
        missing = log_partition(phi, psi, forest) - log_partition(phi.masked_fill(untrue, -torch.inf), psi, forest)
        size = torch.bincount(forest.graph, minlength=forest.num_graphs)
        part = mean_over_graphs(missing / size.clamp(min=1), size)
        return Loss(parts={"likelihood": part}, counts={"likelihood": event.num_points})

    def sample(self, event: Event, num_samples: int, generator: torch.Generator) -> Tensor:
        """Draw from the joint probability of all decisions, exactly."""
        with torch.inference_mode():
            phi, psi = self.potentials(event)
            states = sample(phi, psi, event_forest(event), num_samples=num_samples, generator=generator)
            return is_prune_state(states, phi).cpu()


def is_prune_state(states: Tensor, phi: Tensor) -> Tensor:
    """Return which states (...) are those of pruning, the second half of the columns of ``phi`` (N, K)."""
    return states >= phi.shape[1] // 2
