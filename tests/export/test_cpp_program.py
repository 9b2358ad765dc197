"""The C++ program: built against the libtorch of the wheel, it reproduces the partition of the system."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from linking_export_toy import toy_events, with_cuts

from hitloom.errors import DataError, MissingDependencyError
from hitloom.event import Event
from hitloom.export import ParityError, cpp_program, export
from hitloom.export.contract import contract_path
from hitloom.export.served_linking import read_partitions, write_events
from hitloom.systems.linking import Linking, LinkingConfig

EVENTS = "events.txt"
pytestmark = pytest.mark.slow  # the compiler takes half a minute


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, built once."""
    if cpp_program.compiler() is None:
        if os.environ.get("HITLOOM_REQUIRE_CPP"):
            pytest.fail("no C++ compiler although HITLOOM_REQUIRE_CPP is set")
        pytest.skip("no C++ compiler")
    return cpp_program.build(tmp_path_factory.mktemp("cpp") / cpp_program.PROGRAM)


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return toy_events()


@pytest.fixture(scope="module")
def system(events: list[Event]) -> Linking:
    return with_cuts(LinkingConfig(hidden=16, edge_hidden=16, num_iterations=2), events)


@pytest.fixture(scope="module")
def model(system: Linking, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "linking.pt"
    export(system, path, to="torchscript", sizes=[(0, 0), (9, 20)])
    return path


def contract_of(model: Path) -> dict:
    return json.loads(contract_path(model).read_text())


def test_the_program_reproduces_the_partition(program: Path, model: Path, system: Linking, events: list[Event]):
    found = cpp_program.run(program, model, events)
    assert [item.event_id for item in found] == [int(event.event_id) for event in events]
    sizes = set()
    for item, event in zip(found, events, strict=True):
        with torch.no_grad():
            result = system.reconstruct(system(event), event)
        assert torch.equal(item.labels, result.labels)
        torch.testing.assert_close(item.probability, result.edge_score.sigmoid(), atol=1e-6, rtol=1e-6)
        sizes |= set(torch.bincount(item.labels).tolist())
    assert [len(item.labels) for item in found[-2:]] == [1, 0]  # one trackster, none
    assert len(sizes - {1}) > 1


def test_the_check_finds_a_difference(program: Path, model: Path, system: Linking, events: list[Event]):
    found = cpp_program.check_partitions(program, model, system, events)
    assert found == {
        "num_events": len(events),
        "num_points": sum(event.num_points for event in events),
        "num_edges": sum(event.edge_index.shape[1] for event in events),
    }
    cut = LinkingConfig.model_validate(system.config.model_dump() | {"energy_cuts": None, "threshold": 1.0})
    other = Linking(cut).eval()
    other.load_state_dict(system.state_dict())
    with pytest.raises(ParityError, match="points otherwise than the system"):
        cpp_program.check_partitions(program, model, other, events)


def test_the_command_line_builds_and_compares(
    model: Path, system: Linking, events: list[Event], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: Path,
    capsys: pytest.CaptureFixture[str],
):  # fmt: skip
    from hitloom.cli.main import run
    from hitloom.data.store import EventWriter
    from hitloom.training.checkpoint import make_header, save_checkpoint
    from hitloom.training.run_config import build_run_config

    settings = system.config.model_dump(mode="json")
    config = build_run_config({"system": "linking", "model": settings})
    header = make_header(config, system, data_fingerprint="", epoch=1, metrics={})
    save_checkpoint(tmp_path / "linking.ckpt", header=header, weights=system.state_dict(), training={})
    with EventWriter(tmp_path / "store", provenance={"made": "by hand"}) as writer:
        for event in events[:3]:
            writer.write(event)
    monkeypatch.setattr(cpp_program, "build", lambda path: program)  # built once for all tests
    export_ = ["export", str(tmp_path / "linking.ckpt"), "-o", str(tmp_path / "linking.pt"), "--check-cpp"]
    assert run([*export_, str(tmp_path / "store"), "--to", "torchscript"]) == 0
    assert "the same partition as the system on 3 events" in capsys.readouterr().out
    assert run([*export_, str(tmp_path / "store"), "--to", "onnx"]) == 2
    assert "mend: --to torchscript" in capsys.readouterr().err


def test_roots_and_constituents(program: Path, model: Path, events: list[Event], tmp_path: Path):
    contract = contract_of(model)
    write_events(events[:2], tmp_path / EVENTS, contract)
    cpp_program.call(program, model, contract_path(model), tmp_path / EVENTS, tmp_path / "out.txt")
    first = next(iter(read_partitions(tmp_path / "out.txt")))
    lines = (tmp_path / "out.txt").read_text().splitlines()
    candidates = []
    for line in lines[4:]:
        if not line.startswith("candidate "):
            break
        candidates.append([int(word) for word in line.split()[1:]])
    roots = [words[0] for words in candidates]
    assert roots == sorted(roots)
    assert sorted(row for words in candidates for row in words[1:]) == list(range(events[0].num_points))
    for root, *rows in candidates:
        assert root in rows
        assert len({int(first.labels[row]) for row in rows}) == 1
    assert roots == union_in_edge_order(events[0], first.probability, contract)


def union_in_edge_order(event: Event, probability: torch.Tensor, contract: dict) -> list[int]:
    """Oracle: the roots that survive when the root of the outer end absorbs that of the inner one, edge by edge."""
    parent = list(range(event.num_points))

    def root(row: int) -> int:
        return row if parent[row] == row else root(parent[row])

    limit, low, high = 20.0, *(entry["cut"] for entry in contract["thresholds"]["entries"])
    for (inner, outer), value in zip(event.edge_index.T.tolist(), probability.tolist(), strict=True):
        energy = max(float(event.energy[inner]), float(event.energy[outer]))
        if value > (low if energy < limit else high):
            parent[root(inner)] = root(outer)
    return sorted({root(row) for row in range(event.num_points)})


def test_the_order_of_the_edges_does_not_change_the_partition(
    program: Path, model: Path, events: list[Event], tmp_path: Path
):
    event = events[1].clone()
    order = torch.randperm(event.edge_index.shape[1], generator=torch.Generator().manual_seed(1))
    event.edge_index, event.edge_attr = event.edge_index[:, order], event.edge_attr[order]
    one, other = (cpp_program.run(program, model, [item])[0] for item in (events[1], event))
    assert torch.equal(one.labels, other.labels)
    torch.testing.assert_close(one.probability[order], other.probability, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"format": "another"}, "'another' of another kind"),
        ({"version": 2}, "version"),
        ({"index_columns": ["in", "out"]}, "differs from the one inside it in 'index_columns'"),
        ({"thresholds": {"entries": [{"max_energy": 5, "cut": 0.5}]}}, "must hold for any energy"),
        ({"thresholds": {}}, "no field 'entries'"),
    ],
)
def test_another_contract_is_refused(
    program: Path, model: Path, events: list[Event], tmp_path: Path, change: dict, text: str
):
    write_events(events[:1], tmp_path / EVENTS, contract_of(model))
    (tmp_path / "other.json").write_text(json.dumps(contract_of(model) | change))
    with pytest.raises(DataError, match=text):
        cpp_program.call(program, model, tmp_path / "other.json", tmp_path / EVENTS, tmp_path / "out.txt")
    assert not (tmp_path / "out.txt").exists()


