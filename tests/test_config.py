"""Strict configuration: every mistake at once, in one line, with the nearest key."""

from __future__ import annotations

import pytest

from hitloom.config import Config, apply_overrides, build, load_yaml, parse_yaml
from hitloom.errors import ConfigError
from hitloom.registry import get_system


class Inner(Config):
    learning_rate: float = 0.1
    num_epochs: int = 3


class Outer(Config):
    system: str
    training: Inner = Inner()
    maybe: Inner | None = None


def test_all_mistakes_are_reported_at_once_with_the_nearest_name():
    with pytest.raises(ConfigError) as caught:
        build(Outer, {"training": {"learning_rat": 1, "num_epochs": "many"}, "maybe": {"x": 1}}, where="run.yaml")
    message = str(caught.value)
    assert "\n" not in message
    for part in ("run.yaml", "missing key 'system'", "Did you mean 'learning_rate'", "training.num_epochs", "maybe.x"):
        assert part in message


def test_configuration_is_immutable():
    config = build(Outer, {"system": "s"})
    with pytest.raises(ValueError, match="frozen"):
        config.system = "t"


def test_overrides_walk_nested_keys_and_leave_the_original_alone():
    values = {"training": {"num_epochs": 1}}
    changed = apply_overrides(values, ["training.num_epochs=5", "a.b=[1, 2]", "lr=1e-3"])
    assert changed == {"training": {"num_epochs": 5}, "a": {"b": [1, 2]}, "lr": 1e-3}
    assert values == {"training": {"num_epochs": 1}}


@pytest.mark.parametrize("override", ["novalue", "=3", "training.num_epochs.x=1"])
def test_bad_overrides_are_named(override):
    with pytest.raises(ConfigError, match="--set"):
        apply_overrides({"training": {"num_epochs": 1}}, [override])


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: 1\na: 2\n", "twice"), ("a: [1\n", "line"), ("- 1\n", "mapping"), ("!!python/object:os.x {}\n", "not valid")],
)
def test_bad_yaml_is_one_line(tmp_path, text, message):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_yaml(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        load_yaml(tmp_path / "none.yaml")


def test_numbers_in_scientific_notation_are_numbers():
    assert parse_yaml("[1e-3, 2.5e4, .inf, -.inf, 3, x1e3]", where="t") == [
        1e-3, 2.5e4, float("inf"), -float("inf"), 3, "x1e3"
    ]  # fmt: skip


def test_unknown_system_names_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'eggnet'"):
        get_system("egnet")
