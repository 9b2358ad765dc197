"""``hitloom demo``: from nothing to tracks, linked or pruned tracksters, grown showers, numbers and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Simulate, train, reconstruct, evaluate and report, in minutes.")


Output = Annotated[Path, typer.Option("--output", "-o", help="Folder of the demo; replaced when it exists.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the held-out events.")]
NumTest = Annotated[int, typer.Option("--events", min=1, help="Held-out events.")]
Pileup = Annotated[float, typer.Option("--pileup", min=0, help="Mean number of pile-up collisions.")]
FromScratch = Annotated[
    bool, typer.Option("--from-scratch", help="Train new weights instead of starting from the shipped ones.")
]
Tiny = Annotated[bool, typer.Option("--tiny", help="Smallest sizes: shows that all runs, not that it is good.")]

NewWeights = Annotated[
    bool, typer.Option("--from-scratch", help="Train new weights instead of taking the shipped ones.")
]
TinyAndNew = Annotated[
    bool, typer.Option("--tiny", help="Smallest sizes, new weights: shows that all runs, not that it is good.")
]


@app.callback()
def _group() -> None:
    """Simulate, train, reconstruct, evaluate and report, in minutes."""


@app.command()
def eggnet(
    output: Output = Path("runs/demo/eggnet"),
    seed: Seed = 2026,
    pileup: Pileup = 5.0,
    num_test: NumTest = 24,
    from_scratch: FromScratch = False,
    tiny: Tiny = False,
) -> None:
    """Find tracks in simulated proton collisions: EggNet beside a classical Kalman filter, on the same events."""
    from hitloom.cli.demo_common import DemoSizes
    from hitloom.cli.demo_run import run_eggnet_demo

    sizes = DemoSizes.tiny() if tiny else DemoSizes(num_test=num_test)
    run_eggnet_demo(output, seed=seed, pileup=pileup, sizes=sizes, from_scratch=from_scratch, say=typer.echo)


@app.command()
def exatrkx(
    output: Output = Path("runs/demo/exatrkx"),
    seed: Seed = 2026,
    pileup: Pileup = 5.0,
    num_test: NumTest = 24,
    from_scratch: FromScratch = False,
    tiny: Tiny = False,
) -> None:
    """Find tracks stage by stage, with graphs, a filter and a graph network: beside EggNet and a Kalman filter."""
    from hitloom.cli.demo_common import DemoSizes
    from hitloom.cli.demo_exatrkx import run_exatrkx_demo

    sizes = DemoSizes.tiny() if tiny else DemoSizes(num_test=num_test, max_epochs=1, scratch_epochs=4)
    run_exatrkx_demo(output, seed=seed, pileup=pileup, sizes=sizes, from_scratch=from_scratch, say=typer.echo)


@app.command()
def linking(
    output: Output = Path("runs/demo/linking"),
    seed: Seed = 2026,
    pileup: Pileup = 0.0,
    num_test: NumTest = 40,
    from_scratch: NewWeights = False,
    tiny: TinyAndNew = False,
) -> None:
    """Link the pieces of showers in a calorimeter endcap with a graph network: beside rules, on the same events."""
    from dataclasses import replace

    from hitloom.cli.demo_common import DemoSizes
    from hitloom.cli.demo_linking import SIZES, run_linking_demo

    sizes = DemoSizes.tiny() if tiny else replace(SIZES, num_test=num_test)
    run_linking_demo(output, seed=seed, pileup=pileup, sizes=sizes, from_scratch=from_scratch or tiny, say=typer.echo)


@app.command()
def pruning(
    output: Output = Path("runs/demo/pruning"),
    seed: Seed = 2026,
    collisions: Annotated[int, typer.Option("--events", min=1, help="Held-out collisions, of many tracksters.")] = 115,
    mode: Annotated[str, typer.Option("--mode", help="The mode that the report is about.")] = "tree",
    from_scratch: NewWeights = False,
    tiny: TinyAndNew = False,
) -> None:
    """Prune tracksters of close-by showers: every mode of the network beside rules, on the same tracksters."""
    from dataclasses import replace

    from hitloom.cli.demo_pruning import SIZES, TINY, run_pruning_demo

    sizes = TINY if tiny else replace(SIZES, num_test=collisions)
    run_pruning_demo(output, seed=seed, main=mode, sizes=sizes, from_scratch=from_scratch or tiny, say=typer.echo)


@app.command()
def showers(
    output: Output = Path("runs/demo/showers"),
    seed: Seed = 2026,
    slices: Annotated[int, typer.Option("--events", min=1, help="Held-out slices, of three wire views each.")] = 60,
    from_scratch: NewWeights = False,
    tiny: TinyAndNew = False,
) -> None:
    """Grow showers in liquid argon from small clusters: a set transformer beside rules and ceilings, same views."""
    from dataclasses import replace

    from hitloom.cli.demo_showers import SIZES, TINY, run_shower_demo

    sizes = TINY if tiny else replace(SIZES, num_test=slices)
    run_shower_demo(output, seed=seed, sizes=sizes, from_scratch=from_scratch or tiny, say=typer.echo)
