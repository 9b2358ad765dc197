"""The C++ program that grows showers: built against the libtorch of the wheel, it makes the groups of the system."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from shower_export_toy import make_showers, readable_views, toy_views

from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.export import ParityError, cpp_program
from hitloom.export.pandora import PART_FILES, SIDECAR, export_pandora
from hitloom.export.served_showers import write_views
from hitloom.export.shower_program import PROGRAM, check_groups, run
from hitloom.grouping.accessory import connected_accessory, two_stage
from hitloom.systems.showers.system import Showers

ITERATED = {"augmentation": {"enabled": True}, "grouping": {"mode": "iterated", "threshold": 0.6, "max_iterations": 5}}
FORMS: dict[str, dict] = {
    "one pass": {"grouping": {"threshold": 0.5}},
    "iterated": ITERATED,
    "iterated, with tier and volumes": ITERATED | {"inputs": {"preset": 9, "tier": True}},
    "two stages, no gap": {
        "grouping": {"mode": "two_stage", "threshold": 0.7, "second_threshold": 0.4},
        "inputs": {"preset": 10},
    },
}


@pytest.fixture(scope="module", autouse=True)
def needs_a_compiler() -> None:
    if cpp_program.compiler() is None:
        if os.environ.get("HITLOOM_REQUIRE_CPP"):
            pytest.fail("no C++ compiler although HITLOOM_REQUIRE_CPP is set")
        pytest.skip("no C++ compiler")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, built once."""
    return cpp_program.build(tmp_path_factory.mktemp("cpp") / PROGRAM, source=PROGRAM)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Showers, Path]]:
    made = {}
    for form, changes in FORMS.items():
        system, folder = make_showers(**changes), tmp_path_factory.mktemp("models") / "models"
        export_pandora(system, folder)
        made[form] = (system, folder)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("form", list(FORMS))
def test_the_program_makes_the_groups_of_the_system(form: str, program: Path, folders: dict):
    system, folder = folders[form]
    events = readable_views(system)
    found = check_groups(program, folder, system, events)
    assert found["num_views"] == 5
    assert found["num_clusters"] == 30 + 45 + 12 + 1
    assert 2 < found["num_groups"] < 80
    grown = run(program, folder, events, similarity=True)
    assert [one.event_id for one in grown] == [int(event.event_id) for event in events]
    assert [len(one.labels) for one in grown[-2:]] == [1, 0]  # one cluster, none
    for one, event in zip(grown, events, strict=True):
        with torch.no_grad():
            similarity = system(event).own["similarity"].view(event.num_points, event.num_points)
        torch.testing.assert_close(one.similarity, similarity, atol=1e-5, rtol=1e-5)
    if form.startswith("iterated"):
        assert max(one.num_merges for one in grown) > 1


@pytest.mark.slow
def test_zero_energy_is_no_reason_to_fail(program: Path, folders: dict):
    system, folder = folders["one pass"]
    event = toy_views()[0]
    event.part_x[:7, event.part_feature_names.index("energy")] = 0.0
    assert check_groups(program, folder, system, [event])["num_views"] == 1


@pytest.mark.slow
def test_the_order_of_clusters_and_hits_does_not_change_the_groups(program: Path, folders: dict):
    from hitloom.export.pandora_check import reordered
    from hitloom.grouping._labels import numbered

    _, folder = folders["iterated"]
    event = toy_views()[1]
    other, order = reordered(event, torch.Generator().manual_seed(2))
    one, two = run(program, folder, [event, other])
    assert torch.equal(numbered(one.labels[order]), two.labels)


@pytest.mark.slow
def test_the_check_finds_a_difference(program: Path, folders: dict):
    _, folder = folders["one pass"]
    with pytest.raises(ParityError, match="clusters otherwise than the system"):
        check_groups(program, folder, make_showers(grouping={"threshold": 0.8}), toy_views())


