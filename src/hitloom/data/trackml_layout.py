"""What a TrackML detector table must hold: layers, counts, places and sizes of the modules, volume by volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hitloom.data.trackml_geometry import TrackMLGeometry


@dataclass(frozen=True, kw_only=True)
class VolumeLayout:
    """Expected modules of a volume.

    ``centres`` are r (barrel) or |z| (endcap) of the layers in the order of their ids, within ``spread``; ``half_u``
    is the range of both half lengths in u; ``rings`` the radii of the module centres of an endcap. All in mm.
    """

    modules: tuple[int, ...]
    centres: tuple[float, ...]
    spread: float
    half_u: tuple[float, float]
    half_v: float
    pitch: tuple[float, float]
    thickness: float
    max_z: float = 0.0
    rings: tuple[float, ...] = ()


_PIXEL_Z = (600.0, 700.0, 820.0, 960.0, 1100.0, 1300.0, 1500.0)
_STRIP_Z = (1220.0, 1500.0, 1800.0, 2150.0, 2550.0, 2950.0)


def _pixel_endcap(places: tuple[float, ...]) -> VolumeLayout:
    return VolumeLayout(
        modules=(108,) * 7,
        centres=places,
        spread=2.5,
        half_u=(8.4, 8.4),
        half_v=36,
        pitch=(0.05, 0.05625),
        thickness=0.15,
        rings=(66, 140),
    )


def _short_endcap(places: tuple[float, ...]) -> VolumeLayout:
    return VolumeLayout(
        modules=(170,) * 6,
        centres=places,
        spread=4.5,
        half_u=(16.4, 40),
        half_v=78,
        pitch=(0.08, 1.2),
        thickness=0.25,
        rings=(318, 470, 622),
    )


def _long_endcap(places: tuple[float, ...]) -> VolumeLayout:
    return VolumeLayout(
        modules=(98,) * 6,
        centres=places,
        spread=5.5,
        half_u=(54, 72),
        half_v=78,
        pitch=(0.12, 10.4),
        thickness=0.35,
        rings=(828, 942),
    )


# In the volumes at negative z layer 2 is the farthest disk.
LAYOUT: dict[int, VolumeLayout] = {
    7: _pixel_endcap(_PIXEL_Z[::-1]),
    8: VolumeLayout(
        modules=(224, 448, 728, 1092),
        centres=(32, 72, 116, 172),
        spread=0.25,
        half_u=(8.4, 8.4),
        half_v=36,
        pitch=(0.05, 0.05625),
        thickness=0.15,
        max_z=455,
    ),
    9: _pixel_endcap(_PIXEL_Z),
    12: _short_endcap(_STRIP_Z[::-1]),
    13: VolumeLayout(
        modules=(840, 1176, 1638, 2142),
        centres=(260, 360, 500, 660),
        spread=1.5,
        half_u=(24, 24),
        half_v=54,
        pitch=(0.08, 1.2),
        thickness=0.25,
        max_z=1030,
    ),
    14: _short_endcap(_STRIP_Z),
    16: _long_endcap(_STRIP_Z[::-1]),
    17: VolumeLayout(
        modules=(2520, 3192),
        centres=(820, 1020),
        spread=1.5,
        half_u=(24, 24),
        half_v=54,
        pitch=(0.12, 10.8),
        thickness=0.35,
        max_z=1030,
    ),
    18: _long_endcap(_STRIP_Z),
}


def check_layout(geometry: TrackMLGeometry) -> list[str]:
    """Return one line for each way in which a detector table differs from the TrackML detector; empty = it is one."""
    found: list[str] = []
    volumes = {int(volume) for volume in np.unique(geometry.volume)}
    if volumes != set(LAYOUT):
        found.append(f"volumes {sorted(volumes)}, not {sorted(LAYOUT)}")
    for volume in sorted(volumes & set(LAYOUT)):
        found += [f"volume {volume}: {text}" for text in _check_volume(geometry, volume, LAYOUT[volume])]
    return found


def _check_volume(geometry: TrackMLGeometry, volume: int, layout: VolumeLayout) -> list[str]:
    own = geometry.volume == volume
    layers, counts = np.unique(geometry.layer[own], return_counts=True)
    wanted = [2 * number for number in range(1, len(layout.modules) + 1)]
    if layers.tolist() != wanted or counts.tolist() != list(layout.modules):
        return [f"modules {dict(zip(layers.tolist(), counts.tolist(), strict=True))} by layer, not {layout.modules}"]
    found: list[str] = []
    radius = np.hypot(geometry.centre[own, 0], geometry.centre[own, 1])
    z = geometry.centre[own, 2]
    place = radius if layout.max_z else np.abs(z)
    middle = np.array(layout.centres)[np.searchsorted(layers, geometry.layer[own])]
    if np.abs(place - middle).max() > layout.spread + 0.06:
        found.append(f"a module centre lies {np.abs(place - middle).max():.2f} mm off its layer")
    if layout.max_z and np.abs(z).max() > layout.max_z + 1:
        found.append(f"a module centre at |z| = {np.abs(z).max():.1f} mm, beyond {layout.max_z}")
    if layout.rings:
        off = np.abs(radius[:, None] - np.array(layout.rings)).min(1).max()
        if off > 1 or (np.sign(z) != (1 if volume in (9, 14, 18) else -1)).any():
            found.append(f"a module centre lies {off:.2f} mm off its ring, or on the wrong side")
    half_u = np.stack([geometry.half_u_low[own], geometry.half_u_high[own]])
    if abs(half_u.min() - layout.half_u[0]) > 0.06 or abs(half_u.max() - layout.half_u[1]) > 0.06:
        found.append(f"half lengths in u {half_u.min():g} to {half_u.max():g} mm, not {layout.half_u}")
    for name, wanted_value in (
        ("half_v", layout.half_v),
        ("pitch_u", layout.pitch[0]),
        ("pitch_v", layout.pitch[1]),
        ("thickness", layout.thickness),
    ):
        values = getattr(geometry, name)[own]
        if np.abs(values - wanted_value).max() > 1e-6:
            found.append(f"{name} {values.min():g} to {values.max():g} mm, not {wanted_value:g}")
    return found
