"""Read the configuration files of the original EggNet code (github.com/exatrkx/EggNet), by facts about their keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from hitloom.config import build
from hitloom.errors import ConfigError, nearest
from hitloom.systems.eggnet.config import EggNetConfig

# Key of the original -> path in a recipe.
_DIRECT = {
    **{
        name: f"model.{name}"
        for name in (
            "node_scales", "node_hidden", "edge_hidden", "node_0_hidden", "encoder_hidden", "decoder_hidden",
            "node_rep_dim", "edge_rep_dim", "node_pspace_dim", "hidden_activation", "output_activation", "layernorm",
            "batchnorm", "embedding_norm", "recurrent", "recurrent_gnn", "recycle_node_representation", "checkpoint",
            "node_hard_filter", "node_soft_filter", "output_node_score",
        )
    },
    "decoder_hiden": "model.decoder_hidden",
    "n_encoder_layers": "model.num_encoder_layers",
    "n_node_0_layers": "model.num_node_0_layers",
    "n_edge_layers": "model.num_edge_layers",
    "n_node_layers": "model.num_node_layers",
    "n_decoder_layers": "model.num_decoder_layers",
    "n_iters": "model.num_iterations",
    "n_gnns_per_iter": "model.num_gnns_per_iteration",
    "knn_train": "model.num_neighbours",
    "r_max_train": "model.r_max",
    "node_filter_cut": "model.node_hard_filter",
    "node_filter_hidden": "model.node_score_hidden",
    "n_node_filter_layers": "model.num_node_score_layers",
    "knn_loss": "model.loss.num_neighbours",
    "r_max_loss": "model.loss.r_max",
    "randomisation": "model.loss.num_random_pairs",
    "margin": "model.loss.margin",
    "qmin": "model.loss.q_min",
    "sb": "model.loss.noise_weight",
    "data_split": "data.split",
    "graph_fraction": "data.phi_wedge.fraction",
    "graph_fraction_adjustment_method": "data.phi_wedge.method",
    "graph_adjustment_tol": "data.phi_wedge.tolerance",
    "min_nodes": "data.phi_wedge.min_points",
    "max_nodes": "data.phi_wedge.max_points",
    "max_possible_width": "data.phi_wedge.max_possible_width",
    "accelerator": "training.accelerator",
    "devices": "training.devices",
    "num_nodes": "training.num_nodes",
    "precision": "training.precision",
    "lr": "training.lr",
    "lr_weight_decay": "training.weight_decay",
    "factor": "training.factor",
    "patience": "training.patience",
    "min_lr": "training.min_lr",
    "max_epochs": "training.max_epochs",
    "metric_mode": "training.mode",
    "save_top_k": "training.save_top_k",
    "project": "training.project",
}  # fmt: skip
_TRANSLATED = {
    "loss": ("model.loss.name", {
        "Contrastive": "contrastive", "WeightedContrastive": "weighted_contrastive",
        "ObjectCondensation": "object_condensation",
    }),
    "scheduler": ("training.scheduler", {
        "StepLR": "step", "ReduceLROnPlateau": "plateau", "CosineAnnealingWarmRestarts": "cosine-restarts",
    }),
    "metric_to_monitor": ("training.monitor", {
        "val_eff": "val_efficiency", "val_signal_eff": "val_signal_efficiency", "val_loss": "val_loss",
        "val_fak": "val_fake_per_matched_particle", "val_dup": "val_duplicate_per_particle",
    }),
    # All exact; with a radius they all return the k nearest within it.
    "knn_algorithm": ("model.knn_method", dict.fromkeys(("cu_knn", "faiss_knn", "pyg_knn", "pyg_rnn"), "auto")),
    "knn_algorithm_loss": (
        "model.loss.knn_method", dict.fromkeys(("cu_knn", "faiss_knn", "pyg_knn", "pyg_rnn"), "auto")
    ),
}  # fmt: skip
_COMPUTED = {
    "node_features", "hard_cuts", "weighting", "phi_segmented", "warmup", "num_workers", "log_wandb", "node_filter",
}  # fmt: skip
_WITHOUT_COUNTERPART = {
    "base_model", "model", "dataset", "input_dir", "output_dir", "group", "knn_val", "train_metric",
}  # fmt: skip
_QUANTITIES = {
    "particle_pt": "object_pt", "particle_eta": "object_eta", "particle_nhits": "object_num_points",
    "particle_id": "object_id", "module_index": "module", "module_id": "module",
}  # fmt: skip


def from_reference(mapping: Mapping[str, Any], *, energy_unit: Literal["GeV", "MeV"] = "GeV") -> EggNetConfig:
    """Return the model configuration that a configuration file of the original describes.

    Parameters
    ----------
    mapping
        The file's keys; ``decoder_hiden``, as older files spell it, is understood.
    energy_unit
        Unit of transverse momentum in the file's conditions: GeV for TrackML, MeV for ITk.

    Raises
    ------
    ConfigError
        On a key that the original does not have, with the nearest one that it has, and on impossible values.
    """
    return build(EggNetConfig, run_from_reference(mapping, energy_unit=energy_unit)[0]["model"], where="reference")


def run_from_reference(
    mapping: Mapping[str, Any], *, energy_unit: Literal["GeV", "MeV"] = "GeV"
) -> tuple[dict[str, Any], list[str]]:
    """Return a whole recipe (system, model, data, training) and the keys that have no counterpart in it."""
    known = {*_DIRECT, *_TRANSLATED, *_COMPUTED, *_WITHOUT_COUNTERPART}
    unknown = [key for key in mapping if key not in known]
    if unknown:
        raise ConfigError(f"reference configuration: unknown key '{unknown[0]}'.{nearest(unknown[0], known)}")
    if mapping.get("model", "EggNet") != "EggNet":
        raise ConfigError(f"reference configuration: 'model' came as {mapping['model']!r}, wanted EggNet")
    run: dict[str, Any] = {"system": "eggnet", "model": {}}
    for key, value in mapping.items():
        if key in _DIRECT and value is not None:
            _put(run, _DIRECT[key], value)
        elif key in _TRANSLATED and value is not None:
            path, names = _TRANSLATED[key]
            if value not in names:
                raise ConfigError(f"reference configuration: '{key}' came as {value!r}.{nearest(str(value), names)}")
            _put(run, path, names[value])
    _computed(run, mapping, 1e-3 if energy_unit == "MeV" else 1.0)
    if not mapping.get("phi_segmented", False):
        run.get("data", {}).pop("phi_wedge", None)
    return run, [key for key in mapping if key in _WITHOUT_COUNTERPART]


def _computed(run: dict[str, Any], mapping: Mapping[str, Any], energy: float) -> None:
    """Put the keys whose value changes form."""
    if "node_features" in mapping:
        features = [str(name).removeprefix("hit_") for name in mapping["node_features"]]
        _put(run, "model.node_features", features)
        if mapping.get("node_scales") is None:
            _put(run, "model.node_scales", [1.0] * len(features))
    if mapping.get("hard_cuts"):
        _put(run, "data.hard_cuts", _conditions(mapping["hard_cuts"], energy))
    weighting = mapping.get("weighting") or {}
    for key in weighting:
        if key == "conditional_weighting":
            rules = [
                {"conditions": _conditions(rule["conditions"], energy), "weight": rule["weight"]}
                for rule in weighting[key] or ()
            ]
            _put(run, "model.loss.weighting.conditional_weighting", rules)
        elif key in ("true_default", "fake_default"):
            _put(run, f"model.loss.weighting.{key}", weighting[key])
        else:
            valid = ("true_default", "fake_default", "conditional_weighting")
            raise ConfigError(f"reference configuration: unknown key 'weighting.{key}'.{nearest(key, valid)}")
    if mapping.get("phi_segmented", False):
        run.setdefault("data", {}).setdefault("phi_wedge", {})
    if "warmup" in mapping:
        _put(run, "training.warmup_epochs", mapping["warmup"] or 0)
    if mapping.get("num_workers"):
        workers = mapping["num_workers"]
        _put(run, "data.num_workers", workers[0] if isinstance(workers, list) else workers)
    if mapping.get("log_wandb", False):
        _put(run, "training.log", ["wandb"])
    model = run["model"]
    if mapping.get("node_filter", True) is False:
        model.pop("node_hard_filter", None)
    filtered = model.get("node_hard_filter") or model.get("node_soft_filter")
    if filtered or model.get("loss", {}).get("name", "contrastive") != "contrastive":
        model["output_node_score"] = True


def _conditions(conditions: Mapping[str, Any], energy: float) -> dict[str, Any]:
    """Rename the quantities of conditions and bring transverse momenta to GeV."""
    result = {}
    for name, value in conditions.items():
        bare = str(name).removeprefix("hit_")
        result[_QUANTITIES.get(bare, bare)] = _scaled(value, energy) if bare == "particle_pt" else value
    return result


def _scaled(value: Any, factor: float) -> Any:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return value * factor
    return [_scaled(item, factor) for item in value]


def _put(run: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    target = run
    for parent in parents:
        target = target.setdefault(parent, {})
    target[last] = value
