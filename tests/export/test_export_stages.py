"""Every stage as a file: parity at numbers of points and edges never traced, no edges and isolated points included."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from hitloom.config import build
from hitloom.errors import ConfigError
from hitloom.export import ParityError, compare, export
from hitloom.registry import get_system
from hitloom.systems.exatrkx import EdgeFilter, EdgeGNN, MetricLearning
from hitloom.systems.exatrkx.exportable import PARITY_SIZES
from hitloom.systems.staged import Stage
from hitloom.training.run_config import load_recipe
from tracker_toy import TINY, graph_event

pytest.importorskip("onnxruntime")

SMALL = {"hidden": 8, "num_iterations": 2, "num_node_layers": 2, "num_edge_layers": 2}
READS_ALL = {"edges": {"geometry": True, "score": True}}
KINDS: dict[str, dict[str, Any]] = {
    "interaction": {},
    "edge-first": {"shared": False},
    "attention": {},
    "gcn": {},
    "multistep": {},
    "batchnorm": {"kind": "edge-first", "batchnorm": True, "layernorm": "none"},
    "every-aggregation": {"kind": "interaction", "aggregation": ("sum", "mean", "max", "min", "std"), "in_out": True},
}


def classifier(name: str, **changes: Any) -> EdgeGNN:
    torch.manual_seed(3)
    return EdgeGNN(build(EdgeGNN.Config, SMALL | READS_ALL | {"kind": name} | KINDS.get(name, {}) | changes)).eval()


def of_recipe(recipe: str, stage: str, **changes: Any) -> Stage:
    """A stage of a shipped recipe with random weights, single settings changed."""
    torch.manual_seed(5)
    config = getattr(load_recipe(recipe).model, stage)
    system = get_system(f"exatrkx-{stage}")
    made: Stage = system(config.model_copy(update=changes)).eval()
    return made


def sizes_in(report: dict[str, Any]) -> list[tuple[int, int]]:
    return [(check["num_points"], check["num_edges"]) for check in report["parity"]]


@pytest.mark.parametrize("name", KINDS)
def test_each_classifier_as_torchscript(name: str, tmp_path: Path):
    stage = classifier(name)
    path = tmp_path / "gnn.pt"
    report = export(stage, path, to="torchscript", tolerance=1e-5)
    assert json.loads((tmp_path / "gnn.pt.report.json").read_text()) == report
    assert report["inputs"] == ["features", "pos", "edge_index", "edge_score"]
    assert sizes_in(report) == list(PARITY_SIZES)
    assert 0 in {edges for _, edges in PARITY_SIZES}
    assert tuple(report["traced_at"]) not in PARITY_SIZES
    assert all(check["agreement"] == 1 for check in report["parity"])
    assert "cpu" not in str(torch.jit.load(path).inlined_graph).replace("device=cpu", ""), "tied to a device"


def test_the_form_with_batchnorm_as_onnx(tmp_path: Path):
    sizes = [*PARITY_SIZES, (1, 0), (0, 0), (3, 1)]
    stage = classifier("batchnorm", num_iterations=1)
    report = export(stage, tmp_path / "gnn.onnx", to="onnx", sizes=sizes, tolerance=1e-5)
    assert sizes_in(report) == sizes


def test_every_aggregation_as_torch_export(tmp_path: Path):
    sizes = [*PARITY_SIZES, (3, 1)]
    stage = classifier("every-aggregation")
    report = export(stage, tmp_path / "gnn.pt2", to="torch-export", sizes=sizes, tolerance=1e-5)
    assert sizes_in(report) == sizes


@pytest.mark.parametrize(
    ("recipe", "stage"),
    [
        ("exatrkx-trackml", "embedding"),
        ("exatrkx-trackml", "filter"),
        ("exatrkx-trackml", "gnn"),
        ("exatrkx-acorn", "filter"),
        ("exatrkx-acorn", "gnn"),
        ("exatrkx-ctd2023", "gnn"),
        ("exatrkx-small", "gnn"),
    ],
)
def test_published_shapes(recipe: str, stage: str, tmp_path: Path):
    report = export(of_recipe(recipe, stage), tmp_path / "stage.pt", to="torchscript", tolerance=1e-4)
    assert all(check["agreement"] == 1 for check in report["parity"])
    assert report["settings"]["features"] == list(getattr(load_recipe(recipe).model, stage).inputs.features)


def test_files_say_what_the_stages_say_of_an_event(tmp_path: Path):
    event = graph_event(64, 2)
    event.edge_score = torch.rand(event.edge_index.shape[1], generator=torch.Generator().manual_seed(1))
    features = event.columns(["r", "phi", "z"])
    torch.manual_seed(1)
    embedding = MetricLearning(build(MetricLearning.Config, TINY["exatrkx-embedding"])).eval()
    edge_filter = EdgeFilter(build(EdgeFilter.Config, TINY["exatrkx-filter"])).eval()
    gnn = EdgeGNN(build(EdgeGNN.Config, TINY["exatrkx-gnn"] | READS_ALL)).eval()
    files = {}
    for name, stage in {"embedding": embedding, "filter": edge_filter, "gnn": gnn}.items():
        export(stage, tmp_path / name, to="torchscript")
        files[name] = torch.jit.load(tmp_path / name)
    with torch.no_grad():
        torch.testing.assert_close(files["embedding"](features), embedding(event).embedding)
        found = files["filter"](features, event.pos, event.edge_index)
        torch.testing.assert_close(found, edge_filter(event).scored_edges()[1].sigmoid())
        found = files["gnn"](features, event.pos, event.edge_index, event.edge_score)
        torch.testing.assert_close(found, gnn(event).scored_edges()[1].sigmoid())


def test_rows_of_edges_are_compared_one_by_one():
    signature = classifier("gcn").export_signature()
    inputs = signature.example(30, 100)

    def wrong(*values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with torch.no_grad():
            scores = signature.module(*values).clone()
        scores[:7] += 1
        return (scores,)

    with torch.no_grad():
        check = compare(signature, wrong, inputs, 1e-5)
    assert check == {
        "num_points": 30, "num_edges": 100, "agreement": pytest.approx(0.93), "max_difference": pytest.approx(1.0),
    }  # fmt: skip


def test_one_wrong_edge_is_enough_to_refuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from hitloom.systems.exatrkx.exportable import ExportableEdges

    def almost(self, *inputs: torch.Tensor) -> torch.Tensor:
        scores = self.forward(*inputs).clone()
        scores[3:4] += 0.01
        return scores

    monkeypatch.setattr(ExportableEdges, "reference", almost, raising=False)
    with pytest.raises(ParityError, match=r"200 points, 650 edges: 0\.9985 agree.*nothing was written"):
        export(classifier("gcn"), tmp_path / "gnn.pt", to="torchscript", sizes=[(200, 650)])
    assert list(tmp_path.iterdir()) == []


def test_what_an_exporter_cannot_write_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(signature: Any, path: Path) -> None:
        raise RuntimeError("no such operator\nmany more lines")

    monkeypatch.setattr("hitloom.export.onnx.write", fail)
    with pytest.raises(
        ConfigError, match=r"the onnx exporter cannot write 'exatrkx-gnn': RuntimeError: no such op"
    ) as e:
        export(classifier("gcn"), tmp_path / "gnn.onnx", to="onnx")
    assert "\n" not in str(e.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_does_not_run_without_edges_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def reader(path: Path) -> Any:
        def run(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
            if inputs[2].shape[1] == 0:
                raise RuntimeError("node 7: no rows\nmore lines")
            return (torch.jit.load(path)(*inputs),)

        return run

    monkeypatch.setattr("hitloom.export.torchscript.reader", reader)
    with pytest.raises(
        ConfigError, match=r"does not run with 40 points, 0 edges: RuntimeError: node 7: no rows; it was"
    ):
        export(classifier("gcn"), tmp_path / "gnn.pt", to="torchscript")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="no size to compare"):
        export(classifier("gcn"), tmp_path / "gnn.pt", to="torchscript", sizes=())


@pytest.mark.parametrize("conv", ["SAGEConv", "GATConv", "TransformerConv", "EdgeConv"])
def test_convolutions_of_pytorch_geometric(conv: str, tmp_path: Path):
    report = export(classifier("pyg", conv=conv), tmp_path / "gnn.pt", to="torchscript", tolerance=1e-5)
    assert sizes_in(report) == list(PARITY_SIZES)


def test_an_event_without_edges_has_scores_of_shape_zero():
    signature = classifier("interaction").export_signature()
    assert signature.module(*signature.example(40, 0)).shape == (0,)
