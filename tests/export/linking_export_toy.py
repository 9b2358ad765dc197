"""A linking network with random weights whose cuts split toy events into groups of many sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from hitloom.event import Event
from hitloom.systems.linking import Linking, LinkingConfig
from trackster_toy import toy_trackster_event


def toy_events() -> list[Event]:
    """Events of both endcaps: with pile-up, of one particle, of one trackster, of none."""
    sizes = [{}, {"num_particles": 8, "num_pileup": 6}, {"num_particles": 1}, {"num_particles": 1, "pieces": 1}]
    events = [toy_trackster_event(seed, **size) for seed, size in enumerate([*sizes, {"num_particles": 0}])]
    assert [event.num_points for event in events[-2:]] == [1, 0]
    return events


def with_cuts(config: LinkingConfig, events: Sequence[Event]) -> Linking:
    """Return a fitted network of this configuration, cut in the middle of the scores: two cuts, by energy."""
    torch.manual_seed(3)
    trial = Linking(config)
    trial.fit_inputs([event for event in events if event.num_points])
    *_, weight, bias = trial.network.output.parameters()
    with torch.no_grad():
        for parameter in trial.network.parameters():
            parameter.mul_(2.0)  # else random networks hardly look at their inputs
        trial.eval()

        def logits() -> torch.Tensor:
            return torch.cat([trial(event).scored_edges()[1] for event in events])

        bias.sub_(logits().mean())
        factor = 1.5 / logits().std()
        weight.mul_(factor)
        bias.mul_(factor)
        scores = logits().sigmoid().sort().values
    low, high = (middle_of_a_gap(scores, share) for share in (0.7, 0.85))
    cuts = {"energy_cuts": ((20.0, low), (math.inf, high))}
    system = Linking(LinkingConfig.model_validate(config.model_dump() | cuts))
    system.load_state_dict(trial.state_dict())
    return system.eval()


def middle_of_a_gap(scores: torch.Tensor, share: float) -> float:
    """Return a cut near this quantile that no score is close to."""
    first = int(share * (len(scores) - 20))
    gaps = scores[first + 1 : first + 20] - scores[first : first + 19]
    at = first + int(gaps.argmax())
    return float((scores[at] + scores[at + 1]) / 2)
