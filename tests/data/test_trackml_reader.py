"""TrackML files to events: the real thinned and full event, packing, order, options."""

from __future__ import annotations

import gzip
import random
import zipfile

import numpy as np
import pytest
import torch
from data_toy import detectors_text, edit, same_event, toy_event

from hitloom.data.conditions import point_mask
from hitloom.data.trackml_files import open_trackml
from hitloom.data.trackml_read import read_trackml
from hitloom.data.trackml_write import write_trackml
from hitloom.data.truth_edges import layerwise_edges, module_key, modulewise_edges, vertex_distance
from hitloom.errors import DataError


def read_one(path, **options):
    events = list(read_trackml(path, **options))
    assert len(events) == 1
    return events[0]


@pytest.mark.real_data
class TestThinnedEvent:
    def test_the_numbers_of_the_event(self, thinned):
        counted = torch.bincount(thinned.object_index[thinned.object_index >= 0], minlength=thinned.num_objects)
        assert thinned.num_points == 5527
        assert int((thinned.object_index < 0).sum()) == 829
        assert thinned.num_objects == 548
        assert int((counted > 0).sum()) == 468
        assert int((counted >= 3).sum()) == 431
        assert int((thinned.object_pt > 1).sum()) == 56
        assert int(((thinned.object_pt > 1) & (counted >= 3)).sum()) == 54
        assert thinned.part_x.shape == (18_564, 3)
        assert int(thinned.object_id.max()) > 8 * 10**17
        assert sorted(set(thinned.volume.tolist())) == [7, 8, 9, 12, 13, 14, 16, 17, 18]
        assert torch.equal(counted, thinned.object_num_points)
        assert thinned.event_id == 1

    def test_trackml_defect_02_ids_are_exact(self, thinned, test_data):
        with gzip.open(test_data / "trackml-thinned" / "event000000001-particles.csv.gz", "rt") as file:
            ids = sorted(int(line.split(",")[0]) for line in list(file)[1:])
        assert thinned.object_id.tolist() == ids
        assert len({float(np.float32(value)) for value in ids}) < len(ids), "the test needs ids that a float32 merges"

    def test_trackml_defect_07_the_phase_of_the_weights_is_known(self, thinned):
        record = thinned.provenance_dict()
        assert record["weight_phase"] == 2
        assert record["weight_sum"] == pytest.approx(0.051, abs=0.001)

    def test_trackml_defect_01_noise_never_passes_a_pt_cut(self, thinned):
        noise = thinned.object_index < 0
        assert float(thinned.truth_momentum[noise].norm(dim=1).median()) > 1e5
        for cut in ([1, float("inf")], [0, float("inf")], ["not_within", [0, 0.5]], ["is_not", 3.0]):
            assert not bool((point_mask(thinned, {"object_pt": cut}) & noise).any())

    def test_trackml_defect_04_pt_is_generated_and_not_that_of_a_hit(self, thinned):
        own = thinned.object_index >= 0
        at_hit = torch.hypot(thinned.truth_momentum[own, 0], thinned.truth_momentum[own, 1])
        ratio = at_hit / thinned.object_pt[thinned.object_index[own]]
        assert float(ratio.median()) == pytest.approx(0.997, abs=0.002)
        assert float(ratio.quantile(0.01)) == pytest.approx(0.85, abs=0.03)

    def test_truth_edges(self, thinned):
        edges = thinned.truth_edge_index
        owner = thinned.object_index[edges]
        assert torch.equal(owner[0], owner[1])
        assert edges.shape[1] == 4230  # 4698 particle hits less one for each of the 468 particles: no module twice
        index = thinned.object_index.numpy()
        distance = vertex_distance(thinned.truth_pos.numpy(), index, thinned.object_vertex.numpy())
        assert (distance[edges[1]] >= distance[edges[0]]).all()
        layer = module_key(thinned.volume.numpy(), thinned.layer.numpy(), np.zeros(5527, dtype=np.int64))
        assert layerwise_edges(index, layer, distance).shape[1] > 4230  # overlaps: 24 % of the hits are extra
        key = module_key(thinned.volume.numpy(), thinned.layer.numpy(), thinned.module.numpy())
        assert np.array_equal(modulewise_edges(index, key, distance), edges.numpy())

    def test_a_shuffled_copy_is_the_same_event(self, thinned, test_data, tmp_path):
        source = test_data / "trackml-thinned"
        generator = random.Random(3)
        for path in source.glob("event*.csv.gz"):
            header, *rows = gzip.decompress(path.read_bytes()).decode().splitlines()
            generator.shuffle(rows)
            (tmp_path / path.name.removesuffix(".gz")).write_text("\n".join([header, *rows]) + "\n")
        same_event(thinned, read_one(tmp_path, detectors=source / "detectors.csv.gz"))

    def test_subsets(self, thinned, test_data):
        for subset, volumes in (("pixel", (7, 8, 9)), ("barrel", (8, 13, 17))):
            event = read_one(test_data / "trackml-thinned", subset=subset)
            keep = torch.isin(thinned.volume, torch.tensor(volumes))
            assert event.point_id.tolist() == thinned.point_id[keep].tolist()
            assert torch.equal(event.x, thinned.x[keep])
            assert torch.equal(event.object_num_points, thinned.object_num_points)


