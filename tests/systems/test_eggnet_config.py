"""EggNet's configuration: published sizes, presets, and the files of the original code."""

from __future__ import annotations

import pytest
from eggnet_toy import TINY, tiny, toy_event

from hitloom.config import build
from hitloom.errors import ConfigError
from hitloom.systems.eggnet import PRESETS, EggNet, EggNetConfig, from_reference, preset, preset_run, run_from_reference

PUBLISHED = {
    "node_features": [
        "hit_r", "hit_phi", "hit_z", "hit_cell_count", "hit_cell_val", "hit_leta", "hit_lphi", "hit_lx", "hit_ly",
        "hit_lz", "hit_geta", "hit_gphi",
    ],
    "node_scales": [1000.0, 3.14, 1000.0, 1, 1, 1, 1, 0.1, 1, 0.1, 1, 3.14],
    "base_model": "NodeEncoding", "model": "EggNet", "loss": "Contrastive", "input_dir": "a", "output_dir": "b",
    "node_hidden": 128, "edge_hidden": 128, "node_0_hidden": 128, "encoder_hidden": 128, "decoder_hiden": 128,
    "node_rep_dim": 128, "edge_rep_dim": 128, "node_pspace_dim": 24, "n_encoder_layers": 3, "n_node_0_layers": 3,
    "n_edge_layers": 3, "n_node_layers": 3, "n_decoder_layers": 1, "hidden_activation": "SiLU",
    "output_activation": "Tanh", "layernorm": True, "batchnorm": False, "embedding_norm": True, "n_iters": 4,
    "n_gnns_per_iter": 8, "recurrent": True, "recurrent_gnn": False, "recycle_node_representation": True,
    "knn_train": 10, "knn_algorithm": "cu_knn", "knn_algorithm_loss": "cu_knn", "knn_loss": 10,
    "randomisation": 100000, "margin": 1, "weighting": {"true_default": 1.0, "fake_default": 1.0},
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({}, 1_257_760),
        ({"recurrent": False}, 4_781_464),
        ({"recurrent_gnn": True}, 301_722),
        ({"num_iterations": 0}, 87_320),
        ({"output_node_score": True}, 1_257_760 + 129),
    ],
)
def test_published_parameter_counts(changes: dict, count: int):
    assert EggNet(EggNetConfig(**changes)).num_parameters == count


def test_published_counts_by_part():
    network = EggNet(EggNetConfig())
    parts = {
        "encoder": network.encoder,
        "node0": network.node_0,
        "decoder": network.decoders,
        "edge": [layer.edge_network for layer in network.blocks[0].layers],
        "node": [layer.node_network for layer in network.blocks[0].layers],
    }
    counts = {
        name: sum(p.numel() for module in (part if isinstance(part, list) else [part]) for p in module.parameters())
        for name, part in parts.items()
    }
    assert counts == {"encoder": 34_688, "node0": 49_536, "edge": 643_080, "node": 527_360, "decoder": 3_096}
    assert EggNet(preset("itk")).num_parameters == 1_257_504


def test_the_originals_file_gives_the_published_model():
    assert from_reference(PUBLISHED) == EggNetConfig()


