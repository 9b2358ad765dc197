"""Tracks as text: one file per event, one line of hit ids per track, ids exact."""

from __future__ import annotations

import pytest
import torch

from hitloom.data.track_lists import write_track_lists
from hitloom.errors import DataError
from hitloom.result import Result


def a_result(event_id, labels, ids):
    return Result(event_id=event_id, point_id=torch.tensor(ids), labels=torch.tensor(labels))


def test_one_line_a_track_in_the_order_of_labels_and_hits(tmp_path):
    big = 2**62 + 1  # no float64 holds it
    results = [
        a_result(7, [1, -1, 0, 1, 0, 2], [10, 11, 12, big, 14, 15]),
        a_result(1000000007, [-1, -1], [1, 2]),
    ]
    assert write_track_lists(results, tmp_path / "out") == 2
    assert (tmp_path / "out" / "event7.txt").read_text() == f"12 14\n10 {big}\n15\n"
    assert (tmp_path / "out" / "event1000000007.txt").read_text() == ""
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_short_tracks_are_left_out_where_asked(tmp_path):
    write_track_lists([a_result(1, [0, 0, 1], [5, 6, 7])], tmp_path, min_hits=2)
    assert (tmp_path / "event1.txt").read_text() == "5 6\n"


def test_repeated_events_and_nothing_are_refused(tmp_path):
    with pytest.raises(DataError, match="event 1 came twice"):
        write_track_lists([a_result(1, [0], [5]), a_result(1, [0], [5])], tmp_path)
    with pytest.raises(DataError, match="no result to write"):
        write_track_lists([], tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_track_lists([a_result(1, [0], [5])], tmp_path / "file")
