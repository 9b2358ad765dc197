"""Broken TrackML files: one clear line, or a recovery that is told."""

from __future__ import annotations

import gzip
import logging
import shutil

import pytest
import torch
from data_toy import edit, same_event, toy_event

from hitloom.data.trackml_read import read_trackml
from hitloom.errors import DataError


def refused(folder, match, **options):
    with pytest.raises(DataError, match=match) as caught:
        list(read_trackml(folder, **options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def drop_column(name):
    def change(lines):
        place = lines[0].split(",").index(name)
        return [",".join(part for k, part in enumerate(line.split(",")) if k != place) for line in lines]

    return change


def set_value(row, column, value):
    def change(lines):
        names = lines[0].split(",")
        parts = lines[row].split(",")
        parts[names.index(column)] = value
        return [*lines[:row], ",".join(parts), *lines[row + 1 :]]

    return change


@pytest.mark.parametrize(
    ("part", "change", "match"),
    [
        ("hits", drop_column("z"), "event000000007-hits.csv: column 'z' is missing"),
        ("truth", drop_column("weight"), "column 'weight' is missing"),
        ("particles", lambda lines: [lines[0].replace("px", "p_x"), *lines[1:]], "'px' is missing. Did you mean 'p_x'"),
        ("hits", lambda lines: [*lines, lines[1]], "hits: hit_id 2 comes twice"),
        ("truth", lambda lines: [*lines, lines[1]], "truth: hit_id 2 comes twice"),
        ("particles", lambda lines: [*lines, lines[1]], "particles: particle_id .* comes twice"),
        ("truth", lambda lines: [*lines, lines[1].replace("2,", "777,", 1)], "truth of 1 hits .*hit_id 777"),
        ("truth", lambda lines: lines[:-1], "no truth for 1 hits"),
        ("cells", lambda lines: [*lines, "777,1,1,0.1"], "cells of hits that are not there .first: hit_id 777"),
        ("particles", lambda lines: [lines[0], *lines[2:]], "hits of particles that are not listed"),
        ("hits", set_value(3, "x", "nan"), "column 'x' holds nan in row 3"),
        ("hits", set_value(3, "y", "inf"), "column 'y' holds inf in row 3"),
        ("hits", set_value(2, "hit_id", "5.0"), "column 'hit_id': Row #3: .*'5.0'"),
        ("truth", set_value(1, "particle_id", "1e17"), "column 'particle_id'"),
        ("truth", set_value(1, "particle_id", str(2**64)), "column 'particle_id'"),
        ("cells", set_value(1, "value", ""), "column 'value'"),
        ("particles", set_value(1, "particle_id", "0"), "particle_id 0 means noise"),
        ("particles", set_value(1, "nhits", "2"), "has 6 hits, but nhits says 2"),
        ("hits", set_value(1, "module_id", "99"), "8, 2, 99: no such module in the detector table"),
        ("hits", lambda lines: [*lines[:-1], lines[-1].rsplit(",", 2)[0]], "[Ee]xpected 7 columns"),
        ("hits", lambda lines: [], "the file is empty"),
        ("hits", lambda lines: [lines[0].replace("y", "x", 1), *lines[1:]], "column 'y' is missing|there twice"),
    ],
)
def test_broken_files_are_refused_in_one_line(trackml_folder, part, change, match):
    edit(trackml_folder, part, change)
    refused(trackml_folder, match)


def test_a_missing_file_of_a_set(trackml_folder):
    for number in (8, 9):
        for path in list(trackml_folder.glob("event000000007*")):
            shutil.copy(path, str(path).replace("7-", f"{number}-"))
    (trackml_folder / "event000000008-cells.csv").unlink()
    refused(trackml_folder, "event000000008-cells.csv is missing")
    assert len(list(read_trackml(trackml_folder, parts=("hits", "particles", "truth")))) == 3
    (trackml_folder / "event000000009-hits.csv").unlink()
    refused(trackml_folder, "event000000009-hits.csv is missing", parts=("hits", "particles"))


def test_truth_without_particles(trackml_folder):
    (trackml_folder / "event000000007-particles.csv").unlink()
    refused(trackml_folder, "particles.csv is missing, and truth needs it")
    assert next(read_trackml(trackml_folder, parts=("hits", "cells"))).num_points == toy_event().num_points


def test_trackml_defect_08_two_candidates_for_one_file(trackml_folder):
    path = trackml_folder / "event000000007-hits.csv"
    shutil.copy(path, trackml_folder / "event000000007-hits.csv.gz")
    refused(trackml_folder, "two files for one part")


def test_trackml_defect_08_two_names_of_one_event(trackml_folder):
    shutil.copy(trackml_folder / "event000000007-hits.csv", trackml_folder / "event07-hits.csv")
    refused(trackml_folder, "event 7 is there twice")


def test_two_detector_tables(trackml_folder):
    shutil.copy(trackml_folder / "detectors.csv", trackml_folder / "detectors.csv.gz")
    refused(trackml_folder, "two detector tables")


def test_truncated_gzip_and_archive(trackml_folder, tmp_path):
    path = trackml_folder / "event000000007-hits.csv"
    whole = gzip.compress(path.read_bytes())
    path.unlink()
    (trackml_folder / "event000000007-hits.csv.gz").write_bytes(whole[: len(whole) // 2])
    refused(trackml_folder, "event000000007-hits.csv.gz: damaged or cut-off gzip")
    archive = tmp_path / "data.zip"
    archive.write_bytes(b"PK\x03\x04 this is no archive")
    refused(archive, "a folder or a zip archive was wanted")


def test_no_event(tmp_path):
    refused(tmp_path, "no TrackML event in it")
    refused(tmp_path / "nothing", "no such folder")
    refused(tmp_path / "event000000001", "event000000001-hits.csv")


def test_impossible_arguments(trackml_folder):
    refused(trackml_folder, "unknown subset 'pixels'. Did you mean 'pixel'", subset="pixels")
    refused(trackml_folder, "must not be negative", skip=-1)


def test_unknown_columns_are_ignored_and_told_once(trackml_folder, caplog):
    edit(trackml_folder, "hits", lambda lines: [f"{line},{'time' if k == 0 else k}" for k, line in enumerate(lines)])
    with caplog.at_level(logging.WARNING):
        event = next(read_trackml(trackml_folder))
    same_event(event, toy_event())
    assert caplog.text.count("unknown column 'time' ignored") == 1


def test_hits_of_an_unlisted_particle_can_be_noise(trackml_folder, caplog):
    edit(trackml_folder, "particles", lambda lines: [lines[0], *lines[2:]])
    event = next(read_trackml(trackml_folder, unlisted="noise"))
    wanted = toy_event()
    first = wanted.object_index == 0
    assert int((event.object_index < 0).sum()) == int((wanted.object_index < 0).sum()) + int(first.sum())
    assert torch.equal(event.object_id, wanted.object_id[1:])
    assert "taken as noise" in caplog.text


def test_more_hits_listed_than_found_is_told(trackml_folder, caplog):
    edit(trackml_folder, "particles", set_value(1, "nhits", "9"))
    event = next(read_trackml(trackml_folder))
    assert event.object_num_points.tolist()[0] == 9
    assert "fewer hits than nhits says" in caplog.text
