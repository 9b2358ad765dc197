"""Results on disk: exact, resumable, never mixed."""

from __future__ import annotations

import pytest
import torch

from hitloom.data.results import ResultWriter, open_results, read_results
from hitloom.errors import DataError
from hitloom.result import Result

META = {"checkpoint_fingerprint": "abc", "store_fingerprint": "def", "store": "events", "system": "eggnet"}


def result(event_id, num_points, width=3, score=True):
    generator = torch.Generator().manual_seed(event_id)
    return Result(
        event_id=event_id,
        point_id=torch.randperm(num_points, generator=generator) + 2**53,
        labels=torch.randint(-1, 4, (num_points,), generator=generator),
        embedding=torch.randn(num_points, width, generator=generator) if width else None,
        point_score=torch.randn(num_points, generator=generator) if score else None,
        in_input=torch.rand(num_points, generator=generator) > 0.5,
        timing={"network": 0.25, "grouping": 0.5},
    )


def same(first, second):
    assert first.event_id == second.event_id
    for name in ("point_id", "labels", "embedding", "point_score"):
        left, right = getattr(first, name), getattr(second, name)
        assert (left is None and right is None) or torch.equal(left, right), name
    left, right = (
        torch.ones(len(some.labels), dtype=torch.bool) if some.in_input is None else some.in_input
        for some in (first, second)
    )
    assert torch.equal(left, right)
    assert first.timing == second.timing


def linked(event_id, num_points, num_edges, score=True):
    """Return a result with edges in an order of their own, some twice, some from a point to itself."""
    generator = torch.Generator().manual_seed(event_id)
    edges = torch.randint(0, max(num_points, 1), (2, num_edges), generator=generator)
    return Result(
        event_id=event_id,
        point_id=torch.arange(num_points),
        labels=torch.randint(0, 4, (num_points,), generator=generator),
        edge_index=edges,
        edge_score=torch.randn(num_edges, generator=generator) if score else None,
    )


def write(folder, results, **options):
    with ResultWriter(folder, "val", **({"meta": META} | options)) as writer:
        for one in results:
            if one.event_id not in writer.done:
                writer.write(one)
        return writer


def interrupted(folder, results):
    with ResultWriter(folder, "val", meta=META) as writer:
        for one in results:
            writer.write(one)
        raise KeyboardInterrupt


@pytest.mark.parametrize("options", [{}, {"width": 0}, {"score": False}, {"width": 0, "score": False}])
def test_what_goes_in_comes_out(tmp_path, options):
    results = [result(1, 7, **options), result(2, 0, **options), result(2**60, 40, **options)]
    write(tmp_path, results)
    for _ in range(2):
        for one, again in zip(results, read_results(tmp_path, "val"), strict=True):
            same(one, again)
    stored = open_results(tmp_path)
    assert stored.event_ids == [1, 2, 2**60]
    assert [record["num_points"] for record in stored.records] == [7, 0, 40]
    assert stored.meta == META
    assert stored.events == "events"
    assert [entry.name for entry in tmp_path.iterdir()] == ["results-val.parquet"]


@pytest.mark.parametrize("score", [True, False])
def test_edges_come_back_in_their_order(tmp_path, score):
    results = [linked(1, 7, 30, score), linked(2, 0, 0, score), linked(3, 5, 0, score), linked(4, 300, 2000, score)]
    write(tmp_path, results)
    for one, again in zip(results, read_results(tmp_path, "val"), strict=True):
        same(one, again)
        assert torch.equal(one.edge_index, again.edge_index)
        assert again.edge_index.dtype == torch.int64
        assert again.edge_score is None if not score else torch.equal(one.edge_score, again.edge_score)


def test_results_without_edges_have_no_columns_for_them(tmp_path):
    write(tmp_path, [result(1, 7)])
    back = next(iter(read_results(tmp_path, "val")))
    assert (back.edge_index, back.edge_score) == (None, None)


@pytest.mark.parametrize("wrong", [{"edge_index": torch.tensor([[0], [9]])}, {"edge_score": torch.zeros(2)}])
def test_an_edge_without_an_end_or_a_score_is_refused(tmp_path, wrong):
    from dataclasses import replace

    with pytest.raises(DataError, match="event 3: edges between rows 0 to 4"):
        write(tmp_path, [replace(linked(3, 5, 1), **wrong)])


def test_others_can_read_the_file(tmp_path):
    pandas = pytest.importorskip("pandas")
    one = result(3, 5)
    write(tmp_path, [one])
    frame = pandas.read_parquet(tmp_path / "results-val.parquet")
    assert frame["label"].tolist() == one.labels.tolist()
    assert frame["point"].tolist() == one.point_id.tolist()
    assert frame["embedding"][0].tolist() == one.embedding[0].tolist()


