"""The functions of the TrackML helper library, on pandas frames and on Arrow tables."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from data_toy import toy_event

from hitloom.data import trackml_tables as tables
from hitloom.data.trackml_write import write_trackml
from hitloom.errors import DataError


@pytest.fixture(params=["pandas", "arrow"])
def kind(request, monkeypatch):
    if request.param == "pandas":
        pytest.importorskip("pandas")
    else:
        monkeypatch.setattr(tables, "_frame", lambda table: table)
    return request.param


def test_load_event_and_dataset(trackml_folder, kind):
    hits, truth = tables.load_event(trackml_folder / "event000000007", parts=("hits", "truth"))
    assert isinstance(hits, pa.Table) is (kind == "arrow")
    event = toy_event()
    assert tables._column(hits, "hit_id").tolist() == event.point_id.tolist()
    assert tables._column(truth, "particle_id").dtype == np.int64
    folder = trackml_folder.with_name("three")
    write_trackml([toy_event(number) for number in (5, 3, 4)], folder)
    found = list(tables.load_dataset(folder, skip=1, nevents=2, parts=("particles",)))
    assert [row[0] for row in found] == [4, 5]
    with pytest.raises(DataError, match="3 events there"):
        tables.load_event(folder)


def test_trackml_defect_06_no_two_meanings_of_r(kind):
    table = pa.table({"tx": [3.0], "ty": [4.0], "tz": [12.0], "px": [0.0], "py": [3.0], "pz": [4.0]})
    table = table.to_pandas() if kind == "pandas" else table
    table = tables.add_position_quantities(table, prefix="t")
    values = {name: tables._column(table, name)[0] for name in ("trho", "tphi", "tr3")}
    assert values == {"trho": 5.0, "tphi": pytest.approx(math.atan2(4, 3)), "tr3": 13.0}
    table = tables.add_momentum_quantities(table)
    values = {name: tables._column(table, name)[0] for name in ("p", "pt", "pphi", "peta")}
    assert values == {"p": 5.0, "pt": 3.0, "pphi": pytest.approx(math.pi / 2), "peta": pytest.approx(math.atanh(0.8))}
    with pytest.raises(DataError, match="no column 'x'"):
        tables.add_position_quantities(table)


def test_ids_and_weights(trackml_folder, kind):
    truth, particles = tables.load_event(trackml_folder / "event000000007", parts=("truth", "particles"))
    decoded = tables.decode_particle_id(particles)
    assert set(tables._column(decoded, "vertex_id").tolist()) == {2}
    assert tables._column(decoded, "primary_id").tolist() == [1, 2, 3, 4, 5, 6]
    assert tables._column(decoded, "generation").tolist() == [0, 1, 0, 1, 0, 1]
    first = tables._column(tables.weight_hits(truth, particles, phase=1), "weight")
    np.testing.assert_allclose(first, toy_event().point_weight.numpy(), atol=1e-7)
    second = tables._column(tables.weight_hits(truth, particles, phase=2), "weight")
    assert 0 < (second > 0).sum() < (first > 0).sum()


def test_score_event(trackml_folder, kind):
    (truth,) = tables.load_event(trackml_folder / "event000000007", parts=("truth",))
    hit_id, particle = tables._column(truth, "hit_id"), tables._column(truth, "particle_id")
    _, track = np.unique(particle, return_inverse=True)
    order = np.random.default_rng(0).permutation(hit_id.size)
    submission = pa.table({"hit_id": hit_id[order], "track_id": track[order]})
    assert tables.score_event(truth, submission) == pytest.approx(1.0)
    assert tables.score_event(truth, submission.slice(0, 0)) == 0.0
    own = pa.table({"hit_id": hit_id, "track_id": np.arange(hit_id.size)})
    assert tables.score_event(truth, own) == 0.0
    with pytest.raises(DataError, match="hit_id 777 is not in the truth"):
        tables.score_event(truth, pa.table({"hit_id": [777], "track_id": [0]}))
    with pytest.raises(DataError, match="submission: a hit_id is there twice"):
        tables.score_event(truth, pa.concat_tables([submission, submission]))
