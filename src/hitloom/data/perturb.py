"""Events shifted a little: what a stability study compares a result with.

Each perturbation is a small record; ``perturbation(event, generator)`` returns a changed copy and leaves the event
alone. Truth, graph and constituents stay as they are: a perturbed event asks how the same objects would be seen.

Shape letters: N points, E edges, S samples. ``pos`` is mm; the features of tracksters are cm, and so are their spreads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from hitloom.data.features import POSITION_FEATURES, position_features
from hitloom.data.principal_axes import first_axis, has_axes, principal_axes, spreads
from hitloom.data.trackster_features import EDGE_FEATURES, NODE_FEATURES, edge_features
from hitloom.errors import ConfigError, DataError, nearest
from hitloom.event import Event
from hitloom.units import TO_MM

CENTRE, ANGLES = NODE_FEATURES[:3], NODE_FEATURES[3:5]
CM = TO_MM["cm"]
KINDS = ("error-bars", "offset", "smear")


class Perturbation(Protocol):
    """A way to change an event, with its settings."""

    @property
    def kind(self) -> str: ...

    def __call__(self, event: Event, generator: torch.Generator) -> Event: ...

    def settings(self) -> dict[str, Any]: ...


@dataclass(frozen=True, kw_only=True)
class ErrorBars:
    """Move every trackster within the error bars of its principal axes.

    The shift of a trackster is ``sum_k n_k v_k`` with n_k drawn from a normal distribution of width sigmaPCA_k (at
    least 1e-6 cm) and v_k the k-th principal axis, so its covariance is V diag(sigma^2) V^T.

    Attributes
    ----------
    with_z : bool
        Whether z moves too; otherwise only x and y do.
    formula : str
        ``axes`` as above; ``elementwise`` multiplies n by the first axis component by component, as the published
        analysis does. There the flag ``with_z`` means the opposite: set it to False to get what it calls True.
    angles : bool
        Recompute eta and phi.
    edges : bool
        Recompute the edge features that depend on positions; the minimum and maximum distance of layer clusters, where
        there are such columns, stay.
    """

    with_z: bool = True
    formula: Literal["axes", "elementwise"] = "axes"
    angles: bool = True
    edges: bool = False

    kind = "error-bars"

    def settings(self) -> dict[str, Any]:
        """Return the settings by name."""
        return {
            "kind": self.kind,
            "with_z": self.with_z,
            "formula": self.formula,
            "angles": self.angles,
            "edges": self.edges,
        }

    def __call__(self, event: Event, generator: torch.Generator) -> Event:
        """Return the event with moved tracksters.

        Raises
        ------
        DataError
            When the event has no spreads or axes: it is no event of tracksters.
        """
        return move_points(event, self.shifts(event, 1, generator)[0], angles=self.angles, edges=self.edges)

    def shifts(self, event: Event, num_samples: int, generator: torch.Generator) -> Tensor:
        """Return random shifts (S, N, 3) float64 in cm."""
        sigma = spreads(event)
        noise = torch.randn(num_samples, *sigma.shape, generator=generator, dtype=torch.float64) * sigma
        if self.formula == "elementwise":
            shift = noise * first_axis(event)
        else:
            shift = torch.einsum("snk,nkd->snd", noise, principal_axes(event))
        if not self.with_z:
            shift[..., 2] = 0.0
        return shift


@dataclass(frozen=True, kw_only=True)
class FeatureOffset:
    """Add one random offset, the same for all points, to one feature.

    Attributes
    ----------
    feature : str
    max_offset : float
        The offset is uniform in +- this, in the unit of the feature.
    """

    feature: str
    max_offset: float = 0.001

    kind = "offset"

    def settings(self) -> dict[str, Any]:
        """Return the settings by name."""
        return {"kind": self.kind, "feature": self.feature, "max_offset": self.max_offset}

    def __call__(self, event: Event, generator: torch.Generator) -> Event:
        """Return the event with the offset; ``pos`` stays.

        Raises
        ------
        DataError
            When the event has no such feature.
        """
        names = event.column_names()
        if self.feature not in names:
            raise DataError(
                f"{event.describe()}: feature '{self.feature}' is not in the data.{nearest(self.feature, names)}"
            )
        result = _copy(event)
        offset = (2 * float(torch.rand((), generator=generator, dtype=torch.float64)) - 1) * self.max_offset
        result.x = event.x.clone()
        result.x[:, names.index(self.feature)] += offset
        return result


@dataclass(frozen=True, kw_only=True)
class Smearing:
    """Move every point by normal noise, and recompute the features that are made of its position.

    Attributes
    ----------
    sigma : (float, float, float)
        Width in x, y and z, mm.
    """

    sigma: tuple[float, float, float] = (0.05, 0.05, 0.05)

    kind = "smear"

    def settings(self) -> dict[str, Any]:
        """Return the settings by name."""
        return {"kind": self.kind, "sigma_mm": list(self.sigma)}

    def __call__(self, event: Event, generator: torch.Generator) -> Event:
        """Return the event with moved points: hits, or tracksters with their features."""
        noise = torch.randn(event.num_points, 3, generator=generator, dtype=torch.float64)
        shift = noise * torch.tensor(self.sigma, dtype=torch.float64)
        return move_points(event, shift / CM, angles=True, edges=False)


def make_perturbation(kind: str, *, feature: str | None = None, max_offset: float = 0.001,
                      sigma: Sequence[float] = (0.05,), with_z: bool = True, elementwise: bool = False,
                      angles: bool = True, edges: bool = False) -> Perturbation:  # fmt: skip
    """Return the perturbation called ``kind``; settings of the others are not looked at.

    Raises
    ------
    ConfigError
        When there is no such kind, or a setting is impossible.
    """
    if kind not in KINDS:
        raise ConfigError(f"perturbation: unknown kind '{kind}'.{nearest(kind, KINDS)}")
    if kind == "error-bars":
        return ErrorBars(with_z=with_z, formula="elementwise" if elementwise else "axes", angles=angles, edges=edges)
    if kind == "offset":
        if feature is None:
            raise ConfigError("perturbation 'offset': no feature is named; mend: --feature NAME")
        if not 0 <= max_offset < float("inf"):
            raise ConfigError(f"perturbation 'offset': a largest offset of 0 or more was wanted, not {max_offset:g}")
        return FeatureOffset(feature=feature, max_offset=max_offset)
    if len(sigma) not in (1, 3) or not all(0 <= width < float("inf") for width in sigma):
        raise ConfigError(f"perturbation 'smear': one width or three of 0 mm or more were wanted, not {list(sigma)}")
    x, y, z = sigma if len(sigma) == 3 else tuple(sigma) * 3
    return Smearing(sigma=(x, y, z))


def natural_kind(event: Event) -> str:
    """Return the kind of perturbation that an event calls for: error bars where it has them, else smearing."""
    return "error-bars" if has_axes(event) else "smear"


def move_points(event: Event, shift: Tensor, *, angles: bool = True, edges: bool = False) -> Event:
    """Return the event with its points moved by ``shift`` (N, 3) in cm.

    ``pos``, and the columns of ``x`` that hold positions, follow; ``angles`` says whether eta and phi of tracksters
    do, ``edges`` whether the features of edges do. Extents (z_min, z_max), axes and energies stay.
    """
    result = _copy(event)
    pos = event.pos.double() + shift * CM
    result.pos = pos.to(event.pos.dtype)
    names = event.column_names()
    result.x = event.x.clone()

    def put(name: str, values: Tensor) -> None:
        result.x[:, names.index(name)] = values.to(event.x.dtype)

    if set(CENTRE) <= set(names):
        centre = event.columns(CENTRE).double() + shift
        for axis, name in enumerate(CENTRE):
            put(name, centre[:, axis])
        if angles:
            x, y, z = centre.T
            for name, values in zip(ANGLES, (torch.asinh(z / torch.hypot(x, y)), torch.atan2(y, x)), strict=True):
                if name in names:
                    put(name, values.nan_to_num())
        if edges:
            _refresh_edges(result)
    else:
        columns = torch.from_numpy(position_features(pos.numpy()))
        for number, name in enumerate(POSITION_FEATURES):
            if name in names:
                put(name, columns[:, number])
        for axis, name in enumerate("xyz"):
            if name in names:
                put(name, pos[:, axis])
    return result


def _refresh_edges(event: Event) -> None:
    """Compute the features of the edges anew from those of the tracksters."""
    if "edge_attr" not in event or list(event.edge_feature_names[: len(EDGE_FEATURES)]) != list(EDGE_FEATURES):
        raise DataError(
            f"{event.describe()}: no edge features of tracksters to recompute; mend: leave them as they are"
        )
    made = edge_features(event.columns(NODE_FEATURES).double().numpy(), event.edge_index.numpy())
    event.edge_attr = event.edge_attr.clone()
    event.edge_attr[:, : len(EDGE_FEATURES)] = torch.from_numpy(made).to(event.edge_attr.dtype)


def _copy(event: Event) -> Event:
    """Return an event with the same tensors; fields may be replaced."""
    result = Event()
    for name, value in event.to_dict().items():
        result[name] = value
    return result
