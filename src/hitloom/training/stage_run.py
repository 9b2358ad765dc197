"""A run of a staged system: its stages, the configuration and the input of each, and what each depends on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hitloom.data.store import EventStore
from hitloom.errors import CheckpointError, ConfigError, nearest
from hitloom.registry import get_system
from hitloom.systems.staged import StageSpec
from hitloom.training.run_config import DataSection, RunConfig, build_run_config
from hitloom.training.run_data import split_rows
from hitloom.training.stage_folder import StageState, digest, read_state, split_digest

_SPLITS = ("train", "val")


def is_staged(config: RunConfig) -> bool:
    """Whether the system of a run is made of stages."""
    return hasattr(get_system(config.system), "stages")


@dataclass(frozen=True, kw_only=True)
class StagedRun:
    """A run folder of a staged system and its configuration.

    Attributes
    ----------
    config : RunConfig
        Of the chain.
    folder : Path
    """

    config: RunConfig
    folder: Path

    @property
    def specs(self) -> tuple[StageSpec, ...]:
        """The stages in their order."""
        specs: tuple[StageSpec, ...] = get_system(self.config.system).stages(self.config.model)
        return specs

    @property
    def names(self) -> list[str]:
        """Names of the stages in their order."""
        return [spec.name for spec in self.specs]

    def spec(self, name: str) -> StageSpec:
        """Return a stage by its name.

        Raises
        ------
        ConfigError
            When the chain has no such stage.
        """
        for spec in self.specs:
            if spec.name == name:
                return spec
        raise ConfigError(f"unknown stage '{name}'.{nearest(name, self.names)}")

    def before(self, name: str) -> str | None:
        """Return the stage before a stage, None for the first."""
        place = self.names.index(self.spec(name).name)
        return self.names[place - 1] if place else None

    def finished(self, name: str) -> StageState:
        """Return the state of a finished stage.

        Raises
        ------
        CheckpointError
            When it is not trained.
        """
        state = read_state(self.folder / name)
        if state is None:
            raise CheckpointError(
                f"{self.folder}: stage '{name}' is not trained yet; mend: hitloom train {self.folder} --stage {name}"
            )
        return state

    def input_config(self, name: str) -> DataSection:
        """Return the data section of a stage: the run's own for the first, else the events of the stage before."""
        before, data = self.before(name), self.config.data
        if before is None:
            return data
        update: dict[str, Any] = {
            "store": str(self.folder / before / "events"),
            "split": None,
            "hard_cuts": {},
            "oracle_cuts": {},
            "split_seed": 0,
        }
        return data.model_copy(update=update)

    def stage_config(self, name: str) -> RunConfig:
        """Return the configuration of a stage's own run."""
        spec = self.spec(name)
        values = self.config.model_dump() | {
            "system": spec.system,
            "model": spec.config.model_dump(),
            "training": self.config.training_of(name).model_dump(),
            "data": self.input_config(name).model_dump(),
            "stages": {},
        }
        return build_run_config(values, where=f"stage {name}")

    def split_ids(self) -> dict[str, list[int]]:
        """Return the event ids of train and val, from the chain's own store.

        Raises
        ------
        ConfigError
            When no store is named.
        """
        data = self.config.data
        if data.store is None:
            raise ConfigError("data.store: no event store is named; mend: give its path, or --set data.store=PATH")
        store = EventStore(data.store)
        ids = store.event_ids
        return {split: [int(ids[row]) for row in split_rows(store, data, split)] for split in _SPLITS}

    def free(self, name: str) -> str:
        """Return the digest of the settings of a stage that leave its weights valid."""
        spec = self.spec(name)
        names = get_system(spec.system).free_settings
        return digest({key: value for key, value in spec.config.model_dump().items() if key in names})

    def inputs(self, name: str) -> str:
        """Return the digest of everything that the weights of a stage depend on."""
        before = self.before(name)
        spec = self.spec(name)
        free = get_system(spec.system).free_settings
        fixed = {key: value for key, value in spec.config.model_dump().items() if key not in free}
        own = [spec.system, fixed, self.config.training_of(name).model_dump(), self.config.data.seeded]
        if before is None:
            source: Any = [EventStore(str(self.config.data.store)).fingerprint(), self.config.data.cuts]
        else:
            state = self.finished(before)
            source = [state.inputs, state.checkpoint_fingerprint, state.settings]
        return digest(own, source, split_digest(self.split_ids()))
