"""``hitloom train``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from hitloom.cli.options import Set
from hitloom.cli.slurm import leave, with_slurm


def _check_job(*, nodes: int, gpus_per_node: int, recipe: str, set_: list[str] | None, **_: Any) -> None:
    """A job of N tasks must train on N devices: say so before it queues."""
    from hitloom.errors import ConfigError
    from hitloom.training.run_config import load_recipe

    training = load_recipe(recipe, set_ or []).training
    wanted = max(1, gpus_per_node)
    if (training.devices, training.num_nodes) != (wanted, nodes):
        raise ConfigError(
            f"the job has {nodes} nodes of {wanted} tasks, but training.num_nodes is {training.num_nodes} and "
            f"training.devices {training.devices}; mend: --set training.devices={wanted} "
            f"--set training.num_nodes={nodes}"
        )


@with_slurm("train", check=_check_job)
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, a YAML file, or a run folder.")],
    store: Annotated[Path | None, typer.Argument(help="Event store (else data.store of the recipe).")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Run folder; default runs/RECIPE.")] = None,
    set_: Set = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the newest state in the run folder.")] = False,
    checkpoint: Annotated[str | None, typer.Option("--checkpoint", "-c", help="Continue from this checkpoint.")] = None,
    checkpoint_resume_dir: Annotated[
        Path | None,
        typer.Option("--checkpoint-resume-dir", help="Continue from the newest *.ckpt under this folder."),
    ] = None,
    load_only_model_parameters: Annotated[
        bool,
        typer.Option(
            "--load-only-model-parameters", help="Settings and weights of the checkpoint, but a fresh optimiser."
        ),
    ] = False,
    init_from: Annotated[
        str | None, typer.Option("--init-from", help="New run of the recipe from the weights of a checkpoint.")
    ] = None,
    stage: Annotated[
        str | None, typer.Option("--stage", help="One stage of a staged system; default all that are not finished.")
    ] = None,
    redo: Annotated[bool, typer.Option("--redo", help="Train the stage again; its folder is kept aside.")] = False,
) -> None:
    """Train a system on an event store.

    A stopped run (Ctrl-C, a kill, the end of a slurm slot) continues with --resume to the same weights. A system made
    of stages trains them one after another, or one alone with --stage.
    """
    from hitloom.errors import ConfigError
    from hitloom.training.run_data import open_data
    from hitloom.training.stages import is_staged
    from hitloom.training.start import plan_staged, plan_start
    from hitloom.training.stop import StopRequested
    from hitloom.training.train import train as run

    staged = plan_staged(recipe, overrides=set_ or [], store=store, output=output, init_from=init_from)
    if is_staged(staged.config):
        if checkpoint or checkpoint_resume_dir or load_only_model_parameters:
            raise ConfigError("-c and its kin: stages are continued with --resume; mend: --resume, or --init-from")
        _train_stages(staged, stage=stage, resume=resume, redo=redo)
        return
    if stage is not None or redo:
        raise ConfigError(f"--stage, --redo: system '{staged.config.system}' is not made of stages; mend: leave it out")
    start = plan_start(
        recipe,
        overrides=set_ or [],
        store=store,
        output=output,
        resume=resume,
        checkpoint=checkpoint,
        checkpoint_resume_dir=checkpoint_resume_dir,
        load_only_model_parameters=load_only_model_parameters,
        init_from=init_from,
    )
    try:
        outcome = run(
            start.config, output=start.folder, data=open_data(start.config.data), resume=start.resume, init=start.init
        )
    except StopRequested as stopped:
        state = "state saved" if stopped.saved else "state of the last save kept"
        again = f"stopped, {state}; continue with: hitloom train {shlex.quote(str(start.folder))} --resume"
        raise typer.Exit(leave(stopped.signum, again, main=stopped.rank == 0)) from None
    if outcome.rank:
        return
    if outcome.best is not None:
        monitor = start.config.training.monitor
        typer.echo(f"best {monitor} {outcome.best_value:.4f}: {outcome.best}")
    elif outcome.last is not None:
        typer.echo(f"last state: {outcome.last}")


def _train_stages(start: Any, *, stage: str | None, resume: bool, redo: bool) -> None:
    from hitloom.cli.counter import Counter
    from hitloom.training.stages import train_stages
    from hitloom.training.stop import StopRequested

    counter = Counter("events")
    try:
        chain = train_stages(
            start.config, output=start.folder, stage=stage, resume=resume, redo=redo, init=start.init, on_event=counter
        )
    except StopRequested as stopped:
        state = "state saved" if stopped.saved else "state of the last save kept"
        again = f"stopped, {state}; continue with: hitloom train {shlex.quote(str(start.folder))} --resume"
        raise typer.Exit(leave(stopped.signum, again, main=stopped.rank == 0)) from None
    finally:
        counter.close()
    if chain is None:
        typer.echo(f"stage {stage}: trained; the chain is written when every stage is")
    else:
        typer.echo(f"chain of all stages: {chain}")
