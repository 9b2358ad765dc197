"""Tensor files of 2D clusters: both forms, all presets, folders, mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hitloom.data.lartpc_detectors import get_detector
from hitloom.data.shower_columns import PRESETS, hit_columns
from hitloom.data.shower_tensor_folder import find_tensors, read_tensor_files, write_tensor_folder
from hitloom.data.shower_tensors import FORMS, load_tensors, tensor_view, write_tensors
from hitloom.data.shower_truth import similarity_target
from hitloom.errors import DataError
from shower_toy import toy_view

DETECTOR = get_detector("dune-fd-hd")


def largest_first(view):
    return torch.argsort(view.x[:, 0], descending=True, stable=True)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_comes_back_in_both_forms(tmp_path, preset, form):
    """Clusters by falling size, the columns of the preset, the similarity; a dict gives the shares too."""
    view = toy_view(15, seed=preset, view=5, volumes=True)
    path = write_tensors(view, tmp_path, preset=preset, form=form)
    assert path.name == f"{preset}_V.pt"
    found = tensor_view(path, preset=preset, detector=DETECTOR).validate()
    order = largest_first(view)
    assert torch.equal(found.x[:, 0], view.x[order, 0])
    torch.testing.assert_close(similarity_target(found), similarity_target(view)[order][:, order])
    names = [name for name in PRESETS[preset] if name not in ("r", "cos", "sin")]
    place = torch.argsort(torch.argsort(order)[view.part_point_index], stable=True)
    torch.testing.assert_close(hit_columns(found, names), hit_columns(view, names)[place])
    torch.testing.assert_close(found.pos, view.pos[order], rtol=1e-5, atol=1e-2)
    if form == "dict" or preset == 2:
        assert torch.equal(found.share_fraction.sort().values, view.share_fraction.sort().values)


def test_the_file_holds_unscaled_float32_and_int64(tmp_path):
    view = toy_view(9, seed=1, without_truth=0.3)
    content = torch.load(write_tensors(view, tmp_path), weights_only=True)
    assert set(content) == {"clusters", "similarity", "cluster_mc_ids", "cluster_mc_cnts"}
    assert {tuple(one.shape[1:]) for one in content["clusters"]} == {(12,)}
    assert {one.dtype for one in content["clusters"]} == {torch.float32}
    assert {one.dtype for one in (*content["cluster_mc_ids"], *content["cluster_mc_cnts"])} == {torch.int64}
    held = sum(int(one.sum()) for one in content["cluster_mc_cnts"])
    assert held == view.part_share_index.shape[1] < view.num_parts
    listed = torch.load(write_tensors(view, tmp_path, form="list", preset=1), weights_only=True)
    assert len(listed) == 10
    assert torch.equal(listed[-1], content["similarity"])
    row = view.part_point_index == largest_first(view)[0]
    assert torch.equal(listed[0], hit_columns(view, PRESETS[1])[row])


def test_summary_rows_in_files_are_no_hits(tmp_path):
    view = toy_view(8, seed=2)
    content = load_tensors(write_tensors(view, tmp_path, preset=3, form="list"))
    assert sum(len(one) for one in content.clusters) == view.num_parts + 8
    last = content.clusters[0][-1]
    assert last.tolist() == [float(view.x[:, 0].max()), float(view.num_parts), 8.0, 0.0, 0.0, 1.0]
    found = tensor_view(tmp_path / "2_W.pt", preset=3, detector=DETECTOR)
    assert found.num_parts == view.num_parts
    assert int(found.x[:, 0].sum()) == view.num_parts


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("denominator", ["all", "matched"])
def test_the_denominator_that_is_asked_for_is_in_the_file(tmp_path, form, denominator):
    view = toy_view(10, seed=5, without_truth=0.4)
    order = largest_first(view)
    path = write_tensors(view, tmp_path, form=form, denominator=denominator)
    assert torch.equal(load_tensors(path).similarity, similarity_target(view, denominator)[order][:, order])
    found = tensor_view(path, denominator=denominator)
    torch.testing.assert_close(similarity_target(found, denominator), load_tensors(path).similarity)
    if form == "list":
        other = "matched" if denominator == "all" else "all"
        with pytest.raises(DataError, match=f"counts {denominator} hits, but '{other}' was asked for"):
            similarity_target(found, other)


def test_a_file_that_would_run_code_is_refused(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "harm",))

    torch.save([torch.zeros(1, 12), Trap()], tmp_path / "0_U.pt")
    with pytest.raises(DataError, match="0_U.pt: cannot be read as tensors"):
        tensor_view(tmp_path / "0_U.pt")
    assert not (tmp_path / "harm").exists()


def one_cluster(**changes):
    content = {
        "clusters": [torch.rand(3, 11), torch.rand(1, 11)],
        "similarity": torch.eye(2),
        "cluster_mc_ids": [torch.tensor([4]), torch.tensor([7])],
        "cluster_mc_cnts": [torch.tensor([3]), torch.tensor([1])],
    }
    for cluster in content["clusters"]:
        cluster[:, 8:] = torch.tensor([0.0, 0.0, 1.0])
    return content | changes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "holds list, but a list of tensors or a dict was wanted"),
        ({"clusters": []}, "'similarity' is missing; it holds clusters"),
        (one_cluster(similarity=torch.eye(3)), r"similarity \(3, 3\), but 2 clusters want \(2, 2\)"),
        (one_cluster(similarity=torch.tensor([[1.0, 0.5], [0.0, 1.0]])), "the similarity is not symmetric"),
        (one_cluster(similarity=0.5 * torch.eye(2)), "the similarity is not what the counts of particles give"),
        (one_cluster(cluster_mc_cnts=[torch.tensor([3]), torch.tensor([2])]), "cluster 1 has 1 hits, but counts of 2"),
        (one_cluster(cluster_mc_ids=[torch.tensor([4])]), "counts of particles for 1 of 2 clusters"),
        (one_cluster(clusters=[torch.rand(2, 11), torch.zeros(0, 11)]), "cluster 1 has no hit"),
        (one_cluster(clusters=[torch.rand(2, 11), torch.rand(2, 12)]), "clusters of different or no columns"),
        (one_cluster(clusters=[torch.full((1, 11), float("nan"))] * 2), "cluster 0 holds NaN or infinity"),
        ([torch.zeros(0, 0)], "no cluster"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, content, message):
    torch.save(content, tmp_path / "5_W.pt")
    with pytest.raises(DataError, match=rf"5_W.pt: {message}"):
        tensor_view(tmp_path / "5_W.pt")


def test_a_right_file_is_read(tmp_path):
    torch.save(one_cluster(), tmp_path / "5_W.pt")
    view = tensor_view(tmp_path / "5_W.pt").validate()
    assert (view.event_id, view.num_points, view.object_id.tolist()) == (56, 2, [4, 7])


def test_the_preset_must_fit(tmp_path):
    """Where several have the same number of columns it is asked for; the view must be that of the name."""
    path = write_tensors(toy_view(4), tmp_path, preset=6)
    with pytest.raises(DataError, match="6 columns: presets 2, 3, 4, 6 have them all; mend: name one with --preset"):
        tensor_view(path)
    with pytest.raises(DataError, match="6 columns, but preset 8 has 12"):
        tensor_view(path, preset=8)
    with pytest.raises(DataError, match="the columns hold no wire pitch; mend: name the detector with --detector"):
        tensor_view(write_tensors(toy_view(4), tmp_path, preset=1))
    path = write_tensors(toy_view(4), tmp_path).rename(tmp_path / "0_U.pt")
    with pytest.raises(DataError, match="column 'view_u' contradicts view U of the name"):
        tensor_view(path)
    with pytest.raises(DataError, match="the name says no slice and view"):
        tensor_view(path.rename(tmp_path / "event.pt"))
    with pytest.raises(DataError, match=r"column 'x_gap' .* mend: inputs.preset: preset 10"):
        write_tensors(toy_view(4, gaps=False), tmp_path)


def test_files_are_read_by_number_of_slice_whatever_the_order_of_the_folder(tmp_path):
    views = [toy_view(3, slice_, view=view) for slice_ in (10, 2, 1) for view in (6, 4)]
    split = {view.event_id: "train" if view.event_id < 50 else "test" for view in views}
    assert write_tensor_folder(views, tmp_path / "pt", split_of=split) == 6
    files = find_tensors(tmp_path / "pt")
    assert [file.event_id for file in files] == [14, 16, 24, 26, 104, 106]
    assert [file.split for file in files] == ["train"] * 4 + ["test"] * 2
    assert [view.event_id for view in read_tensor_files(files)] == [file.event_id for file in files]
    assert [file.event_id for file in find_tensors(tmp_path / "pt", views=(4,))] == [14, 24, 104]
    (tmp_path / "pt" / "all").mkdir()
    write_tensors(views[0], tmp_path / "pt" / "all")
    with pytest.raises(DataError, match="the same slice and view as"):
        find_tensors(tmp_path / "pt")


def test_nothing_half_written_is_left(tmp_path):
    blind = toy_view(3, gaps=False)
    with pytest.raises(DataError, match="x_gap"):
        write_tensor_folder([toy_view(3, 1), blind], tmp_path / "pt")
    with pytest.raises(DataError, match="no event to write"):
        write_tensor_folder([], tmp_path / "pt")
    assert list(tmp_path.iterdir()) == []
    write_tensor_folder([toy_view(3)], tmp_path / "pt")
    with pytest.raises(DataError, match="already exists"):
        write_tensor_folder([toy_view(3)], tmp_path / "pt")
