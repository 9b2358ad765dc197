"""The tree model learns which decisions come together: the diamond set on a tree of its links.

The links are 0-1, 1-2 and 1-3. Whatever node 0 and node 3 have to do with each other passes through node 1, which is
never pruned. A model with one state for each decision cannot pass it on: given node 1, both ends are independent. With
two states it can.
"""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch

from hitloom.config import build
from hitloom.event import Event
from hitloom.systems.pruning.config import PruningConfig
from hitloom.systems.pruning.tree_mode import Tree
from pruning_toy import diamond

NUM_TRAIN, NUM_TEST, NUM_DRAWS = 128, 400, 25
FEATURES = {"kind": "legacy", "recentre": False, "clip_time": False}
TRUTH = {"none": 0.0, "only 3": 0.64, "both": 0.16, "only 0": 0.2}


def on_a_tree(seed: int) -> Event:
    event = diamond(seed)
    event.edge_index = event.edge_index[:, :3]
    return event


def redrawn(batch: Event, generator: torch.Generator) -> None:
    """Give the graphs of a batch new features and labels by the law of the diamond set."""
    num_graphs = batch.num_points // 4
    x = torch.randn(num_graphs, 4, batch.x.shape[1], generator=generator)
    x[:, [0, 3]] *= 2
    chance = torch.rand(num_graphs, 2, generator=generator)
    three = chance[:, 0] < 0.8
    zero = ~three | (chance[:, 1] < 0.2)
    never = torch.zeros_like(three)
    batch.x = x.flatten(0, 1)
    batch.point_y = torch.stack([zero, never, never, three], 1).float().flatten()


def trained(num_states: int, num_steps: int) -> Tree:
    torch.manual_seed(0)
    tree = {"num_states": num_states, "num_steps": 3, "num_message_layers": 2, "dropout": 0.0}
    model = Tree(build(PruningConfig, {"mode": "tree", "hidden": 32, "tree": tree, "features": FEATURES}))
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
    batch = Batch.from_data_list([on_a_tree(seed) for seed in range(NUM_TRAIN)])
    generator = torch.Generator().manual_seed(1)
    for _ in range(num_steps):
        redrawn(batch, generator)
        optimizer.zero_grad()
        model.loss(model(batch), batch).total.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


@pytest.fixture(scope="module")
def test_set() -> Event:
    return Batch.from_data_list([on_a_tree(10_000 + seed) for seed in range(NUM_TEST)])


def shares(model: Tree, batch: Event, *, joint: bool) -> dict[str, float]:
    """Share of each state of nodes 0 and 3 among drawn decisions; ``joint`` = False: every node by itself."""
    generator = torch.Generator().manual_seed(2)
    if joint:
        drawn = model.sample(batch, NUM_DRAWS, generator)
    else:
        with torch.no_grad():
            drawn = torch.rand(NUM_DRAWS, batch.num_points, generator=generator) < (-model(batch).point_score).sigmoid()
    zero, one, two, three = drawn.unflatten(1, (-1, 4)).unbind(2)
    rest = one | two
    states = {"none": ~zero & ~three & ~rest, "only 3": three & ~zero, "both": zero & three, "only 0": zero & ~three}
    return {name: float(mask.double().mean()) for name, mask in states.items()}


def test_joint_samples_have_the_four_states_of_the_diamond(test_set: Event):
    model = trained(num_states=2, num_steps=400)
    found = shares(model, test_set, joint=True)
    assert found["none"] < 0.03
    for name, share in TRUTH.items():
        assert found[name] == pytest.approx(share, abs=0.06), name
    alone = shares(model, test_set, joint=False)
    assert alone["none"] > 0.09  # 0.2 * 0.64 = 0.128 from the marginal probabilities of the law


def test_one_state_for_each_decision_cannot_pass_the_middle(test_set: Event):
    model = trained(num_states=1, num_steps=150)
    assert shares(model, test_set, joint=True)["none"] > 0.09
