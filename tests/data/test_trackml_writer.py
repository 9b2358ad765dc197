"""Events to TrackML files and back; submissions."""

from __future__ import annotations

import zipfile

import pytest
import torch
from data_toy import detectors_text, same_event, toy_event

from hitloom.data.trackml_read import read_trackml
from hitloom.data.trackml_submission import read_submission, write_submission
from hitloom.data.trackml_write import write_trackml
from hitloom.errors import DataError
from hitloom.result import Result


@pytest.fixture
def detectors(tmp_path):
    path = tmp_path / "detectors.csv"
    path.write_text(detectors_text())
    return path


@pytest.mark.parametrize("name", ["plain", "gz", "events.zip"])
def test_a_round_trip_is_exact(tmp_path, detectors, name):
    events = [toy_event(3), toy_event(4, num_objects=0)]
    number = write_trackml(events, tmp_path / name, compress=name != "plain", detectors=detectors)
    assert number == 2
    (tmp_path / "detectors.csv").unlink()
    for event, again in zip(events, read_trackml(tmp_path / name), strict=True):
        same_event(event, again)


@pytest.mark.real_data
def test_the_real_event_survives_a_round_trip(tmp_path, thinned, test_data):
    table = test_data / "trackml-thinned" / "detectors.csv.gz"
    write_trackml([thinned], tmp_path / "again.zip", detectors=table)
    same_event(thinned, next(read_trackml(tmp_path / "again.zip")))


def test_trackml_defect_02_neighbouring_ids_above_2_to_the_53_survive(tmp_path):
    event = toy_event()
    event.object_id = torch.arange(event.num_objects) + 2**53
    write_trackml([event], tmp_path / "data")
    again = next(read_trackml(tmp_path / "data"))
    assert again.object_id.tolist() == [2**53 + k for k in range(event.num_objects)]
    assert torch.equal(again.object_index, event.object_index)


def test_weights_are_made_when_there_are_none(tmp_path, detectors):
    event = toy_event(weights=False)
    for phase in (1, 2):
        write_trackml([event], tmp_path / f"phase{phase}", detectors=detectors, weight_phase=phase)
        again = next(read_trackml(tmp_path / f"phase{phase}"))
        assert again.provenance_dict()["weight_phase"] == phase
        assert again.provenance_dict()["weight_sum"] == pytest.approx(1.0, abs=1e-6)


def test_nothing_is_left_of_a_failure_and_nothing_lost(tmp_path):
    bad = toy_event(9)
    del bad.volume
    for name in ("data", "data.zip"):
        with pytest.raises(DataError, match="hits need 'volume'"):
            write_trackml([toy_event(), bad], tmp_path / name)
        assert list(tmp_path.iterdir()) == []
    write_trackml([toy_event()], tmp_path / "data")
    with pytest.raises(DataError, match="already exists"):
        write_trackml([toy_event(8)], tmp_path / "data")
    with pytest.raises(DataError, match="hits need 'volume'"):
        write_trackml([bad], tmp_path / "data", overwrite=True)
    write_trackml([toy_event(8)], tmp_path / "data", overwrite=True)
    assert [event.event_id for event in read_trackml(tmp_path / "data")] == [8]
    (tmp_path / "data" / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="not replaced"):
        write_trackml([toy_event(8)], tmp_path / "data", overwrite=True)
    with pytest.raises(DataError, match="event id 7 came twice"):
        write_trackml([toy_event(), toy_event()], tmp_path / "twice")
    with pytest.raises(DataError, match="no event to write"):
        write_trackml([], tmp_path / "none")


def test_names_in_an_archive(tmp_path):
    write_trackml([toy_event(12)], tmp_path / "events.zip")
    with zipfile.ZipFile(tmp_path / "events.zip") as archive:
        names = sorted(archive.namelist())
    assert names == [f"event000000012-{part}.csv" for part in ("cells", "hits", "particles", "truth")]


def results():
    return [
        Result(event_id=4, point_id=torch.tensor([9, 3, 2**53 + 1]), labels=torch.tensor([1, -1, -1])),
        Result(event_id=2, point_id=torch.tensor([5, 6]), labels=torch.tensor([0, 0])),
    ]


@pytest.mark.parametrize("name", ["submission.csv", "submission.csv.gz"])
def test_a_submission_gives_every_hit_one_track(tmp_path, name):
    assert write_submission(results(), tmp_path / name) == 2
    second, fourth = read_submission(tmp_path / name)
    assert (second.event_id, second.labels.tolist()) == (2, [0, 0])
    assert fourth.point_id.tolist() == [3, 9, 2**53 + 1]
    assert fourth.labels.tolist() == [2, 1, 3]  # the unassigned ones are tracks of their own


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("event_id,hit_id,track_id\n1,1,0\n1,1,2\n", "hit 1 of event 1 is there twice"),
        ("event_id,hit_id,track_id\n1,1,-1\n", "track_id -1 is negative"),
        ("event_id,hit_id\n1,1\n", "column 'track_id' is missing"),
        ("event_id,hit_id,track_id\n1,1,0.5\n", "column 'track_id'"),
    ],
)
def test_bad_submissions_are_refused(tmp_path, text, match):
    path = tmp_path / "submission.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=match):
        list(read_submission(path))


def test_an_empty_submission(tmp_path):
    path = tmp_path / "submission.csv"
    path.write_text("event_id,hit_id,track_id\n")
    assert list(read_submission(path)) == []
    with pytest.raises(DataError, match="came twice"):
        write_submission([results()[0], results()[0]], path)
