"""Exported pruning: many tracksters at once through every mode that a format can hold, and what it refuses."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Batch

from hitloom.cli.main import run
from hitloom.config import build
from hitloom.data.pruning_layout import PRUNING_FEATURES
from hitloom.errors import ConfigError
from hitloom.event import Event
from hitloom.export import FORMATS, export
from hitloom.export.contract import contract_path
from hitloom.nn.forest import Forest
from hitloom.nn.traceable_tree import traceable_log_marginals
from hitloom.nn.tree_markov import log_marginals
from hitloom.systems.pruning.config import PruningConfig
from hitloom.systems.pruning.exportable import example_inputs
from hitloom.systems.pruning.system import Pruning
from hitloom.training.checkpoint import make_header, save_checkpoint
from hitloom.training.run_config import build_run_config
from pruning_toy import toy_trackster

pytest.importorskip("onnxruntime")
SMALL = {"hidden": 8, "num_gnn_layers": 1, "num_iterations": 2, "heads": "shallow"}
FORMS: dict[str, dict[str, object]] = {
    "nodes": {"mode": "nodes"},
    "one_pass": {"mode": "one_pass"},
    "multistep": {"mode": "multistep", "recall": True},
    "published inputs": {
        "mode": "multistep", "gate": "gru", "memory": "lstm", "sage_aggregator": "max", "norm": "batch",
        "features": {"kind": "legacy", "context": True},
    },
    "tree": {"mode": "tree", "tree": {"num_steps": 2, "num_message_layers": 1}},
    "tree, attention": {"mode": "tree", "tree": {"backbone": "attention", "num_steps": 1, "num_heads": 2}},
    "tree, tag": {"mode": "tree", "tree": {"backbone": "tag", "num_steps": 1}},
    "tree, sage": {"mode": "tree", "tree": {"backbone": "sage", "num_steps": 1, "num_states": 1}},
    "autoregressive": {"mode": "autoregressive"},
    "autoregressive, recall": {"mode": "autoregressive", "recall": True},
    "three a step": {"mode": "autoregressive", "gate": "gru", "memory": "gru", "decisions": {"per_step": 3}},
}  # fmt: skip
WRITTEN = [(form, "torchscript") for form in FORMS]
WRITTEN += [(form, "onnx") for form in ("multistep", "tree", "autoregressive")] + [("one_pass", "torch-export")]


def make_system(form: str) -> Pruning:
    torch.manual_seed(2)
    system = Pruning(build(PruningConfig, SMALL | FORMS[form]))
    system.fit_inputs(toy_trackster(20, seed) for seed in range(5))
    with torch.no_grad():
        for parameter in system.parameters():
            parameter.mul_(1.5)  # else networks with random weights hardly look at their inputs
    return system.eval()


def tracksters() -> Event:
    return Batch.from_data_list([toy_trackster(size, seed) for seed, size in enumerate((1, 24, 2, 60, 9))])


def inputs_of(event: Event, names: tuple[str, ...]) -> list[torch.Tensor]:
    found = {"nodes": event.x, "layer": event.layer, "edge_index": event.edge_index, "graph": event.batch}
    return [found[name] for name in names]


@pytest.mark.parametrize(("form", "to"), WRITTEN)
def test_the_file_prunes_as_the_system_does(form: str, to: str, tmp_path: Path):
    system, path = make_system(form), tmp_path / f"pruning{FORMATS[to][1]}"
    report = export(system, path, to=to)
    assert max(check["max_difference"] for check in report["parity"]) < 1e-5
    sizes = [(check["num_layer_clusters"], check["num_links"]) for check in report["parity"]]
    assert {(1, 0), (40, 0), (200, 185), (1001, 400)} <= set(sizes)
    event = tracksters()
    names = system.export_signature().input_names
    found = importlib.import_module(FORMATS[to][0]).reader(path)(*inputs_of(event, names))[0]
    with torch.no_grad():
        expected = (-system(event).point_score).sigmoid()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert float(expected.std()) > 1e-3


def test_the_contract_names_columns_units_and_the_threshold(tmp_path: Path):
    system = make_system("tree")
    export(system, tmp_path / "tree.pt", to="torchscript")
    contract = json.loads(contract_path(tmp_path / "tree.pt").read_text())
    assert [item["name"] for item in contract["features"]] == list(PRUNING_FEATURES)
    units = {item["name"]: item["unit"] for item in contract["features"]}
    assert (units["pos_x"], units["energy"], units["time"], units["eta"], units["phi"]) == (
        "cm",
        "GeV",
        "ns",
        "",
        "rad",
    )
    assert list(contract["inputs"]) == ["nodes", "layer", "edge_index", "graph"]
    assert contract["thresholds"]["threshold"] == system.config.threshold
    assert contract["mode"] == "tree"
    assert "forest" in contract["links"]
    assert list(make_system("published inputs").export_signature().input_names) == ["nodes", "edge_index", "graph"]


def test_numbers_of_tracksters_may_have_gaps():
    module = make_system("multistep").export_signature().module
    event = tracksters()
    names = ("nodes", "layer", "edge_index", "graph")
    with torch.no_grad():
        found = module(*inputs_of(event, names))
        event.batch = event.batch * 7 + 3
        assert torch.equal(module(*inputs_of(event, names)), found)


@pytest.mark.parametrize("size", [(1, 0), (2, 1), (40, 0), (67, 53), (300, 200)])
def test_rounds_over_all_nodes_give_the_marginals_of_the_levels(size: tuple[int, int]):
    made = example_inputs(*size)
    generator = torch.Generator().manual_seed(4)
    phi, psi = torch.randn(size[0], 4, generator=generator), torch.randn(size[1], 4, 4, generator=generator)
    forest = Forest.from_links(made["edge_index"], size[0])
    found = traceable_log_marginals(phi, psi, made["edge_index"])
    torch.testing.assert_close(found, log_marginals(phi, psi, forest))


def test_features_that_are_not_numbers_end_in_probabilities_that_are_none():
    """The loop over steps ends for any input."""
    signature = make_system("autoregressive").export_signature()
    inputs = [value.clone() for value in signature.example(12, 8)]
    inputs[0][:, 3] = torch.nan
    with torch.no_grad():
        assert bool(signature.module(*inputs).isnan().any())


def test_an_lstm_over_neighbours_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config = build_run_config({"system": "pruning", "model": SMALL | {"sage_aggregator": "lstm"}})
    system = Pruning(config.model)
    with pytest.raises(ConfigError, match="sage_aggregator lstm"):
        system.export_signature()
    path = tmp_path / "lstm.ckpt"
    header = make_header(config, system, data_fingerprint="", epoch=1, metrics={})
    save_checkpoint(path, header=header, weights=system.state_dict(), training={})
    code = run(["export", str(path), "--to", "onnx", "-o", str(tmp_path / "lstm.onnx")])
    said = capsys.readouterr()
    assert code == 2
    assert said.err.count("\n") == 1
    assert "mend: a training with sage_aggregator mean" in said.err
    assert not (tmp_path / "lstm.onnx").exists()


def test_many_decisions_a_step_are_refused():
    torch.manual_seed(1)
    system = Pruning(build(PruningConfig, SMALL | {"mode": "autoregressive", "decisions": {"per_step": 100}}))
    with pytest.raises(ConfigError, match="per_step"):
        system.export_signature()


def test_examples_are_forests_of_the_size_that_was_asked():
    for num, links in ((0, 0), (1, 0), (2, 1), (40, 0), (200, 185), (1001, 400)):
        made = example_inputs(num, links)
        assert made["edge_index"].shape == (2, links)
        Forest.from_links(made["edge_index"], num, graph=made["graph"], num_graphs=max(1, num))
        assert bool((made["graph"].diff() >= 0).all())
        leader, follower = made["edge_index"]
        assert torch.equal(made["graph"][leader], made["graph"][follower])
    with pytest.raises(ValueError, match="too many for a forest"):
        example_inputs(3, 3)
