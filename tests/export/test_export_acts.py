"""The form of ACTS's plugin: scaled columns, edges of any direction, logits of one column."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from hitloom.config import build
from hitloom.errors import ConfigError
from hitloom.event import Event
from hitloom.export import acts_form, export, export_chain, stage_signature
from hitloom.systems.exatrkx import EdgeGNN, ExaTrkX
from hitloom.systems.exatrkx.edge_inputs import geometry_of
from hitloom.systems.exatrkx.graph import outward_edges
from tracker_toy import TINY, graph_event

pytest.importorskip("onnxruntime")

FEATURES = {
    "features": ["r", "cos_phi", "sin_phi", "phi", "z"],
    "scales": [1000, 1, 1, 3.14159, 3000],
    "fourier": ["r", "z"],
    "num_frequencies": 3,
}


def chain(*, kind: str = "edge-first") -> ExaTrkX:
    """A chain whose graph network depends on the direction of edges and on the filter's scores."""
    torch.manual_seed(6)
    tiny = TINY["exatrkx"]
    gnn = {"kind": kind, "inputs": FEATURES, "layernorm": "plain"}
    settings = {
        "embedding": tiny["embedding"] | {"inputs": FEATURES},
        "filter": tiny["filter"],
        "gnn": tiny["gnn"] | gnn,
    }
    return ExaTrkX(build(ExaTrkX.Config, settings)).eval()


def columns_of(event: Event, settings: dict) -> Tensor:
    """Node features as ACTS makes them: columns of the space points, each divided by its scale."""
    return event.columns(settings["nodeFeatures"]) / torch.tensor(settings["featureScales"])


def as_acts_has_them(event: Event) -> Tensor:
    """Edges with the lower row first, whatever their direction."""
    return event.edge_index.sort(0).values


@pytest.fixture(scope="module")
def event() -> Event:
    event = graph_event(96, 4)
    # off the ideal cylinders: between points of one radius the slope of an edge is rounding alone
    event.pos = event.pos * (1 + 0.05 * torch.rand(96, 1, generator=torch.Generator().manual_seed(1)))
    x, y, z = event.pos.unbind(1)
    event.x = torch.stack([x.hypot(y), torch.atan2(y, x), z], 1)
    event.feature_names = ["r", "phi", "z"]
    event.edge_index = outward_edges(event.edge_index, event.pos)
    rows = event.edge_index
    assert 0.3 < float((rows[0] > rows[1]).float().mean()) < 0.7
    return event


def test_the_embedding_of_scaled_columns(event: Event, tmp_path: Path):
    system = chain()
    signature = stage_signature(system, "embedding", acts=True)
    assert signature.settings["nodeFeatures"] == ["r", "phi", "z"]
    assert signature.settings["featureScales"] == pytest.approx([1000, 3.14159, 3000])
    assert signature.settings["rVal"] == system.embedding.config.graph.radius
    export(system.embedding, tmp_path / "embed.pt", to="torchscript", signature=signature, tolerance=1e-5)
    found = torch.jit.load(tmp_path / "embed.pt")(columns_of(event, signature.settings))
    with torch.no_grad():
        torch.testing.assert_close(found, system.embedding(event).embedding, atol=1e-5, rtol=0)


@pytest.mark.parametrize("edge_attr", [False, True])
@pytest.mark.parametrize("stage", ["filter", "gnn"])
def test_logits_of_edges_in_any_direction(event: Event, tmp_path: Path, stage: str, edge_attr: bool):
    system = chain()
    signature = stage_signature(system, stage, acts=True, edge_attr=edge_attr)
    assert signature.input_names == ("x", "edge_index", "edge_attr")[: 2 + edge_attr]
    path = tmp_path / "stage.pt"
    export(system.parts[stage], path, to="torchscript", signature=signature, tolerance=1e-5)
    loaded = torch.jit.load(path)
    assert "cpu" not in str(loaded.inlined_graph).replace("device=cpu", ""), "tied to a device"
    edges = as_acts_has_them(event)
    inputs = [columns_of(event, signature.settings), edges]
    if edge_attr:
        inputs.append(geometry_of(event.pos, edges))
    found = loaded(*inputs)
    with torch.no_grad():
        event = event.clone()
        event.edge_score = system.filter(event).scored_edges()[1].sigmoid()
        wanted = system.parts[stage](event).scored_edges()[1]
    assert found.shape == (len(wanted), 1)
    torch.testing.assert_close(found[:, 0], wanted, atol=2e-4, rtol=0)
    if stage == "gnn":
        assert signature.settings["holds"] == ["exatrkx-filter", "exatrkx-gnn"]
        assert float(wanted.std()) > 0.01, "a test that no difference could fail"


def test_one_edge_has_one_row(tmp_path: Path):
    system = chain()
    signature = stage_signature(system, "gnn", acts=True)
    assert signature.module(*signature.example(3, 1)).shape == (1, 1)
    assert signature.module(*signature.example(3, 0)).shape == (0, 1)


def test_onnx_has_what_the_plugin_asks_for(tmp_path: Path):
    import onnxruntime

    system = chain()
    signature = stage_signature(system, "filter", acts=True, edge_attr=True)
    path = tmp_path / "filter.onnx"
    report = export(system.filter, path, to="onnx", signature=signature, tolerance=1e-4)
    assert {(check["num_points"], check["num_edges"]) for check in report["parity"]} >= {(2, 1), (40, 0)}
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [(node.name, node.type, len(node.shape)) for node in session.get_inputs()] == [
        ("x", "tensor(float)", 2),
        ("edge_index", "tensor(int64)", 2),
        ("edge_attr", "tensor(float)", 2),
    ]
    assert [(node.name, node.shape[1]) for node in session.get_outputs()] == [("output", 1)]


def test_a_chain_in_this_form(tmp_path: Path):
    content = export_chain(chain(kind="gcn"), tmp_path / "acts", to="torchscript", acts=True)
    assert content["form"] == "acts"
    assert [stage["inputs"][0]["name"] for stage in content["stages"]] == ["x", "x", "x"]
    assert content["stages"][2]["outputs"] == [{"name": "output", "dtype": "float32", "shape": ["num_edges", 1]}]


def test_mistakes_are_named():
    system = chain()
    with pytest.raises(ConfigError, match="export it out of the whole chain"):
        acts_form(system.gnn)
    with pytest.raises(ConfigError, match="--acts out"):
        acts_form(system)
    without = EdgeGNN(build(EdgeGNN.Config, TINY["exatrkx-gnn"] | {"edges": {}}))
    with pytest.raises(ConfigError, match="leave --edge-attr out"):
        acts_form(without, edge_attr=True)
    batchnorm = TINY["exatrkx"] | {"filter": TINY["exatrkx"]["filter"] | {"batchnorm": True}}
    with pytest.raises(ConfigError, match="filter with batchnorm"):
        stage_signature(ExaTrkX(build(ExaTrkX.Config, batchnorm)), "gnn", acts=True)
    with pytest.raises(ConfigError, match="unknown stage 'gn'. Did you mean 'gnn'"):
        stage_signature(system, "gn")
    with pytest.raises(ConfigError, match="not made of stages"):
        stage_signature(system.gnn, "gnn")
