"""What the encoder makes of the columns of a hit: waves and angles against numpy, and nothing else changes."""

import numpy as np
import pytest
import torch

from hitloom.config import build
from hitloom.data.lartpc_detectors import get_detector
from hitloom.data.shower_columns import preset_columns
from hitloom.errors import ConfigError
from hitloom.systems.showers import Showers, ShowersConfig
from hitloom.systems.showers.expansion import LONGEST, NUM_ANGLES, UNITS, HitExpansion
from shower_toy import toy_view

SCALES = dict(get_detector("dune-fd-hd").scales)
SMALL = {
    "inputs": {"num_waves": 6, "added_from_epoch": 0},
    "encoder": {"embedding": 8, "hidden": 8, "num_heads": 2, "num_inducing": 4, "depth": 1},
    "attention": {"embedding": 8, "hidden": 8, "num_heads": 2, "num_inducing": 4, "depth": 1},
    "similarity": {"hidden": 8},
}


def system():
    torch.manual_seed(0)
    return Showers(build(ShowersConfig, SMALL)).eval()


def test_waves_and_angles_are_those_of_the_positions_in_centimetres():
    names = preset_columns(8)
    x, z = np.array([3.0, -41.5, 0.2]), np.array([4.0, 12.25, -7.0])
    radius = np.hypot(x, z)
    raw = {"r": radius, "cos": x / radius, "sin": z / radius, "x": x, "z": z, "x_width": 0 * x + 0.6}
    scaled = {"r": "polar_r", "x": "cartesian_x", "z": "cartesian_z", "x_width": "cartesian_x"}
    rows = np.stack([raw.get(name, 0 * x) * SCALES.get(scaled.get(name), 1.0) for name in names], 1)
    expansion = HitExpansion(names, SCALES, num_waves=3)
    out = expansion(torch.tensor(rows, dtype=torch.float32)).numpy()
    assert out.shape == (3, expansion.num_outputs) == (3, 12 + 18 + 2 * NUM_ANGLES)
    width = out[:, names.index("x_width")]
    np.testing.assert_allclose(width, 0.6 / UNITS["x_width"], rtol=1e-5)
    phases = np.stack([2 * np.pi * value * 2**k / LONGEST for value in (radius, x, z) for k in range(3)], 1)
    np.testing.assert_allclose(out[:, 12:21], np.sin(phases), atol=1e-5)
    np.testing.assert_allclose(out[:, 21:30], np.cos(phases), atol=1e-5)
    angle = np.arctan2(z, x)
    for place in range(NUM_ANGLES):
        wanted = np.stack([np.cos(2 ** (place + 1) * angle), np.sin(2 ** (place + 1) * angle)], 1)
        np.testing.assert_allclose(out[:, 30 + 2 * place : 32 + 2 * place], wanted, atol=1e-4)


def test_a_hit_at_the_vertex_gives_finite_numbers():
    event = toy_view(3, 1)
    event.part_x[:, :2] = 0.0
    assert bool(torch.isfinite(system()(event).own["similarity"]).all())


def test_the_expansion_has_no_parameters_and_columns_stay_those_of_the_contract():
    model = system()
    assert not list(model.network.expand.parameters())
    assert model.inputs.num_inputs == 14


def test_a_preset_without_angles_is_refused():
    with pytest.raises(ConfigError, match="column 'r' is needed; mend: inputs.preset 7, 8, 9 or 10"):
        Showers(build(ShowersConfig, SMALL | {"inputs": {"preset": 1, "num_waves": 4}}))


def test_the_scripted_encoder_expands_by_itself():
    from hitloom.systems.showers.exportable import EncoderPart, scripted

    model, event = system(), toy_view(5, 2)
    rows, cluster = model.inputs(event)
    part = scripted(EncoderPart(model.network, model.inputs.names))
    with torch.inference_mode():
        wanted = model.network.encode(rows, cluster, event.num_points)
        for one in range(event.num_points):
            torch.testing.assert_close(part(rows[cluster == one][None])[0, 0], wanted[one], atol=1e-5, rtol=1e-5)
