"""The fused update of an LSTM and the ReLU with dropout, against torch."""

import pytest
import torch

from hitloom.nn.cells import drop_relu, lstm_update


def plain(gates: torch.Tensor, cell: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    i, f, g, o = gates.chunk(4, 1)
    new = i.sigmoid() * g.tanh() + (0.0 if cell is None else f.sigmoid() * cell)
    return o.sigmoid() * new.tanh(), new


@pytest.mark.parametrize("with_cell", [True, False])
@pytest.mark.parametrize("num", [0, 1, 37])
def test_the_update_and_its_gradient_are_those_of_the_equations(with_cell, num):
    torch.manual_seed(num)
    gates = (4 * torch.randn(num, 44)).requires_grad_()
    cell = torch.randn(num, 11, requires_grad=True) if with_cell else None
    leaves = [gates, *([cell] if with_cell else [])]
    results = []
    for update, given in ((lstm_update, gates * 1), (plain, gates * 1)):
        h, new = update(given, cell)
        weights = torch.linspace(-1, 1, h.numel()).reshape(h.shape)
        loss = (h * weights).sum() + (new.square() * weights).sum() + h.sum()
        results.append((h, new, *torch.autograd.grad(loss, leaves)))
    torch.testing.assert_close(results[0], results[1], atol=2e-6, rtol=1e-5)


def test_large_gates_saturate():
    h, new = lstm_update(torch.tensor([[200.0, -200.0, 200.0, 200.0]]), torch.tensor([[5.0]]))
    assert float(new) == pytest.approx(1.0)
    assert float(h) == pytest.approx(0.7615942, abs=1e-6)


def test_without_dropout_it_is_the_relu():
    x = torch.randn(50, 7)
    for p, training in ((0.0, True), (0.4, False)):
        assert torch.equal(drop_relu(x.clone(), p, training), x.relu())


def test_a_share_is_dropped_at_random_and_the_rest_keeps_the_mean():
    torch.manual_seed(0)
    x = torch.randn(2000, 32).abs().requires_grad_()
    torch.manual_seed(1)
    out = drop_relu(x * 1, 0.3, True)
    kept = out > 0
    assert float(kept.float().mean()) == pytest.approx(0.7, abs=5 * (0.21 / kept.numel()) ** 0.5)
    torch.testing.assert_close(out[kept], (x / 0.7)[kept])
    (grad,) = torch.autograd.grad(out.sum(), x)
    torch.testing.assert_close(grad, torch.where(kept, 1 / 0.7, 0.0))
    for neighbour in (kept.roll(1, 0), kept.roll(1, 1)):  # what one row or column loses says nothing of the next
        assert float((kept == neighbour).float().mean()) == pytest.approx(0.58, abs=0.01)
    again = drop_relu(x * 1, 0.3, True)
    assert not torch.equal(again > 0, kept)
    torch.manual_seed(1)
    assert torch.equal(drop_relu(x * 1, 0.3, True), out)
    assert bool((drop_relu(-x.detach(), 0.3, True) == 0).all())
