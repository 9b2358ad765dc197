"""A shower growing network with random weights that groups toy views into some groups of many sizes."""

from __future__ import annotations

import torch

from hitloom.config import build
from hitloom.event import Event
from hitloom.systems.showers.config import ShowersConfig
from hitloom.systems.showers.system import Showers
from shower_toy import toy_view

SMALL = {
    "encoder": {"embedding": 8, "hidden": 16, "num_heads": 4, "num_inducing": 4, "depth": 1},
    "attention": {"embedding": 8, "hidden": 16, "num_heads": 4, "num_inducing": 4, "depth": 1},
    "similarity": {"hidden": 24},
}


def toy_views(**options: bool) -> list[Event]:
    """Views of all three kinds, of many clusters, of one cluster and of none."""
    sizes = ((30, 4), (45, 5), (12, 6), (1, 6), (0, 6))
    return [toy_view(num, seed, view=view, **options) for seed, (num, view) in enumerate(sizes)]


def readable_views(system: Showers) -> list[Event]:
    """Toy views with the columns of hits that this network reads."""
    names = system.inputs.names
    return toy_views(gaps="x_gap" in names, volumes="volume_00" in names)


def make_showers(*, inputs: dict[str, object] | None = None, **changes: object) -> Showers:
    """Return a network whose similarities are spread around one half: about a quarter of the pairs is above."""
    torch.manual_seed(7)
    model = SMALL | {"inputs": {"preset": 8, "added_from_epoch": 0} | (inputs or {})} | changes
    system = Showers(build(ShowersConfig, model)).eval()
    head = system.network.similarity.pair[2]
    with torch.no_grad():
        for name, parameter in system.named_parameters():
            if name.endswith("weight"):
                parameter.mul_(1.6)  # else random networks hardly look at their inputs
        values = torch.cat([_pairs(system, event) for event in readable_views(system)[:3]])
        factor = 3.0 / values.std()
        head.weight.mul_(factor)
        head.bias.copy_((head.bias - values.quantile(0.75)) * factor)
    return system


def _pairs(system: Showers, event: Event) -> torch.Tensor:
    logit = system(event).own["logit"].view(event.num_points, -1)
    row, column = torch.triu_indices(event.num_points, event.num_points, 1)
    return logit[row, column]
