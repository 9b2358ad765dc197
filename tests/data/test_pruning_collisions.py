"""Trees of whole collisions: every trackster becomes an event, labelled by the majority rule."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hitloom.data.jagged import Jagged
from hitloom.data.pruning_collisions import padded
from hitloom.data.pruning_files import open_pruning, read_pruning
from hitloom.data.pruning_labels import majority_labels
from hitloom.data.pruning_layout import PRUNING_FEATURES
from hitloom.data.root_records import Column
from hitloom.data.root_trees import RootTreeWriter
from hitloom.errors import DataError

NAME = "lCToTSTsAssoc/lCTo3simTS_tree"


def collision(seed, *, num_points=40, num_tracksters=5, width=3):
    """Return a collision as plain lists: layer clusters in random order, some of them in no trackster."""
    rng = np.random.default_rng(seed)
    ids = rng.permutation(10 * num_points)[:num_points]
    owner = rng.integers(-1, num_tracksters, num_points)
    owner[owner == 2] = -1  # a trackster that holds nothing
    sims = rng.integers(-1, 4, (num_points, width))
    columns = {name: rng.normal(size=num_points).astype(np.float32) for name in PRUNING_FEATURES[:7]}
    columns["energy"] = rng.exponential(size=num_points).astype(np.float32)
    columns |= {name: rng.integers(0, 2, num_points) for name in PRUNING_FEATURES[7:]}
    columns |= {"id": ids, "layer": rng.integers(1, 48, num_points)}
    links = [[], []]
    for trackster in range(num_tracksters):
        members = ids[owner == trackster]
        tails = [members[int(rng.integers(0, place))] for place in range(1, len(members))]
        links[0].append(np.array(tails, dtype=np.int64))
        links[1].append(members[1:])
    return columns, owner, sims, links


def write(path, collisions, *, flat_owner=False, rename=None, name=NAME, change=None):
    rename = rename or {}
    table = {}
    for branch in collisions[0][0]:
        table[branch] = "Long64_t" if branch == "id" else "float", 1, [columns[branch] for columns, *_ in collisions]
        if branch in (*PRUNING_FEATURES[7:], "layer"):
            table[branch] = ("int", *table[branch][1:])
    sims = [(sims.reshape(-1), np.full(len(sims), sims.shape[1])) for _, _, sims, _ in collisions]
    table["simTst_idx"] = "int", 2, sims
    owners = [owner for _, owner, _, _ in collisions]
    if not flat_owner:
        # the second column is of no meaning
        owners = [(np.stack([owner, owner * 0 + 1], 1).reshape(-1), np.full(len(owner), 2)) for owner in owners]
    table["recoTst_idx"] = "int", 1 if flat_owner else 2, owners
    for row, branch in enumerate(("ts_edgestart", "ts_edgeend")):
        ends = [links[row] for *_, links in collisions]
        nested = [(np.concatenate(lists), np.array([len(one) for one in lists])) for lists in ends]
        table[branch] = "Long64_t", 2, nested
    if change:
        change(table)
    table = {rename.get(branch, branch): entry for branch, entry in table.items()}
    build = {1: Jagged.of_lists, 2: Jagged.of_nested}
    with RootTreeWriter(path, {name: {branch: Column(*kind) for branch, (*kind, _) in table.items()}}) as writer:
        writer.extend(name, {branch: build[depth](lists) for branch, (_, depth, lists) in table.items()})


def wanted(number, one, **options):
    """Return what a collision becomes, trackster by trackster, in plain loops."""
    columns, owner, sims, links = one
    found = []
    for trackster in sorted({int(value) for value in owner if value >= 0}):
        members = [row for row in range(len(owner)) if owner[row] == trackster]
        rows = {int(columns["id"][row]): place for place, row in enumerate(members)}
        label = majority_labels(sims[members], energy=columns["energy"][members], **options)
        if label is None:
            continue
        edges = [
            (rows[int(tail)], rows[int(head)])
            for tail, head in zip(links[0][trackster], links[1][trackster], strict=True)
        ]
        found.append((number * 100_000 + trackster, members, label.tolist(), edges))
    return found


@pytest.mark.parametrize("options", [{}, {"majority": "energy"}, {"majority": "energy", "all_noise": "drop"}])
def test_every_trackster_is_labelled_by_the_rule(tmp_path, options):
    collisions = [collision(seed) for seed in range(4)]
    collisions[1][2][collisions[1][1] == 3] = -1  # a trackster without any truth
    write(tmp_path / "a.root", collisions)
    for chunk_size in (100, 1000):
        events = iter(list(read_pruning(tmp_path / "a.root", chunk_size=chunk_size, **options)))
        for number, one in enumerate(collisions):
            for event_id, members, label, edges in wanted(number, one, **options):
                event = next(events).validate()
                assert event.event_id == event_id
                assert event.point_id.tolist() == one[0]["id"][members].tolist()
                assert event.point_y.tolist() == label
                assert event.edge_index.t().tolist() == [list(edge) for edge in edges]
                assert event.layer.tolist() == one[0]["layer"][members].tolist()
                columns = np.stack([one[0][name][members] for name in PRUNING_FEATURES], 1).astype(np.float32)
                assert torch.equal(event.x, torch.from_numpy(columns))
        assert next(events, None) is None


def test_pruning_defect_21_a_collision_without_any_truth(tmp_path):
    one = collision(1)
    one[2][:] = -1
    write(tmp_path / "a.root", [one])
    assert all(not event.point_y.any() for event in read_pruning(tmp_path / "a.root"))
    assert list(read_pruning(tmp_path / "a.root", all_noise="drop")) == []


def test_names_and_forms_of_branches(tmp_path):
    collisions = [collision(seed) for seed in range(2)]
    write(tmp_path / "a.root", collisions)
    write(tmp_path / "b.root", collisions, flat_owner=True, name="tree", rename={"simTst_idx": "sims", "pos_x": "x"})
    branches = {"simTst_idx": "sims", "pos_x": "x"}
    ones = list(read_pruning(tmp_path / "a.root", collisions=NAME))
    others = list(read_pruning(tmp_path / "b.root", branches=branches, layout="collisions"))
    assert len(ones) == len(others) > 4
    for one, other in zip(ones, others, strict=True):
        assert torch.equal(one.x, other.x)
        assert torch.equal(one.point_y, other.point_y)
        assert torch.equal(one.edge_index, other.edge_index)


def test_numbers_of_collisions(tmp_path):
    write(tmp_path / "a.root", [collision(seed) for seed in range(3)])
    opened = open_pruning(tmp_path / "a.root", first_event_id=7)
    assert (opened.layout, opened.num_entries) == ("collisions", 3)
    assert {event.event_id // 100_000 for event in read_pruning(opened)} == {7, 8, 9}
    assert {event.event_id // 100_000 for event in read_pruning(opened, skip=1, limit=1)} == {8}


def test_a_link_out_of_its_trackster_is_dropped_and_counted(tmp_path, caplog):
    one = collision(3)
    columns, owner, _, links = one
    stray = int(columns["id"][owner == 4][0])
    inside = int(columns["id"][owner == 0][0])
    before = [links[0][0].copy(), links[1][0].copy()]
    links[0][0] = np.append(links[0][0], stray)
    links[1][0] = np.append(links[1][0], inside)
    write(tmp_path / "a.root", [one])
    assert next(read_pruning(tmp_path / "a.root")).edge_index.shape[1] == len(before[0])
    list(read_pruning(tmp_path / "a.root"))
    assert "1 with an end that is not in the trackster" in caplog.text
    with pytest.raises(DataError, match=f"branch 'ts_edgestart': entry 0 holds {stray}"):
        list(read_pruning(tmp_path / "a.root", strict_edges=True))


def test_mistakes_in_collisions_are_one_line(tmp_path):
    def far_owner(table):
        values, _ = table["recoTst_idx"][2][1]
        values[0] = 5

    def other_links(table):
        values, counts = table["ts_edgeend"][2][1]
        counts = counts.copy()
        counts[0] -= 1
        table["ts_edgeend"][2][1] = values[1:], counts

    def fewer_sims(table):
        values, counts = table["simTst_idx"][2][1]
        table["simTst_idx"][2][1] = values[:-3], counts[:-1]

    def twice(table):
        owner = collision(1)[1]
        first, second = np.flatnonzero(owner == 0)[:2]
        table["id"][2][1][first] = table["id"][2][1][second]

    for change, message in (
        (far_owner, "branch 'recoTst_idx': entry 1 holds 5; -1 or a trackster from 0 to 4 was wanted"),
        (other_links, "branch 'ts_edgeend': entry 1 has other numbers of links than 'ts_edgestart'"),
        (fewer_sims, "branch 'simTst_idx': entry 1 holds 39 items, but 'id' has 40"),
        (twice, "branch 'id': entry 1 holds"),
        (lambda table: table.pop("phi"), "branch 'phi' is missing"),
    ):
        path = tmp_path / "a.root"
        write(path, [collision(0), collision(1)], change=change)
        with pytest.raises(DataError) as caught:
            list(read_pruning(path))
        text = str(caught.value)
        assert text.startswith(f"{path}: tree '{NAME};1': ")
        assert message in text
        assert "\n" not in text
    write(tmp_path / "b.root", [collision(0)], rename={"simTst_idx": "sims"})
    with pytest.raises(DataError, match=f"no tree 'Tracksters;1'; it holds {NAME};1"):
        read_pruning(tmp_path / "b.root")
    with pytest.raises(DataError, match="no tree with the branches of collisions; it holds .*--branch"):
        read_pruning(tmp_path / "b.root", layout="collisions")


def test_lists_are_padded():
    assert padded(Jagged(np.array([4, -1]), (np.array([2]),))).tolist() == [[4], [-1]]
    assert padded(Jagged.of_nested([(np.zeros(0), np.array([0, 0]))])).tolist() == [[-1], [-1]]
