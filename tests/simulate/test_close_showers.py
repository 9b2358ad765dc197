"""Close-by showers: what is shot, what becomes of it, and what the knob of overlap does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from calorimeter_toy import QUIET
from typer.testing import CliRunner

from hitloom.cli.main import build_app
from hitloom.config import build
from hitloom.data.pruning_layout import PRUNING_FEATURES
from hitloom.data.store import EventStore
from hitloom.errors import ConfigError, DataError
from hitloom.simulate.close_showers import (
    CloseShowersConfig,
    close_showers_particles,
    simulate_close_showers,
    simulate_collision,
    simulate_collisions,
    tracksters_of,
)
from hitloom.simulate.store import simulate_to_store

FRONT = 3210.5  # mm


def small(**values: Any) -> CloseShowersConfig:
    """Few groups, full overlap."""
    return build(CloseShowersConfig, {"num_groups": 2, "overlap": 1.0, "energy": [5.0, 80.0], **values})


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.to_dict().items():
        assert torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else value == other[name], name


def all_same(ones, others):
    ones, others = list(ones), list(others)
    assert len(ones) == len(others) > 0
    for one, other in zip(ones, others, strict=True):
        assert_same(one, other)


@pytest.fixture(scope="module")
def events():
    """Tracksters of three collisions, with their numbers from 4."""
    return list(simulate_close_showers(small(), num_events=3, seed=1, first_event_id=4))


def test_a_collision_made_alone_is_the_same(events):
    mine = [event for event in events if event.event_id // 100_000 == 6]
    all_same(mine, simulate_collision(small(), seed=1, event_id=6))
    other = simulate_collision(small(), seed=2, event_id=6)
    assert not torch.equal(other[0].x[:1], mine[0].x[:1])


def test_two_processes_make_the_same_events(events):
    all_same(events, simulate_close_showers(small(), num_events=3, seed=1, first_event_id=4, num_processes=2))


def test_the_order_of_particles_does_not_matter(events):
    table = close_showers_particles(small(), seed=1, event_id=4)
    mixed = table.select(np.random.default_rng(0).permutation(len(table)))
    mine = [event for event in events if event.event_id // 100_000 == 4]
    all_same(mine, tracksters_of(mixed, small(), seed=1, event_id=4))


def test_the_other_endcap_is_a_mirror():
    config = small(endcap="forward", response=QUIET, background={"density": 0.01})
    table = close_showers_particles(config, seed=3, event_id=0)
    mirrored = replace(table, z=-table.z, pz=-table.pz)
    ones, others = (tracksters_of(one, config, seed=3, event_id=0) for one in (table, mirrored))
    assert len(ones) == len(others) > 2
    assert any(event.point_y.any() for event in ones)
    sign = torch.ones(len(PRUNING_FEATURES))
    sign[[PRUNING_FEATURES.index("pos_z"), PRUNING_FEATURES.index("eta")]] = -1
    for one, other in zip(ones, others, strict=True):
        assert torch.equal(one.x * sign, other.x)
        assert torch.equal(one.point_y, other.point_y)
        assert torch.equal(one.edge_index, other.edge_index)


def test_tracksters_are_trees_with_unique_ids_and_shares_of_at_most_one(events):
    assert len({event.event_id for event in events}) == len(events)
    for event in events:
        assert event.num_points >= 3
        assert event.edge_index.shape[1] == event.num_points - 1
        assert sorted(event.edge_index[1].tolist()) == sorted(set(event.edge_index[1].tolist()))
        total = torch.zeros(event.num_points).index_add(0, event.share_index[0], event.share_fraction)
        assert (total <= 1 + 1e-5).all()
        raw = torch.zeros(event.num_objects).index_add(
            0, event.share_index[1], event.share_fraction * event.energy[event.share_index[0]]
        )
        assert (raw <= event.object_raw_energy * (1 + 1e-5)).all()


def test_times_are_since_the_collision_or_absent(events):
    time = torch.cat([event.time for event in events])
    timed = time > 0
    assert (time[~timed] == -99).all()
    distance = torch.cat([event.pos.norm(dim=1) for event in events])[timed]
    late = time[timed] - distance / 299.792458
    assert 0.2 < timed.float().mean() < 0.99
    assert late.median().abs() < 0.3
    assert (late > -1.0).all()


def showers_at_front(config, seed=1, event_id=0):
    """Rows of the showers and of the soft particles, and their places on the front face in mm."""
    table = close_showers_particles(config, seed=seed, event_id=event_id)
    way = (FRONT - np.abs(table.z) * np.sign(table.z * table.pz)) / np.abs(table.pz)
    places = np.stack([table.x + way * table.px, table.y + way * table.py], axis=1)
    energy = np.sqrt((table.momentum**2).sum(1) + table.mass**2)
    return table, places, energy, table.vertex == 1


def test_groups_are_as_wide_and_as_unequal_as_asked():
    config = small(
        num_groups=40, companion_share=1.0, group_size=3, separation=[2.0, 6.0], energy_ratio=[0.1, 0.5],
        species=["photon", "electron"], background={"density": 0.0},
    )  # fmt: skip
    table, places, energy, signal = showers_at_front(config)
    assert signal.all()
    assert len(table) == 2 * 40 * 3
    assert set(np.abs(table.pdg).tolist()) == {11, 22}
    groups, shared = places.reshape(-1, 3, 2), energy.reshape(-1, 3)
    distance = np.linalg.norm(groups[:, 1:] - groups[:, :1], axis=2) / 10
    assert 2.0 - 0.01 <= distance.min() < 2.3
    assert 5.7 < distance.max() <= 6.0 + 0.01
    ratio = shared[:, 1:] / shared[:, :1]
    assert 0.1 <= ratio.min() < 0.12
    assert 0.45 < ratio.max() <= 0.5 + 1e-9
    assert shared[:, 0].min() >= 5.0
    assert shared[:, 0].max() <= 80.0
    eta = np.arcsinh(FRONT / np.linalg.norm(places, axis=1))
    assert (eta > 1.69).all()
    assert (eta < 2.71).all()


def test_overlap_scales_companions_and_background():
    numbers = {}
    for overlap in (0.0, 0.5, 1.0):
        config = small(num_groups=200, overlap=overlap, companion_share=0.8, background={"density": 0.01, "radius": 8})
        _, places, energy, signal = showers_at_front(config)
        numbers[overlap] = (int(signal.sum()) - 400, int((~signal).sum()))
        assert (energy[~signal] <= 5.0 + 1e-9).all()
        first = places[signal]
        away = np.linalg.norm(places[~signal][:, None] - first, axis=2).min(1, initial=np.inf)
        assert (away <= 80.0 + 0.1).all()
    assert numbers[0.0] == (0, 0)
    mean = 400 * np.pi * 64 * 0.01
    for overlap in (0.5, 1.0):
        assert numbers[overlap][0] == pytest.approx(400 * 0.8 * overlap, abs=50)
        assert numbers[overlap][1] == pytest.approx(mean * overlap, rel=0.15)


def test_overlap_moves_the_share_to_prune_from_1_to_20_percent():
    """Measured shares: docs/close_showers.md; and many tracksters have nothing to prune, at every overlap."""
    shares, without = [], []
    for overlap in (0.0, 0.2, 0.5, 1.0):
        config = CloseShowersConfig(overlap=overlap, num_groups=12)
        made = list(simulate_close_showers(config, num_events=4, seed=7))
        label = torch.cat([event.point_y for event in made])
        shares.append(float(label.mean()))
        without.append(np.mean([not event.point_y.any() for event in made]))
    assert shares == sorted(shares)
    assert shares[0] < 0.03
    assert 0.15 < shares[-1] < 0.3
    assert min(without) > 0.25


def test_labels_of_followers_go_with_those_of_their_leaders(events):
    """Whole branches are to prune: the labels are no independent coins."""
    leader = torch.cat([event.point_y[event.edge_index[0]] for event in events])
    follower = torch.cat([event.point_y[event.edge_index[1]] for event in events])
    assert follower[leader == 1].mean() > 3 * follower[leader == 0].mean()


def test_no_showers_no_tracksters():
    assert simulate_collision(small(num_groups=0, response=QUIET), seed=1, event_id=0) == []
    assert list(simulate_collisions(small(num_groups=0, response=QUIET), num_events=2, seed=1)) == [[], []]


def test_pileup_of_collisions():
    pytest.importorskip("pythia8mc")
    config = small(num_groups=1, pileup=2.0, background={"density": 0.0})
    table = close_showers_particles(config, seed=1, event_id=0)
    assert (table.vertex == 1).sum() == 4
    assert (table.vertex > 1).any()
    assert simulate_collision(config, seed=1, event_id=0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"species": []}, "species"),
        ({"separation": [6.0, 2.0]}, "separation must be a range"),
        ({"background": {"energy": [0.0, 2.0]}}, "energy must be a range"),
        ({"iterations": ["oldest", "later", "recent"]}, "one or two"),
        ({"iterations": []}, "one or two"),
        ({"iterations": ["newest"]}, "iterations"),
        ({"overlap": 1.5}, "overlap"),
        ({"overlapp": 1.0}, "overlap"),
    ],
)
def test_settings_that_cannot_be(values, message):
    with pytest.raises(ConfigError, match=message):
        small(**values)


def test_groups_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match=r"separation \(400\.0, 400\.0\) cm do not fit"):
        simulate_collision(small(separation=[400.0, 400.0], companion_share=1.0), seed=0, event_id=0)


def test_verb_writes_store_and_root_file(tmp_path):
    from hitloom.data.pruning_files import read_pruning

    store, root = tmp_path / "store", tmp_path / "tracksters.root"
    arguments = [
        "simulate",
        "close-showers",
        "-n",
        "2",
        "-o",
        str(store),
        "--root",
        str(root),
        "--seed",
        "3",
        "-j",
        "1",
    ]
    arguments += ["--overlap", "1", "--separation", "2", "5", "--set", "num_groups=2", "--species", "photon"]
    arguments += ["--species", "pion", "--min-size", "4"]
    done = CliRunner().invoke(build_app(), arguments)
    assert done.exit_code == 0, done.output
    events = list(EventStore(store))
    assert f"{len(events)} tracksters of 2 collisions" in done.output
    assert "toy" in done.output
    wanted = small(separation=[2.0, 5.0], species=["photon", "pion"], min_size=4, energy=[3.0, 300.0])
    assert EventStore(store).provenance["config"] == wanted.model_dump(mode="json")
    assert "toy" in EventStore(store).provenance["note"]
    for event, made, read in zip(
        events, simulate_close_showers(wanted, num_events=2, seed=3), read_pruning(root), strict=True
    ):
        assert event.event_id == made.event_id
        assert event.num_points >= 4
        for name in ("x", "edge_index", "point_y", "point_id"):
            assert torch.equal(event[name], made[name])
            assert torch.equal(event[name], read[name])


def test_the_example_of_the_page_runs(capsys):
    page = (Path(__file__).parents[2] / "docs" / "close_showers.md").read_text(encoding="utf-8")
    exec(compile(page.split("```python\n")[1].split("```")[0], "docs/close_showers.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) > 8


def test_a_root_file_that_is_there_is_refused_before_anything_is_made(tmp_path):
    (tmp_path / "taken.root").write_text("mine")
    with pytest.raises(DataError, match=r"taken\.root: already exists"):
        simulate_to_store(tmp_path / "store", small(), num_events=1, seed=0, root=tmp_path / "taken.root")
    assert not (tmp_path / "store").exists()
    assert (tmp_path / "taken.root").read_text() == "mine"
