"""The loop itself: order of events, losses, validation, history, what is kept, what is refused."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_system import tiny_event
from training_toy import assert_same_weights, quiet, tiny_config, tiny_data

from hitloom.errors import ConfigError, DataError
from hitloom.event import Event
from hitloom.metrics.selection import Selection
from hitloom.registry import get_system
from hitloom.training.batches import SKIPPED, EpochBatches, EpochLoader, step_seed
from hitloom.training.checkpoint import load_checkpoint
from hitloom.training.hardware import choose_device, choose_precision, set_threads
from hitloom.training.history import read_history
from hitloom.training.run_config import build_run_config
from hitloom.training.run_data import RunData
from hitloom.training.train import train
from hitloom.training.validation import DEFINITIONS, partition_counts, partition_rates, target_selection


def test_every_event_comes_once_an_epoch_in_an_order_of_the_seed_and_the_epoch():
    """Defect 24: training events are shuffled."""
    batches = EpochBatches(num_events=10, batch_size=3, shuffle=True, seed=1)
    orders = []
    for epoch in range(3):
        batches.epoch = epoch
        orders.append([i for batch in batches for i in batch])
        assert sorted(orders[-1]) == list(range(10))
    assert orders[0] != orders[1] != orders[2] != list(range(10))
    batches.epoch = 1
    assert [i for batch in batches for i in batch] == orders[1]
    other = EpochBatches(num_events=10, batch_size=3, shuffle=True, seed=2)
    assert [i for batch in other for i in batch] != orders[0]


@pytest.mark.parametrize("num_events", [1, 7, 8])
def test_ranks_share_an_epoch_evenly(num_events: int):
    parts = [
        list(EpochBatches(num_events=num_events, batch_size=2, shuffle=True, seed=0, rank=r, world_size=3))
        for r in range(3)
    ]
    assert len({len(part) for part in parts}) == 1
    assert {i for part in parts for batch in part for i in batch} == set(range(num_events))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_transforms_draw_by_seed_epoch_and_index_alone(num_workers: int):
    def shift(event: Event, generator: torch.Generator) -> Event:
        moved = event.clone()
        moved.pos = event.pos + torch.rand(1, generator=generator)
        return moved

    def epochs(workers: int, skipped: int = 0) -> list[list[Any]]:
        loader = EpochLoader(
            [tiny_event(i) for i in range(3)],
            batch_size=1, shuffle=True, seed=3, num_workers=workers, transforms=(shift,),
        )  # fmt: skip
        result = []
        for epoch in range(2):
            loader.set_epoch(epoch)
            loader.num_skipped = skipped if epoch == 1 else 0
            result.append([batch if batch == SKIPPED else float(batch.pos.sum()) for batch in loader])
        return result

    plain = epochs(0)
    assert epochs(num_workers) == plain
    assert epochs(num_workers, skipped=2) == [plain[0], [SKIPPED, SKIPPED, plain[1][2]]]


def test_seeds_of_steps_differ_and_repeat():
    seeds = {step_seed(s, e, b) for s in range(3) for e in range(5) for b in range(5)}
    assert len(seeds) == 75
    assert step_seed(1, 2, 3) == step_seed(1, 2, 3) < 2**63


def test_history_holds_losses_rates_and_the_rate_of_learning(tmp_path: Path):
    outcome = train(tiny_config(validate_every=2), output=tmp_path, data=tiny_data(), progress=quiet())
    rows = read_history(tmp_path / "metrics.csv")
    assert [row["epoch"] for row in rows] == [0, 1, 2]
    assert [row["step"] for row in rows] == [7, 14, 21]
    assert [row["lr"] for row in rows] == [0.005, 0.01, 0.01]
    for row in rows:
        assert row["train_loss"] == pytest.approx(row["train_pull"] + row["train_push"], rel=1e-5)
    assert ["val_loss" in row for row in rows] == [False, True, True]  # every second epoch, and the last
    assert set(DEFINITIONS) <= set(rows[1])
    assert outcome.metrics == {k: v for k, v in rows[2].items() if k not in ("epoch", "step", "lr", "seconds")}


def test_defaults_run_with_nothing_but_the_system_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Defect 17: validation without a weighting section, the default loss, every default."""
    config = build_run_config({"system": "tiny", "training": {"max_epochs": 1}})
    outcome = train(config, output=tmp_path, data=tiny_data(2, 1), progress=quiet())
    assert outcome.best_value == 1.0


