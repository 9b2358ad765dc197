"""``hitloom infer``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hitloom.cli.options import Accelerator, Set
from hitloom.cli.slurm import leave, with_slurm


@with_slurm("infer")
def infer(
    checkpoint: Annotated[str, typer.Argument(help="A checkpoint, a run folder (its best), or shipped weights.")],
    store: Annotated[Path, typer.Argument(help="Event store.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results, one file per split.")],
    split: Annotated[
        list[str] | None, typer.Option("--split", "-s", help="train, val, test or all; repeatable; default all.")
    ] = None,
    accelerator: Accelerator = "auto",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many events of each split.")] = None,
    save_embedding: Annotated[bool, typer.Option(help="Keep the embedding, for scans and the loss budget.")] = True,
    save_edges: Annotated[
        bool | None,
        typer.Option(
            "--save-edges/--no-save-edges", help="Keep the scores of the edges; default: where edges are the answer."
        ),
    ] = None,
    redo: Annotated[bool, typer.Option("--redo", help="Replace results of another checkpoint or store.")] = False,
    num_threads: Annotated[int | None, typer.Option("--num-threads", min=1, help="Threads of the CPU.")] = None,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", min=1, help="Events of one pass of the network; default: as in the training."),
    ] = None,
    set_: Set = None,
) -> None:
    """Reconstruct the events of a store with a trained system.

    What is there already from the same checkpoint and store is kept; results of another are refused, or replaced with
    --redo.
    """
    from hitloom.cli.counter import Counter
    from hitloom.training.infer import infer as run
    from hitloom.training.stop import StopRequested

    counter = Counter("events")
    try:
        report = run(
            checkpoint,
            store,
            output=output,
            splits=split or ["all"],
            accelerator=accelerator,
            limit=limit,
            save_embedding=save_embedding,
            save_edges=save_edges,
            redo=redo,
            overrides=set_ or [],
            num_threads=num_threads,
            batch_size=batch_size,
            on_event=counter,
        )
    except StopRequested as stopped:
        raise typer.Exit(leave(stopped.signum, "stopped; the same command goes on from here")) from None
    finally:
        counter.close()
    for line in report.lines():
        typer.echo(line)
