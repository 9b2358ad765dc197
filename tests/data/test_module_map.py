"""Module maps against loops over all triples of hits, and their conventions by hand."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict

import numpy as np
import pytest
import torch
from data_toy import toy_event
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch

from hitloom.data.edge_labels import edge_truth, truth_to_edge
from hitloom.data.module_map import DOUBLET_QUANTITIES, TRIPLET_QUANTITIES, ModuleMap
from hitloom.data.module_map_fit import Statistics, cells, consecutive
from hitloom.data.truth_edges import truth_edges
from hitloom.errors import ConfigError, DataError
from hitloom.event import Event

QUANTITIES = (*DOUBLET_QUANTITIES, *DOUBLET_QUANTITIES, *TRIPLET_QUANTITIES)


def small_event(seed: int, *, num_objects: int = 6, num_layers: int = 4, noise: int = 6) -> Event:
    """Tracks through a few modules, two a layer, so that sequences of modules repeat."""
    rng = np.random.default_rng(seed)
    layer = np.tile(np.arange(num_layers), num_objects)
    owner = np.repeat(np.arange(num_objects), num_layers)
    layer, owner = np.append(layer, rng.integers(0, num_layers, noise)), np.append(owner, np.full(noise, -1))
    r = 30.0 + 30 * layer + rng.uniform(0, 5, layer.size)
    phi = rng.uniform(-math.pi, math.pi, num_objects + 1)[owner] + rng.normal(0, 0.05, layer.size)
    z = rng.normal(0, 1, num_objects + 1)[owner] * r + rng.normal(0, 2, layer.size)
    pos = np.stack([r * np.cos(phi), r * np.sin(phi), z], axis=1)
    order = rng.permutation(layer.size)
    columns = {"layer": layer, "module": rng.integers(0, 2, layer.size), "object_index": owner}
    return Event(
        event_id=seed,
        pos=torch.from_numpy(pos[order].astype(np.float32)),
        object_id=torch.arange(num_objects) + 2**60,
        object_pt=torch.from_numpy(rng.uniform(0.2, 3, num_objects).astype(np.float32)),
        object_vertex=torch.zeros(num_objects, 3),
        **{name: torch.from_numpy(values[order]) for name, values in columns.items()},
    )


def values_of(event: Event, *points: int) -> list[float]:
    """The quantities of a doublet, or of a triplet, as the specification has them."""
    x, y, z = (event.pos[list(points)].double().T[axis].tolist() for axis in range(3))
    r = [math.hypot(*pair) for pair in zip(x, y, strict=True)]
    phi = [math.atan2(b, a) for a, b in zip(x, y, strict=True)]
    eta = [math.asinh(b / a) for a, b in zip(r, z, strict=True)]
    found = []
    for i, j in itertools.pairwise(range(len(points))):
        dr, dz = r[j] - r[i], z[j] - z[i]
        dphi = math.remainder(phi[j] - phi[i], 2 * math.pi)
        found += [z[i] - r[i] * dz / dr if dr else 0.0, dphi, dphi / dr if dr else 0.0, eta[i] - eta[j]]
    if len(points) == 3:

        def ratio(above, below):
            return above / below if below else 0.0

        found.append(ratio(z[1] - z[0], r[1] - r[0]) - ratio(z[2] - z[1], r[2] - r[1]))
        found.append(ratio(y[1] - y[0], x[0] - x[1]) - ratio(y[1] - y[2], x[1] - x[2]))
    return found


def modules_of(event: Event) -> list[tuple[int, int]]:
    return list(zip(event.layer.tolist(), event.module.tolist(), strict=True))


def learned_by_loops(events, order: int, *, min_pt: float = 0.0) -> dict:
    """Values of each true sequence of modules."""
    found = defaultdict(list)
    for event in events:
        edges = [tuple(edge) for edge in truth_edges(event).T.tolist()]
        edges = [edge for edge in edges if float(event.object_pt[event.object_index[edge[0]]]) >= min_pt]
        module = modules_of(event)
        chains = edges if order == 2 else [(*a, b[1]) for a in edges for b in edges if a[1] == b[0]]
        for chain in chains:
            found[tuple(module[point] for point in chain)].append(values_of(event, *chain))
    return found


def key_of(module) -> int:
    return (module[0] << 24) | module[1]


def edges_by_loops(event: Event, module_map: ModuleMap, bounds) -> set[tuple[int, int]]:
    """Every doublet of every triple of hits that lies within the bounds of the row of its modules."""
    rows = {tuple(row): place for place, row in enumerate(module_map.modules[module_map.rows].tolist())}
    key = [key_of(module) for module in modules_of(event)]
    found = set()
    for points in itertools.permutations(range(event.num_points), module_map.order):
        row = rows.get(tuple(key[point] for point in points))
        if row is None:
            continue
        values = values_of(event, *points)
        if all(low <= value <= high for value, (low, high) in zip(values, bounds[row].tolist(), strict=True)):
            found |= set(itertools.pairwise(points))
    size = event.pos.double().square().sum(1).tolist()
    return {(a, b) if size[a] < size[b] else (b, a) for a, b in found}


TRAINING = [small_event(seed) for seed in range(8)]


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("min_pt", [0.0, 1.0])
def test_the_fit_equals_the_loops(order, min_pt):
    wanted = learned_by_loops(TRAINING, order, min_pt=min_pt)
    conditions = {"object_pt": [min_pt, math.inf]}
    learned = ModuleMap.fit(iter(TRAINING), conditions=conditions, doublets_only=order == 2)
    assert learned.num_rows == len(wanted)
    by_key = {tuple(key_of(module) for module in sequence): values for sequence, values in wanted.items()}
    for place, row in enumerate(learned.modules[learned.rows].tolist()):
        values = np.array(by_key[tuple(row)])
        assert learned.occurrence[place] == len(values)
        low, high, mean, rms = learned.statistics[place].T
        np.testing.assert_allclose(low, values.min(0), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(high, values.max(0), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(mean, values.mean(0), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(rms, values.std(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tolerance": 0.3},
        {"method": "meanrms", "threshold_factor": 1.2},
        {"method": "hybrid", "threshold_factor": 1.8, "occurrence_threshold": 5, "tolerance": 0.05},
    ],
)
def test_the_edges_equal_the_loops_over_all_triples(order, options):
    learned = ModuleMap.fit(TRAINING, doublets_only=order == 2)
    sizes = []
    for seed in (0, 100, 101):  # seen and unseen
        event = small_event(seed, num_objects=4, noise=4)
        edges = learned.edges(event, **options)
        pairs = [tuple(edge) for edge in edges.T.tolist()]
        assert len(pairs) == len(set(pairs)), "an edge came twice"
        assert set(pairs) == edges_by_loops(event, learned, learned.bounds(**options))
        sizes.append(len(pairs))
    assert sum(sizes) > 0


def test_every_true_triplet_that_was_learned_is_found_again():
    learned = ModuleMap.fit(TRAINING)
    for event in TRAINING:
        truth = truth_edges(event)
        inner, outer = consecutive(truth.numpy())
        in_triplet = truth[:, np.union1d(inner, outer)]
        assert (truth_to_edge(learned.edges(event), in_triplet, event.num_points) >= 0).all()
    doublets = ModuleMap.fit(TRAINING, doublets_only=True)
    for event in TRAINING:
        assert (truth_to_edge(doublets.edges(event), truth_edges(event), event.num_points) >= 0).all()
        assert edge_truth(learned.edges(event), doublets.edges(event), event.num_points).all(), "doublets are wider"


def test_a_triplet_by_hand():
    """Hits at (3, 0, 1), (6, 2, 3), (6, 8, 3): the last two share x, so that the outer slope in x counts as 0."""
    event = Event(
        pos=torch.tensor([[3.0, 0, 1], [6, 2, 3], [6, 8, 3]]),
        module=torch.tensor([10, 20, 30]),
        object_index=torch.tensor([0, 0, 0]),
        object_id=torch.tensor([1]),
        object_vertex=torch.zeros(1, 3),
    )
    learned = ModuleMap.fit([event])
    r = [3.0, math.sqrt(40), 10.0]
    phi = [0.0, math.atan2(2, 6), math.atan2(8, 6)]
    eta = [math.asinh(1 / 3), math.asinh(3 / r[1]), math.asinh(0.3)]
    slope = 2 / (r[1] - 3)
    wanted = {
        "z0": 1 - 3 * slope, "dphi": phi[1], "phislope": phi[1] / (r[1] - 3), "deta": eta[0] - eta[1],
        "outer z0": 3.0, "outer dphi": phi[2] - phi[1], "outer phislope": (phi[2] - phi[1]) / (10 - r[1]),
        "outer deta": eta[1] - eta[2], "diff_dzdr": slope, "diff_dydx": -2 / 3,
    }  # fmt: skip
    np.testing.assert_allclose(learned.statistics[0, :, 2], list(wanted.values()), rtol=1e-6)
    assert learned.modules[learned.rows].tolist() == [[10, 20, 30]]
    assert learned.edges(event).tolist() == [[0, 1], [1, 2]]


def test_the_sign_of_diff_dydx_is_minus_the_sum_of_the_slopes():
    event = Event(
        pos=torch.tensor([[1.0, 1, 0], [2, 3, 1], [4, 8, 2]]),
        module=torch.tensor([1, 2, 3]),
        object_index=torch.zeros(3, dtype=torch.int64),
        object_id=torch.tensor([1]),
        object_vertex=torch.zeros(1, 3),
    )
    assert ModuleMap.fit([event]).statistics[0, 9, 2] == pytest.approx(-(2 / 1 + 5 / 2))


class TestBounds:
    @staticmethod
    def of(occurrence=10) -> ModuleMap:
        """Least -2, greatest 8, mean 1, rms 0.5 for every quantity."""
        statistics = np.broadcast_to(np.array([-2, 8, 1, 0.5], dtype=np.float32), (1, 10, 4)).copy()
        rows = np.array([[0, 1, 2]])
        return ModuleMap(modules=np.arange(3), rows=rows, occurrence=np.array([occurrence]), statistics=statistics)

    @pytest.mark.parametrize(
        ("options", "wanted"),
        [
            ({}, (-2, 8)),
            ({"tolerance": 0.5}, (-3, 12)),
            ({"method": "meanrms", "threshold_factor": 4}, (-1, 3)),
            ({"method": "meanrms", "threshold_factor": 4, "tolerance": 0.5}, (-1.5, 4.5)),
            ({"method": "meanrms", "threshold_factor": 10}, (-2, 6)),
            ({"method": "hybrid", "threshold_factor": 4, "occurrence_threshold": 9}, (-1, 3)),
            ({"method": "hybrid", "threshold_factor": 4, "occurrence_threshold": 10}, (-2, 8)),
        ],
    )
    def test_exatrkx_defect_32_every_method_on_every_quantity(self, options, wanted):
        bounds = self.of().bounds(**options)
        assert bounds.shape == (1, 10, 2)
        np.testing.assert_allclose(bounds, np.broadcast_to(wanted, (1, 10, 2)))

    @pytest.mark.parametrize("quantity", range(10))
    @pytest.mark.parametrize("side", [0, 1])
    def test_exatrkx_defect_32_each_of_the_twenty_cuts_removes_the_triplet(self, quantity, side):
        event = small_event(3, num_objects=1, num_layers=3, noise=0)
        learned = ModuleMap.fit([event])
        assert learned.edges(event).shape == (2, 2)
        shifted = learned.statistics.copy()
        # leave the range on one side, by so much that the value is outside on that side alone
        shifted[0, quantity, :2] += [1.0, 2.0] if side == 0 else [-2.0, -1.0]
        narrow = ModuleMap(
            modules=learned.modules, rows=learned.rows, occurrence=learned.occurrence, statistics=shifted
        )
        assert narrow.edges(event).shape == (2, 0), QUANTITIES[quantity]

    def test_tolerance_never_removes_and_settings_do_not_stick(self):
        learned, event = ModuleMap.fit(TRAINING), small_event(200)
        before = learned.edges(event)
        wider = [set(map(tuple, learned.edges(event, tolerance=value).T.tolist())) for value in (0, 0.1, 0.5, 3)]
        assert all(a <= b for a, b in itertools.pairwise(wider))
        assert len(wider[-1]) > len(wider[0])
        assert torch.equal(learned.edges(event), before)

    def test_mistakes(self):
        with pytest.raises(ConfigError, match="no method 'meanrsm'. Did you mean 'meanrms'"):
            self.of().bounds(method="meanrsm")
        with pytest.raises(ConfigError, match="tolerance >= 0"):
            self.of().bounds(tolerance=-0.1)


@given(st.integers(0, 50), st.randoms())
@settings(max_examples=20, deadline=None)
def test_permuting_points_permutes_edges(seed, random):
    learned, event = ModuleMap.fit(TRAINING), small_event(seed)
    order = list(range(event.num_points))
    random.shuffle(order)
    permuted = Event(pos=event.pos[order], layer=event.layer[order], module=event.module[order])
    edges = {(order[a], order[b]) for a, b in learned.edges(permuted, tolerance=0.2).T.tolist()}
    assert edges == set(map(tuple, learned.edges(event, tolerance=0.2).T.tolist()))


def test_the_order_of_events_and_merging_in_parts_do_not_matter():
    values = np.random.default_rng(1).normal(100, 1, (60, 4))
    code = np.arange(60) % 7
    whole = Statistics.of(code, values)
    parts = Statistics.joined([Statistics.of(code[part], values[part]) for part in np.split(np.arange(60), [5, 6, 40])])
    for name in Statistics.__annotations__:
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-9)
    np.testing.assert_allclose(
        np.sqrt(whole.square / whole.count[:, None]), [values[code == one].std(0) for one in range(7)]
    )
    first, second = ModuleMap.fit(TRAINING), ModuleMap.fit(TRAINING[::-1])
    for name, tensor in first.to_tensors().items():
        torch.testing.assert_close(second.to_tensors()[name], tensor, rtol=1e-5, atol=1e-5)


def test_a_batch_gives_what_its_events_give():
    learned = ModuleMap.fit(TRAINING)
    events = [small_event(100), small_event(101, num_objects=0, noise=0), small_event(102)]
    start = np.cumsum([0, *(event.num_points for event in events)])
    alone = [learned.edges(event) + int(shift) for event, shift in zip(events, start, strict=False)]
    assert torch.equal(learned.edges(Batch.from_data_list(events)), torch.cat(alone, dim=1))


def test_few_points_and_unknown_modules():
    learned = ModuleMap.fit(TRAINING)
    for count in (0, 1, 2):
        assert learned.edges(small_event(0).select_points(torch.arange(30) < count)).shape == (2, 0)
    strange = small_event(0)
    strange.module += 77
    assert learned.edges(strange).shape == (2, 0)


def test_rare_rows_can_be_left_out():
    everything = ModuleMap.fit(TRAINING)
    often = ModuleMap.fit(TRAINING, min_occurrence=5)
    assert often.num_rows == int((everything.occurrence >= 5).sum()) < everything.num_rows
    assert often.occurrence.min() >= 5
    with pytest.raises(DataError, match="none of the .* rows was seen 10000 times"):
        ModuleMap.fit(TRAINING, min_occurrence=10_000)


def test_tensors_and_back():
    learned = ModuleMap.fit(TRAINING)
    again = ModuleMap.from_tensors(learned.to_tensors())
    event = small_event(300)
    for options in ({}, {"method": "hybrid", "tolerance": 0.2}):
        assert torch.equal(again.edges(event, **options), learned.edges(event, **options))
    with pytest.raises(DataError, match="tensor 'statistics' is missing"):
        ModuleMap.from_tensors({name: t for name, t in learned.to_tensors().items() if name != "statistics"})


class TestCells:
    def test_cells_are_all_azimuths_of_a_layer_in_a_bin_of_eta(self):
        event = small_event(4)
        eta = torch.asinh(event.pos[:, 2] / event.pos[:, :2].norm(dim=1)).double()
        _, found = np.unique(cells(event, 0.5), return_inverse=True)
        wanted = list(zip(event.layer.tolist(), torch.floor(eta / 0.5).tolist(), strict=True))
        for a, b in itertools.combinations(range(event.num_points), 2):
            assert (found[a] == found[b]) == (wanted[a] == wanted[b])
        np.testing.assert_array_equal(cells(event, 0), (event.layer.numpy() << 24) | event.module.numpy())
        with pytest.raises(ConfigError, match="eta_width 0 or at least 0.01 was wanted .got 0.001"):
            ModuleMap.fit(TRAINING, eta_width=0.001)

    @pytest.mark.parametrize("order", [2, 3])
    def test_what_was_learned_is_found_again_at_every_azimuth(self, order):
        learned = ModuleMap.fit(TRAINING, eta_width=0.3, doublets_only=order == 2)
        for event in TRAINING:
            truth = truth_edges(event)
            turned = event.clone()
            x, y = event.pos[:, 0].clone(), event.pos[:, 1].clone()
            turned.pos = torch.stack([-y, x, event.pos[:, 2]], dim=1)
            for one in (event, turned):
                edges = learned.edges(one, tolerance=1e-4)
                assert (truth_to_edge(edges, truth, one.num_points) >= 0).all()

    def test_diff_dydx_is_taken_in_the_frame_of_the_middle_hit(self):
        """Three hits around azimuth 0.7, the middle one on the axis."""
        local = torch.tensor([[30.0, -1.0, 0], [60, 0, 0], [90, 4, 0]], dtype=torch.float64)
        c, s = math.cos(0.7), math.sin(0.7)
        event = Event(
            pos=(local @ torch.tensor([[c, s, 0], [-s, c, 0], [0, 0, 1]], dtype=torch.float64)).float(),
            layer=torch.tensor([2, 4, 6]),
            object_index=torch.zeros(3, dtype=torch.int64),
            object_id=torch.tensor([1]),
            object_vertex=torch.zeros(1, 3),
            module=torch.tensor([1, 2, 3]),
        )
        value = ModuleMap.fit([event], eta_width=0.5).statistics[0, 9, 2]
        assert value == pytest.approx(1 / -30 - (-4) / -30, rel=1e-5)

    def test_tensors_remember_the_cells_and_text_has_no_place(self, tmp_path):
        learned, event = ModuleMap.fit(TRAINING, eta_width=0.4), small_event(300)
        again = ModuleMap.from_tensors(learned.to_tensors())
        assert again.eta_width == 0.4
        assert torch.equal(again.edges(event), learned.edges(event))
        assert learned.edges(event).shape[1] > 0
        with pytest.raises(DataError, match="knows modules only"):
            learned.write(tmp_path / "map.txt")


class TestText:
    def test_round_trip(self, tmp_path):
        learned = ModuleMap.fit([toy_event(number) for number in range(4)])
        learned.write(tmp_path / "map.txt")
        lines = (tmp_path / "map.txt").read_text().splitlines()
        assert len(lines) == learned.num_rows
        assert {len(line.split()) for line in lines} == {24}
        again = ModuleMap.read(tmp_path / "map.txt")
        np.testing.assert_array_equal(again.modules, learned.modules)
        np.testing.assert_array_equal(again.rows, learned.rows)
        np.testing.assert_array_equal(again.occurrence, learned.occurrence)
        np.testing.assert_array_equal(again.statistics[..., :2], learned.statistics[..., :2])
        assert torch.equal(again.edges(toy_event(9)), learned.edges(toy_event(9)))
        with pytest.raises(DataError, match="has no mean and rms, which 'hybrid' needs; mend: method minmax"):
            again.edges(toy_event(9), method="hybrid")

    def test_the_columns(self, tmp_path):
        """Greatest before least, as the format has it; ids beyond what a float holds."""
        big = 2**62
        text = f"{big + 1} {big + 2} {big + 3} 4 " + " ".join(f"{place + 0.5} {-place}" for place in range(10))
        (tmp_path / "map.txt").write_text(text + "\n")
        read = ModuleMap.read(tmp_path / "map.txt")
        assert read.modules.tolist() == [big + 1, big + 2, big + 3]
        assert read.occurrence.tolist() == [4]
        assert read.statistics[0, :, 0].tolist() == [-place for place in range(10)]
        assert read.statistics[0, :, 1].tolist() == [place + 0.5 for place in range(10)]

    @pytest.mark.parametrize(
        ("text", "match"),
        [
            ("", "no row in it"),
            ("1 2 3\n", "no module map of 24 columns"),
            ("1 2 3 4 " + "1 0 " * 9 + "1 red\n", "no module map of 24 columns"),
            ("1 2 3 4 " + "1 0 " * 9 + "nan 0\n", "row 1 holds NaN"),
            ("1 2 3 4 " + "0 1 " * 10 + "\n", "row 0 has a range"),
            (("1 2 3 4 " + "1 0 " * 10 + "\n") * 2, r"modules \[1, 2, 3\] have more than one row"),
        ],
    )
    def test_broken_files(self, tmp_path, text, match):
        (tmp_path / "map.txt").write_text(text)
        with pytest.raises(DataError, match=match):
            ModuleMap.read(tmp_path / "map.txt")
        with pytest.raises(DataError, match=r"missing\.txt"):
            ModuleMap.read(tmp_path / "missing.txt")

    def test_doublets_have_no_place(self, tmp_path):
        with pytest.raises(DataError, match="knows triplets only"):
            ModuleMap.fit(TRAINING, doublets_only=True).write(tmp_path / "map.txt")
        assert not (tmp_path / "map.txt").exists()


def test_what_is_missing_is_named():
    with pytest.raises(DataError, match="no event came"):
        ModuleMap.fit([])
    with pytest.raises(DataError, match="no true sequence of 3 modules in 2 events"):
        ModuleMap.fit([small_event(0, num_layers=2), small_event(1, num_layers=2)])
    with pytest.raises(DataError, match="'module' is not in the data"):
        ModuleMap.fit(TRAINING).edges(Event(pos=torch.zeros(2, 3)))
    with pytest.raises(DataError, match="do not belong together"):
        ModuleMap(
            modules=np.arange(3),
            rows=np.array([[0, 1, 2]]),
            occurrence=np.ones(1, np.int64),
            statistics=np.zeros((1, 4, 4), np.float32),
        )


def test_real_event_finds_itself(thinned):
    learned = ModuleMap.fit([thinned], definition="stored", conditions={"object_pt": [1, math.inf]})
    edges = learned.edges(thinned)
    truth = thinned.truth_edge_index
    truth = truth[:, thinned.object_pt[thinned.object_index[truth[0]]] >= 1]
    inner, outer = consecutive(truth.numpy())
    in_triplet = truth[:, np.union1d(inner, outer)]
    assert in_triplet.shape[1] > 500
    assert (truth_to_edge(edges, in_triplet, thinned.num_points) >= 0).all()
    assert float(edge_truth(edges, truth, thinned.num_points).float().mean()) > 0.9
