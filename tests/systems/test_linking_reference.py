"""Weights of the original code: matched by order and shape, refused in one line where they do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from linking_oracle import plain_forward
from torch import nn

from hitloom.cli.main import run
from hitloom.config import build
from hitloom.data.trackster_features import NODE_FEATURES
from hitloom.errors import CheckpointError
from hitloom.systems.linking import Linking, LinkingConfig
from hitloom.systems.linking.reference import import_weights
from hitloom.training.checkpoint import load_checkpoint
from trackster_toy import toy_trackster_event

OLD = {
    "hidden": 12,
    "edge_hidden": 8,
    "num_iterations": 2,
    "legacy_self_loops": True,
    "inputs": {"missing_time": "keep"},
}
OLD_PUNET = OLD | {"network": "punet", "attention": {"num_heads": 4, "num_layers": 2}, "loss": {"pu_weight": 0.0}}


def as_stored(system: Linking) -> dict[str, torch.Tensor]:
    """Return the weights under other names, the shortcut of a block first, with what only the original stores."""
    stored = {"node_scaler": system.network.inputs.node_scale, "edge_scaler": system.network.inputs.edge_scale}
    own = {name: value for name, value in system.state_dict().items() if ".inputs." not in name and name != "alpha"}
    shortcuts = {name: value for name, value in own.items() if ".shortcut." in name}
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in own))
    for name, value in own.items():
        number = layers.index(name.rpartition(".")[0])
        if ".blocks." in name and name.endswith("first.weight"):
            prefix = name.removesuffix("first.weight")
            for kind in ("weight", "bias"):
                stored[f"conv{number}.shortcut.{kind}"] = shortcuts[f"{prefix}shortcut.{kind}"]
        if ".shortcut." not in name:
            stored[f"layer{number}.{name.rsplit('.', 1)[-1]}"] = value
    return stored | {"extra.weight": torch.zeros(3, 3)}


def trained(model: dict) -> Linking:
    torch.manual_seed(0)
    system = Linking(build(LinkingConfig, model))
    for parameter in system.parameters():
        nn.init.normal_(parameter, std=0.3)
    system.fit_inputs([toy_trackster_event(1)])
    return system.eval()


@pytest.mark.parametrize("model", [OLD, OLD_PUNET], ids=["gnn", "punet"])
def test_weights_under_other_names_give_the_same_scores(model: dict):
    system = trained(model)
    found, left = import_weights(as_stored(system), system.config)
    assert left == ["extra.weight"]
    event = toy_trackster_event(2, num_particles=12, missing_time=0.9)
    with torch.no_grad():
        own = found.eval()(event).edge_score
        x, table = event.columns(NODE_FEATURES), event.edge_index.flip(0).T
        wanted = plain_forward(system.network, x, table, event.edge_attr, legacy=True)[1][:, 0]
    torch.testing.assert_close(own, wanted, atol=1e-5, rtol=1e-5)
    assert bool(found.network.inputs.fitted)


def test_other_sizes_are_refused():
    system = trained(OLD)
    wider = build(LinkingConfig, OLD | {"hidden": 16})
    with pytest.raises(CheckpointError, match=r"no run of layers has the shapes .* of 'node_encoder'"):
        import_weights(as_stored(system), wider)
    short = as_stored(system) | {"node_scaler": torch.ones(28)}
    with pytest.raises(CheckpointError, match="'node_scaler' has 28 values, not 29"):
        import_weights(short, system.config)


def test_the_new_form_is_refused():
    system = trained(OLD)
    with pytest.raises(CheckpointError, match="legacy_self_loops: true"):
        import_weights(as_stored(system), build(LinkingConfig, OLD | {"legacy_self_loops": False}))


SETTINGS = [
    "--set", "model.hidden=12", "--set", "model.edge_hidden=8", "--set", "model.num_iterations=2",
    "--set", "model.legacy_self_loops=true", "--set", "model.inputs.missing_time=keep",
]  # fmt: skip


def test_the_command_writes_a_checkpoint_to_start_from(tmp_path: Path, capsys):
    system = trained(OLD)
    file, output = tmp_path / "gnn_epoch_7_dict.pt", tmp_path / "imported.ckpt"
    torch.save(
        {"epoch": 7, "model_state_dict": as_stored(system), "optimizer_state_dict": {}, "training_loss": 0.1}, file
    )
    assert run(["import-weights", str(file), "linking-ticl", "-o", str(output), *SETTINGS]) == 0
    assert "by their order and shapes, not by name" in capsys.readouterr().err
    loaded = load_checkpoint(output)
    assert loaded.header["epoch"] == 7
    event = toy_trackster_event(2)
    torch.testing.assert_close(loaded.build_system()(event).edge_score, system(event).edge_score)


class Payload:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize("content", ["code", "text", "numbers"])
def test_files_that_are_no_weights_are_refused(tmp_path: Path, capsys, content: str):
    file = tmp_path / "weights.pt"
    if content == "code":
        torch.save({"model_state_dict": Payload()}, file)
    elif content == "text":
        file.write_text("no weights")
    else:
        torch.save({"epoch": 3}, file)
    assert run(["import-weights", str(file), "linking-ticl", "-o", str(tmp_path / "out.ckpt"), *SETTINGS]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"hitloom: {file}")
    assert len(captured.err.splitlines()) == 1
    assert "run" not in captured.out
    assert not (tmp_path / "out.ckpt").exists()
