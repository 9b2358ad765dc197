"""Checkpoints: plain content, atomic writing, and one clear line for every way of being wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_system import Tiny, TinyConfig, tiny_event
from training_toy import quiet, tiny_config, tiny_data

from hitloom.errors import CheckpointError
from hitloom.training import checkpoint as module
from hitloom.training.checkpoint import (
    Checkpoint,
    export_weights,
    find_checkpoint,
    load_checkpoint,
    load_weights,
    newest_checkpoint,
    save_checkpoint,
)
from hitloom.training.train import train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from hitloom.registry import SYSTEMS

    SYSTEMS["tiny"] = "tiny_system:Tiny"
    folder = tmp_path_factory.mktemp("run")
    train(tiny_config(max_epochs=1), output=folder, data=tiny_data(3, 1), progress=quiet(1))
    return folder


def test_content_is_plain_and_complete(run: Path):
    content = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    header = content["header"]
    assert header["system"] == "tiny"
    assert header["data_fingerprint"] == "tiny"
    assert {"config", "hitloom", "torch", "git_commit", "feature_names", "epoch", "metrics"} <= header.keys()
    json.dumps(header)
    loaded = load_checkpoint(run / "checkpoints/last.ckpt")
    assert loaded.config == tiny_config(max_epochs=1)


def test_a_reloaded_system_gives_the_same_output(run: Path):
    loaded = load_checkpoint(run / "checkpoints/best.ckpt")
    event = tiny_event(5)
    first, second = loaded.build_system(), load_checkpoint(run / "checkpoints/best.ckpt").build_system()
    assert torch.equal(first(event).embedding, second(event).embedding)
    assert not first.training


def test_exported_weights_load_where_a_checkpoint_does(run: Path, tmp_path: Path):
    loaded = load_checkpoint(run / "checkpoints/best.ckpt")
    placed = loaded.header["config"].replace("store: null", "store: /home/me/events")
    assert "/home/me" in placed
    export_weights(
        Checkpoint(header=loaded.header | {"config": placed}, weights=loaded.weights), tmp_path / "w.safetensors"
    )
    assert b"/home/me" not in (tmp_path / "w.safetensors").read_bytes()
    again = load_checkpoint(tmp_path / "w.safetensors")
    assert again.config == loaded.config
    assert again.fingerprint == loaded.fingerprint
    assert not again.training
    event = tiny_event(5)
    assert torch.equal(again.build_system()(event).embedding, loaded.build_system()(event).embedding)


def test_fingerprint_changes_with_a_weight_and_with_the_model_settings(run: Path):
    loaded = load_checkpoint(run / "checkpoints/best.ckpt")
    weights = {name: tensor.clone() for name, tensor in loaded.weights.items()}
    next(iter(weights.values())).view(-1)[0] += 1e-6
    assert Checkpoint(header=loaded.header, weights=weights).fingerprint != loaded.fingerprint
    header = loaded.header | {"config": loaded.header["config"].replace("num_pairs: 64", "num_pairs: 65")}
    assert Checkpoint(header=header, weights=loaded.weights).fingerprint != loaded.fingerprint


def test_a_crash_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "last.ckpt"
    save_checkpoint(path, header={"a": 1}, weights={}, training={})
    before = path.read_bytes()

    def crash(content: object, file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError("disk full")

    monkeypatch.setattr(module.torch, "save", crash)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(path, header={"a": 2}, weights={}, training={})
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_every_wrong_file_is_one_line(run: Path, tmp_path: Path):
    good = (run / "checkpoints/last.ckpt").read_bytes()
    cases = {
        "missing.ckpt": None,
        "empty.ckpt": b"",
        "text.ckpt": b"not a checkpoint",
        "cut.ckpt": good[: len(good) // 2],
        "cut.safetensors": b"\x10\x00",
    }
    for name, content in cases.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError) as error:
            load_checkpoint(tmp_path / name)
        assert "\n" not in str(error.value)
        assert name in str(error.value)
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    save_file({"a": torch.zeros(1)}, str(tmp_path / "foreign.safetensors"))
    for name in ("foreign.ckpt", "foreign.safetensors"):
        with pytest.raises(CheckpointError, match="not a checkpoint of hitloom"):
            load_checkpoint(tmp_path / name)


def test_a_pickle_with_code_is_never_run(tmp_path: Path):
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (exec, ("raise SystemExit('ran')",))

    torch.save({"header": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(CheckpointError, match="damaged, or not a checkpoint"):
        load_checkpoint(tmp_path / "evil.ckpt")


def test_another_version_another_system_and_another_architecture_are_refused(run: Path, tmp_path: Path):
    content = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    newer = content | {"header": content["header"] | {"format_version": 99, "hitloom": "9.0"}}
    torch.save(newer, tmp_path / "newer.ckpt")
    with pytest.raises(CheckpointError, match=r"format 99, written by hitloom 9\.0"):
        load_checkpoint(tmp_path / "newer.ckpt")
    loaded = load_checkpoint(run / "checkpoints/last.ckpt")
    other = Checkpoint(header=loaded.header | {"system": "eggnet"}, weights=loaded.weights, path=loaded.path)
    with pytest.raises(CheckpointError, match="holds weights of system 'eggnet', not of 'tiny'"):
        load_weights(Tiny(TinyConfig()), other)
    with pytest.raises(CheckpointError, match=r"3 of another shape; first: 'net\.0\.weight' has shape \(8, 3\)"):
        load_weights(Tiny(TinyConfig(width=9)), loaded)


def test_finding_checkpoints(run: Path, tmp_path: Path):
    assert find_checkpoint(run) == run / "checkpoints/best.ckpt"
    assert find_checkpoint(run / "checkpoints/last.ckpt") == run / "checkpoints/last.ckpt"
    assert newest_checkpoint(run) == run / "checkpoints/last.ckpt"
    for wrong, text in ((tmp_path, "no checkpoints"), ("nothing-of-this-name", "no checkpoint 'nothing")):
        with pytest.raises(CheckpointError, match=text):
            find_checkpoint(wrong)
    with pytest.raises(CheckpointError, match="no such folder"):
        newest_checkpoint(tmp_path / "none")
    with pytest.raises(CheckpointError, match=r"holds no \*\.ckpt"):
        newest_checkpoint(tmp_path)
