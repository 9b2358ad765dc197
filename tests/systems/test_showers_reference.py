"""Configurations and weights of the original shower-growing code, in and out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from hitloom.cli.main import run
from hitloom.config import build
from hitloom.errors import CheckpointError, ConfigError, DataError
from hitloom.systems.showers import Showers, ShowersConfig
from hitloom.systems.showers.reference import SECTIONS, import_weights, reference_state
from hitloom.systems.showers.reference_config import import_config
from hitloom.systems.showers.reference_folder import LossPoint, TrainingState, read_losses, write_reference_folder
from hitloom.training.checkpoint import load_checkpoint, make_header, save_checkpoint
from hitloom.training.history import History
from hitloom.training.import_weights import import_weights as import_file
from hitloom.training.run_config import build_run_config, load_recipe

LEAST: dict[str, Any] = {"checkpoints_dir": "c", "name": "n", "data_path": "d", "batch_size": 8, "epochs": 30}
NET = {"num_heads": 8, "num_inds": 32, "depth": 2}
EXAMPLE: dict[str, Any] = LEAST | {
    "lr_scheduler_params": {"scheduler": "OneCycleLR", "max_lr_factor": 2},
    "train_loss_iter": 400,
    "val_iter": 2500,
    "save_best_weights": True,
    "save_latest_epoch_weights": True,
    "hit_feat_vec_dim": 14,
    "hit_feat_scaling_factors": {
        0: "polar_r", 3: "cartesian_x", 4: "cartesian_z", 5: "cartesian_x", 6: "cartesian_z", 7: "cartesian_x"
    },
    "hit_feat_log_transforms": [8, 12, 13],
    "hit_feat_add_cardinality": True,
    "net_intra_cluster_encoder_params": NET | {"embd_dim": 64, "hidden_dim": 128},
    "net_inter_cluster_attn_params": NET | {"embd_dim": 128, "hidden_dim": 256},
    "net_inter_cluster_sim_params": {"hidden_dim": 512},
    "loss_params": {"weights": "log_with_penalty"},
    "plot_params": {"polar_coords": True, "view": -3, "x_width_idx": 5},
    "aug_params": {"iterative_augs": True, "aug_sim_threshold": 0.6, "aug_warmup_epoch": 10},
}  # fmt: skip
SMALL = {
    "encoder": {"embedding": 6, "hidden": 8, "num_heads": 2, "num_inducing": 3},
    "attention": {"embedding": 4, "hidden": 8, "num_heads": 2, "num_inducing": 3},
    "similarity": {"hidden": 5},
}


# ---------------------------------------------------------------------- configuration


def test_the_example_file_is_the_run_of_the_recipe():
    values, notes = import_config(EXAMPLE, where="example.yaml")
    ours, recipe = build_run_config(values), load_recipe("showers-pandora")
    for part in ("inputs", "encoder", "attention", "similarity", "loss", "augmentation"):
        assert getattr(ours.model, part) == getattr(recipe.model, part), part
    assert ours.model.rates.encoder == pytest.approx(recipe.model.rates.encoder)
    assert ours.model.grouping.threshold == recipe.model.grouping.threshold == 0.6
    for name in (
        "max_epochs", "optimizer", "lr", "weight_decay", "scheduler", "max_lr_factor", "gradient_clip",
        "gradient_clip_per_group", "precision", "monitor", "mode",
    ):  # fmt: skip
        assert getattr(ours.training, name) == getattr(recipe.training, name), name
    assert ours.data.batch_size == recipe.data.batch_size == 8
    assert not any(note.startswith("scales") for note in notes)
    assert any("2500 steps" in note for note in notes)


def test_parts_that_are_not_given_are_completed_from_the_defaults_of_the_original():
    values, notes = import_config(LEAST, where="least.yaml")
    config = build_run_config(values)
    assert (config.model.inputs.preset, config.model.inputs.cardinality) == (1, False)
    assert Showers(config.model).num_parameters == 2_887_474
    assert (config.model.encoder.hidden, config.model.similarity.hidden) == (240, 128)
    assert (config.training.scheduler, config.training.precision, config.training.gradient_clip) == (
        "constant", "bf16", 1.0
    )  # fmt: skip
    assert config.training.lr * config.model.rates.encoder == pytest.approx(1e-5)
    assert any(note.startswith("scales: x, z, x_width, x_gap, energy") for note in notes)  # they were raw there


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bach_size": 8}, "unknown key 'bach_size'.*batch_size"),
        ({"aug_params": {"aug_probs": 0.5}}, r"unknown key 'aug_params.aug_probs'.*aug_proba"),
        ({"net_inter_cluster_sim_params": {"chunksize": 5}}, "chunk_size"),
        ({"optimizer": "SGD"}, "optimizer"),
        ({"epochs": None}, "epochs"),
        ({"hit_feat_add_aug_tier": True}, "only together with aug_params.iterative_augs"),
        ({"lr_scheduler_params": {"scheduler": "OneCycleLR"}}, "without max_lr_factor"),
        ({"hit_feat_vec_dim": 7}, "no preset"),
        ({"hit_feat_scaling_factors": {0: "polar"}}, "polar_r"),
    ],
)
def test_unknown_keys_and_wrong_values_are_refused_at_every_level(change: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        import_config(LEAST | change, where="file.yaml")


def test_a_width_of_several_presets_is_settled_by_plot_settings_scales_or_a_number():
    polar = import_config(LEAST | {"hit_feat_vec_dim": 6, "plot_params": {"polar_coords": True}}, where="f")[0]
    assert polar["model"]["inputs"]["preset"] == 4
    summary = import_config(LEAST | {"hit_feat_vec_dim": 6, "plot_params": {"has_summary_token": True}}, where="f")[0]
    assert summary["model"]["inputs"]["preset"] == 3
    scales = {0: "cartesian_x", 1: "cartesian_z", 2: "cartesian_x", 3: "cartesian_z", 4: "cartesian_x"}
    pitch = LEAST | {"hit_feat_vec_dim": 6, "hit_feat_scaling_factors": scales, "hit_feat_log_transforms": [5]}
    assert import_config(pitch, where="f")[0]["model"]["inputs"]["preset"] == 6
    with pytest.raises(ConfigError, match="mend: --preset NUMBER"):
        import_config(LEAST | {"hit_feat_vec_dim": 6}, where="f")
    assert import_config(LEAST | {"hit_feat_vec_dim": 6}, where="f", preset=2)[0]["model"]["inputs"]["preset"] == 2


def test_the_old_name_of_the_epoch_of_added_columns_is_known():
    old = LEAST | {"hit_feat_add_cardinality": True, "hit_feat_vec_dim": 7, "hit_feat_add_cardinality_epoch": 5}
    assert import_config(old, where="f")[0]["model"]["inputs"]["added_from_epoch"] == 5
    with pytest.raises(ConfigError, match="comes twice"):
        import_config(old | {"hit_feat_add_at_epoch": 4}, where="f")


def test_the_verb_writes_a_recipe_and_says_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "old.yaml").write_text(yaml.safe_dump(EXAMPLE))
    assert run(["config", "import", str(tmp_path / "old.yaml"), "-o", str(tmp_path / "new.yaml")]) == 0
    assert "note: pairs: symmetric" in capsys.readouterr().out
    assert load_recipe(tmp_path / "new.yaml").model == build_run_config(import_config(EXAMPLE, where="")[0]).model
    (tmp_path / "old.yaml").write_text(yaml.safe_dump(EXAMPLE | {"epoch": 3}))
    assert run(["config", "import", str(tmp_path / "old.yaml"), "-o", str(tmp_path / "other.yaml")]) == 2
    error = capsys.readouterr().err
    assert "unknown key 'epoch'. Did you mean 'epochs'" in error
    assert "Traceback" not in error
    assert not (tmp_path / "other.yaml").exists()


def test_a_run_becomes_a_folder_of_the_original_by_one_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    system = Showers(small())
    config = build_run_config({"system": "showers", "model": SMALL})
    header = make_header(config, system, data_fingerprint="", epoch=1, metrics={"val_loss": 0.2})
    for name in ("best", "last"):
        path = tmp_path / f"run/checkpoints/{name}.ckpt"
        save_checkpoint(path, header=header, weights=system.state_dict(), training={"optimizer": {}})
    History(tmp_path / "run/metrics.csv").add({"epoch": 0, "step": 5, "train_loss": 0.3, "val_loss": 0.2})
    folder = tmp_path / "exp"
    assert run(["export", str(tmp_path / "run"), "--to", "pandora-weights", "-o", str(folder)]) == 0
    assert (folder / "losses_0.txt").read_text() == "TRAIN 1.0 0.3\nVALID 1.0 0.2\n"
    weights = folder / "weights_0/best_weights.pt"
    assert str(weights) in capsys.readouterr().out
    assert run(["import-weights", str(weights), str(folder / "exp.yaml"), "-o", str(tmp_path / "again.ckpt")]) == 0
    assert run(["export", str(tmp_path / "exp"), "--to", "pandora-weights", "-o", str(tmp_path / "no")]) == 2
    assert "no run folder" in capsys.readouterr().err


# ---------------------------------------------------------------------- weights


def small(**more: Any) -> ShowersConfig:
    return build(ShowersConfig, SMALL | more)


def original(system: Showers, *, roles: tuple[str, str, str, str] = ("fc_q", "fc_k", "fc_v", "fc_o")) -> dict[str, Any]:
    """A file of the original as its description has it, with other names inside."""
    names = dict(zip(("query", "key", "value", "out"), roles, strict=True))
    content: dict[str, Any] = {}
    for section, state in reference_state(system.state_dict()).items():
        content[section] = {}
        for name, value in state.items():
            words = [names.get(word, word) for word in name.split(".")]
            if words[0] in ("encoder", "decoder"):
                words = [f"{words[0][:3]}_{int(words[1]) + 1}", *words[2:]]
            content[section][".".join(words)] = value.clone()
    return content | {"optimizer_state_dict": {"state": {}, "param_groups": []}, "epoch": 3.0, "exp_name": "x"}


def joined(content: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {f"{section}.{name}": value for section in SECTIONS.values() for name, value in content[section].items()}


def test_weights_of_the_original_come_back_whatever_their_names(tmp_path: Path):
    system = Showers(small())
    torch.save(original(system), tmp_path / "best_weights.pt")
    config = build_run_config({"system": "showers", "model": SMALL})
    path = import_file(tmp_path / "best_weights.pt", config, tmp_path / "own.ckpt")
    again = load_checkpoint(path).build_system().state_dict()
    for name, value in system.state_dict().items():
        if name != "inputs.epoch":
            assert torch.equal(again[name], value), name
    assert int(again["inputs.epoch"]) >= small().inputs.added_from_epoch  # the true columns are on
    assert load_checkpoint(path).header["epoch"] == 3


def test_the_two_networks_of_the_pair_head_are_told_apart_by_what_they_read():
    system = Showers(small())
    content = original(system)
    section = SECTIONS["similarity"]
    content[section] = _swapped(content[section])
    again, _ = import_weights(joined(content), small())
    assert torch.equal(again.network.similarity.pair[0].weight, system.network.similarity.pair[0].weight)


def _swapped(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    names = list(state)
    return {name: state[name] for name in [*names[4:], *names[:4]]}


def test_weights_whose_names_contradict_their_order_are_refused():
    system = Showers(small())
    with pytest.raises(CheckpointError, match="its name says another projection"):
        import_weights(joined(original(system, roles=("fc_q", "fc_v", "fc_k", "fc_o"))), small())
    content = original(system)
    section = SECTIONS["attention"]
    content[section] = {
        name.replace("dec_1", "dec_9").replace("dec_2", "dec_1").replace("dec_9", "dec_2"): value
        for name, value in content[section].items()
    }
    with pytest.raises(CheckpointError, match="orders its blocks otherwise"):
        import_weights(joined(content), small())


def test_weights_of_another_size_or_with_a_net_missing_are_refused_in_one_line():
    state = joined(original(Showers(small())))
    with pytest.raises(CheckpointError, match=r"has shape .* mend: the sizes of that model"):
        import_weights(state, small(encoder=SMALL["encoder"] | {"hidden": 16}))
    with pytest.raises(CheckpointError, match="mend: depth"):
        import_weights(state, small(encoder=SMALL["encoder"] | {"depth": 1}))
    with pytest.raises(CheckpointError, match=r"similarity\.hidden"):
        import_weights(state, small(similarity={"hidden": 7}))
    with pytest.raises(CheckpointError, match="no 'net_inter_cluster_sim_state_dict'"):
        import_weights({n: v for n, v in state.items() if "_sim_" not in n}, small())


def test_a_weights_file_that_would_run_code_is_not_opened(tmp_path: Path):
    class Evil:
        def __reduce__(self):
            return (print, ("ran",))

    torch.save({"net_inter_cluster_sim_state_dict": Evil()}, tmp_path / "evil.pt")
    config = build_run_config({"system": "showers", "model": SMALL})
    with pytest.raises(CheckpointError, match="damaged"):
        import_file(tmp_path / "evil.pt", config, tmp_path / "own.ckpt")


# ---------------------------------------------------------------------- the folder of a training


def test_the_folder_has_losses_and_both_weights_and_its_weights_are_read_again(tmp_path: Path):
    system = Showers(small())
    state = TrainingState(system.state_dict(), {"optimizer": {"state": {}}, "schedule": {}}, 2, 0.25)
    never = state._replace(val_loss=float("nan"))  # no validation has run yet: there is no value, and no crash
    rows = [{"epoch": 0, "train_loss": 0.5}, {"epoch": 1, "train_loss": 0.4, "val_loss": 0.25}]
    states = {"best_weights": state, "latest_epoch_weights": never}
    for number in (0, 1):
        files = write_reference_folder(tmp_path / "exp", rows=rows, states=states, config="a: 1\n", name="exp")
        assert [path.relative_to(tmp_path / "exp").as_posix() for path in files] == [
            f"losses_{number}.txt", "exp.yaml", f"weights_{number}/best_weights.pt",
            f"weights_{number}/latest_epoch_weights.pt",
        ]  # fmt: skip
    text = (tmp_path / "exp/losses_0.txt").read_text()
    assert text == "TRAIN 1.0 0.5\nTRAIN 2.0 0.4\nVALID 2.0 0.25\n"
    assert read_losses(tmp_path / "exp/losses_0.txt")[-1] == LossPoint("VALID", 2.0, 0.25)
    content = torch.load(tmp_path / "exp/weights_0/best_weights.pt", weights_only=True)
    assert list(content) == [
        *SECTIONS.values(), "optimizer_state_dict", "lr_scheduler_state_dict", "epoch", "val_loss", "exp_name",
    ]  # fmt: skip
    again, left = import_weights(joined(content), small())
    assert torch.equal(again.network.encoder.last.weight, system.network.encoder.last.weight)
    assert left == []


def test_a_line_of_losses_that_is_none_is_named(tmp_path: Path):
    (tmp_path / "losses_0.txt").write_text("TRAIN 1.0 0.5\nTEST 1.0 0.5\n")
    with pytest.raises(DataError, match=r"line 2: 'TRAIN\|VALID epoch loss' was wanted"):
        read_losses(tmp_path / "losses_0.txt")
    (tmp_path / "losses_0.txt").write_text("TRAIN 1.0\n")
    with pytest.raises(DataError, match="line 1"):
        read_losses(tmp_path / "losses_0.txt")
    with pytest.raises(DataError, match="cannot read"):
        read_losses(tmp_path / "absent.txt")
