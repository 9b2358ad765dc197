"""The joint probability of the diamond set: decisions made one after the other learn it, marginals cannot."""

import pytest
import torch
from torch_geometric.data import Batch

from hitloom.config import build
from hitloom.systems.pruning import Pruning, PruningConfig
from pruning_toy import diamond

NUM_TRAINED, NUM_DRAWN = 2400, 2000
MODEL = {
    "hidden": 32, "num_gnn_layers": 2, "heads": "shallow", "head_dropout": 0.0,
    "features": {"kind": "legacy", "context": True},
}  # fmt: skip


def trained(mode: str, num_epochs: int, batch_size: int = 80) -> Pruning:
    """Return a network trained on the diamond set, at a rate that falls to zero."""
    torch.manual_seed(0)
    events = [diamond(seed) for seed in range(NUM_TRAINED)]
    system = Pruning(build(PruningConfig, {"mode": mode, **MODEL}))
    system.fit_inputs(events)
    optimiser = torch.optim.AdamW(system.parameters(), 2e-2)
    batches = [Batch.from_data_list(events[at : at + batch_size]) for at in range(0, NUM_TRAINED, batch_size)]
    num_steps = num_epochs * len(batches)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / num_steps)
    for _ in range(num_epochs):
        for batch in batches:
            optimiser.zero_grad()
            system.loss(system(batch), batch).total.backward()
            optimiser.step()
            schedule.step()
    return system.eval()


def drawn(system: Pruning) -> torch.Tensor:
    """Return one draw (NUM_DRAWN, 4) for each of as many graphs that the network has not seen."""
    batch = Batch.from_data_list([diamond(10**6 + seed) for seed in range(NUM_DRAWN)])
    return system.sample(batch, 1, torch.Generator().manual_seed(1)).reshape(-1, 4)


def shares(draws: torch.Tensor) -> dict[str, float]:
    """Return the shares of the four states of nodes 0 and 3."""
    first, last = draws[:, 0], draws[:, 3]
    states = {"none": ~first & ~last, "only 3": ~first & last, "both": first & last, "only 0": first & ~last}
    return {name: float(state.float().mean()) for name, state in states.items()}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_decisions_that_know_of_each_other_learn_the_joint_probability():
    draws = drawn(trained("autoregressive", 24))
    found = shares(draws)
    assert found["none"] < 0.03
    # three standard deviations of the draws, and 0.03 for what the training leaves
    for name, wanted in {"only 3": 0.64, "both": 0.16, "only 0": 0.20}.items():
        assert found[name] == pytest.approx(wanted, abs=3 * (wanted * (1 - wanted) / NUM_DRAWN) ** 0.5 + 0.03)
    assert float((draws[:, 1] | draws[:, 2]).float().mean()) < 0.01


def test_marginals_cannot_however_good_they_are():
    draws = drawn(trained("one_pass", 8))
    found = shares(draws)
    assert found["none"] == pytest.approx(0.128, abs=0.04)
    assert found["none"] + found["only 3"] == pytest.approx(0.64, abs=0.06)  # marginals are right
    assert found["none"] + found["only 0"] == pytest.approx(0.2, abs=0.06)
