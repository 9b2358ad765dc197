"""Hard cuts and the phi wedge."""

from __future__ import annotations

import logging
import math

import pytest
import torch
from data_toy import same_event, toy_event
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.config import build
from hitloom.data.transforms import (
    EtaSlab,
    PhiWedge,
    cut_objects,
    eta_slab,
    event_generator,
    find_wedge,
    hard_cut,
    is_truth_selected,
    phi_wedge,
    wedge_mask,
)
from hitloom.errors import ConfigError, DataError
from hitloom.event import Event


def ring(num_points: int, seed: int = 0) -> Event:
    """Points at random azimuths, three to an object, every fourth one noise."""
    generator = torch.Generator().manual_seed(seed)
    phi = (torch.rand(num_points, generator=generator) * 2 - 1) * math.pi
    index = torch.arange(num_points) // 3
    objects = int(index.max()) + 1 if num_points else 0
    index[torch.arange(num_points) % 4 == 3] = -1
    return Event(
        event_id=seed,
        pos=torch.stack([50 * phi.cos(), 50 * phi.sin(), torch.zeros(num_points)], 1),
        object_index=index,
        object_id=torch.arange(objects) + 1,
    )


class TestHardCut:
    def test_points_edges_and_record(self):
        event = toy_event()
        threshold = float(event.object_pt[:5].median())
        result = hard_cut(event, {"hit_particle_pt": [threshold, math.inf]}).validate()
        kept = event.object_index >= 0
        kept[kept.clone()] = event.object_pt[event.object_index[kept]] >= threshold
        assert torch.equal(result.point_id, event.point_id[kept])
        assert torch.equal(result.object_num_points, event.object_num_points)
        ends = event.point_id[event.truth_edge_index]
        both = torch.isin(ends, result.point_id).all(0)
        assert torch.equal(result.point_id[result.truth_edge_index], ends[:, both])
        assert 0 < int(both.sum()) < both.numel()
        assert is_truth_selected(result)
        assert result.provenance_dict()["hard_cuts"] == [f"hit_particle_pt within ({threshold}, inf)"]
        assert not is_truth_selected(event)

    def test_a_cut_on_the_detector_is_no_truth_selection(self):
        result = hard_cut(toy_event(), {"volume": ["is", 8]})
        assert not is_truth_selected(result)
        assert set(result.volume.tolist()) == {8}
        assert is_truth_selected(hard_cut(hard_cut(toy_event(), {"object_pt": [0, 9]}), {"volume": ["is", 8]}))

    def test_no_condition_is_no_change(self):
        event = toy_event()
        assert hard_cut(event, {}) is event


class TestWedgeMask:
    def test_across_pi(self):
        phi = torch.tensor([math.pi - 0.05, -math.pi + 0.05, math.pi - 0.2, 0.0, math.pi, -math.pi])
        assert wedge_mask(phi, math.pi, 0.2).tolist() == [True, True, False, False, True, True]
        assert wedge_mask(phi, -math.pi, 0.2).tolist() == [True, True, False, False, True, True]
        assert wedge_mask(phi, math.pi - 0.1, 0.1).tolist() == [True, False, False, False, False, False]

    @given(st.floats(-4, 4), st.floats(0, 7), st.lists(st.floats(-math.pi, math.pi), max_size=10))
    @settings(max_examples=100, deadline=None)
    def test_it_is_an_angle_between_directions(self, centre, width, values):
        phi = torch.tensor(values, dtype=torch.float64)
        for inside, value in zip(wedge_mask(phi, centre, width).tolist(), values, strict=True):
            angle = math.acos(max(-1.0, min(1.0, math.cos(value - centre))))
            if abs(angle - width / 2) > 1e-6:
                assert inside == (angle < width / 2)


