"""The ACTS chain on simulated muons, on collisions, on nothing at all, and on a real event."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("acts")

from hitloom.baselines.ckf import field_of, labels_from_tracks, run_ckf
from hitloom.baselines.ckf_config import CKFConfig, PassConfig
from hitloom.errors import ConfigError, DataError, HitloomError
from hitloom.event import Event
from hitloom.simulate.tracker import TrackerConfig, simulate_event


def muons(event_id: int, **settings_) -> Event:
    defaults = {"process": "gun", "gun_pt": (2.0, 20.0), "max_eta": 2.4, "noise_fraction": 0.0}
    return simulate_event(TrackerConfig(**{**defaults, **settings_}), seed=3, event_id=event_id)


@pytest.fixture(scope="module")
def single_muons():
    return [muons(number, gun_num_particles=1) for number in range(12)]


@pytest.fixture(scope="module")
def busy():
    """Two hundred muons and 20 % noise."""
    return muons(0, gun_num_particles=200, noise_fraction=0.2)


def found_fraction(labels: np.ndarray, owner: np.ndarray) -> tuple[int, int]:
    """Double majority, counted hit by hit: particles found, particles."""
    particles = [row for row in np.unique(owner) if row >= 0]
    found = 0
    for row in particles:
        mine = labels[owner == row]
        names, counts = np.unique(mine[mine >= 0], return_counts=True)
        for name, count in zip(names, counts, strict=True):
            found += int(2 * count > len(mine) and 2 * count > (labels == name).sum())
    return found, len(particles)


@pytest.mark.parametrize("field", ["solenoid", "constant"])
def test_clean_single_muons_get_exact_labels(single_muons, field):
    events = single_muons if field == "solenoid" else [muons(n, gun_num_particles=1, field=field) for n in range(6)]
    for event, result in zip(events, run_ckf(events), strict=True):
        assert event.num_points >= 7
        assert result.labels.tolist() == [0] * event.num_points
        assert result.event_id == event.event_id
        assert torch.equal(result.point_id, event.point_id)


def test_many_muons_in_noise(busy):
    (result,) = run_ckf([busy])
    found, num = found_fraction(result.labels.numpy(), busy.object_index.numpy())
    assert found / num > 0.97
    noise = busy.object_index < 0
    assert (result.labels[noise] < 0).float().mean() > 0.95
    assert result.labels.dtype == torch.int64
    assert np.array_equal(np.unique(result.labels[result.labels >= 0]), np.arange(result.num_candidates))
    assert min(torch.bincount(result.labels[result.labels >= 0])) >= 3
    assert set(result.timing) >= {"measurements", "seeding", "ckf", "ambiguity"}
    assert all(seconds >= 0 for seconds in result.timing.values())


def test_order_of_hits_and_truth_play_no_role(busy):
    (first,) = run_ckf([busy])
    order = torch.from_numpy(np.random.default_rng(2).permutation(busy.num_points))
    blind = Event(pos=busy.pos[order], volume=busy.volume[order], layer=busy.layer[order], module=busy.module[order])
    (second,) = run_ckf([blind])
    same = torch.empty_like(first.labels)
    same[order] = second.labels
    pairs = torch.unique(torch.stack([first.labels, same]), dim=1).shape[1]
    # the same partition up to names; ties between tracks that share hits may fall differently for a few
    assert pairs <= first.num_candidates + 1 + 4
    assert second.point_id.tolist() == list(range(busy.num_points))


def test_events_in_one_run_equal_events_alone(single_muons, busy):
    events = [single_muons[0], busy, single_muons[1]]
    together = list(run_ckf(events, CKFConfig(num_events_per_run=2)))
    for event, result in zip(events, together, strict=True):
        (alone,) = run_ckf([event])
        assert torch.equal(alone.labels, result.labels)


@pytest.mark.parametrize("num", [0, 1, 2])
def test_too_few_hits_stay_unassigned(single_muons, num):
    event = single_muons[0]
    keep = torch.arange(event.num_points) < num
    (result,) = run_ckf([event.select_points(keep)])
    assert result.labels.tolist() == [-1] * num


def test_noise_only_stays_unassigned(busy):
    noise = busy.object_index < 0
    (result,) = run_ckf([busy.select_points(noise)])
    assert result.labels.tolist() == [-1] * int(noise.sum())


def test_shape_of_the_field_matters():
    """Forward muons bend less and less in the solenoid: a filter that takes the field as constant loses their hits.

    (A constant field of another strength would not show: momenta only come out scaled.)
    """
    event = muons(0, gun_num_particles=60, gun_pt=(0.7, 1.5), max_eta=2.5)
    (right,) = run_ckf([event])
    (wrong,) = run_ckf([event], CKFConfig(field="constant"))
    strips = (event.volume == 12) | (event.volume == 14)
    assert (right.labels[strips] >= 0).float().mean() > 0.97
    assert (wrong.labels[strips] >= 0).float().mean() < 0.9


def test_field_comes_from_the_provenance():
    event = Event(pos=torch.zeros(0, 3))
    assert field_of(event, CKFConfig()) == ("solenoid", 2.0)
    event.provenance = '{"config": {"field": "constant", "field_tesla": 3.8}}'
    assert field_of(event, CKFConfig()) == ("constant", 3.8)
    assert field_of(event, CKFConfig(field="solenoid", field_tesla=1.0)) == ("solenoid", 1.0)
    event.provenance = '{"config": {"field": "toroid"}}'
    with pytest.raises(DataError, match="'toroid', wanted constant or solenoid"):
        field_of(event, CKFConfig())


def test_a_pass_below_the_reach_of_its_circles_is_one_clear_error(single_muons):
    curled = CKFConfig(passes=(PassConfig(min_pt_gev=0.05),))
    with pytest.raises(ConfigError, match=r"passes\[0\]: min_pt_gev = 0.05 curls up .* at least 0.06 GeV"):
        list(run_ckf(single_muons[:1], curled))
    (result,) = run_ckf(single_muons[:1], CKFConfig(passes=(PassConfig(min_pt_gev=0.06),)))
    assert result.num_candidates == 1


def test_a_failure_of_acts_is_one_line(single_muons, monkeypatch):
    from hitloom.baselines import acts_chain

    def fail(*_args, **_settings):
        raise RuntimeError("inner\nouter")

    monkeypatch.setattr(acts_chain, "run_chain", fail)
    with pytest.raises(HitloomError, match=r"ACTS failed on one of simulate-tracker\[event 0\]: inner$"):
        list(run_ckf(single_muons[:1]))


def brute_labels(num_points, hit, track, chi2, min_hits):
    """Give each hit to the best of its tracks, one hit at a time."""
    length = [int((track == t).sum()) for t in range(len(chi2))]
    owner = []
    for point in range(num_points):
        tracks = sorted(track[hit == point].tolist(), key=lambda t: (-length[t], chi2[t], t))
        owner.append(tracks[0] if tracks else -1)
    kept = [t for t in range(len(chi2)) if owner.count(t) >= min_hits]
    return [kept.index(t) if t in kept else -1 for t in owner]


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_shared_hits_go_to_the_longest_then_the_best_track(data):
    num_points = data.draw(st.integers(0, 12))
    tracks = data.draw(st.lists(st.sets(st.integers(0, max(num_points - 1, 0)), max_size=num_points), max_size=6))
    chi2 = np.array(data.draw(st.lists(st.integers(0, 2), min_size=len(tracks), max_size=len(tracks))), dtype=float)
    min_hits = data.draw(st.integers(1, 4))
    pairs = [(h, t) for t, members in enumerate(tracks) for h in sorted(members)]
    hit, track = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    labels = labels_from_tracks(num_points, hit, track, chi2, min_hits=min_hits)
    assert labels.dtype == np.int64
    assert labels.tolist() == brute_labels(num_points, hit, track, chi2, min_hits)


@pytest.mark.real_data
def test_thinned_real_event(test_data):
    """TrackML's own module numbers, its positions and its field: most particles above 1 GeV are found."""
    from hitloom.data.trackml_read import read_trackml

    (event,) = read_trackml(test_data / "trackml-thinned")
    # this event's collisions spread by 49 mm along the beam, those of the simulation by 5.5 mm
    passes = tuple(one.model_copy(update={"collision_region_mm": 250.0}) for one in CKFConfig().passes)
    (result,) = run_ckf([event], CKFConfig(passes=passes))
    owner = event.object_index.numpy()
    hits = np.bincount(owner[owner >= 0], minlength=event.num_objects)
    target = np.flatnonzero((event.object_pt.numpy() > 1.0) & (hits >= 3))
    owner = np.where(np.isin(owner, target), owner, -1)
    found, num = found_fraction(result.labels.numpy(), owner)
    assert num == len(target) == 54
    assert found / num > 0.9
