"""Tracksters of layer clusters: iterations, and real layer clusters from files. M layer clusters."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from hitloom.data.clue3d_tracksters import iterate, join_iterations, make_tracksters
from hitloom.data.layer_cluster_rows import ASSUMED_HITS, plane_depths, read_layer_cluster_rows
from hitloom.data.layer_clusters import LayerClusters
from hitloom.errors import DataError
from hitloom.grouping.clue3d import CLUE3D_PRESETS
from trackster_toy import trackster_tables


def test_iterations_take_what_is_left_over():
    clusters = trackster_tables(3, num_pileup=20)[0]
    high = CLUE3D_PRESETS["later"]
    low = CLUE3D_PRESETS["recent"].model_copy(update={"critical_density": 0.1})
    first, second = iterate(clusters, [high, low])
    assert first.num_tracksters
    assert second.num_tracksters
    assert not ((first.labels >= 0) & (second.labels >= 0)).any()
    assert not second.used[first.labels >= 0].any()
    both = join_iterations([first, second])
    assert both.num_tracksters == first.num_tracksters + second.num_tracksters
    assert len(set(both.member_index[0].tolist())) == both.member_index.shape[1]
    assert (both.member_fraction == 1).all()
    only = make_tracksters(clusters, preset="later")
    assert only.member_index.tolist() == join_iterations([first]).member_index.tolist()


def write(path, text):
    with gzip.open(path, "wt") as file:
        file.write(text)
    return path


def test_rows_become_layer_clusters(tmp_path):
    path = write(tmp_path / "a.csv.gz", "genpart,1,2,3\ncluster,1,2,320.0,0.5,-1\ncluster,1,2,-322.1,2,4\n\n")
    clusters = read_layer_cluster_rows(path)
    assert clusters.layer.tolist() == [1, 2]
    assert clusters.energy.tolist() == [0.5, 2.0]
    assert set(clusters.num_hits) == {ASSUMED_HITS}
    assert not clusters.scintillator.any()
    other = write(tmp_path / "b.csv.gz", "cluster,1,2,321.0,1,0\n")
    planes = plane_depths([path, other])
    assert planes.tolist() == [320.0, 321.0, 322.1]
    assert read_layer_cluster_rows(path, planes=planes).layer.tolist() == [1, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("genpart,1,2,3\n", "no row 'cluster'"),
        ("cluster,1,2,here,1,0\n", "row 1: 'cluster,1,2,here,1,0'"),
        ("cluster,1,2\n", "row 1"),
        ("cluster,1,2,nan,1,0\n", "row 1 holds no finite"),
        ("cluster,1,2,320,-1,0\n", "negative energy"),
    ],
)
def test_bad_rows(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_layer_cluster_rows(write(tmp_path / "a.csv.gz", text))


def test_missing_and_broken_files(tmp_path):
    with pytest.raises(DataError, match="not a readable text file"):
        read_layer_cluster_rows(tmp_path / "none.csv")
    broken = tmp_path / "broken.csv.gz"
    broken.write_bytes(b"cluster,1,2,3")
    with pytest.raises(DataError, match="not a readable text file"):
        read_layer_cluster_rows(broken)


@pytest.mark.real_data
def test_real_layer_clusters(test_data):
    """Five simulated CMS events: 50 planes; tracksters of every preset, the same in the mirrored event."""
    files = sorted((test_data / "hgcal-layer-clusters").glob("*.csv.gz"))
    planes = plane_depths(files)
    assert len(planes) == 50
    for path in files:
        clusters = read_layer_cluster_rows(path, planes=planes)
        mirrored = LayerClusters(**{**vars(clusters), "z": -clusters.z})
        for preset in CLUE3D_PRESETS:
            found = make_tracksters(clusters, preset=preset)
            assert found.num_tracksters > 2
            sizes = np.bincount(found.member_index[1])
            assert sizes.min() >= 2
            assert found.member_index.tolist() == make_tracksters(mirrored, preset=preset).member_index.tolist()
        held = clusters.energy[found.member_index[0]].sum() / clusters.energy.sum()
        assert held > 0.5, path.name