class TestPhiWedge:
    @pytest.mark.parametrize("method", ["binary_search", "resample"])
    def test_the_number_of_points_is_within_bounds(self, method):
        config = PhiWedge(fraction=0.1, min_points=60, max_points=140, method=method, tolerance=1e-3)
        for seed in range(15):
            event = ring(1000, seed)
            wedge = find_wedge(event, config, generator=event_generator(1, 2, seed))
            assert wedge is not None
            assert 60 <= int(wedge.mask.sum()) <= 140
            phi = torch.atan2(event.pos[:, 1], event.pos[:, 0])
            assert torch.equal(wedge_mask(phi, wedge.centre, wedge.width), wedge.mask)

    def test_the_search_widens_and_narrows(self):
        event = ring(1000)
        wide = find_wedge(event, PhiWedge(fraction=0.01, min_points=400), generator=event_generator(0, 0, 0))
        thin = find_wedge(event, PhiWedge(fraction=0.9, max_points=50), generator=event_generator(0, 0, 0))
        assert wide is not None
        assert thin is not None
        assert wide.width > 0.1 * math.pi > thin.width
        assert int(wide.mask.sum()) >= 400
        assert int(thin.mask.sum()) <= 50

    def test_max_possible_width_fills_the_wedge(self):
        config = PhiWedge(fraction=0.5, min_points=1, max_points=100, max_possible_width=True, tolerance=1e-4)
        for seed in range(10):
            wedge = find_wedge(ring(1000, seed), config, generator=event_generator(0, 0, seed))
            assert wedge is not None
            assert 95 <= int(wedge.mask.sum()) <= 100

    def test_the_draw_depends_on_seed_epoch_and_event_alone(self):
        event, config = ring(500), PhiWedge()

        def draw(*key):
            result = phi_wedge(event, config, generator=event_generator(*key))
            assert result is not None
            return result

        same_event(draw(1, 2, 3), draw(1, 2, 3))
        centres = {draw(*key).provenance for key in [(1, 2, 3), (0, 2, 3), (1, 0, 3), (1, 2, 0), (1, 2, -3)]}
        assert len(centres) == 5

    def test_truth_plays_no_part_in_the_choice(self):
        event = ring(500)
        plain = Event(event_id=0, pos=event.pos)
        first = find_wedge(event, PhiWedge(), generator=event_generator(5, 0, 0))
        second = find_wedge(plain, PhiWedge(), generator=event_generator(5, 0, 0))
        assert first is not None
        assert second is not None
        assert torch.equal(first.mask, second.mask)

    def test_objects_that_the_wedge_cuts_are_flagged(self):
        event = ring(300)
        wedge = find_wedge(event, PhiWedge(), generator=event_generator(0, 0, 0))
        assert wedge is not None
        flags = cut_objects(event, wedge.mask)
        for row in range(event.num_objects):
            inside = wedge.mask[event.object_index == row]
            assert bool(flags[row]) == (bool(inside.any()) and not bool(inside.all()))
        result = phi_wedge(event, PhiWedge(), generator=event_generator(0, 0, 0))
        assert result is not None
        assert result.provenance_dict()["phi_wedge"]["num_cut_objects"] == int(flags.sum()) > 0

    @pytest.mark.parametrize("method", ["binary_search", "resample"])
    def test_eggnet_defect_09_a_search_that_fails_ends_and_says_so(self, method, caplog):
        """All points at one azimuth: either all or none, never 20 to 50 of 100."""
        event = Event(event_id=4, pos=torch.tensor([[10.0, 0.0, 0.0]]).repeat(100, 1))
        config = PhiWedge(min_points=20, max_points=50, method=method, max_tries=5)
        with pytest.raises(DataError, match="no phi wedge with 20 to 50 points found among 100 in 5 tries"):
            phi_wedge(event, config, generator=event_generator(0, 0, 4))
        with caplog.at_level(logging.WARNING):
            skipped = phi_wedge(
                event, config.model_copy(update={"on_failure": "skip"}), generator=event_generator(0, 0, 4)
            )
        assert skipped is None
        assert "the event is left out" in caplog.text

    def test_too_few_points_from_the_start(self):
        with pytest.raises(DataError, match="found among 3"):
            phi_wedge(ring(3), PhiWedge(min_points=20), generator=event_generator(0, 0, 0))
        empty = phi_wedge(ring(0), PhiWedge(min_points=0), generator=event_generator(0, 0, 0))
        assert empty is not None
        assert empty.num_points == 0

    def test_eggnet_defect_10_the_configuration_cannot_change(self):
        config = PhiWedge(fraction=0.2)
        before = config.model_dump()
        phi_wedge(ring(400), config, generator=event_generator(0, 0, 0))
        assert config.model_dump() == before
        with pytest.raises(Exception, match="frozen"):
            config.fraction = 0.5
        with pytest.raises(ConfigError, match="max_points 5 is below min_points 20"):
            build(PhiWedge, {"max_points": 5})


def test_a_slab_holds_exactly_the_hits_within_its_width():
    generator = torch.Generator().manual_seed(4)
    pos = torch.randn(400, 3, generator=generator) * torch.tensor([100.0, 100.0, 400.0])
    event = Event(pos=pos, event_id=1)
    cut = eta_slab(event, EtaSlab(width=1.2), generator=generator)
    record = cut.provenance_dict()["eta_slab"]
    eta = torch.asinh(pos[:, 2].double() / pos[:, :2].double().norm(dim=1))
    inside = (eta - record["centre"]).abs() <= 0.6
    assert abs(record["centre"]) <= 4 - 0.6
    assert torch.equal(cut.pos, pos[inside])
    again = eta_slab(event, EtaSlab(width=1.2), generator=torch.Generator().manual_seed(4))
    assert not torch.equal(again.pos, cut.pos)  # another draw, another slab


def test_a_slab_wider_than_the_range_is_refused():
    with pytest.raises(ConfigError, match="more than the whole range"):
        build(EtaSlab, {"width": 9.0})
