"""Exported linking networks: the same events through system and files; what the contract refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from linking_export_toy import toy_events, with_cuts

from hitloom.data.trackster_features import EDGE_FEATURES, NODE_FEATURES
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.export import FORMATS, export
from hitloom.export.contract import contract_path
from hitloom.export.served_linking import ServedLinking
from hitloom.systems.linking import Linking, LinkingConfig

pytest.importorskip("onnxruntime")
SMALL = {"hidden": 16, "edge_hidden": 16, "num_iterations": 2}


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return toy_events()


@pytest.fixture(scope="module")
def system(events: list[Event]) -> Linking:
    return with_cuts(LinkingConfig(**SMALL), events)


@pytest.fixture(scope="module")
def exported(system: Linking, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The file of every format; each was compared at sizes never traced when it was written."""
    folder = tmp_path_factory.mktemp("exported")
    paths = {to: folder / f"linking{suffix}" for to, (_, suffix) in FORMATS.items()}
    for to, path in paths.items():
        report = export(system, path, to=to)
        sizes = [(check["num_tracksters"], check["num_edges"]) for check in report["parity"]]
        assert sizes == [(0, 0), (1, 0), (2, 1), (40, 0), (200, 650), (1001, 150)]
        assert report["traced_at"] == [67, 181]
        assert report["min_points"] == 0
    return paths


def results(system: Linking, event: Event) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.no_grad():
        result = system.reconstruct(system(event), event)
    return result.labels, result.edge_score.sigmoid()


@pytest.mark.parametrize("to", sorted(FORMATS))
def test_the_file_links_as_the_system_does(to: str, system: Linking, exported: dict[str, Path], events: list[Event]):
    served = ServedLinking(exported[to])
    groups = 0
    for event in events:
        labels, probability = results(system, event)
        found = served(event)
        assert torch.equal(found.labels, labels)
        torch.testing.assert_close(found.edge_score.sigmoid(), probability, atol=1e-5, rtol=1e-5)
        groups += int((torch.bincount(labels) > 1).sum()) if len(labels) else 0
    assert groups > 3


def test_skew_a_the_order_of_the_index_is_declared_and_matters(exported: dict[str, Path], events: list[Event]):
    served = ServedLinking(exported["torchscript"])
    assert served.contract["index_columns"] == ["out", "in"]
    nodes, edges, index = served.inputs(events[1])
    depth = nodes[:, NODE_FEATURES.index("barycenter_z")].abs()
    assert bool((depth[index[:, 0]] > depth[index[:, 1]]).all())
    model = torch.jit.load(exported["torchscript"])
    with torch.no_grad():
        assert float((model(nodes, edges, index) - model(nodes, edges, index.flip(1))).abs().max()) > 1e-3


def test_skew_b_the_number_of_hits_reaches_the_network(system: Linking, exported: dict[str, Path], events: list[Event]):
    event, served = events[0], ServedLinking(exported["onnx"])
    place = NODE_FEATURES.index("num_hits")
    part, point = event.member_index
    hits = torch.zeros(event.num_points).index_add_(0, point, event.part_x[part, 0])
    assert torch.equal(served.inputs(event)[0][:, place], hits)
    other = event.clone()
    other.x[:, place] = 0.0  # what a producer that forgets to fill it would send
    shift = [results(system, other)[1] - results(system, event)[1],
             served(other).edge_score.sigmoid() - served(event).edge_score.sigmoid()]  # fmt: skip
    assert float(shift[0].abs().max()) > 1e-4
    torch.testing.assert_close(shift[1], shift[0], atol=2e-6, rtol=1e-3)


def test_skew_c_the_extent_in_the_backward_endcap(system: Linking, exported: dict[str, Path], events: list[Event]):
    event, served = events[1], ServedLinking(exported["onnx"])
    nodes = served.inputs(event)[0]
    part, point = event.member_index
    backward = 0
    for row in range(event.num_points):
        z = event.part_pos[part[point == row], 2] / 10
        found = nodes[row, [NODE_FEATURES.index(name) for name in ("z_min", "z_max")]]
        torch.testing.assert_close(found, torch.stack([z.min(), z.max()]), rtol=1e-5, atol=1e-3)
        backward += int(z.max() < 0)
    assert backward > 3
    torch.testing.assert_close(served(event).edge_score.sigmoid(), results(system, event)[1], atol=1e-5, rtol=1e-5)


def test_skew_d_parallel_axes_give_an_angle(system: Linking, exported: dict[str, Path], events: list[Event]):
    from hitloom.data.trackster_features import edge_features

    event, served = events[0].clone(), ServedLinking(exported["torchscript"])
    axis = torch.tensor([0.6, 0.0, 0.8000001])  # its square is above 1 after rounding
    columns = [NODE_FEATURES.index(f"eVector0_{name}") for name in "xyz"]
    event.x[:, columns] = axis
    assert float((axis.double() * axis.double()).sum()) > 1
    made = edge_features(event.columns(NODE_FEATURES).numpy(), event.edge_index.numpy())
    angle = EDGE_FEATURES.index("angle_eVector0")
    assert np.array_equal(made[:, angle], np.zeros(len(made)))
    event.edge_attr = torch.from_numpy(made).float()
    labels, probability = results(system, event)
    assert bool(torch.isfinite(probability).all())
    assert torch.equal(served(event).labels, labels)