def test_accumulating_two_events_is_one_step_on_their_mean(tmp_path: Path):
    data = tiny_data(num_train=2, num_val=0)
    options = {"max_epochs": 1, "monitor": "train_loss", "mode": "min", "accumulate": 2, "seed": 4}
    config = tiny_config(**options)
    train(config, output=tmp_path, data=data, progress=quiet())
    torch.manual_seed(4)
    system = get_system("tiny")(config.model)
    order = [i for batch in EpochBatches(num_events=2, batch_size=1, shuffle=True, seed=4) for i in batch]
    optimizer = torch.optim.AdamW(system.parameters(), lr=0.005, weight_decay=0.01, amsgrad=True)
    losses = []
    for step, index in enumerate(order):
        torch.manual_seed(step_seed(4, 0, step, 0))
        losses.append(system.loss(system(data.train[index]), data.train[index]).total)
    (sum(losses) / 2).backward()  # type: ignore[union-attr]
    optimizer.step()
    saved = load_checkpoint(tmp_path / "checkpoints/last.ckpt").weights
    for name, value in system.state_dict().items():
        torch.testing.assert_close(saved[name], value)


def test_clipping_bounds_the_step(tmp_path: Path):
    config = tiny_config(gradient_clip=1e-9, max_epochs=1, weight_decay=0.0, warmup_epochs=0)
    sgd_like = config.model_copy(update={"training": config.training.model_copy(update={"betas": (0.0, 0.0)})})
    train(sgd_like, output=tmp_path, data=tiny_data(1, 1), progress=quiet())
    torch.manual_seed(0)
    before = get_system("tiny")(config.model).state_dict()
    after = load_checkpoint(tmp_path / "checkpoints/last.ckpt").weights
    # AdamW's step is lr * g / (|g| + 1e-8): with |g| <= 1e-9 it is below a tenth of lr
    assert max(float((after[n] - before[n]).abs().max()) for n in before) < 0.1 * 1e-2
    assert any(not torch.equal(after[n], before[n]) for n in before)


def test_only_the_top_epochs_are_kept(tmp_path: Path):
    config = tiny_config(max_epochs=5, save_top_k=2, monitor="train_loss", mode="min")
    train(config, output=tmp_path, data=tiny_data(), progress=quiet())
    rows = sorted(read_history(tmp_path / "metrics.csv"), key=lambda row: row["train_loss"])
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    kept = sorted(f"epoch={row['epoch']:04d}-train_loss={row['train_loss']:.5g}.ckpt" for row in rows[:2])
    assert names == sorted([*kept, "best.ckpt", "last.ckpt"])
    best = load_checkpoint(tmp_path / "checkpoints/best.ckpt")
    assert best.training["epoch"] == rows[0]["epoch"] + 1


def test_workers_and_batches_do_not_change_what_is_learnt(tmp_path: Path):
    for name, workers in (("a", 0), ("b", 1)):
        config = tiny_config(max_epochs=2)
        config = config.model_copy(
            update={"data": config.data.model_copy(update={"num_workers": workers, "batch_size": 3})}
        )
        train(config, output=tmp_path / name, data=tiny_data(), progress=quiet())
    assert_same_weights(tmp_path / "a/checkpoints/last.ckpt", tmp_path / "b/checkpoints/last.ckpt")