def test_an_interrupted_inference_goes_on(tmp_path):
    results = [result(number, 10) for number in (5, 4, 3)]
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path, results[:2])
    with pytest.raises(DataError, match="unfinished"):
        open_results(tmp_path)
    with ResultWriter(tmp_path, "val", meta=META) as writer:
        assert writer.done == {4, 5}
        writer.write(results[2])
    for one, again in zip(results[::-1], read_results(tmp_path, "val"), strict=True):
        same(one, again)


def test_a_part_cut_off_by_a_crash_is_made_again(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path, [result(1, 10)])
    (part,) = (tmp_path / ".results-val.part").iterdir()
    part.write_bytes(part.read_bytes()[:-20])
    assert ResultWriter(tmp_path, "val", meta=META).done == frozenset()


def test_finished_results_take_more_events(tmp_path):
    write(tmp_path, [result(1, 4), result(9, 0)])
    assert ResultWriter(tmp_path, "val", meta=META).done == {1, 9}
    write(tmp_path, [result(1, 4), result(5, 6)], order=[9, 5, 1])
    assert open_results(tmp_path).event_ids == [9, 5, 1]
    for one, number in zip(read_results(tmp_path, "val"), (0, 6, 4), strict=True):
        same(one, result(one.event_id, number))


@pytest.mark.parametrize("name", ["checkpoint_fingerprint", "store_fingerprint"])
def test_eggnet_defect_19_stale_results_are_refused_or_redone(tmp_path, name):
    write(tmp_path, [result(1, 4), result(2, 4)])
    other = META | {name: "other"}
    with pytest.raises(DataError, match=f"{name} '{META[name]}', but now it is 'other'"):
        ResultWriter(tmp_path, "val", meta=other)
    writer = ResultWriter(tmp_path, "val", meta=other, redo=True)
    assert writer.done == frozenset()
    assert open_results(tmp_path).meta == META, "what is there stays until the new results are complete"
    with writer:
        writer.write(result(2, 5))
    assert open_results(tmp_path).meta == other
    assert open_results(tmp_path).event_ids == [2]
    with ResultWriter(tmp_path, "val", meta=META, redo=True):
        pass
    assert list(tmp_path.iterdir()) == []


def test_eggnet_defect_19_stale_parts_are_refused_or_redone(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path, [result(1, 10)])
    other = META | {"checkpoint_fingerprint": "new"}
    with pytest.raises(DataError, match="checkpoint_fingerprint"):
        ResultWriter(tmp_path, "val", meta=other)
    assert ResultWriter(tmp_path, "val", meta=other, redo=True).done == frozenset()


def test_what_else_makes_results_stale_is_the_callers_to_say(tmp_path):
    meta = META | {"grouping": {"eps": 0.1}, "hardware": "a"}
    write(tmp_path, [result(1, 4)], meta=meta, identity=("checkpoint_fingerprint", "grouping"))
    options = {"identity": ("checkpoint_fingerprint", "grouping")}
    assert ResultWriter(tmp_path, "val", meta=meta | {"hardware": "b"}, **options).done == {1}
    with pytest.raises(DataError, match="grouping"):
        ResultWriter(tmp_path, "val", meta=meta | {"grouping": {"eps": 0.2}}, **options)
    with pytest.raises(DataError, match="meta lacks 'grouping'"):
        ResultWriter(tmp_path, "val", meta=META, **options)


def test_mistakes(tmp_path):
    with pytest.raises(DataError, match=r"no results-\*"):
        open_results(tmp_path)
    write(tmp_path, [result(1, 4)])
    with pytest.raises(DataError, match=r"no results of split 'vall'. Did you mean 'val'"):
        open_results(tmp_path, "vall")
    with pytest.raises(DataError, match="came twice"), ResultWriter(tmp_path, "val", meta=META) as writer:
        writer.write(result(1, 4))
    with pytest.raises(DataError, match="letters"):
        ResultWriter(tmp_path, "../val", meta=META)
    with pytest.raises(DataError, match="another embedding width"):
        write(tmp_path, [result(2, 4, width=5)])
    path = tmp_path / "results-val.parquet"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match="not a whole Parquet file"):
        open_results(tmp_path)


def test_several_splits_are_one(tmp_path):
    write(tmp_path, [result(4, 3)])
    with ResultWriter(tmp_path, "test", meta=META) as writer:
        writer.write(result(8, 2))
    both = open_results(tmp_path)
    assert both.splits == ("test", "val")
    assert [one.event_id for one in both] == [8, 4]
    assert len(both) == 2
    assert [one.event_id for one in read_results(tmp_path, "val")] == [4]
