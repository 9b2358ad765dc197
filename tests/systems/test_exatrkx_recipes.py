"""Every shipped recipe of the chain: its published sizes, and a step of every stage (defect 14 of the reference)."""

from __future__ import annotations

import pytest
import torch

from hitloom.registry import get_system
from hitloom.systems.exatrkx import ModuleMapStage
from hitloom.training.describe import describe
from hitloom.training.run_config import load_recipe, recipe_names
from tracker_toy import rich_event

RECIPES = [name for name in recipe_names() if name.startswith("exatrkx")]


def test_the_published_sizes():
    info = describe("exatrkx-trackml")
    assert {stage["name"]: stage["num_parameters"] for stage in info["stages"]} == {
        "embedding": 3_182_604,
        "filter": 539_649,  # 24 -> 512 -> 512 -> 512 -> 1, one shared normalisation
        "gnn": 349_313,
    }
    assert info["num_parameters"] == sum(stage["num_parameters"] for stage in info["stages"])


@pytest.mark.parametrize(
    ("recipe", "stage", "size"),
    [
        ("exatrkx-acorn", "embedding", 3_174_412),
        ("exatrkx-acorn", "filter", 718_593),
        ("exatrkx-acorn", "gnn", 263_937),
        ("exatrkx-ctd2023", "gnn", 1_985_921),
        ("exatrkx-full", "embedding", 3_182_604),
    ],
)
def test_sizes_of_other_published_recipes(recipe: str, stage: str, size: int):
    assert {part["name"]: part["num_parameters"] for part in describe(recipe)["stages"]}[stage] == size


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_stage_of_every_recipe_trains_a_step(recipe: str):
    config = load_recipe(recipe)
    event = rich_event(64, 3)
    for spec in get_system(config.system).stages(config.model):
        settings = config.training_of(spec.name)
        system = get_system(spec.system)
        torch.manual_seed(0)
        if hasattr(system, "fit"):
            stage: ModuleMapStage = system.fit(spec.config, [rich_event(64, seed) for seed in range(3)])
        else:
            stage = system(spec.config).train()
            stage.needs.check(event, training=True)
            optimiser = torch.optim.AdamW(stage.parameters(), lr=settings.lr, amsgrad=settings.amsgrad)
            loss = stage.loss(stage(event), event).total
            assert bool(torch.isfinite(loss))
            loss.backward()
            optimiser.step()
        event = stage.eval().decide(event)
        if event.edge_index.shape[1] < event.truth_edge_index.shape[1]:
            # an untrained stage may keep too little for the next one to learn from
            event = stage.with_edges(
                event, event.truth_edge_index, score=torch.full((event.truth_edge_index.shape[1],), 0.9)
            )


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_that_selects_its_input_by_truth_says_so(recipe: str):
    config = load_recipe(recipe)
    published = {"exatrkx-trackml", "exatrkx-traintrack", "exatrkx-acorn"}
    assert bool(config.data.oracle_cuts) == (recipe in published)