def test_the_contract_says_what_the_model_needs(system: Linking, exported: dict[str, Path]):
    contract = json.loads(contract_path(exported["onnx"]).read_text())
    assert [item["name"] for item in contract["node_features"]] == list(NODE_FEATURES)
    assert [item["name"] for item in contract["edge_features"]] == list(EDGE_FEATURES)
    units = {item["name"]: item["unit"] for item in contract["node_features"]}
    assert (units["barycenter_x"], units["barycenter_eta"], units["EV2"]) == ("cm", "", "cm2")
    assert (units["raw_em_energy"], units["barycenter_phi"], units["num_hits"]) == ("GeV", "rad", "")
    np.testing.assert_allclose(contract["scaling"]["node_scaler"], system.network.inputs.node_scale)
    np.testing.assert_allclose(contract["scaling"]["edge_scaler"], system.network.inputs.edge_scale)
    cuts = [(entry["max_energy"], entry["cut"]) for entry in contract["thresholds"]["entries"]]
    assert cuts == [(20.0, system.config.energy_cuts[0][1]), (None, system.config.energy_cuts[1][1])]


def copied(model: Path, folder: Path) -> Path:
    for path in (model, contract_path(model)):
        shutil.copy(path, folder / path.name)
    return folder / model.name


def edit(model: Path, **changes: object) -> None:
    path = contract_path(model)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("to", sorted(FORMATS))
def test_a_contract_that_is_not_that_of_the_file_is_refused(to: str, exported: dict[str, Path], tmp_path: Path):
    model = copied(exported[to], tmp_path)
    edit(model, index_columns=["in", "out"])
    with pytest.raises(DataError, match="'index_columns' differs from the contract inside"):
        ServedLinking(model)


def test_other_files_are_refused(exported: dict[str, Path], tmp_path: Path, events: list[Event]):
    model = copied(exported["torchscript"], tmp_path)
    edit(model, version=2)
    with pytest.raises(DataError, match="version 2 came, wanted"):
        ServedLinking(model)
    edit(model, version=1, format="hitloom-pruning-contract")
    with pytest.raises(DataError, match="hitloom-pruning-contract"):
        ServedLinking(model)
    contract_path(model).write_text("{")
    with pytest.raises(DataError, match="not a contract"):
        ServedLinking(model)
    contract_path(model).unlink()
    with pytest.raises(DataError, match="no contract beside"):
        ServedLinking(model)
    model = copied(exported["torchscript"], tmp_path)
    with model.open("ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match="the hash differs"):
        ServedLinking(model)
    with pytest.raises(DataError, match="no such file"):
        ServedLinking(tmp_path / "nothing.pt")


def test_the_working_point_may_be_changed_beside_the_file(
    exported: dict[str, Path], tmp_path: Path, events: list[Event]
):
    model = copied(exported["torchscript"], tmp_path)
    thresholds = json.loads(contract_path(model).read_text())["thresholds"]
    edit(model, thresholds=thresholds | {"entries": [{"max_energy": None, "cut": 1.0}]})
    assert ServedLinking(model)(events[0]).num_candidates == events[0].num_points


def test_an_event_without_a_feature_is_refused(exported: dict[str, Path], events: list[Event]):
    served, event = ServedLinking(exported["torchscript"]), events[0].clone()
    event.feature_names = ["hits" if name == "num_hits" else name for name in event.feature_names]
    with pytest.raises(DataError, match="feature 'num_hits' is needed"):
        served(event)
    event = events[0].clone()
    event.edge_feature_names = [*EDGE_FEATURES[:4], "dt"]
    with pytest.raises(DataError, match="delta_time"):
        served(event)


@pytest.mark.parametrize(
    "options",
    [
        {"network": "punet", "attention": {"num_heads": 4, "num_layers": 1}},
        {"network": "punet", "attention": {"num_heads": 4, "num_layers": 1, "num_neighbours": 8}},
        {"legacy_self_loops": True},
        {"inputs": {"phi": "invariant", "mirror": True, "log": True, "missing_time": "mask", "relative": True}},
        {"inputs": {"skeleton": True, "phi": "sin-cos"}},
    ],
)
def test_every_form_of_the_network_leaves_as_torchscript(options: dict[str, object], tmp_path: Path):
    torch.manual_seed(4)
    system = Linking(LinkingConfig.model_validate(SMALL | {"num_iterations": 1} | options)).eval()
    report = export(system, tmp_path / "model.pt", to="torchscript")
    assert max(check["max_difference"] for check in report["parity"]) < 1e-5
    graph = str(torch.jit.load(tmp_path / "model.pt").inlined_graph)
    neighbours = "num_neighbours" in str(options)  # that search is traced for the CPU
    assert neighbours or "cpu" not in graph.replace("device=cpu", ""), "tied to a device"
    contract = json.loads(contract_path(tmp_path / "model.pt").read_text())
    assert len(contract["edge_features"]) == (7 if "skeleton" in options.get("inputs", {}) else 5)  # type: ignore[operator]


def test_attention_leaves_as_onnx_and_runs_without_tracksters(tmp_path: Path):
    torch.manual_seed(5)
    attention = {"num_heads": 4, "num_layers": 1}
    config = LinkingConfig.model_validate(SMALL | {"num_iterations": 1, "network": "punet", "attention": attention})
    report = export(Linking(config).eval(), tmp_path / "model.onnx", to="onnx")
    assert report["parity"][0]["num_tracksters"] == 0
    assert max(check["max_difference"] for check in report["parity"]) < 1e-5