def test_parts_without_pairs_are_counted(tmp_path: Path):
    event = tiny_event(1)
    event.object_index = torch.full_like(event.object_index, -1)
    event.truth_edge_index = event.truth_edge_index[:, :0]
    data = RunData(train=[event, event], val=[])
    train(tiny_config(max_epochs=1, monitor="train_loss", mode="min"), output=tmp_path, data=data, progress=quiet())
    (row,) = read_history(tmp_path / "metrics.csv")
    assert (row["train_pull"], row["train_pull_empty"]) == (0.0, 2.0)
    assert "train_push_empty" not in row


def test_what_a_run_refuses_before_anything_is_written(tmp_path: Path):
    folder = tmp_path / "run"

    def refused(match: str, error: type[Exception] = ConfigError, data: RunData | None = None, **options: Any) -> None:
        with pytest.raises(error, match=match):
            train(tiny_config(**options), output=folder, data=data or tiny_data(), progress=quiet())
        assert not folder.exists()

    refused("no training event", data=tiny_data(0, 1))
    refused("there is no validation event; mend", data=tiny_data(2, 0))
    bare = Event(pos=torch.zeros(3, 3), event_id=1, source="bare")
    refused("field 'object_index' is needed", DataError, data=RunData(train=[bare], val=[bare]))
    if not torch.cuda.is_available():
        refused("this torch sees no CUDA device", accelerator="cuda")


def test_an_unknown_monitor_names_the_nearest(tmp_path: Path):
    with pytest.raises(ConfigError, match="no value 'val_eficiency'. Did you mean 'val_efficiency'"):
        train(tiny_config(monitor="val_eficiency"), output=tmp_path, data=tiny_data(2, 1), progress=quiet())


def test_noise_never_matches_and_duplicates_count():
    """Defect 3: a track of noise is a fake, in validation too. By hand: 6 tracks of 5 hits, 3 noise points."""
    event = tiny_event(3)
    system = get_system("tiny")(tiny_config().model)
    index = event.object_index

    class Fixed:
        def __init__(self, labels: torch.Tensor) -> None:
            self.labels = labels

        def reconstruct(self, scores: Any, event: Event) -> Any:
            return self

    labels = torch.where(index < 0, torch.full_like(index, 99), index)  # noise makes one track of three hits
    labels[(index == 5).nonzero().flatten()[:2]] = 50  # particle 5: tracks of 2 and 3 hits, both pure
    labels[(index == 4).nonzero().flatten()] = -1  # particle 4 (pt 2.5) is lost
    signal = target_selection({"pt": [1.4, math.inf], "num_points": [3, math.inf]})
    assert signal == Selection(min_particle_hits=3, min_track_hits=1, universe="input", conditions=signal.conditions)
    rates = partition_rates(partition_counts(Fixed(labels), None, event, signal))  # type: ignore[arg-type]
    assert rates["val_efficiency"] == pytest.approx(5 / 6)
    assert rates["val_signal_efficiency"] == pytest.approx(3 / 4)  # pt 1.5, 2, 2.5 (lost), 3
    assert rates["val_fake_per_matched_particle"] == pytest.approx(1 / 5)
    assert rates["val_duplicate_per_particle"] == pytest.approx(1 / 3)
    assert rates["val_double_majority_efficiency"] == pytest.approx(5 / 6)
    assert system.name == "tiny"


def test_precision_falls_back_on_cpus_without_the_instructions(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    cpu = torch.device("cpu")
    logging.getLogger("hitloom").propagate = True
    monkeypatch.setattr("hitloom.training.hardware.cpu_has_bf16", lambda: False)
    assert choose_precision("bf16", cpu) == choose_precision("16", cpu) == "32-true"
    assert "no bf16 instructions" in caplog.text
    monkeypatch.setattr("hitloom.training.hardware.cpu_has_bf16", lambda: True)
    assert choose_precision("bf16", cpu) == "bf16-mixed"
    assert choose_precision("16", torch.device("cuda")) == "16-mixed"
    assert choose_precision("32", cpu) == "32-true"


def test_threads_and_devices():
    before = torch.get_num_threads()
    try:
        assert set_threads(2) == torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert choose_device("cpu").type == "cpu"