@pytest.mark.real_data
def test_the_full_event_has_objects_without_links(test_data):
    event = read_one(test_data / "trackml-full")
    assert event.num_points == 93_680
    assert event.num_objects == 8915
    assert int((event.object_pt > 1).sum()) == 915
    assert int(event.object_num_points.sum()) == 76_210
    assert "object_index" not in event
    assert "object_pdg" not in event
    assert event.feature_names == ["r", "phi", "z", "eta", "cos_phi", "sin_phi"]


def test_toy_files_give_the_toy_event(trackml_folder):
    same_event(toy_event(), read_one(trackml_folder))


def test_trackml_defect_03_rows_may_come_in_any_order_and_ids_may_have_gaps(trackml_folder):
    wanted = read_one(trackml_folder)
    assert wanted.point_id.tolist() != list(range(wanted.num_points))
    generator = random.Random(1)
    for part in ("hits", "cells", "particles", "truth"):
        edit(trackml_folder, part, lambda lines: [lines[0], *generator.sample(lines[1:], len(lines) - 1)])
    same_event(wanted, read_one(trackml_folder))


def test_trackml_defect_05_optional_columns(trackml_folder):
    wanted = read_one(trackml_folder)

    def without_type(lines):
        place = lines[0].split(",").index("particle_type")
        return [",".join(part for k, part in enumerate(line.split(",")) if k != place) for line in lines]

    detectors = trackml_folder / "detectors.csv"
    lines = detectors.read_text().splitlines()
    detectors.write_text("\n".join([f",{lines[0]}", *(f"{k},{line}" for k, line in enumerate(lines[1:]))]))
    same_event(wanted, read_one(trackml_folder))
    edit(trackml_folder, "particles", without_type)
    event = read_one(trackml_folder)
    del wanted.object_pdg, wanted.object_energy
    same_event(wanted, event)


@pytest.mark.parametrize("packing", ["folder", "gz", "zip", "zip with folder", "zip of gz"])
def test_trackml_defect_10_every_packing(trackml_folder, tmp_path, packing):
    files = sorted(trackml_folder.iterdir())
    target = tmp_path / "packed"
    if packing.startswith("zip"):
        target = target.with_suffix(".zip")
        prefix = "" if packing == "zip" else "train/sample/"
        with zipfile.ZipFile(target, "w") as archive:
            for path in files:
                if packing == "zip of gz":
                    archive.writestr(f"{prefix}{path.name}.gz", gzip.compress(path.read_bytes()))
                else:
                    archive.write(path, prefix + path.name)
    else:
        target.mkdir()
        for path in files:
            if packing == "gz":
                (target / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            else:
                (target / path.name).write_bytes(path.read_bytes())
    same_event(toy_event(), read_one(target))


def test_events_are_sorted_lazy_and_chosen(tmp_path):
    events = {number: toy_event(number, num_objects=2) for number in (100, 9, 21)}
    write_trackml(events.values(), tmp_path / "data")
    assert [event.event_id for event in read_trackml(tmp_path / "data")] == [9, 21, 100]
    assert [event.event_id for event in read_trackml(tmp_path / "data", skip=1, limit=1)] == [21]
    assert read_one(tmp_path / "data" / "event000000021").event_id == 21
    assert len(open_trackml(tmp_path / "data").events) == 3
    (tmp_path / "data" / "event000000100-hits.csv.gz").write_bytes(b"broken")
    stream = read_trackml(tmp_path / "data")
    assert next(stream).event_id == 9  # the damage is met only where it is
    assert next(stream).event_id == 21
    with pytest.raises(DataError, match="event000000100"):
        next(stream)


def test_parts(trackml_folder):
    hits = read_one(trackml_folder, parts=("hits",))
    assert "part_x" not in hits
    assert "object_id" not in hits
    assert len(hits.feature_names) == 6
    table = read_one(trackml_folder, parts=("hits", "particles"))
    assert "object_id" in table
    assert "object_index" not in table
    with pytest.raises(DataError, match="particles with truth"):
        read_trackml(trackml_folder, parts=("hits", "truth"))
    with pytest.raises(DataError, match=r"unknown part 'hit'. Did you mean 'hits'"):
        read_trackml(trackml_folder, parts=("hit",))


def test_detectors_are_found_beside_above_or_given(trackml_folder, tmp_path, caplog):
    (trackml_folder / "detectors.csv").unlink()
    plain = read_one(trackml_folder)
    assert len(plain.feature_names) == 6
    assert "no detectors.csv" in caplog.text
    (tmp_path / "detectors.csv").write_text(detectors_text())
    assert len(read_one(trackml_folder).feature_names) == 15
    assert len(read_one(trackml_folder, extra_features=True).feature_names) == 22
    (tmp_path / "detectors.csv").rename(tmp_path / "modules.csv")
    assert len(read_one(trackml_folder, detectors=tmp_path / "modules.csv").feature_names) == 15


@pytest.mark.parametrize("num_hits", [0, 1])
def test_events_of_no_hit_or_one(trackml_folder, num_hits):
    kept = toy_event().point_id[:num_hits].tolist()
    for part in ("hits", "cells", "truth"):
        edit(trackml_folder, part, lambda lines: [lines[0], *(x for x in lines[1:] if int(x.split(",")[0]) in kept)])
    event = read_one(trackml_folder)
    assert event.num_points == num_hits
    assert event.truth_edge_index.shape == (2, 0)
    assert event.x.shape == (num_hits, 15)
