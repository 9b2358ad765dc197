"""``hitloom simulate calorimeter``: store, ROOT file, the same events from the same seed, errors in one line."""

from __future__ import annotations

import json

import pytest
import torch

from hitloom.data.store import EventStore

SMALL = ("--set", "gun.num_particles=2", "--set", "gun.energy=[20,60]", "-j", 1)


def test_store_and_root_file(cli, tmp_path):
    from hitloom.data.ticl_read import read_ticl

    store, root = tmp_path / "store", tmp_path / "histo.root"
    done = cli("simulate", "calorimeter", "-n", 2, "-o", store, "--root", root, "--seed", 3, *SMALL)
    assert done.code == 0, done.err
    assert "2 events" in done.out
    assert "toy" in done.out
    events = list(EventStore(store))
    assert [event.event_id for event in events] == [0, 1]
    again = list(read_ticl(root))
    assert len(again) == 2
    for event, other in zip(events, again, strict=True):
        assert event.num_points > 0
        assert torch.equal(event.edge_index, other.edge_index)
        assert torch.allclose(event.x[:, :29], other.x[:, :29], rtol=1e-5, atol=1e-5)
        assert torch.equal(event.object_index, other.object_index)
    shown = cli("data", "inspect", store, "--json")
    assert shown.code == 0, shown.err
    record = json.loads(shown.out)
    assert record["events"] == 2
    assert record["provenance"]["simulation"] == "calorimeter"
    assert "toy" in record["provenance"]["note"]
    plain = cli("data", "inspect", store)
    assert plain.code == 0, plain.err


def test_settings_from_file_options_and_overrides(cli, tmp_path):
    config = tmp_path / "gun.yaml"
    config.write_text("gun: {species: [photon], num_particles: 3}\nupstream_interactions: 0.0\ntruth: SC\n")
    store = tmp_path / "store"
    done = cli(
        "simulate", "calorimeter", "-n", 1, "-o", store, "--config", config, "--truth", "CP", "-j", 1,
        "--set", "gun.num_particles=1", "--first-event-id", 5,
    )  # fmt: skip
    assert done.code == 0, done.err
    (event,) = EventStore(store)
    assert event.event_id == 5
    record = event.provenance_dict()
    assert record["truth"] == "CP"
    assert record["config"]["gun"]["species"] == ["photon"]
    assert event.object_pdg.tolist() == [22, 22]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--set", "gun.specie=[photon]"), "Did you mean 'species'"),
        (("--set", "gun.species=[photons]"), "gun.species"),
        (("--process", "tttbar"), "'process'"),
        (("--pileup", "-1"), "'pileup'"),
        (("--truth", "PC"), "'truth'"),
        (("--set", "geometry=hgcal-v71"), "Did you mean 'hgcal-v17'"),
        (("--set", "geometry=nowhere.csv"), "no such geometry file"),
        (("--set", "gun.group_size=9", "--set", "gun.delta=90"), "gun.delta"),
    ],
)
def test_mistakes_are_one_line(cli, tmp_path, arguments, words):
    done = cli("simulate", "calorimeter", "-n", 1, "-o", tmp_path / "store", "-j", 1, *arguments)
    assert done.code == 2
    assert words in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not (tmp_path / "store").exists()


def test_files_of_another_detector_are_refused(tmp_path):
    from hitloom.errors import ConfigError
    from hitloom.simulate.calorimeter_config import CalorimeterConfig
    from hitloom.simulate.store import simulate_to_store

    with pytest.raises(ConfigError, match="trackml"):
        simulate_to_store(tmp_path / "store", CalorimeterConfig(), num_events=1, seed=0, trackml=tmp_path / "csv")
