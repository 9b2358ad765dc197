"""Connected accessory clustering against the rules, written down with sets. N clusters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.errors import DataError
from hitloom.grouping.accessory import (
    compose,
    connected_accessory,
    iterate_groups,
    scaled_threshold,
    two_stage,
)


def by_sets(similarity, num_hits, threshold, limit):
    """Return the groups as a set of frozen sets, by the letter of the rules and in no hurry."""
    num = len(num_hits)
    core = [i for i in range(num) if num_hits[i] > limit]
    groups: list[set[int]] = components_by_sets(similarity, threshold, core)
    free = {i for i in range(num) if num_hits[i] <= limit}
    while True:
        planned = {}
        for i in sorted(free):
            best = threshold
            for place, group in enumerate(groups):
                value = max(similarity[i][j] for j in group)
                if value > best:
                    best, planned[i] = value, place
        for i, place in planned.items():
            groups[place].add(i)
            free.remove(i)
        if not planned:
            break
    groups += components_by_sets(similarity, threshold, sorted(free))
    return {frozenset(group) for group in groups}


def components_by_sets(similarity, threshold, rows):
    groups: list[set[int]] = []
    for i in rows:
        touched = [group for group in groups if any(similarity[i][j] > threshold for j in group)]
        groups = [group for group in groups if group not in touched]
        groups.append({i}.union(*touched))
    return sorted(groups, key=min)


def as_sets(labels):
    rows = np.asarray(labels)
    assert (rows >= 0).all()
    return {frozenset(np.flatnonzero(rows == label).tolist()) for label in np.unique(rows)}


def matrix(num, pairs, fill=0.0):
    """Return the symmetric matrix with these entries {(i, j): value}."""
    result = np.full((num, num), fill, np.float32)
    np.fill_diagonal(result, 1.0)
    for (i, j), value in pairs.items():
        result[i, j] = result[j, i] = value
    return torch.from_numpy(result)


def group(num, pairs, hits, threshold=0.5, limit=2):
    return connected_accessory(
        matrix(num, pairs), torch.tensor(hits, dtype=torch.int64), threshold=threshold, accessory_max_hits=limit
    ).tolist()


def random_view(seed, num, levels=None):
    """Return a similarity, rounded to ``levels`` values so that there are ties, and numbers of hits."""
    rng = np.random.default_rng(seed)
    values = rng.random((num, num)) ** rng.uniform(0.5, 4)
    values = np.maximum(values, values.T)
    if levels:
        values = np.round(values * levels) / levels
    return torch.from_numpy(values.astype(np.float32)), torch.from_numpy(rng.integers(1, 6, num))


@given(st.integers(0, 10**6), st.integers(0, 14), st.sampled_from([None, 4]), st.sampled_from([0.25, 0.5, 0.75, 1.0]))
@settings(max_examples=150, deadline=None)
def test_equals_the_rules_written_with_sets(seed, num, levels, threshold):
    similarity, hits = random_view(seed, num, levels)
    labels = connected_accessory(similarity, hits, threshold=threshold)
    assert as_sets(labels) == by_sets(similarity.tolist(), hits.tolist(), threshold, 2)
    assert labels.dtype == torch.int64
    firsts = [labels.tolist().index(name) for name in range(int(labels.max()) + 1 if num else 0)]
    assert firsts == sorted(firsts)  # groups are numbered by their lowest cluster


@given(st.integers(0, 10**6), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_the_order_of_the_clusters_does_not_matter(seed, num):
    similarity, hits = random_view(seed, num)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(num))
    for stage in (connected_accessory, lambda *a, **k: two_stage(*a, second_threshold=0.5, **k)):
        labels = stage(similarity, hits, threshold=0.8)
        turned = stage(similarity[order][:, order].contiguous(), hits[order], threshold=0.8)
        assert as_sets(turned) == {frozenset(order.argsort()[list(g)].tolist()) for g in as_sets(labels)}


@given(st.integers(0, 10**6), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_no_group_holds_two_core_components(seed, num):
    similarity, hits = random_view(seed, num)
    labels = connected_accessory(similarity, hits, threshold=0.8)
    core = hits > 2
    alone = connected_accessory(similarity[core][:, core].contiguous(), hits[core], threshold=0.8)
    assert as_sets(alone) == as_sets(labels[core])


def test_a_similarity_equal_to_the_threshold_joins_nothing():
    assert group(2, {(0, 1): 0.5}, [9, 9]) == [0, 1]
    assert group(2, {(0, 1): np.nextafter(np.float32(0.5), np.float32(1))}, [9, 9]) == [0, 0]
    # 0.6 of single precision lies above 0.6; both sides are compared in the precision of the matrix
    assert group(2, {(0, 1): 0.6}, [9, 9], threshold=0.6) == [0, 1]
    assert group(2, {(0, 1): 0.5}, [1, 9]) == [0, 1]
    assert group(2, {(0, 1): 0.5}, [1, 1]) == [0, 1]


def test_core_clusters_join_through_others_and_accessories_do_not_bridge():
    chain = {(0, 1): 0.9, (1, 2): 0.9}
    assert group(3, chain, [9, 9, 9]) == [0, 0, 0]
    assert group(3, chain | {(1, 2): 0.8}, [9, 2, 9]) == [0, 0, 1]


def test_a_chain_of_accessories_is_followed_round_by_round():
    assert group(4, {(0, 1): 0.9, (1, 2): 0.9, (2, 3): 0.9}, [9, 1, 2, 1]) == [0, 0, 0, 0]


def test_all_accessories_of_a_round_choose_before_any_joins():
    """Cluster 2 resembles group 0 a little and accessory 1 much; 1 is no member of a group yet when 2 chooses."""
    pairs = {(0, 1): 0.9, (1, 2): 0.95, (2, 3): 0.6}
    assert group(4, pairs, [9, 1, 1, 9]) == [0, 0, 1, 1]


def test_of_equal_similarities_the_group_with_the_lowest_core_cluster_wins():
    assert group(3, {(0, 1): 0.8, (0, 2): 0.8}, [1, 9, 9]) == [0, 0, 1]
    # core groups {0, 3} and {1, 2}: the tie of 4 with 2 and 3 goes to that of cluster 0, though 2 comes before 3
    pairs = {(0, 3): 0.9, (1, 2): 0.9, (4, 2): 0.7, (4, 3): 0.7}
    assert group(5, pairs, [9, 9, 9, 9, 1]) == [0, 1, 1, 0, 0]


def test_accessories_left_over_group_among_themselves():
    pairs = {(1, 2): 0.9, (2, 3): 0.9, (0, 4): 0.3}
    assert group(5, pairs, [9, 1, 1, 1, 1]) == [0, 1, 1, 1, 2]
    assert group(3, {(0, 1): 0.9}, [1, 1, 1]) == [0, 0, 1]


def test_the_limit_of_hits_is_that_of_accessories():
    pairs = {(0, 1): 0.9, (1, 2): 0.9}
    assert group(3, pairs, [9, 3, 9]) == [0, 0, 0]
    assert len(set(group(3, pairs, [9, 3, 9], limit=3))) == 2
    assert group(3, pairs, [1, 1, 1], limit=0) == [0, 0, 0]


def test_no_cluster_and_one_cluster():
    assert group(0, {}, []) == []
    for hits in (1, 9):
        assert group(1, {}, [hits]) == [0]


def test_the_diagonal_is_not_read():
    similarity = matrix(3, {(0, 1): 0.9})
    similarity.fill_diagonal_(0.0)
    assert connected_accessory(similarity, torch.tensor([9, 9, 1]), threshold=0.5).tolist() == [0, 0, 1]


@pytest.mark.parametrize("kind", [np.float32, np.float64, torch.bfloat16, "turned"])
def test_arrays_and_tensors_of_any_precision(kind):
    similarity, hits = random_view(3, 30, levels=4)  # quarters are exact in all of them
    wanted = connected_accessory(similarity, hits, threshold=0.75)
    if kind == "turned":
        given_ = similarity.T
    else:
        given_ = similarity.to(kind) if kind is torch.bfloat16 else similarity.numpy().astype(kind)
    assert torch.equal(connected_accessory(given_, hits.numpy(), threshold=0.75), wanted)


def test_what_is_no_similarity_is_refused():
    similarity = matrix(3, {})
    similarity[1, 2] = torch.nan
    with pytest.raises(DataError, match="row 1 came with nan"):
        connected_accessory(similarity, torch.ones(3, dtype=torch.int64), threshold=0.5)
    with pytest.raises(DataError, match=r"\(N, N\) and integer \(N,\)"):
        connected_accessory(matrix(3, {}), torch.ones(2, dtype=torch.int64), threshold=0.5)
    with pytest.raises(DataError, match="integer"):
        connected_accessory(matrix(3, {}), torch.ones(3), threshold=0.5)


@given(st.integers(0, 10**6), st.integers(1, 16))
@settings(max_examples=60, deadline=None)
def test_the_second_stage_groups_groups_by_their_least_similar_pair(seed, num):
    similarity, hits = random_view(seed, num)
    first = sorted(by_sets(similarity.tolist(), hits.tolist(), 0.8, 2), key=min)
    least = [[min(float(similarity[i, j]) for i in one for j in two) for two in first] for one in first]
    total = [sum(int(hits[i]) for i in one) for one in first]
    second = by_sets(least, total, 0.3, 2)
    wanted = {frozenset().union(*(first[place] for place in joined)) for joined in second}
    assert as_sets(two_stage(similarity, hits, threshold=0.8, second_threshold=0.3)) == wanted


@pytest.mark.parametrize("second", [0.6, 0.7, scaled_threshold(0.6, 1.0), scaled_threshold(0.6, 1.5)])
def test_a_second_threshold_that_is_not_lower_changes_nothing(second):
    similarity, hits = random_view(5, 40)
    assert torch.equal(
        two_stage(similarity, hits, threshold=0.6, second_threshold=second),
        connected_accessory(similarity, hits, threshold=0.6),
    )


def test_the_second_threshold_as_a_multiple_of_the_first():
    assert scaled_threshold(0.6, 0.5) == 0.3
    pairs = {(0, 1): 0.9, (1, 2): 0.4, (0, 2): 0.35}
    similarity, hits = matrix(3, pairs), torch.tensor([9, 9, 9])
    assert two_stage(similarity, hits, threshold=0.6, second_threshold=scaled_threshold(0.6, 0.5)).tolist() == [0, 0, 0]
    assert two_stage(similarity, hits, threshold=0.6, second_threshold=scaled_threshold(0.6, 0.6)).tolist() == [0, 0, 1]


def test_compose_names_what_does_not_fit():
    assert compose(torch.tensor([1, 0, 1]), torch.tensor([5, 5])).tolist() == [0, 0, 0]
    assert compose(torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)).tolist() == []
    with pytest.raises(DataError, match="3 groups came, and 2 labels"):
        compose(torch.tensor([0, 1, 2]), torch.tensor([0, 0]))


def merged(names, labels):
    return [sum((names[i] for i in np.flatnonzero(labels.numpy() == g)), ()) for g in range(int(labels.max()) + 1)]


def pairs_of_neighbours(names):
    """Group the first with the second, the third with the fourth and so on; numbers in falling order."""
    return torch.tensor([len(names) - i // 2 for i in range(len(names))])


def test_iterated_groups_are_those_of_the_first_clusters():
    found = iterate_groups([(i,) for i in range(5)], group=pairs_of_neighbours, merge=merged, max_iterations=10)
    assert [labels.tolist() for labels in found.history] == [[0, 0, 1, 1, 2], [0, 0, 0, 0, 1], [0] * 5]
    assert found.labels.tolist() == [0] * 5
    assert found.converged
    short = iterate_groups([(i,) for i in range(5)], group=pairs_of_neighbours, merge=merged, max_iterations=2)
    assert short.labels.tolist() == [0, 0, 0, 0, 1]
    assert not short.converged


@pytest.mark.parametrize("num", [0, 1, 3])
def test_iteration_stops_when_nothing_merges(num):
    calls = []

    def alone(names):
        calls.append(names)
        return torch.arange(len(names))

    found = iterate_groups([(i,) for i in range(num)], group=alone, merge=merged, max_iterations=10)
    assert found.labels.tolist() == list(range(num))
    assert (len(calls), found.history, found.converged) == (1, [], True)
