"""Similarity of clusters from the particles of their hits, and merged clusters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.data.collation import collate_events
from hitloom.data.shower_merge import merge_clusters
from hitloom.data.shower_truth import (
    DENOMINATORS,
    cluster_shares,
    hit_owners,
    similarity_target,
    store_similarity,
)
from hitloom.errors import DataError
from hitloom.event import Event
from shower_toy import toy_view


def brute_force(event: Event, denominator: str) -> torch.Tensor:
    """S of the definition, one pair and one particle at a time, from the hits."""
    owner, cluster = hit_owners(event).tolist(), event.part_point_index.tolist()
    counts = [[0] * event.num_objects for _ in range(event.num_points)]
    whole = [0] * event.num_points
    for hit, place in enumerate(cluster):
        if owner[hit] >= 0:
            counts[place][owner[hit]] += 1
        if denominator == "all" or owner[hit] >= 0:
            whole[place] += 1
    shares = [[count / max(total, 1) for count in row] for row, total in zip(counts, whole, strict=True)]
    sums = [[sum(a * b for a, b in zip(one, other, strict=True)) for other in shares] for one in shares]
    return torch.tensor(sums, dtype=torch.float32)


def equal(one: Event, other: Event) -> None:
    """Both hold the same fields with the same bits."""
    first, second = one.to_dict(), other.to_dict()
    assert first.keys() == second.keys()
    for name, value in first.items():
        if isinstance(value, torch.Tensor) and isinstance(second[name], torch.Tensor):
            assert torch.equal(value, second[name]), name
        else:
            assert value == second[name], name


views = st.builds(
    toy_view, st.integers(1, 15), st.integers(0, 500), mixed=st.floats(0, 0.5), without_truth=st.floats(0, 1)
)


@given(views, st.sampled_from(DENOMINATORS))
@settings(max_examples=25, deadline=None)
def test_similarity_is_what_counting_hits_gives_for_both_denominators(view, denominator):
    found = similarity_target(view, denominator)
    torch.testing.assert_close(found, brute_force(view, denominator), rtol=1e-5, atol=1e-6)
    assert bool(((found >= 0) & (found <= 1 + 1e-6)).all())
    shares = cluster_shares(view, denominator)
    torch.testing.assert_close(shares @ shares.T, found)


def test_the_denominator_that_is_asked_for_reaches_the_target():
    """Hits without truth lower the similarity when all hits count, and do not when only matched ones do."""
    view = toy_view(12, seed=3, without_truth=0.5, mixed=0.0)
    matched = similarity_target(view, "matched").diagonal()
    assert bool(((matched == 0) | (matched > 0.999)).all())
    assert float(similarity_target(view, "all").diagonal().mean()) < float(matched.mean())
    with pytest.raises(DataError, match=r"unknown denominator 'al'.*all"):
        similarity_target(view, "al")  # type: ignore[arg-type]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.sampled_from(DENOMINATORS))
@settings(max_examples=15, deadline=None)
def test_target_of_a_batch_is_that_of_each_view_one_after_the_other(sizes, denominator):
    events = [toy_view(size, place) for place, size in enumerate(sizes) if size] or [toy_view(2)]
    batch = collate_events(events)
    alone = torch.cat([similarity_target(event, denominator).reshape(-1) for event in events])
    assert torch.equal(similarity_target(batch, denominator), alone)
    assert cluster_shares(batch).shape == (batch.num_points, sum(event.num_objects for event in events))


@given(views, st.integers(1, 6), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_merge_then_target_is_the_target_of_the_merged_hits(view, number, seed):
    """Also: energy, hits, particles and their hits are conserved; the merged view is valid."""
    labels = torch.randint(0, number, (view.num_points,), generator=torch.Generator().manual_seed(seed))
    merged = merge_clusters(view, labels).validate()
    groups = labels.unique()
    assert merged.num_points == len(groups)
    for denominator in DENOMINATORS:
        found = similarity_target(merged, denominator)
        torch.testing.assert_close(found, brute_force(merged, denominator), rtol=1e-5, atol=1e-6)
    for row, group in enumerate(groups):
        members = (labels == group).nonzero()[:, 0]
        held = torch.cat([view.part_id[view.part_point_index == member] for member in members])
        assert torch.equal(merged.part_id[merged.part_point_index == row], held)
        assert int(merged.x[row, 0]) == len(held)
        assert int(merged.point_id[row]) == int(view.point_id[members[0]])
    assert torch.allclose(merged.energy.sum(), view.energy.sum(), rtol=1e-5)
    before, after = hit_owners(view), hit_owners(merged)
    assert torch.equal(before[torch.argsort(view.part_id)], after[torch.argsort(merged.part_id)])


def test_merging_twice_is_merging_once_by_the_joined_labels():
    view = toy_view(20, seed=8)
    first = torch.arange(20) // 3
    second = torch.arange(7) // 2
    twice = merge_clusters(merge_clusters(view, first), second)
    once = merge_clusters(view, second[first])
    assert twice.x[:, 1].tolist() == [2.0] * 4
    assert once.x[:, 1].tolist() == [1.0] * 4
    twice.x = once.x
    equal(twice, once)


def test_nothing_merged_changes_the_tier_alone():
    view = toy_view(11, seed=8)
    same = merge_clusters(view, torch.arange(11))
    assert torch.equal(same.x, view.x + torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(same.pos, view.pos)
    assert torch.equal(same.share_index, view.share_index)
    assert torch.equal(same.share_fraction, view.share_fraction)


@given(st.integers(0, 99), st.integers(1, 5))
@settings(max_examples=10, deadline=None)
def test_merging_a_batch_is_merging_each_view(seed, number):
    """Labels may begin at 0 in each view; the batch can be taken apart again."""
    events = [toy_view(size, seed, view=view) for size, view in ((9, 4), (1, 5), (14, 6))]
    generator = torch.Generator().manual_seed(seed)
    labels = [torch.randint(0, number, (event.num_points,), generator=generator) for event in events]
    alone = [merge_clusters(event, label) for event, label in zip(events, labels, strict=True)]
    merged = merge_clusters(collate_events(events), torch.cat(labels))
    equal(merged, collate_events(alone))
    for one, other in zip(merged.to_data_list(), alone, strict=True):
        one.event_id = int(one.event_id)
        equal(one, other)


def test_clusters_without_energy_lie_at_the_mean_of_their_hits():
    view = toy_view(6, seed=1)
    view.part_energy = torch.zeros_like(view.part_energy)
    merged = merge_clusters(view, torch.zeros(6, dtype=torch.int64)).validate()
    torch.testing.assert_close(merged.pos[0], view.part_pos.double().mean(0).float())


def test_labels_that_do_not_fit_are_refused():
    view = toy_view(4)
    with pytest.raises(DataError, match="wanted one int64 for each of 4 clusters"):
        merge_clusters(view, torch.zeros(3, dtype=torch.int64))
    with pytest.raises(DataError, match="label -1 came, wanted 0 or more"):
        merge_clusters(view, torch.tensor([0, -1, 0, 0]))


def test_an_empty_view_has_an_empty_target_and_merges_to_itself():
    view = toy_view(3).select_points(torch.zeros(3, dtype=torch.bool))
    assert similarity_target(view).shape == (0, 0)
    assert merge_clusters(view.validate(), torch.zeros(0, dtype=torch.int64)).num_points == 0


def test_selected_clusters_keep_their_hits_and_the_particles_of_these():
    view = toy_view(9, seed=6)
    some = view.select_points(torch.arange(9) % 2 == 0).validate()
    kept = torch.isin(view.part_id, some.part_id)
    assert torch.equal(hit_owners(some), hit_owners(view)[kept])
    torch.testing.assert_close(similarity_target(some), similarity_target(view)[::2, ::2])
    torch.testing.assert_close(similarity_target(some), brute_force(some, "all"))


def test_a_similarity_without_truth_behind_it_is_kept_exactly_and_merges_as_hits_do():
    views = [toy_view(size, seed=size) for size in (7, 12)]
    blind = []
    for view in views:
        wanted = similarity_target(view)
        event = Event.of_values(view.to_dict())
        for name in [name for name in view.to_dict() if "share" in name or name.startswith("object")]:
            del event[name]
        store_similarity(event, wanted)
        event.validate()
        assert torch.equal(similarity_target(event), wanted)
        blind.append(event)
    labels = [torch.arange(7) // 2, torch.arange(12) // 5]
    for view, event, label in zip(views, blind, labels, strict=True):
        merged = merge_clusters(event, label).validate()
        torch.testing.assert_close(similarity_target(merged), similarity_target(merge_clusters(view, label)))
    merged = merge_clusters(collate_events(blind), torch.cat(labels))
    alone = [similarity_target(merge_clusters(*pair)).reshape(-1) for pair in zip(blind, labels, strict=True)]
    torch.testing.assert_close(similarity_target(merged), torch.cat(alone))
    blind[0].provenance = '{"denominator": "matched"}'
    with pytest.raises(DataError, match="counts matched hits, but 'all' was asked for; mend: loss.denominator"):
        similarity_target(blind[0])
    with pytest.raises(DataError, match="true similarity is wanted, but the data has no truth"):
        cluster_shares(blind[0])


def test_number_of_particles_may_exceed_those_of_the_clusters():
    """A particle whose hits are a minority everywhere owns no cluster, but is in the shares."""
    view = toy_view(5, seed=2, num_objects=5, mixed=0.5)
    assert set(np.unique(view.object_index)) <= set(range(view.num_objects))
    torch.testing.assert_close(similarity_target(view), brute_force(view, "all"), rtol=1e-5, atol=1e-6)
