"""Truth of tracksters and edges against loops: matches, soft and hard targets, classes of pairs, CaloParticles."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hitloom.data.layer_clusters import CaloTruth
from hitloom.data.trackster_event import trackster_event
from hitloom.data.trackster_truth import (
    BOTH_PILEUP,
    BOTH_SIGNAL,
    CROSS,
    UNMATCHED,
    as_calo_particles,
    edge_targets,
    pair_class,
    truth_type,
)
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.metrics.associations import event_associations
from trackster_toy import toy_trackster_event, trackster_tables


def small_event(**changes) -> Event:
    """Four tracksters: two of object 0 (signal), one of object 1 (pile-up), one unmatched."""
    fields = {
        "pos": torch.zeros(4, 3),
        "energy": torch.tensor([10.0, 20.0, 4.0, 5.0]),
        "object_index": torch.tensor([0, 0, 1, -1]),
        "match_score": torch.tensor([0.1, 0.0, 0.05, -1.0]),
        "match_energy": torch.tensor([8.0, 20.0, 4.0, -1.0]),
        "edge_index": torch.tensor([[0, 0, 1, 2, 0], [1, 2, 3, 3, 3]]),
        "object_id": torch.tensor([7, 9]),
        "object_is_signal": torch.tensor([True, False]),
    }
    return Event(**(fields | changes))


def test_soft_target_is_the_mean_quality_of_both_ends():
    target = edge_targets(small_event())
    assert target.tolist() == pytest.approx([0.5 * (0.9 * 8 / 10 + 1.0), 0, 0, 0, 0])
    assert target.dtype == torch.float32
    assert edge_targets(small_event(), hard=True).tolist() == [1, 0, 0, 0, 0]


def test_two_unmatched_tracksters_are_not_the_same_particle():
    event = small_event(object_index=torch.full((4,), -1))
    assert edge_targets(event).tolist() == [0] * 5
    assert pair_class(event).tolist() == [UNMATCHED] * 5


def test_trackster_without_energy_gives_no_target():
    event = small_event(energy=torch.tensor([0.0, 0.0, 4.0, 5.0]))
    assert edge_targets(event).tolist() == [0] * 5


def test_unmatched_is_a_class_of_its_own():
    """Linking defect 2: -1 must not read the last object, whatever that is."""
    assert pair_class(small_event()).tolist() == [BOTH_SIGNAL, CROSS, UNMATCHED, UNMATCHED, UNMATCHED]
    other = small_event(object_is_signal=torch.tensor([True, True]))
    assert pair_class(other).tolist() == [BOTH_SIGNAL, BOTH_SIGNAL, UNMATCHED, UNMATCHED, UNMATCHED]


def test_without_pileup_flags_every_match_is_signal():
    """Linking defect 20: older files lack the flag."""
    event = small_event()
    del event["object_is_signal"]
    assert pair_class(event).tolist() == [BOTH_SIGNAL, BOTH_SIGNAL, UNMATCHED, UNMATCHED, UNMATCHED]
    assert edge_targets(event, only_signal=True)[0] > 0


def test_no_object_at_all():
    event = small_event(
        object_index=torch.full((4,), -1), object_id=torch.zeros(0).long(), object_is_signal=torch.zeros(0).bool()
    )
    assert pair_class(event).tolist() == [UNMATCHED] * 5


def test_only_signal_takes_pairs_of_pileup_away():
    pileup = small_event(object_is_signal=torch.tensor([False, True]))
    assert pair_class(pileup)[0] == BOTH_PILEUP
    assert edge_targets(pileup)[0] > 0
    assert edge_targets(pileup, only_signal=True).tolist() == [0] * 5
    event = toy_trackster_event(3, num_pileup=6)
    kinds = pair_class(event)
    target = edge_targets(event, only_signal=True)
    assert set(kinds.tolist()) >= {CROSS, BOTH_SIGNAL, BOTH_PILEUP}
    assert (target[kinds != BOTH_SIGNAL] == 0).all()
    torch.testing.assert_close(target[kinds == BOTH_SIGNAL], event.edge_y[kinds == BOTH_SIGNAL])
    assert (event.edge_y[kinds == CROSS] == 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_match_is_the_only_object_with_a_small_score(seed):
    event = toy_trackster_event(seed, num_pileup=6, shared=0.4)
    found = event_associations(event)
    raw = event.energy.double()
    kinds = set()
    for t in range(event.num_points):
        mine = found.pair_index[0] == t
        good = np.flatnonzero(mine & (found.reco_to_sim < 0.2))
        kinds.add(len(good))
        if len(good) == 1:
            assert event.object_index[t] == found.pair_index[1][good[0]]
            assert event.match_score[t].item() == pytest.approx(found.reco_to_sim[good[0]], abs=1e-6)
            assert event.match_energy[t].item() == pytest.approx(found.shared_energy[good[0]], rel=1e-5)
        else:
            assert (event.object_index[t], event.match_score[t], event.match_energy[t]) == (-1, -1, -1)
        shares = event.share_fraction[event.share_index[0] == t].double() * raw[t]
        np.testing.assert_allclose(shares, found.shared_energy[mine], rtol=1e-5)
    assert 1 in kinds
    assert len(kinds) > 1


def test_two_objects_with_a_small_score_leave_it_unmatched():
    """Both objects claim the whole of the trackster's layer clusters."""
    clusters, tracksters, truth = trackster_tables(0, num_particles=2, shared=0.0)
    twice = CaloTruth(
        **{
            **vars(truth),
            "share_index": np.concatenate([truth.share_index, [truth.share_index[0], 1 - truth.share_index[1]]], 1),
            "share_fraction": np.ones(2 * len(truth.share_fraction)),
        }
    )
    event = trackster_event(clusters, tracksters, twice, event_id=0, source="toy")
    assert (event.object_index == -1).all()
    assert (event.edge_y == 0).all()