@pytest.mark.slow
def test_bad_files_are_one_line(program: Path, folders: dict, tmp_path: Path):
    _, folder = folders["one pass"]
    copy = tmp_path / "models"
    shutil.copytree(folder, copy)
    content = json.loads((copy / SIDECAR).read_text())
    path = tmp_path / "events.txt"
    write_views(toy_views()[2:3], path)
    good = path.read_text()

    def refused(text: str = good, **change: object) -> str:
        path.write_text(text)
        (copy / SIDECAR).write_text(json.dumps(content | change))
        with pytest.raises(DataError) as caught:
            cpp_program.call(program, copy / SIDECAR, path, tmp_path / "out.txt")
        assert not (tmp_path / "out.txt").exists()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    lines = good.splitlines()
    assert "no hitloom-shower-events" in refused("hello\n")
    assert "column 'x_gap' of the hits is needed" in refused(good.replace("x_gap", "tpc_volume", 1))
    assert "unknown column 'gap'" in refused(good.replace("x_gap", "gap", 1))
    assert "view 7, wanted 4, 5 or 6" in refused(good.replace("view 6", "view 7"))
    assert "cluster 12 has no hits" in refused(good.replace("clusters 12", "clusters 13"))
    assert "names cluster 99 of 12" in refused("\n".join([*lines[:3], "99 " + lines[3].split(" ", 1)[1], *lines[4:]]))
    assert "is no finite number" in refused("\n".join([*lines[:3], lines[3].rsplit(" ", 1)[0] + " nan", *lines[4:]]))
    assert "ends too early" in refused("\n".join(lines[:-1]))
    assert "of another kind" in refused(format="another")
    settings = content["settings"] | {"IncludeHitCardinalityFeatures": False}
    assert "build other features than the network" in refused(settings=settings)
    assert "no field 'SimilarityThreshold'" in refused(
        settings={key: value for key, value in content["settings"].items() if key != "SimilarityThreshold"}
    )
    (copy / PART_FILES["similarity"]).write_bytes(b"nothing")
    assert "net_inter_cluster_sim.pt: no TorchScript file" in refused()
    with pytest.raises(DataError, match="usage"):
        cpp_program.call(program)


@pytest.mark.slow
def test_the_command_line_builds_and_compares(
    program: Path, folders: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from hitloom.cli.export_pandora import export_folder
    from hitloom.data.store import EventWriter

    system, _ = folders["iterated"]
    with EventWriter(tmp_path / "store", provenance={"made": "by hand"}) as writer:
        for event in toy_views()[:3]:
            writer.write(event)
    monkeypatch.setattr(cpp_program, "build", lambda path, source: program)  # built once for all tests
    export_folder(system, tmp_path / "models", tolerance=1e-4, validate=None, check_cpp=tmp_path / "store")
    assert "the same groups as the system on 3 views (87 clusters" in capsys.readouterr().out


GROUPING_MAIN = """
#include <iostream>
#include "grouping.h"
int main() {
  int64_t count = 0;
  for (std::cin >> count; count--;) {
    GroupingSettings settings;
    int64_t size = 0;
    std::cin >> size >> settings.threshold >> settings.beta >> settings.accessory_max_hits;
    std::vector<int64_t> hits(size);
    std::vector<float> similarity(size * size);
    for (int64_t& value : hits) std::cin >> value;
    for (float& value : similarity) std::cin >> value;
    for (const int64_t label : group_clusters(similarity.data(), hits, settings)) std::cout << label << ' ';
    std::cout << '\\n';
  }
}
"""


def test_grouping_in_c_plus_plus_is_that_of_the_library(tmp_path: Path):
    """Coarse values, so that exactly equal similarities and values at the threshold occur; with a second stage too."""
    (tmp_path / "main.cpp").write_text(GROUPING_MAIN)
    headers = Path(cpp_program.__file__).parent / "cpp"
    command = [
        cpp_program.compiler(),
        "-std=c++20",
        f"-I{headers}",
        str(tmp_path / "main.cpp"),
        "-o",
        str(tmp_path / "a"),
    ]
    subprocess.run(command, check=True)
    rng = np.random.default_rng(8)
    cases, wanted = [], []
    for number in range(300):
        size = int(rng.integers(0, 25))
        steps = (4, 16, 1000)[number % 3]
        values = rng.integers(0, int(rng.choice([0.65, 0.8, 1.0]) * steps) + 1, (size, size)) / steps
        similarity = (
            np.maximum(values, values.T).astype(np.float32) if number % 2 else np.triu(values, 1).astype(np.float32)
        )
        similarity = np.maximum(similarity, similarity.T)
        hits = rng.integers(1, 7, size)
        threshold, beta, limit = 0.5, (1.0, 0.5)[number % 2], int(rng.integers(0, 4))
        words = [size, threshold, beta, limit, *hits, *(f"{value:.9g}" for value in similarity.ravel())]
        cases.append(" ".join(map(str, words)))
        options = {"threshold": threshold, "accessory_max_hits": limit}
        matrix, counts = torch.from_numpy(similarity), torch.from_numpy(hits)
        if beta < 1:
            wanted.append(two_stage(matrix, counts, second_threshold=threshold * beta, **options).tolist())
        else:
            wanted.append(connected_accessory(matrix, counts, **options).tolist())
    text = f"{len(cases)}\n" + "\n".join(cases)
    done = subprocess.run([tmp_path / "a"], input=text, capture_output=True, text=True, check=True)
    found = [[int(word) for word in line.split()] for line in done.stdout.splitlines()]
    assert found == wanted
    assert len({max(labels, default=0) for labels in found}) > 10


def test_views_of_one_file_have_the_same_columns(tmp_path: Path):
    one, other = toy_views()[0], toy_views(gaps=False)[0]
    assert isinstance(one, Event)
    with pytest.raises(DataError, match="columns of hits"):
        write_views([one, other], tmp_path / "events.txt")
