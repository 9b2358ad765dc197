"""``hitloom sweep``: the table on the screen and in files, and refusals in one line."""

from __future__ import annotations


def test_the_table_is_printed_and_written(cli, workshop, tmp_path):
    folder, recipe = tmp_path / "sweep", workshop / "recipe.yaml"
    grid = ("--grid", "model.width=4,6", "--set", "training.max_epochs=1")
    outcome = cli("sweep", recipe, workshop / "store", "-o", folder, *grid)
    assert outcome.code == 0, outcome.err
    table = (folder / "sweep.md").read_text()
    assert table in outcome.out
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == ["width=4", "width=6"]
    assert (folder / "width=6" / "checkpoints/best.ckpt").is_file()
    again = cli("sweep", recipe, workshop / "store", "-o", folder, *grid)
    assert again.out == outcome.out  # finished runs are kept
    assert "epoch" not in again.err


def test_a_sweep_without_a_grid_names_the_option(cli, workshop):
    outcome = cli("sweep", workshop / "recipe.yaml", workshop / "store")
    assert outcome.code == 2
    assert "mend: --grid" in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_a_sweep_goes_to_slurm_as_one_job(cli, workshop):
    outcome = cli("sweep", workshop / "recipe.yaml", "--grid", "model.width=4,6", "--slurm-dry-run")
    assert outcome.code == 0
    assert "--job-name=hitloom-sweep" in outcome.out
    assert "--grid model.width=4,6" in outcome.out
