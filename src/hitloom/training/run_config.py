"""The configuration of a run: system, model, data, training and evaluation in one strict, immutable tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import pydantic
from pydantic import Field

from hitloom.config import Config, apply_overrides, build, dump_yaml, load_yaml
from hitloom.data.conditions import Conditions
from hitloom.data.transforms import EtaSlab, PhiWedge
from hitloom.errors import ConfigError, nearest

RECIPES = Path(__file__).resolve().parents[1] / "recipes"


_ALIASES = {"nhits": "num_points", "radius": "vertex_radius"}
QUANTITIES = ("pt", "eta", "abs_eta", "phi", "vertex_radius", "vertex_z", "num_points")


class DataSection(Config):
    """Where events come from, how they are divided and cut.

    ``split`` is [train, val, test] as counts or fractions; None = the division that the store records. ``hard_cuts``
    hold at every stage, inference included. ``oracle_cuts`` are such cuts that look at truth: no detector delivers what
    they leave, and everything made with them says so. ``phi_wedge`` and ``eta_slab`` hold in training and
    validation only. ``sampling_fraction``: share of the training events that are used, a random choice by
    ``split_seed``. ``bucket_by_size``: batches of events of like size. ``cache``: read the whole store into memory at
    the start; ``auto`` where it is small.
    """

    store: str | None = None
    split: tuple[int, int, int] | tuple[float, float, float] | None = None
    split_seed: int = 0
    hard_cuts: dict[str, Any] = Field(default_factory=dict)
    oracle_cuts: dict[str, Any] = Field(default_factory=dict)
    phi_wedge: PhiWedge | None = None
    eta_slab: EtaSlab | None = None
    batch_size: int = Field(default=1, ge=1)
    num_workers: int = Field(default=0, ge=0)
    shuffle: bool = True
    bucket_by_size: bool = False
    sampling_fraction: float = Field(default=1.0, gt=0, le=1)
    cache: Literal["auto", "on", "off"] = "auto"

    @property
    def seeded(self) -> dict[str, Any]:
        """The settings that decide what a training sees, besides the store and its division."""
        later = self.model_dump(include={"bucket_by_size", "sampling_fraction"}, exclude_defaults=True)
        return {
            "phi_wedge": self.phi_wedge,
            "eta_slab": self.eta_slab,
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
        } | later

    @pydantic.field_validator("split", mode="before")
    @classmethod
    def _counts_or_fractions(cls, value: Any) -> Any:
        if value is None or not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 3:
            if value is None:
                return value
            raise ValueError("wanted [train, val, test] as three counts or three fractions")
        if any(isinstance(part, bool) or not isinstance(part, int | float) or part < 0 for part in value):
            raise ValueError("wanted three numbers that are not negative")
        if any(isinstance(part, float) for part in value):
            if sum(value) > 1 + 1e-9:
                raise ValueError("fractions must sum to at most 1 (write counts without a decimal point)")
            return tuple(float(part) for part in value)
        return tuple(value)

    @property
    def cuts(self) -> dict[str, Any]:
        """``hard_cuts`` and ``oracle_cuts`` together."""
        return self.hard_cuts | self.oracle_cuts

    @pydantic.field_validator("hard_cuts", "oracle_cuts")
    @classmethod
    def _conditions(cls, value: dict[str, Any], info: pydantic.ValidationInfo) -> dict[str, Any]:
        try:
            conditions = Conditions.parse(value, where="conditions")
        except ConfigError as error:
            raise ValueError(str(error).removeprefix("conditions: ")) from None
        if info.field_name == "oracle_cuts":
            for item in conditions.items:
                if not Conditions(items=(item,)).uses_truth:
                    raise ValueError(f"'{item.quantity}' does not look at truth; mend: put it under hard_cuts")
                if item.quantity in info.data.get("hard_cuts", {}):
                    raise ValueError(f"'{item.quantity}' is in hard_cuts too; mend: once")
        return value


class TrainingSection(Config):
    """Optimiser, schedule, hardware and logging of the training loop.

    ``start_epoch``: number of the first epoch, for schedules and limits that count epochs. ``init_strict``: weights to
    start from (``--init-from``) must fit the model name by name; else what they lack starts fresh, and is said.
    ``max_lr_factor``, ``onecycle_rise``, ``cycle_momentum``: highest rate as a multiple of ``lr``, share of the steps
    that lead up to it, and whether the first beta moves too, all for ``scheduler: onecycle``.
    ``gradient_clip_per_group``: each part of the network with a learning rate of its own is clipped by itself.
    ``max_gradient_norm``: from epoch ``max_gradient_norm_after`` + 1 on, a step with a larger norm is left out; one
    that is not finite is left out at once. ``early_stopping``: stop once the monitored value has not improved by more
    than ``min_delta`` for so many validated epochs. ``swa_start``: from this share of the epochs on, the mean of the
    weights at the ends of the epochs is what is validated and saved.
    """

    max_epochs: int = Field(default=200, ge=0)
    start_epoch: int = Field(default=0, ge=0)
    optimizer: Literal["AdamW", "Adam"] = "AdamW"
    lr: float = Field(default=2e-4, gt=0)
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    amsgrad: bool = True
    warmup_epochs: int = Field(default=10, ge=0)
    scheduler: Literal["step", "plateau", "cosine", "cosine-restarts", "onecycle", "constant"] = "step"
    factor: float = Field(default=0.8, gt=0, le=1)
    patience: int = Field(default=20, ge=1)
    min_lr: float = Field(default=0.0, ge=0)
    max_lr_factor: float = Field(default=1.0, gt=0)
    onecycle_rise: float = Field(default=0.3, gt=0, lt=1)
    cycle_momentum: bool = True
    gradient_clip: float | None = Field(default=None, gt=0)
    gradient_clip_per_group: bool = False
    max_gradient_norm: float | None = Field(default=None, gt=0)
    max_gradient_norm_after: int = Field(default=5, ge=0)
    early_stopping: int | None = Field(default=None, ge=1)
    min_delta: float = Field(default=0.0, ge=0)
    swa_start: float | None = Field(default=None, ge=0, le=1)
    init_strict: bool = True
    accumulate: int = Field(default=1, ge=1)
    precision: Literal["32", "16", "bf16"] = "32"
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = Field(default=1, ge=1)
    num_nodes: int = Field(default=1, ge=1)
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true"] = "auto"
    num_threads: int | None = Field(default=None, ge=1)
    deterministic: bool = False
    seed: int = Field(default=0, ge=0)
    monitor: str = "val_efficiency"
    mode: Literal["min", "max"] = "max"
    save_top_k: int = Field(default=1, ge=0)
    save_every_steps: int = Field(default=0, ge=0)
    validate_every: int = Field(default=1, ge=1)
    limit_val_events: int | None = Field(default=None, ge=1)
    log: tuple[Literal["tensorboard", "wandb"], ...] = ()
    project: str = "hitloom"

    @pydantic.field_validator("precision", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class EvaluationSection(Config):
    """Which true objects count (the signal of validation, the targets of ``hitloom eval``), and the clustering scan.

    ``targets``: quantity -> inclusive [low, high]. ``eps``, ``min_samples``: working point; None = the labels as
    reconstructed.
    """

    targets: dict[str, tuple[float, float]] = Field(default_factory=dict)
    eps: float | None = Field(default=None, gt=0)
    min_samples: int | None = Field(default=None, ge=1)
    eps_grid: tuple[float, ...] = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
    min_samples_grid: tuple[int, ...] = (2, 3, 4)

    @pydantic.field_validator("targets", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        """Accept ``object_pt`` and EggNet's ``hit_particle_pt`` for ``pt``, and so on."""
        if not isinstance(value, dict):
            return value
        short = {str(name).removeprefix("object_").removeprefix("hit_particle_"): name for name in value}
        return {_ALIASES.get(name, name): value[original] for name, original in short.items()}

    @pydantic.field_validator("targets")
    @classmethod
    def _known(cls, value: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        for name, (low, high) in value.items():
            if name not in QUANTITIES:
                raise ValueError(f"unknown quantity '{name}'.{nearest(name, QUANTITIES)}")
            if not low <= high:
                raise ValueError(f"'{name}': wanted [low, high] with low <= high")
        return value


class RunConfig(Config):
    """One run. ``model`` is the ``Config`` of the named system.

    ``stages``: for a system made of stages, what differs from ``training`` in the training of each.
    """

    system: str
    model: Any
    data: DataSection = DataSection()
    training: TrainingSection = TrainingSection()
    evaluation: EvaluationSection = EvaluationSection()
    stages: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @pydantic.model_validator(mode="after")
    def _stages_known(self) -> RunConfig:
        if not self.stages:
            return self
        from hitloom.registry import get_system

        system = get_system(self.system)
        if not hasattr(system, "stages"):
            raise ValueError(f"stages: system '{self.system}' is not made of stages; mend: leave it out")
        names = [spec.name for spec in system.stages(self.model)]
        for name, values in self.stages.items():
            if name not in names:
                raise ValueError(f"stages: unknown stage '{name}'.{nearest(name, names)}")
            try:
                self.training_of(name)
            except ConfigError as error:
                raise ValueError(f"stages.{error}") from None
            if not isinstance(values, dict):
                raise ValueError(f"stages.{name}: settings of training were wanted")
        return self

    def training_of(self, stage: str) -> TrainingSection:
        """Return the training section of a stage.

        Raises
        ------
        ConfigError
            When a setting of the stage is wrong.
        """
        return build(TrainingSection, self.training.model_dump() | self.stages.get(stage, {}), where=stage)

    @pydantic.field_serializer("model")
    def _model_as_mapping(self, model: Config) -> dict[str, Any]:
        return model.model_dump()

    def to_yaml(self) -> str:
        """Return the resolved configuration, every default spelt out, as YAML text."""
        return dump_yaml(_plain(self.model_dump()))

    def evaluation_yaml(self) -> str:
        """Return the evaluation's settings that differ from their defaults, as YAML text."""
        return dump_yaml(_plain(self.evaluation.model_dump(exclude_defaults=True)))


def _plain(value: Any) -> Any:
    """Turn tuples into lists so that plain YAML can hold the value."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


@lru_cache(maxsize=16)
def run_config_class(system_name: str) -> type[RunConfig]:
    """Return :class:`RunConfig` with ``model`` typed as the system's own ``Config``, so that all mistakes show at once.

    Raises
    ------
    ConfigError
        When no system has this name.
    """
    from hitloom.registry import get_system

    model_class = get_system(system_name).Config
    return pydantic.create_model(
        "RunConfig", __base__=RunConfig, model=(model_class, Field(default_factory=model_class))
    )


def build_run_config(values: Mapping[str, Any], *, where: str = "configuration") -> RunConfig:
    """Build a run configuration from plain values.

    Raises
    ------
    ConfigError
        One line with every mistake.
    """
    name = values.get("system")
    if not isinstance(name, str):
        raise ConfigError(f"{where}: missing key 'system', the name of the reconstruction system, for example eggnet")
    return build(run_config_class(name), values, where=where)


def recipe_names() -> list[str]:
    """Return the names of the recipes that ship with hitloom."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def recipe_path(name_or_path: str | Path) -> Path:
    """Return the YAML file of a shipped recipe's name, of a file, or of a run folder.

    Raises
    ------
    ConfigError
        When there is neither a file nor a recipe of this name; the message gives the nearest one.
    """
    path = Path(name_or_path)
    if path.is_dir() and (path / "config.yaml").is_file():
        return path / "config.yaml"
    if path.is_file():
        return path
    shipped = RECIPES / f"{name_or_path}.yaml"
    if path.parent == Path() and shipped.is_file():
        return shipped
    raise ConfigError(f"no recipe and no file '{name_or_path}'.{nearest(str(name_or_path), recipe_names())}")


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a recipe by name or path, apply ``"a.b=value"`` overrides and check everything.

    Raises
    ------
    ConfigError
        One line with every mistake in the file and the overrides.
    """
    path = recipe_path(name_or_path)
    return build_run_config(apply_overrides(load_yaml(path), overrides), where=str(path))