def summed(truth: CaloTruth) -> CaloTruth:
    """Return the truth by origin, made with loops."""
    origins = sorted(set(truth.parent.tolist()))
    shares: dict[tuple[int, int], float] = {}
    for (part, thing), value in zip(truth.share_index.T.tolist(), truth.share_fraction, strict=True):
        key = (part, origins.index(truth.parent[thing]))
        shares[key] = shares.get(key, 0.0) + value
    rows = [np.flatnonzero(truth.parent == origin) for origin in origins]
    momentum = np.stack(
        [
            truth.pt * np.cos(truth.phi),
            truth.pt * np.sin(truth.phi),
            truth.pt * np.sinh(truth.eta),
        ]
    )
    sums = np.stack([momentum[:, r].sum(1) for r in rows], 1)
    pt = np.hypot(sums[0], sums[1])
    return CaloTruth(
        object_id=np.array(origins),
        parent=np.array(origins),
        pdg=np.array([truth.pdg[r[0]] if len(set(truth.pdg[r])) == 1 else 0 for r in rows]),
        charge=np.array([truth.charge[r].sum() for r in rows]),
        energy=np.array([truth.energy[r].sum() for r in rows]),
        pt=pt,
        eta=np.arcsinh(sums[2] / pt),
        phi=np.arctan2(sums[1], sums[0]),
        is_signal=np.array([truth.is_signal[r].any() for r in rows]),
        share_index=np.array(list(shares)).T,
        share_fraction=np.array(list(shares.values())),
    )


def test_calo_particles_are_the_sums_of_one_origin():
    clusters, tracksters, truth = trackster_tables(5, num_pileup=5)
    settings = {"event_id": 1, "source": "toy", "provenance": {"seed": 5}}
    event = trackster_event(clusters, tracksters, truth, truth_type="CP", **settings)
    wanted = trackster_event(clusters, tracksters, summed(truth), **settings)
    assert truth_type(event) == "CP"
    assert event.num_objects == 6
    for name, value in wanted.to_dict().items():
        if isinstance(value, torch.Tensor) and not name.startswith("part_share"):
            torch.testing.assert_close(
                event[name], value, rtol=1e-5, atol=1e-6, msg=lambda text, n=name: f"{n}: {text}"
            )
    first, second = event_associations(event), event_associations(wanted)
    np.testing.assert_allclose(first.reco_to_sim, second.reco_to_sim, atol=1e-6)
    assert as_calo_particles(event) is event


def test_simclusters_are_left_alone_by_calo_particles():
    event = toy_trackster_event(2)
    before = event.clone()
    after = as_calo_particles(event)
    assert after.num_objects < event.num_objects
    for name, value in before.to_dict().items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(event[name], value)
    assert truth_type(event) == "SC"
    assert event.provenance_dict()["seed"] == after.provenance_dict()["seed"] == 2


def test_calo_particles_of_an_event_without_layer_clusters():
    event = toy_trackster_event(2, num_pileup=4)
    for name in [name for name in event.to_dict() if name.startswith(("part_", "member_"))]:
        del event[name]
    after = as_calo_particles(event).validate()
    parent = event.object_parent
    matched = event.object_index >= 0
    assert torch.equal(after.object_index >= 0, matched)
    assert torch.equal(after.object_id[after.object_index[matched]], parent[event.object_index[matched]])
    assert (after.edge_y > 0).sum() > (event.edge_y > 0).sum()
    whole = torch.zeros(event.num_points).index_add(0, event.share_index[0], event.share_fraction)
    again = torch.zeros(event.num_points).index_add(0, after.share_index[0], after.share_fraction)
    torch.testing.assert_close(whole, again)


def test_missing_fields_are_named():
    event = toy_trackster_event(0)
    del event["object_parent"]
    with pytest.raises(DataError, match="'object_parent' is needed for CaloParticles"):
        as_calo_particles(event)
    del event["object_index"]
    with pytest.raises(DataError, match="'object_index' is needed for the truth of edges"):
        edge_targets(event)
