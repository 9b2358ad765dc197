"""``hitloom ceilings`` on stores whose answer is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hitloom.data.store import EventStore, EventWriter
from hitloom.event import Event

NUM_TRACKS, NUM_LAYERS, NUM_EVENTS = 6, 5, 3


def events_of(workshop: Path) -> list[Event]:
    return [EventStore(workshop / "store")[row] for row in range(NUM_EVENTS)]


def write(folder: Path, events: list[Event]) -> Path:
    with EventWriter(folder / "graphs", provenance={"made": "by hand"}) as writer:
        for event in events:
            writer.write(event)
    return folder / "graphs"


def complete(event: Event) -> Event:
    """The event with every pair of its points as an edge, half of them inwards."""
    num = event.num_points
    edges = torch.combinations(torch.arange(num)).T
    edges[:, ::2] = edges[:, ::2].flip(0)
    return Event(**event.to_dict(), edge_index=edges)


def broken(event: Event) -> Event:
    """The event with a graph that lacks the second edge of every track and holds a false edge."""
    edges = event.truth_edge_index.view(2, NUM_TRACKS, NUM_LAYERS - 1)
    kept = edges[:, :, [0, 2, 3]].flatten(1)
    false = torch.stack([edges[0, 0, :1], edges[1, 1, :1]])
    return Event(**event.to_dict(), edge_index=torch.cat([kept, false], 1))


def found(cli: Callable, store: Path, *options: str) -> dict:
    answer = cli("ceilings", store, "--json", *options)
    assert answer.code == 0, answer.err
    return json.loads(answer.out)


def rate(values: dict, ceiling: str, name: str = "efficiency", preset: str = "all") -> list:
    entry = values["ceilings"][ceiling]["presets"][preset]["pt>1.0" if preset == "headline" else "all"]
    entry = entry[f"{name}.double_majority"]
    assert entry["definition"]
    return [entry["numerator"], entry["denominator"]]


@pytest.mark.parametrize("method", ["components", "walk", "junction-removal", "simple-paths", "shortest-paths"])
def test_the_ceilings_of_a_complete_graph_are_one(cli: Callable, workshop: Path, tmp_path: Path, method: str):
    store = write(tmp_path, [complete(event) for event in events_of(workshop)])
    values = found(cli, store, "--method", method)
    for ceiling in ("particle_edges", "graph_edges"):
        assert rate(values, ceiling) == [NUM_TRACKS * NUM_EVENTS] * 2
        assert rate(values, ceiling, preset="headline") == [4 * NUM_EVENTS] * 2
        assert rate(values, ceiling, "fake_per_track") == [0, NUM_TRACKS * NUM_EVENTS]
    assert values["edge_efficiency"]["value"] == 1.0
    assert values["num_truth_edges"] == NUM_EVENTS * NUM_TRACKS * (NUM_LAYERS - 1)


def test_what_the_graph_lacks_lowers_its_ceiling_alone(cli: Callable, workshop: Path, tmp_path: Path):
    values = found(cli, write(tmp_path, [broken(event) for event in events_of(workshop)]))
    assert rate(values, "particle_edges") == [18, 18]
    # two points and three points are left of each track: three of five are a majority
    assert rate(values, "graph_edges") == [18, 18]
    assert values["edge_efficiency"] | {"definition": ""} == {
        "value": 0.75, "numerator": 54, "denominator": 72, "definition": "",
    }  # fmt: skip
    short = found(cli, tmp_path / "graphs", "--set", "min_size=4")
    assert rate(short, "particle_edges") == [18, 18]
    assert rate(short, "graph_edges") == [0, 18]


def test_the_table_says_what_each_number_means(cli: Callable, workshop: Path, tmp_path: Path):
    store = write(tmp_path, [broken(event) for event in events_of(workshop)])
    text = cli("ceilings", store, "--method", "walk", "--limit", "2").out
    assert "2 events, 48 truth edges (stored)" in text
    assert "segmentation: walk (score > 0.01, min 0.1, add 0.6)" in text
    assert "edge efficiency of the graph: 0.7500" in text
    assert "on true particle edges" in text
    assert "on true graph edges" in text
    assert "headline: pt > 1 GeV, |eta| < 2.5" in text
    lines = [line for line in text.splitlines() if line.strip().startswith(("efficiency", "fake_per_track"))]
    assert len(lines) == 8
    assert all("valid track" in line and "n_cp" in line for line in lines)


def test_without_a_graph_there_is_one_ceiling(cli: Callable, workshop: Path):
    values = found(cli, workshop / "store", "--split", "val")
    assert list(values["ceilings"]) == ["particle_edges"]
    assert values["edge_efficiency"] is None


def test_truth_edges_of_every_definition_are_made_anew(cli: Callable, tmp_path: Path):
    # two hits on the last module: the product form links both, the first form one
    event = Event(
        pos=torch.tensor([[10.0, 0, 0], [20, 0, 0], [30, 0, 0], [30.5, 0, 0]]),
        volume=torch.zeros(4, dtype=torch.int64), layer=torch.tensor([0, 1, 2, 2]), module=torch.tensor([0, 1, 2, 2]),
        object_index=torch.zeros(4, dtype=torch.int64), object_id=torch.tensor([7]), object_pt=torch.tensor([2.0]),
        object_eta=torch.zeros(1), object_vertex=torch.zeros(1, 3), event_id=0,
    )  # fmt: skip
    store = write(tmp_path, [event])
    for definition, num in [("modulewise", 3), ("modulewise-first", 2), ("layerwise", 3)]:
        values = found(cli, store, "--definition", definition)
        assert (values["truth_edges"], values["num_truth_edges"]) == (definition, num)
        assert rate(values, "particle_edges") == [1, 1]
    assert found(cli, store)["truth_edges"] == "modulewise"


MISTAKES = [
    (["gone"], "gone: no such event store"),
    (["store", "--method", "walkthrough"], "'method'"),
    (["store", "--definition", "modulwise"], "Did you mean 'modulewise'"),
    (["store", "--definition", "layerwise"], "'object_vertex' is not in the data"),
    (["store", "--set", "walk.min=0.2"], "unknown key 'walk.min'"),
    (["store", "--split", "tset"], "Did you mean 'test'"),
    (["unlinked", "--definition", "stored"], "'truth_edge_index' is not in the data"),
    (["bare"], "'object_index' is needed"),
]


@pytest.mark.parametrize(("arguments", "text"), MISTAKES, ids=[" ".join(item[0]) for item in MISTAKES])
def test_mistakes_are_one_line(
    cli: Callable, workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], text: str
):
    (tmp_path / "store").symlink_to(workshop / "store")
    none = {"pos": torch.rand(3, 3), "event_id": 0}
    owned = none | {"object_index": torch.zeros(3, dtype=torch.int64), "object_id": torch.tensor([7])}
    for name, fields in (("bare", none), ("unlinked", owned)):
        with EventWriter(tmp_path / name, provenance={"made": "by hand"}) as writer:
            writer.write(Event(**fields))
    monkeypatch.chdir(tmp_path)
    answer = cli("ceilings", *arguments)
    assert (answer.code, answer.out) == (2, "")
    (line,) = answer.err.strip().splitlines()
    assert text in line
