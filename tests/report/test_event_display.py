"""The event display: what is drawn, how it fared, and that the page loads nothing."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from report_toy import toy_events, toy_result

from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.report.classify import view_of
from hitloom.report.display import figure_2d, figure_3d
from hitloom.report.event_page import display_page, write_display
from hitloom.report.join import join
from hitloom.report.phoenix import phoenix_event, write_phoenix
from hitloom.report.view import ALWAYS, limit, pt_class
from hitloom.result import Result

BIG = 2**53 + 1


@pytest.fixture(scope="module")
def toy():
    event = toy_events(1, num_particles=60)[0]
    result = toy_result(event)
    return event, result, view_of(event, result)


@pytest.fixture(scope="module")
def page(toy):
    return display_page(toy[2])


def small_event() -> tuple[Event, Result]:
    """Particles A (4 hits), B (4), C (3), one noise hit; tracks: A whole, half of B, C mixed with noise and B."""
    owner = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, -1])
    labels = torch.tensor([5, 5, 5, 5, 7, 7, -1, 8, 8, 8, -1, 8])
    event = Event(
        pos=torch.arange(36, dtype=torch.float32).reshape(12, 3),
        point_id=torch.arange(12) + 100,
        object_index=owner,
        object_id=torch.tensor([BIG, BIG - 1, 3]),
        object_pt=torch.tensor([2.0, 0.7, 0.1]),
        event_id=4,
    )
    return event, Result(event_id=4, point_id=event.point_id.clone(), labels=labels)


def test_fates_of_a_worked_example():
    view = view_of(*small_event(), min_hits=3)
    assert view.track_name.tolist() == [5, 7, 8]
    assert view.track_status.tolist() == ["matched", "short", "fake"]
    assert view.particle_status.tolist() == ["found", "missed", "missed"]
    assert view.track_class().tolist() == [2, 1, ALWAYS]
    assert view.ids()[0] == str(BIG)
    assert view.ids()[4] == str(BIG - 1)
    assert view.ids()[-1] == "noise"
    assert pt_class(np.array([0.5, 0.51, 1.0, 1.1, np.nan])).tolist() == [0, 1, 1, 2, 0]


def test_points_of_the_figure_are_the_hits(toy):
    _event, result, view = toy
    for figure, copies in ((figure_3d(view), 1), (figure_2d(view), 2)):
        by_layer = {"hits": 0, "unassigned": 0}
        for trace in figure.data:
            if trace.meta["layer"] in by_layer:
                by_layer[trace.meta["layer"]] += len(trace.x)
        assert by_layer["hits"] == copies * int((result.labels >= 0).sum())
        assert by_layer["unassigned"] == copies * int((result.labels < 0).sum())
    found = [trace for trace in figure_3d(view).data if trace.meta["layer"] == "found"]
    on_lines = sum(int(np.isfinite(trace.x).sum()) for trace in found)
    sizes = np.bincount(view.label[view.label >= 0])
    assert on_lines == sizes[sizes > 1].sum()
    assert sum(int(np.isnan(trace.x).sum()) for trace in found) == (sizes > 1).sum()


def test_lines_run_outwards_and_hovers_carry_exact_ids(toy):
    event, _, view = toy
    figure = figure_3d(view)
    for trace in figure.data:
        if trace.meta["layer"] == "found":
            distance = np.linalg.norm(np.stack([trace.x, trace.y, trace.z]), axis=0)
            steps = np.diff(distance)
            assert (steps[np.isfinite(steps)] >= -1e-3).all()
    texts = "".join(text for trace in figure.data for text in trace.text or ())
    assert all(f"particle {int(event.object_id[row])} " in texts for row in torch.unique(event.object_index)[1:])
    assert all(f"hit {int(number)}<br>" in texts for number in event.point_id)


def test_threshold_buttons_keep_tracks_without_a_particle(toy):
    figure = figure_3d(toy[2])
    buttons = figure.layout.updatemenus[0].buttons
    assert [button.label for button in buttons] == ["all pt", "pt > 0.5 GeV", "pt > 1 GeV"]
    for step, button in enumerate(buttons):
        for trace, shown in zip(figure.data, button.args[0]["visible"], strict=True):
            passes = step == 0 or trace.meta["pt"] >= step
            assert (shown is not False) == passes
    fakes = [trace for trace in figure.data if trace.meta["status"] == "fake"]
    assert fakes
    assert all(trace.meta["pt"] == ALWAYS for trace in fakes)


def test_large_events_show_what_is_above_a_threshold(toy):
    view = toy[2]
    small = limit(view, 300)
    assert small.num_hits < view.num_hits
    assert "too large" in small.notes[0]
    kept_class = small.hit_class()
    owner_class = np.append(pt_class(view.particle_pt), -1)[small.particle]
    assert (np.maximum(kept_class, owner_class) >= 1).all()
    assert limit(view, 40).num_hits <= 60
    assert limit(view, view.num_hits) is view


class Loads(HTMLParser):
    """Collects whatever a browser would fetch."""

    def __init__(self):
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("src", "srcset", "data", "poster", "action") and not (value or "").startswith("data:"):
                self.found.append(f"{tag} {name}={value}")
            if name == "href" and tag == "link":
                self.found.append(f"{tag} {name}={value}")


def test_the_page_loads_nothing_and_its_data_parse(page, toy):
    loads = Loads()
    loads.feed(page)
    assert loads.found == []
    assert "default-src 'none'" in html.unescape(page[:2000])
    data = re.search(r'id="event-display-data">(.*?)</script>', page, re.DOTALL)
    figures = json.loads(data.group(1))
    assert set(figures) == {"space", "plane"}
    assert str(int(toy[0].object_id[0])) in data.group(1)
    assert len(page) - 4_900_000 < 5_000_000


def test_text_of_the_source_cannot_become_markup(toy):
    from dataclasses import replace

    text = display_page(replace(toy[2], source="</script><img src=x>"))
    assert "<img src=x>" not in text


def test_a_result_is_joined_by_id_in_any_order(toy):
    event, result, _ = toy
    order = torch.randperm(event.num_points, generator=torch.Generator().manual_seed(0))
    shuffled = Result(event_id=result.event_id, point_id=result.point_id[order], labels=result.labels[order])
    assert np.array_equal(join(event, shuffled).labels, result.labels.numpy())
    part = Result(event_id=result.event_id, point_id=result.point_id[order[:50]], labels=result.labels[order[:50]])
    joined = join(event, part)
    assert joined.in_input.sum() == 50
    assert (joined.labels[~joined.in_input] == -1).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"event_id": 99}, "the result is of event 99"),
        ({"point_id": torch.arange(-1, 11)}, "of the result is not in the event"),
        ({"point_id": torch.full((12,), 100)}, "names a point twice"),
    ],
)
def test_results_of_another_event_are_refused_in_one_line(change, message):
    event, result = small_event()
    values = {"event_id": 4, "point_id": result.point_id, "labels": result.labels} | change
    with pytest.raises(DataError, match=message) as error:
        view_of(event, Result(**values))
    assert "\n" not in str(error.value)


def test_an_event_without_points_has_a_display(tmp_path):
    empty = torch.empty(0, dtype=torch.int64)
    event = Event(
        pos=torch.empty(0, 3), object_index=empty, object_id=torch.tensor([5]), object_pt=torch.ones(1), event_id=1
    )
    path = write_display(event, Result(event_id=1, point_id=empty, labels=empty), tmp_path / "e.html")
    assert "0 hits" in path.read_text()


def test_noise_only_has_no_particle_in_the_key():
    event = Event(
        pos=torch.rand(5, 3),
        object_index=torch.full((5,), -1),
        object_id=torch.empty(0, dtype=torch.int64),
        event_id=1,
    )
    view = view_of(event, Result(event_id=1, point_id=torch.arange(5), labels=torch.tensor([0, 0, 0, -1, -1])))
    assert view.track_status.tolist() == ["fake"]
    assert {trace.meta["layer"] for trace in figure_3d(view).data} <= {"hits", "unassigned", "found", "detector"}


def check_phoenix_event(event: dict) -> None:
    """The object rules of the Phoenix guide for hits and tracks."""
    assert isinstance(event["event number"], int)
    assert isinstance(event["run number"], int)
    for collection in event["Hits"].values():
        assert collection, "Phoenix reads type and colour from the first hit"
        for hit in collection:
            assert hit["type"] == "Point"
            assert len(hit["pos"]) == 3
            assert all(isinstance(value, float) for value in hit["pos"])
            int(hit["color"], 16)
            assert hit["color"] == collection[0]["color"]
            assert isinstance(hit["hit_id"], str)
            assert isinstance(hit["particle_id"], str)
    for collection in event["Tracks"].values():
        for track in collection:
            assert len(track["pos"]) >= 3
            assert all(len(point) == 3 for point in track["pos"])
            int(track["color"], 16)
            assert isinstance(track["particle_id"], str)


def test_phoenix_file_follows_the_format(toy, tmp_path):
    event, _result, view = toy
    path = write_phoenix([view], tmp_path / "event.json", run_number=7)
    content = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert list(content) == [f"Event {event.event_id}"]
    written = content[f"Event {event.event_id}"]
    assert written["run number"] == 7
    check_phoenix_event(written)
    assert sum(len(hits) for hits in written["Hits"].values()) == event.num_points
    found = sum(len(tracks) for name, tracks in written["Tracks"].items() if name.startswith("Found"))
    sizes = np.bincount(view.label[view.label >= 0])
    assert found == (sizes >= 3).sum()
    first = written["Hits"]["Hits on tracks"][0]
    row = event.point_id.tolist().index(int(first["hit_id"]))
    assert np.allclose(first["pos"], event.pos[row].numpy(), atol=1e-3)


def test_phoenix_momentum_is_in_mev_and_ids_are_exact():
    event = phoenix_event(view_of(*small_event()))
    check_phoenix_event(event)
    track = event["Tracks"]["True tracks: found"][0]
    assert track["particle_id"] == str(BIG)
    assert track["pT"] == pytest.approx(2000)
    assert "eta" not in track


def test_phoenix_refuses_nothing_and_twice(toy, tmp_path):
    with pytest.raises(DataError, match="no event to write"):
        write_phoenix([], tmp_path / "a.json")
    with pytest.raises(DataError, match="came twice"):
        write_phoenix([toy[2], toy[2]], tmp_path / "a.json")
    assert not list(tmp_path.iterdir())
