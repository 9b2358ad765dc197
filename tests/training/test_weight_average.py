"""Weight averaging: the mean is torch's, what is validated and saved is the mean, and a stop changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from test_resume import SignalAt
from torch import nn
from training_toy import assert_same_weights, quiet, tiny_config, tiny_data

from hitloom.training.averaging import WeightAverage
from hitloom.training.checkpoint import load_checkpoint
from hitloom.training.run_config import TrainingSection
from hitloom.training.stop import StopRequested
from hitloom.training.train import train
from hitloom.training.validation import validate


def test_the_mean_is_that_of_torch():
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    peer = torch.optim.swa_utils.AveragedModel(network, use_buffers=True)
    own = WeightAverage(TrainingSection(swa_start=0.5, max_epochs=8))
    for epoch in range(8):
        network(torch.randn(16, 3))
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
        own.observe(epoch, network)
        if epoch >= 4:
            peer.update_parameters(network)
    assert own.num_epochs == 4
    last = {name: value.clone() for name, value in network.state_dict().items()}
    with own.applied(network):
        assert int(network[1].num_batches_tracked) == 8  # a counter is no weight
        for name, value in peer.module.state_dict().items():
            if name.endswith("num_batches_tracked"):
                continue
            torch.testing.assert_close(network.state_dict()[name].float(), value.float())
    for name, value in network.state_dict().items():
        assert torch.equal(value, last[name])


def test_the_averaged_weights_are_validated_and_saved(tmp_path: Path):
    config, data = tiny_config(swa_start=0.34), tiny_data()
    outcome = train(config, output=tmp_path / "mean", data=data, progress=quiet())
    plain = [tmp_path / f"plain-{epochs}" for epochs in (2, 3)]
    for epochs, folder in zip((2, 3), plain, strict=True):
        # the learning rate does not look at the number of epochs, so a shorter run is the beginning of a longer one
        train(tiny_config(max_epochs=epochs), output=folder, data=data, progress=quiet())
    ends = [load_checkpoint(folder / "checkpoints/last.ckpt").weights for folder in plain]
    saved = load_checkpoint(outcome.last)
    for name, value in saved.weights.items():
        torch.testing.assert_close(value, (ends[0][name] + ends[1][name]) / 2)
        assert torch.equal(saved.training["average"]["own"][name], ends[1][name])
    events = [(index, event) for index, event in enumerate(data.val)]
    sums = validate(saved.build_system(), events, device=torch.device("cpu"), seed=0, targets={})
    assert outcome.metrics["val_loss"] == pytest.approx(sums["loss"] / sums["num_events"], rel=1e-6)


@pytest.mark.parametrize("call", [12, 20, 25])
def test_a_stopped_and_resumed_average_equals_one_never_stopped(tmp_path: Path, call: int):
    config = tiny_config(swa_start=0.0)
    train(config, output=tmp_path / "whole", data=tiny_data(), progress=quiet())
    with pytest.raises(StopRequested):
        train(config, output=tmp_path / "cut", data=tiny_data(), progress=SignalAt(call=call))
    checkpoint = load_checkpoint(tmp_path / "cut/checkpoints/last.ckpt")
    train(config, output=tmp_path / "cut", data=tiny_data(), resume=checkpoint, progress=quiet())
    for name in ("last", "best"):
        assert_same_weights(tmp_path / f"whole/checkpoints/{name}.ckpt", tmp_path / f"cut/checkpoints/{name}.ckpt")
    ours, theirs = (load_checkpoint(tmp_path / f"{one}/checkpoints/last.ckpt").training for one in ("cut", "whole"))
    for name, value in theirs["average"]["own"].items():
        assert torch.equal(ours["average"]["own"][name], value)
