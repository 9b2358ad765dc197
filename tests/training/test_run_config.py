"""The configuration of a run and the recipes that ship."""

from __future__ import annotations

import pytest
from training_toy import tiny_config

from hitloom.config import parse_yaml
from hitloom.errors import ConfigError
from hitloom.registry import get_system
from hitloom.training.run_config import build_run_config, load_recipe, recipe_names, recipe_path

PARAMETERS = {
    "eggnet-trackml": 1_257_760,
    "eggnet-trackml-full": 1_257_760,
    "eggnet-itk": 1_257_504,
    "eggnet-itk-full": 1_257_504,
    "eggnet-weighted-full": 1_257_760 + 129,
    "eggnet-hard-filter": 1_257_760 + 129,
    "eggnet-soft-filter": 1_257_760 + 129,
}


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_published_recipes_have_the_published_values(name: str):
    config = load_recipe(name)
    system = get_system(config.system)(config.model)
    assert system.num_parameters == PARAMETERS[name]
    training = config.training
    assert (training.lr, training.weight_decay, training.amsgrad, training.betas) == (2e-4, 0.01, True, (0.9, 0.999))
    assert (training.warmup_epochs, training.scheduler, training.factor, training.patience) == (10, "step", 0.8, 20)
    assert training.max_epochs == (800 if name == "eggnet-weighted-full" else 200)
    assert training.devices * training.accumulate == 4
    assert config.data.split == ((7785, 1000, 926) if "itk" in name else (2000, 400, 200))
    cut = name in ("eggnet-trackml", "eggnet-itk", "eggnet-hard-filter")
    assert config.data.hard_cuts == ({"object_pt": [1.0, float("inf")]} if cut else {})
    model = config.model
    assert model.num_iterations == (8 if name == "eggnet-itk-full" else 4)
    assert (model.num_gnns_per_iteration, model.num_neighbours, model.node_pspace_dim) == (8, 10, 24)
    assert (model.loss.num_neighbours, model.loss.num_random_pairs, model.loss.margin) == (10, 100_000, 1.0)
    assert model.checkpoint == (
        name in ("eggnet-trackml-full", "eggnet-itk-full", "eggnet-weighted-full", "eggnet-soft-filter")
    )
    assert (model.grouping.eps, model.grouping.min_samples) == (0.1, 3)
    assert config.evaluation.targets == {"pt": (1.0, float("inf")), "num_points": (3.0, float("inf"))}


def test_every_shipped_recipe_is_valid_and_survives_a_round_trip():
    assert {*PARAMETERS, "eggnet-small"} <= set(recipe_names())
    for name in recipe_names():
        if name.startswith("demo"):
            continue
        config = load_recipe(name)
        assert build_run_config(parse_yaml(config.to_yaml(), where=name)) == config


def test_all_mistakes_come_in_one_line_with_the_nearest_keys():
    with pytest.raises(ConfigError) as error:
        load_recipe(
            "eggnet-small",
            ["training.lrr=1", "model.node_hiden=3", "training.max_epochs=-1", "data.split=[0.5, 0.6, 0.1]"],
        )
    text = str(error.value)
    assert "\n" not in text
    for part in ("'lr'?", "'node_hidden'?", "training.max_epochs", "sum to at most 1"):
        assert part in text


def test_an_unknown_recipe_or_system_names_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'eggnet-small'"):
        recipe_path("eggnet-smal")
    with pytest.raises(ConfigError, match="Did you mean 'eggnet'"):
        build_run_config({"system": "egnet"})
    with pytest.raises(ConfigError, match="missing key 'system'"):
        build_run_config({})


def test_configuration_is_immutable():
    config = tiny_config()
    with pytest.raises(ValueError, match="frozen"):
        config.training.lr = 1.0


@pytest.mark.parametrize("split", ["[1, 2]", "[-1, 2, 3]", "all", "[true, 1, 1]"])
def test_impossible_splits_are_refused(split: str):
    with pytest.raises(ConfigError, match=r"data\.split"):
        load_recipe("eggnet-small", [f"data.split={split}"])