def test_bad_files_are_one_line(program: Path, model: Path, events: list[Event], tmp_path: Path):
    contract, path = contract_path(model), tmp_path / EVENTS
    write_events(events[2:3], path, contract_of(model))
    good = path.read_text()

    def refused(text: str) -> str:
        path.write_text(text)
        with pytest.raises(DataError) as caught:
            cpp_program.call(program, model, contract, path, tmp_path / "out.txt")
        return str(caught.value)

    assert "node_features are not those of the contract" in refused(good.replace("num_hits", "hits"))
    assert "index_columns are not those" in refused(good.replace("out in", "in out"))
    assert "ends too early" in refused(good[: len(good) // 2].rsplit(" ", 1)[0])
    assert "no hitloom-linking-events" in refused("hello\n")
    lines = good.splitlines()
    assert "'nan' is no finite number" in refused(
        "\n".join([*lines[:5], "nan " + lines[5].split(" ", 1)[1], *lines[6:]])
    )
    assert "names trackster 99" in refused("\n".join([*lines[:-1], "99 " + lines[-1].split(" ", 1)[1]]))
    with pytest.raises(DataError, match="no TorchScript file"):
        cpp_program.call(program, contract, contract, path, tmp_path / "out.txt")
    with pytest.raises(DataError, match="usage"):
        cpp_program.call(program)


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(cpp_program, "compiler", lambda: None)
    with pytest.raises(MissingDependencyError, match="install g\\+\\+"):
        cpp_program.build(tmp_path / "program")


def test_what_the_compiler_says_is_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(
        cpp_program, "build_command", lambda source, program: ["sh", "-c", "echo error: no >&2; exit 1"]
    )
    with pytest.raises(DataError, match="the C\\+\\+ compiler failed: error: no"):
        cpp_program.build(tmp_path / "program")
    assert list(tmp_path.iterdir()) == []
