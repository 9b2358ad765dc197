"""TICL files of both layouts: store to ROOT and back, names and types of the branches, files and folders."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
import uproot
from ticl_toy import differing, rewritten, toy_events, toy_file

from hitloom.data.jagged import Jagged
from hitloom.data.ticl_compare import compare_layouts
from hitloom.data.ticl_read import open_ticl, read_ticl
from hitloom.data.ticl_write import TiclWriter, write_ticl
from hitloom.data.trackster_truth import as_calo_particles
from hitloom.errors import DataError
from trackster_toy import toy_trackster_event

LAYER_CLUSTERS = ("part_", "member_")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("ticl") / "histo.root"
    return path, toy_file(path, 3, first=2**53)


def test_layout_b_gives_the_event_back(file):
    path, events = file
    back = list(read_ticl(path, layout_name="B"))
    assert [event.event_id for event in back] == [event.event_id for event in events]
    for one, other in zip(events, back, strict=True):
        # shares are quotients of two numbers that the file rounds to 32 bits
        assert differing(one, other) in ([], ["share_fraction"])
        assert differing(one, other, tolerance=3e-7) == []


def test_layout_a_gives_all_but_layer_clusters_back(file):
    path, events = file
    for one, other in zip(events, read_ticl(path, layout_name="A"), strict=True):
        lost = {name for name in one.to_dict() if name.startswith(LAYER_CLUSTERS)}
        assert set(differing(one, other)) == lost | {"share_index", "share_fraction"}
        rows = torch.nonzero(one.object_index >= 0)[:, 0]
        assert torch.equal(other.share_index, torch.stack([rows, one.object_index[rows]]))
        wanted = one.match_energy[rows] / one.energy[rows]
        torch.testing.assert_close(other.share_fraction, wanted)


@pytest.mark.parametrize("layout_name", ["A", "B"])
def test_what_was_read_is_written_and_read_exactly(file, tmp_path, layout_name):
    first = list(read_ticl(file[0], layout_name=layout_name))
    write_ticl(first, tmp_path / "again.root", layouts=(layout_name,))
    for one, other in zip(first, read_ticl(tmp_path / "again.root"), strict=True):
        assert differing(one, other) == []


def test_calo_particles(file, tmp_path):
    path, events = file
    for one, other in zip(events, read_ticl(path, truth="CP"), strict=True):
        assert other.provenance_dict()["truth"] == "CP"
        assert differing(as_calo_particles(one), other, tolerance=1e-6) == []
    # without the tree of hitloom, objects are the sim tracksters of the file
    write_ticl(events, tmp_path / "plain.root", extra=False)
    for one, other in zip(events, read_ticl(tmp_path / "plain.root", truth="CP"), strict=True):
        wanted = as_calo_particles(one)
        assert torch.equal(other.object_index, wanted.object_index)
        assert torch.equal(other.object_pdg, wanted.object_pdg)
        torch.testing.assert_close(other.object_raw_energy, wanted.object_raw_energy)
        torch.testing.assert_close(other.edge_y, wanted.edge_y)
        assert not {"object_is_signal", "object_parent", "object_charge"} & set(other.keys())


def test_without_the_tree_of_hitloom(file, tmp_path):
    events = file[1]
    write_ticl(events, tmp_path / "plain.root", extra=False)
    with uproot.open(tmp_path / "plain.root") as opened:
        assert not [name for name in opened.keys(cycle=False) if "hitloom" in name]
    for layout_name in "AB":
        back = list(read_ticl(tmp_path / "plain.root", layout_name=layout_name))
        assert [event.event_id for event in back] == [0, 1, 2]
        for one, other in zip(events, back, strict=True):
            for name in ("x", "energy", "edge_index", "object_index", "match_score", "match_energy", "object_pdg"):
                torch.testing.assert_close(other[name], one[name], rtol=3e-7, atol=0)
            torch.testing.assert_close(other.edge_attr, one.edge_attr, rtol=1e-6, atol=1e-6)
    # layout B says nothing of pile-up, layout A beside it does
    assert all(
        torch.equal(one.object_is_signal, other.object_is_signal) for one, other in zip(events, back, strict=True)
    )
    write_ticl(events, tmp_path / "b.root", layouts=("B",), extra=False)
    assert "object_is_signal" not in next(read_ticl(tmp_path / "b.root"))


def test_the_two_layouts_are_the_same_samples(file, tmp_path):
    path, events = file
    found = compare_layouts(path)
    assert found.num_paired == 3
    assert found.equal(), found
    write_ticl(events, tmp_path / "plain.root", extra=False)
    plain = compare_layouts(tmp_path / "plain.root")
    assert plain.equal(), plain

    def shifted(trees):
        column, lists = trees["ticlDumper/GNNTraining"]["node_EV1"]
        trees["ticlDumper/GNNTraining"]["node_EV1"] = column, Jagged(lists.values + 2e-4, lists.counts)

    other = compare_layouts(rewritten(path, tmp_path / "other.root", shifted))
    assert not other.equal()
    assert other.where["x"].endswith("EV1")


def test_names_types_and_nesting_of_both_layouts(file):
    """The lists of the interface, as text, beside the table that the code uses."""
    nodes = (
        "barycenter_x barycenter_y barycenter_z barycenter_eta barycenter_phi eVector0_x eVector0_y eVector0_z EV1 EV2 "
        "EV3 sigmaPCA1 sigmaPCA2 sigmaPCA3 num_LCs num_hits raw_energy raw_em_energy photon_prob electron_prob "
        "muon_prob neutral_pion_prob charged_hadron_prob neutral_hadron_prob z_min z_max LC_density trackster_density "
        "time time_error match_sharedE match_score"
    )
    wanted = {f"node_{name}": "std::vector<float>" for name in nodes.split()}
    wanted |= {f"simTrackster_{name}_energy": "std::vector<float>" for name in ("raw", "true")}
    wanted |= dict.fromkeys(["node_match_idx", "simTrackster_isPU", "simTrackster_pdgID"], "std::vector<int32_t>")
    wanted |= {f"edgeIndex_{name}": "std::vector<std::vector<uint32_t>>" for name in ("in", "out")}
    wanted["edge_label"] = "std::vector<std::vector<int32_t>>"
    for name in ("raw_energy", "barycenter_z", "barycenter_xy", "time", "eigenvector0", "weight"):
        wanted[f"edge_{name}"] = "std::vector<std::vector<float>>"
    tracksters = dict.fromkeys(["NTracksters", "NClusters"], "uint32_t")
    for name in [
        "time",
        "timeError",
        "regressed_energy",
        "raw_energy",
        "raw_em_energy",
        "raw_pt",
        "raw_em_pt",
        "barycenter_x",
        "barycenter_y",
        "barycenter_z",
        "barycenter_eta",
        "barycenter_phi",
        "EV1",
        "EV2",
        "EV3",
        "eVector0_x",
        "eVector0_y",
        "eVector0_z",
        "sigmaPCA1",
        "sigmaPCA2",
        "sigmaPCA3",
    ]:
        tracksters[name] = "std::vector<float>"
    tracksters["id_probabilities"] = "std::vector<std::vector<float>>"
    for name in [
        "x",
        "y",
        "z",
        "time",
        "timeErr",
        "energy",
        "correctedEnergy",
        "correctedEnergyUncertainty",
        "multiplicity",
    ]:
        tracksters[f"vertices_{name}"] = "std::vector<std::vector<float>>"
    tracksters["vertices_indexes"] = "std::vector<std::vector<uint32_t>>"
    boundary = [f"boundary{name}" for name in ("X", "Y", "Z", "Eta", "Phi", "Px", "Py", "Pz")]
    sim = tracksters | dict.fromkeys(["regressed_pt", "timeBoundary", *boundary], "std::vector<float>")
    sim |= {"pdgID": "std::vector<int32_t>", "trackIdx": "std::vector<std::vector<int32_t>>"}
    sim |= {f"track_{name}": "std::vector<std::vector<float>>" for name in boundary}
    clusters = dict.fromkeys(["seedID", "cluster_layer_id", "cluster_number_of_hits"], "std::vector<uint32_t>")
    clusters["cluster_type"] = "std::vector<int32_t>"
    for name in [
        "energy",
        "correctedEnergy",
        "correctedEnergyUncertainty",
        "position_x",
        "position_y",
        "position_z",
        "position_eta",
        "position_phi",
        "cluster_time",
        "cluster_timeErr",
    ]:
        clusters[name] = "std::vector<float>"
    links = {}
    for truth in ("SC", "CP"):
        for direction in ("recoToSim", "simToReco"):
            name = f"ticlTrackstersCLUE3DHigh_{direction}_{truth}"
            links[name] = "std::vector<std::vector<uint32_t>>"
            links |= dict.fromkeys([f"{name}_score", f"{name}_sharedE"], "std::vector<std::vector<float>>")
    graph = dict.fromkeys(["inner", "outer"], "std::vector<std::vector<uint32_t>>")
    trees = {
        "GNNTraining": wanted,
        "ticlTrackstersCLUE3DHigh": tracksters,
        "simtrackstersSC": sim,
        "simtrackstersCP": sim,
        "clusters": clusters,
        "associations": links,
        "TICLGraph": graph,
    }
    with uproot.open(file[0]) as opened:
        for name, branches in trees.items():
            assert opened[f"ticlDumper/{name}"].typenames() == branches, name
        assert set(opened.keys(cycle=False)) == {
            "ticlDumper",
            *(f"ticlDumper/{name}" for name in (*trees, "hitloom", "hitloom_provenance")),
        }


def test_the_edges_lie_with_their_inner_trackster(file):
    """Order of the edge branches in the file: time before the angle, the contract has them the other way round."""
    path, events = file
    with uproot.open(path) as opened:
        tree = opened["ticlDumper/GNNTraining"]
        inner, outer = tree["edgeIndex_in"].array()[0], tree["edgeIndex_out"].array()[0]
        time, angle = tree["edge_time"].array()[0], tree["edge_eigenvector0"].array()[0]
    event = events[0]
    place = 0
    for node in range(event.num_points):
        for entry in range(len(inner[node])):
            assert [inner[node][entry], outer[node][entry]] == event.edge_index[:, place].tolist()
            assert inner[node][entry] == node
            assert np.float32(time[node][entry]) == event.edge_attr[place, 4]
            assert np.float32(angle[node][entry]) == event.edge_attr[place, 3]
            place += 1
    assert place == event.edge_index.shape[1] > 10


def test_files_of_a_folder_keep_every_event_in_order(tmp_path):
    """Three files of several events: none is lost, none comes twice, ids are unique, the order is kept (defect 10)."""
    for name, first in (("train/b", 4), ("train/a", 2), ("test/c", 6)):
        toy_file(tmp_path / f"{name}.root", 2, first)
    source = open_ticl(tmp_path)
    events = list(read_ticl(source, chunk_size=1))
    assert [event.event_id for event in events] == [6, 7, 2, 3, 4, 5]
    assert source.splits() == {"train": [2, 3, 4, 5], "val": [], "test": [6, 7]}
    some = list(read_ticl(tmp_path, skip=1, limit=3))
    assert [event.event_id for event in some] == [7, 2, 3]
    for event in events:
        assert differing(event, toy_trackster_event(event.event_id, num_pileup=2), tolerance=3e-7) != ["x"]
        assert torch.equal(event.x, toy_trackster_event(event.event_id, num_pileup=2).x)
    # ids that repeat are counted anew
    toy_file(tmp_path / "test/d.root", 2, first=6)
    assert [event.event_id for event in read_ticl(tmp_path)] == list(range(8))


def test_the_highest_cycle_of_a_tree_counts(file, tmp_path):
    path, events = tmp_path / "cycles.root", file[1]
    with TiclWriter(path, layouts=("A",), extra=False, chunk_size=1) as writer:
        writer.write(events[0])
        writer._file._trees["ticlDumper/GNNTraining"].finish(writer._file._file)  # as a job that saves on its way
        writer.write(events[1])
    with uproot.open(path) as opened:
        assert {"ticlDumper/GNNTraining;1", "ticlDumper/GNNTraining;2"} <= set(opened.keys())
    assert [event.num_points for event in read_ticl(path)] == [event.num_points for event in events[:2]]


def test_longer_names_are_other_trees(file, tmp_path):
    """A tree whose name begins like the wanted one is not taken for it."""

    def renamed(trees):
        trees["ticlDumper/ticlTrackstersCLUE3DHighOld"] = trees.pop("ticlDumper/ticlTrackstersCLUE3DHigh")

    path = rewritten(file[0], tmp_path / "renamed.root", renamed)
    with pytest.raises(DataError, match=r"tree 'ticlTrackstersCLUE3DHigh' .* Did you mean"):
        read_ticl(path, layout_name="B")
    events = list(read_ticl(path, layout_name="B", collection="ticlTrackstersCLUE3DHighOld"))
    assert torch.equal(events[0].x, file[1][0].x)


def test_what_is_read_by_default(file, tmp_path):
    """B where it is whole, since it holds layer clusters; else A; the truth that is there."""

    def chosen(*gone):
        def without(trees):
            for name in gone:
                del trees[f"ticlDumper/{name}"]

        source = open_ticl(rewritten(file[0], tmp_path / "a.root", without))
        return source.layout, source.truth

    assert chosen() == ("B", "SC")
    assert chosen("clusters") == ("A", "SC")
    assert chosen("simtrackstersSC") == ("A", "SC")
    assert chosen("simtrackstersSC", "GNNTraining") == ("B", "CP")
    assert chosen("simtrackstersSC", "simtrackstersCP", "GNNTraining") == ("B", "SC")
    assert "object_index" not in next(read_ticl(tmp_path / "a.root"))


def test_either_folder_and_no_folder(file, tmp_path):
    for folder in ("ticlDumperGNN", "ticlDumper", "somewhere"):
        write_ticl(file[1], tmp_path / f"{folder}.root", folder=folder, layouts=("A",))
        assert len(list(read_ticl(tmp_path / f"{folder}.root"))) == 3
    with uproot.recreate(tmp_path / "empty.root"):
        pass
    with pytest.raises(DataError, match="no file with events"):
        read_ticl(tmp_path / "empty.root")


def test_files_without_keys_are_passed_over_with_a_warning(file, tmp_path, caplog):
    with uproot.recreate(tmp_path / "a_empty.root"):
        pass
    write_ticl(file[1], tmp_path / "b.root")
    with caplog.at_level(logging.WARNING):
        assert len(list(read_ticl(tmp_path))) == 3
    assert "a_empty.root: holds nothing, passed over" in caplog.text


def test_older_files_without_sim_tracksters_load_without_pile_up(file, tmp_path):
    """Defect 20."""

    def older(trees):
        table = trees["ticlDumper/GNNTraining"]
        for name in [name for name in table if name.startswith("simTrackster_")]:
            del table[name]
        del trees["ticlDumper/hitloom"]

    path = rewritten(file[0], tmp_path / "older.root", older)
    for one, event in zip(file[1], read_ticl(path, layout_name="A"), strict=True):
        assert torch.equal(event.object_index, one.object_index)
        assert "object_is_signal" not in event
        assert event.num_objects == int(one.object_index.max()) + 1


def test_the_graph_and_the_scores_are_built_where_the_trees_are_missing(file, tmp_path):
    def fewer(trees):
        del trees["ticlDumper/TICLGraph"], trees["ticlDumper/associations"], trees["ticlDumper/GNNTraining"]

    path = rewritten(file[0], tmp_path / "fewer.root", fewer)
    for one, event in zip(file[1], read_ticl(path), strict=True):
        assert torch.equal(event.edge_index, one.edge_index)
        torch.testing.assert_close(event.match_score, one.match_score, atol=1e-6, rtol=0)
        assert torch.equal(event.object_index, one.object_index)


def test_skeleton_features(file):
    wanted = toy_events(3, first=2**53, skeleton_features=True)
    for one, event in zip(wanted, read_ticl(file[0], layout_name="B", skeleton_features=True), strict=True):
        assert event.edge_feature_names == one.edge_feature_names
        torch.testing.assert_close(event.edge_attr, one.edge_attr, atol=1e-4, rtol=0)
    with pytest.raises(DataError, match="layout A has no layer clusters"):
        read_ticl(file[0], layout_name="A", skeleton_features=True)


@pytest.mark.parametrize("layout_name", ["A", "B"])
def test_events_with_no_or_one_trackster_are_kept(tmp_path, layout_name):
    """One rule for both layouts: every entry is an event; ``drop_small`` leaves out the small ones in both."""
    events = [
        toy_trackster_event(0, num_particles=0),
        toy_trackster_event(1, num_particles=1, pieces=1, shared=0.0),
        toy_trackster_event(2),
    ]
    assert [event.num_points for event in events[:2]] == [0, 1]
    write_ticl(events, tmp_path / "a.root", layouts=(layout_name,))
    back = list(read_ticl(tmp_path / "a.root"))
    for one, other in zip(events, back, strict=True):
        lost = [name for name in differing(one, other, tolerance=3e-7) if not name.startswith(LAYER_CLUSTERS)]
        assert lost == [] or (layout_name == "A" and lost == ["share_fraction", "share_index"])
    assert [event.event_id for event in read_ticl(tmp_path / "a.root", drop_small=True)] == [2]
