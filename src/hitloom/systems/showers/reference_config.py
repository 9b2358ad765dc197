"""Configuration files of the reference code (PandoraPFA/LArMachineLearningData, shower_growing) as runs of hitloom.

Every key that those files may have is known here with its default; an unknown one is refused with the nearest name.
Columns are numbers there and names here: which preset it is follows from the width and the plot settings, and how a
column is scaled from its name. Where the file scales otherwise, that is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pydantic
from pydantic import Field

from hitloom.config import Config, build
from hitloom.data.shower_columns import CARDINALITY, PRESETS, TIER, column, preset_columns
from hitloom.errors import ConfigError


class _Schedule(Config):
    scheduler: Literal["OneCycleLR"] | None = None
    max_lr_factor: float | None = Field(default=None, gt=0)


class _Net(Config):
    embd_dim: int = 120
    num_heads: int = 5
    hidden_dim: int = 240
    num_inds: int = 32
    depth: int = 2
    ln: bool = False
    lr: float = Field(default=1e-4, gt=0)


class _Encoder(_Net):
    lr: float = Field(default=1e-5, gt=0)


class _Similarity(Config):
    hidden_dim: int = 128
    lr: float = Field(default=1e-4, gt=0)
    use_loop_implementation: bool = False
    use_chunked_implementation: bool = False
    chunk_size: int = Field(default=1024, ge=1)


class _Loss(Config):
    weights: Literal["log", "log_with_penalty"] | None = None
    triplet_lambda: float = 0.0
    triplet_n_samples: int = 50_000
    contrastive_lambda: float = 0.0


class _Plot(Config):
    has_summary_token: bool = False
    polar_coords: bool = False
    view: int = 6
    x_width_idx: int = 2


class _Augmentation(Config):
    iterative_augs: bool = False
    aug_sim_threshold: float = 0.5
    aug_freq_epoch: int = 1
    aug_warmup_epoch: int = 0
    aug_max_n_jobs: int = 0
    aug_fixed_epoch_len: bool = False
    aug_proba: float | None = None
    aug_max_tier: int | None = None


class ReferenceConfig(Config):
    """A file of the reference; defaults are its own."""

    checkpoints_dir: str
    name: str
    data_path: str
    batch_size: int = Field(ge=1)
    epochs: int = Field(ge=0)
    device: str = "cuda:0"
    max_num_workers: int = Field(default=4, ge=0)
    optimizer: Literal["Adam"] = "Adam"
    lr_scheduler_params: _Schedule = _Schedule()
    lr_scheduler: Any = None
    gradient_clipping: bool = True
    amp_training: bool = True
    train_loss_iter: int = 100
    val_iter: int | None = None
    save_best_weights: bool = False
    save_latest_epoch_weights: bool = False
    continue_training_from_weights: str | None = None
    hit_feat_vec_dim: int = 5
    hit_feat_scaling_factors: dict[int, Literal["polar_r", "cartesian_x", "cartesian_z"]] = Field(default_factory=dict)
    hit_feat_log_transforms: tuple[int, ...] = ()
    hit_feat_add_cardinality: bool = False
    hit_feat_add_aug_tier: bool = False
    hit_feat_add_at_epoch: int | None = 2
    net_intra_cluster_encoder_params: _Encoder = _Encoder()
    net_inter_cluster_attn_params: _Net = _Net()
    net_inter_cluster_sim_params: _Similarity = _Similarity()
    bucket_boundaries: tuple[int, ...] = (4, 8, 32, 128)
    loss_params: _Loss = _Loss()
    plot_params: _Plot = _Plot()
    aug_params: _Augmentation = _Augmentation()

    @pydantic.model_validator(mode="before")
    @classmethod
    def _alias(cls, values: Any) -> Any:
        if isinstance(values, dict) and "hit_feat_add_cardinality_epoch" in values:
            if "hit_feat_add_at_epoch" in values:
                raise ValueError("hit_feat_add_at_epoch comes twice, once by its old name")
            values = dict(values)
            values["hit_feat_add_at_epoch"] = values.pop("hit_feat_add_cardinality_epoch")
        return values

    @pydantic.model_validator(mode="after")
    def _together(self) -> ReferenceConfig:
        if self.hit_feat_add_aug_tier and not self.aug_params.iterative_augs:
            raise ValueError("hit_feat_add_aug_tier: only together with aug_params.iterative_augs")
        if self.lr_scheduler_params.scheduler and self.lr_scheduler_params.max_lr_factor is None:
            raise ValueError("lr_scheduler_params: OneCycleLR without max_lr_factor")
        return self


def import_config(
    values: Mapping[str, Any], *, where: str, preset: int | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Return the run that a configuration file of the reference describes, and what is not the same in it.

    Parameters
    ----------
    values : mapping
        The file as parsed.
    where : str
        Name of the file, for messages.
    preset : int, optional
        Of the hit features; needed where width and plot settings leave several.

    Raises
    ------
    ConfigError
        When a key is unknown, a value wrong, or no preset or several have the width.
    """
    theirs = build(ReferenceConfig, values, where=where)
    number = _preset(theirs, where) if preset is None else preset
    added = (CARDINALITY if theirs.hit_feat_add_cardinality else ()) + ((TIER,) if theirs.hit_feat_add_aug_tier else ())
    names = (*preset_columns(number), *added)
    if len(names) != theirs.hit_feat_vec_dim:
        raise ConfigError(
            f"{where}: hit_feat_vec_dim is {theirs.hit_feat_vec_dim}, preset {number} with what is added has "
            f"{len(names)} columns; mend: another preset, or the width"
        )
    nets = (theirs.net_intra_cluster_encoder_params, theirs.net_inter_cluster_attn_params)
    sim, aug, rate = theirs.net_inter_cluster_sim_params, theirs.aug_params, nets[1].lr
    cycle = theirs.lr_scheduler_params
    model = {
        "inputs": {
            "preset": number,
            "cardinality": theirs.hit_feat_add_cardinality,
            "tier": theirs.hit_feat_add_aug_tier,
            "added_from_epoch": theirs.hit_feat_add_at_epoch or 0,
        },
        "encoder": _set(nets[0]),
        "attention": _set(nets[1]),
        "similarity": {"hidden": sim.hidden_dim},
        "loss": {
            "weights": theirs.loss_params.weights or "none",
            "triplet": theirs.loss_params.triplet_lambda,
            "num_triplets": theirs.loss_params.triplet_n_samples,
            "contrastive": theirs.loss_params.contrastive_lambda,
        },
        "grouping": {"threshold": aug.aug_sim_threshold},
        "augmentation": {
            "enabled": aug.iterative_augs,
            "threshold": aug.aug_sim_threshold,
            "epochs_per_tier": aug.aug_freq_epoch,
            "warmup_epochs": aug.aug_warmup_epoch,
            "max_tier": aug.aug_max_tier,
            "probability": 1.0 if aug.aug_proba is None else aug.aug_proba,
        },
        "rates": {"encoder": nets[0].lr / rate, "attention": 1.0, "similarity": sim.lr / rate},
    }
    training = {
        "max_epochs": theirs.epochs,
        "optimizer": "Adam",
        "lr": rate,
        "weight_decay": 0.0,
        "amsgrad": False,
        "warmup_epochs": 0,
        "scheduler": "onecycle" if cycle.scheduler else "constant",
        "max_lr_factor": cycle.max_lr_factor or 1.0,
        "gradient_clip": 1.0 if theirs.gradient_clipping else None,
        "gradient_clip_per_group": True,
        "precision": "bf16" if theirs.amp_training else "32",
        "monitor": "val_loss",
        "mode": "min",
    }
    data = {"batch_size": theirs.batch_size, "num_workers": min(theirs.max_num_workers, theirs.batch_size)}
    return {"system": "showers", "model": model, "data": data, "training": training}, _notes(theirs, names)