def test_every_key_of_the_original_is_understood_or_named():
    extra = {
        "devices": 4, "num_nodes": 1, "precision": 16, "accelerator": "cuda", "data_split": [20, 4, 2], "warmup": None,
        "lr": 2e-4, "lr_weight_decay": 0.02, "scheduler": "CosineAnnealingWarmRestarts", "factor": 0.8, "patience": 20,
        "min_lr": 1e-6, "max_epochs": 200, "metric_to_monitor": "val_eff", "metric_mode": "max", "save_top_k": 2,
        "num_workers": [8, 8, 8], "train_metric": ["loss"], "knn_val": 10, "r_max_train": 0.7, "r_max_loss": 0.2,
        "checkpoint": True, "phi_segmented": True, "graph_fraction": 0.2, "min_nodes": 5, "max_nodes": 900,
        "graph_fraction_adjustment_method": "resample", "graph_adjustment_tol": 0.01, "max_possible_width": True,
        "hard_cuts": {"hit_particle_pt": [1000, float("inf")], "hit_r": [0, 500]}, "project": "p", "group": "g",
        "log_wandb": True, "qmin": 0.3, "sb": 2.0, "node_hard_filter": [0.1], "node_soft_filter": [0.1] * 4,
        "dataset": "GraphDataset", "node_filter": True,
    }  # fmt: skip
    run, ignored = run_from_reference(PUBLISHED | extra, energy_unit="MeV")
    assert sorted(ignored) == sorted(
        ["base_model", "model", "dataset", "input_dir", "output_dir", "group", "knn_val", "train_metric"]
    )
    assert run["data"]["hard_cuts"] == {"object_pt": [1.0, float("inf")], "r": [0, 500]}
    assert run["data"]["phi_wedge"]["max_points"] == 900
    assert run["training"]["warmup_epochs"] == 0
    assert run["training"]["monitor"] == "val_efficiency"
    config = build(EggNetConfig, run["model"])
    assert (config.r_max, config.loss.r_max, config.loss.q_min, config.loss.noise_weight) == (0.7, 0.2, 0.3, 2.0)
    assert config.output_node_score
    run_config = pytest.importorskip("hitloom.training.run_config")
    assert run_config.build_run_config(run).training.scheduler == "cosine-restarts"


def test_conditional_weights_of_the_original():
    rules = [{"conditions": {"hit_particle_pt": [500, 1000]}, "weight": 0.5}]
    config = from_reference(PUBLISHED | {"weighting": {"conditional_weighting": rules}}, energy_unit="MeV")
    (rule,) = config.loss.weighting.conditional_weighting
    assert rule.conditions == {"object_pt": [0.5, 1.0]}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("n_iter", 4, "Did you mean 'n_iters'"),
        ("loss", "Contrastiv", "Did you mean 'Contrastive'"),
        ("model", "GNN", "wanted EggNet"),
        ("weighting", {"true": 1}, "weighting.true"),
    ],
)
def test_mistakes_in_the_originals_file_are_named(key: str, value: object, message: str):
    with pytest.raises(ConfigError, match=message):
        from_reference(PUBLISHED | {key: value})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_iteration": 3}, "unknown key 'num_iteration'. Did you mean 'num_iterations'"),
        ({"node_features": ["r", "sine_phi"]}, "no scale is known for 'sine_phi'.*sin_phi"),
        ({"node_scales": [1.0]}, "1 numbers for 12 node_features"),
        ({"node_features": ["r", "r"]}, "named twice"),
        ({"num_neighbours": [3, 4]}, "2 values for 4 iterations"),
        ({"num_neighbours": 0}, "at least 1"),
        ({"node_hard_filter": [0.1, 0.1], "output_node_score": True}, "1 .at the end only. or 5"),
        ({"node_soft_filter": [0.1], "output_node_score": True}, "1 cuts; mend: 4"),
        ({"node_hard_filter": [1.5], "output_node_score": True}, "0 <= cut < 1"),
        ({"node_hard_filter": [0.1]}, "'output_node_score': filters and the losses"),
        ({"loss": {"name": "object_condensation"}}, "need a point score"),
        (
            {"loss": {"weighting": {"conditional_weighting": [{"conditions": {"object_pt": 3}, "weight": 1}]}}},
            "object_pt.*lo, hi",
        ),
    ],
)
def test_impossible_configurations_are_named(changes: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        build(EggNetConfig, changes)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_are_valid_runs(name: str):
    assert isinstance(EggNet(preset(name)), EggNet)
    run_config = pytest.importorskip("hitloom.training.run_config")
    assert run_config.build_run_config(preset_run(name), where=name).system == "eggnet"


def test_presets_are_the_published_variants():
    assert preset("paper") == EggNetConfig()
    assert preset("hard_filtered").node_hard_filter == (0.1,) * 5
    assert preset("soft_filtered").node_soft_filter == (0.1,) * 4
    assert preset("itk_full").num_iterations == 8
    with pytest.raises(ConfigError, match="Did you mean 'paper'"):
        preset("papr")


def test_defect_17_defaults_run_without_a_weighting_section():
    system = tiny(loss={})
    event = toy_event()
    assert bool(system.loss(system(event), event).total.isfinite())
    none = tiny(num_iterations=0)
    assert none.reconstruct(none.eval()(event), event).labels.shape == (40,)
    assert EggNetConfig(**TINY).loss.name == "contrastive"