def _set(net: _Net) -> dict[str, Any]:
    return {
        "embedding": net.embd_dim,
        "hidden": net.hidden_dim,
        "num_heads": net.num_heads,
        "num_inducing": net.num_inds,
        "depth": net.depth,
        "layer_norm": net.ln,
    }


def _preset(theirs: ReferenceConfig, where: str) -> int:
    """Return the preset of the width without added columns; plot settings and scales decide between several."""
    width = theirs.hit_feat_vec_dim - 2 * theirs.hit_feat_add_cardinality - theirs.hit_feat_add_aug_tier
    fitting = [number for number, names in PRESETS.items() if len(names) == width]
    if len(fitting) > 1:
        polar, summary = theirs.plot_params.polar_coords, theirs.plot_params.has_summary_token
        fitting = [n for n in fitting if ("r" in PRESETS[n], "summary" in PRESETS[n]) == (polar, summary)]
    if len(fitting) > 1:
        fitting = [n for n in fitting if _scaled_alike(theirs, PRESETS[n])]
    if len(fitting) != 1:
        raise ConfigError(
            f"{where}: hit_feat_vec_dim {theirs.hit_feat_vec_dim} ({width} without added columns) is the width of "
            f"{'presets ' + ', '.join(map(str, fitting)) if fitting else 'no preset'}; mend: --preset NUMBER"
        )
    return fitting[0]


def _scaled_alike(theirs: ReferenceConfig, names: tuple[str, ...]) -> bool:
    return not _scaled_otherwise(theirs, names)


def _scaled_otherwise(theirs: ReferenceConfig, names: tuple[str, ...]) -> list[str]:
    """Return the columns that the file scales otherwise than their names say."""
    return [
        name
        for place, name in enumerate(names)
        if theirs.hit_feat_scaling_factors.get(place) != column(name).scale
        or (place in theirs.hit_feat_log_transforms) != column(name).log
    ]


def _notes(theirs: ReferenceConfig, names: tuple[str, ...]) -> list[str]:
    """Return what the run does not share with the file."""
    notes = [
        f"data: data_path is {theirs.data_path}; mend: hitloom data convert it to a store, name that as data.store",
        "pairs: symmetric here; model.similarity.form=ordered is the original's",
    ]
    otherwise = _scaled_otherwise(theirs, names)
    if otherwise:
        notes.append(f"scales: {', '.join(otherwise)} are scaled otherwise in the file; here the name decides")
    if theirs.continue_training_from_weights:
        notes.append(
            f"weights: {theirs.continue_training_from_weights} is read by hitloom import-weights, then --init-from"
        )
    if theirs.val_iter is not None:
        notes.append(f"validation: after each epoch, not every {theirs.val_iter} steps")
    if theirs.aug_params.aug_fixed_epoch_len:
        notes.append("aug_fixed_epoch_len: every epoch sees all events, however many merged ones follow them")
    return notes
