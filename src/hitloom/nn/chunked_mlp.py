"""An MLP over many rows in chunks that stay in cache, with its backward pass written out; float32 on the CPU.

A row's first layer is a sum: what two nodes give, gathered by index, and W_j times each of several row inputs. Then
normalisation and activation in one compiled pass, a matrix product, and so on. What the rows of a chunk tell their
nodes (sum, mean, maximum, minimum) is taken while the chunk is in cache.

For the backward pass either the outputs of the Linear layers are kept (``keep``), or each chunk is run again.

Shape letters: R rows, N nodes, I inputs of a row, H width of a layer, O outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hitloom.nn._workers import over_spans
from hitloom.nn.fused import can_fuse
from hitloom.nn.mlp import MLP
from hitloom.nn.node_sums import NodeSums, Tell
from hitloom.ops._threads import num_threads

CHUNK_BYTES = 1 << 20  # of the widest layer, for each thread
_KINDS = {"SiLU": 0, "ReLU": 1, "Tanh": 2, "Identity": 3, "Sigmoid": 4}
GRAIN = 512  # rows worth a thread
CHANNELS = 32  # channels worth a thread


@dataclass(frozen=True)
class Stage:
    """Normalisation and activation, then a Linear unless it is the last stage. Places are those in the parameters."""

    kind: int
    normalise: bool
    scale: int | None
    linear: int | None


@dataclass(frozen=True)
class Plan:
    """What a pass does: its stages, the endpoints of the edges, the messages, and what to keep."""

    stages: tuple[Stage, ...]
    num_rows: int
    widths: tuple[int, ...]
    num_nodes: int
    ends: tuple[Tensor, Tensor] | None
    tells: tuple[Tell, ...]
    num_inputs: int
    residual: bool
    keep: bool
    reuse: bool


def applies(mlp: MLP, *tensors: Tensor) -> bool:
    """Whether this way of running an MLP is possible."""
    return (
        mlp.fits_rows
        and all(can_fuse(tensor) for tensor in tensors)
        and mlp.linears[0].weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
    )


def run_rows(
    mlp: MLP,
    rows: Sequence[Tensor],
    weights: Sequence[Tensor],
    *,
    shares: tuple[Tensor, Tensor] | None = None,
    ends: tuple[Tensor, Tensor] | None = None,
    tells: Sequence[Tell] = (),
    residual: bool = False,
    keep: bool = True,
    reuse: bool = False,
) -> tuple[Tensor, ...]:
    """Return the outputs (R, O), and what they tell the nodes: one tensor (N, O) for each of ``tells``.

    Parameters
    ----------
    mlp
        Its first Linear is given by ``weights``, one (H, I) for each of ``rows`` (R, I), and its bias.
    shares, ends
        Tensors (N, H) and indices (R,): rows gathered and added in the first layer, the bias in one of them.
    residual
        Add the first of ``rows`` to the output.
    keep
        Keep the outputs of the Linear layers for the backward pass, instead of computing them again.
    reuse
        Without autograd, write the output over the first of ``rows``.
    """
    stages, parameters = _stages(mlp, bias_inside=shares is None)
    num_rows = len(ends[0]) if ends is not None else rows[0].shape[0]
    widths = tuple(int(linear.out_features) for linear in mlp.linears)  # type: ignore[arg-type]
    grad = torch.is_grad_enabled()
    plan = Plan(
        stages=stages, num_rows=num_rows, widths=widths, num_nodes=0 if shares is None else shares[0].shape[0],
        ends=ends, tells=tuple(tells), num_inputs=len(rows), residual=residual, keep=keep and grad,
        reuse=reuse and not grad,
    )  # fmt: skip
    tensors = (*(shares or ()), *rows, *weights, *parameters)
    if not grad:
        work = _Forward(plan, tensors, recorded=False)
        work.run()
        return work.results()
    return _Rows.apply(plan, *tensors)  # type: ignore[no-any-return]


def _stages(mlp: MLP, *, bias_inside: bool) -> tuple[tuple[Stage, ...], list[Tensor]]:
    """Return the stages, and the parameters: first bias if it is used here, scale and shift, weight and bias."""
    parameters: list[Tensor] = [mlp.linears[0].bias] if bias_inside else []  # type: ignore[list-item, union-attr]
    stages = []
    for depth in range(len(mlp.linears)):
        last = depth == len(mlp.linears) - 1
        activation = mlp.output_activation if last else mlp.activation
        normalise = depth < len(mlp.norms) and len(mlp.norms[depth]) > 0  # type: ignore[arg-type]
        kind = _KINDS[type(activation).__name__]
        if last and not normalise and kind == _KINDS["Identity"]:
            break
        scale = linear = None
        if normalise and mlp.affine:
            scale = len(parameters)
            norm = mlp.norms[depth][0]  # type: ignore[index]
            parameters += [norm.weight, norm.bias]
        if not last:
            linear = len(parameters)
            following = mlp.linears[depth + 1]
            parameters += [following.weight, following.bias]  # type: ignore[list-item]
        stages.append(Stage(kind, normalise, scale, linear))
    return tuple(stages), parameters


class _Pass:
    """The tensors of a pass, and what forward and backward share."""

    def __init__(self, plan: Plan, tensors: Sequence[Tensor]) -> None:
        self.plan = plan
        at = 2 if plan.ends is not None else 0
        self.shares = tensors[:at]
        self.rows = tensors[at : at + plan.num_inputs]
        self.weights = tensors[at + plan.num_inputs : at + 2 * plan.num_inputs]
        self.parameters = tensors[at + 2 * plan.num_inputs :]
        self.size = max(64, CHUNK_BYTES * num_threads() // (4 * max(plan.widths)))
        self.buffers: dict[tuple[str, int], Tensor] = {}
        self.end_arrays = [end.numpy() for end in plan.ends or ()]
        self.share_arrays = [share.detach().numpy() for share in self.shares if share is not None]
        self.scales = [self._scale(stage, width) for stage, width in zip(plan.stages, plan.widths, strict=False)]

    def chunks(self) -> Iterator[slice]:
        for first in range(0, self.plan.num_rows, self.size):
            yield slice(first, min(self.plan.num_rows, first + self.size))

    def buffer(self, name: str, num: int, width: int) -> Tensor:
        """Return scratch space (num, width), the same for the same name."""
        key = (name, width)
        if key not in self.buffers:
            self.buffers[key] = torch.empty(min(self.size, self.plan.num_rows), width)
        return self.buffers[key][:num]

    def _scale(self, stage: Stage, width: int) -> tuple[Any, Any]:
        if stage.scale is None:
            return np.ones(width, np.float32), np.zeros(width, np.float32)
        weight, bias = self.parameters[stage.scale : stage.scale + 2]
        return weight.detach().numpy(), bias.detach().numpy()

    def first(self, s: slice, out: Tensor) -> Tensor:
        """Write the output of the first layer of a chunk."""
        from hitloom.nn import _edge_kernels

        if self.plan.ends is not None:
            ends = [end[s] for end in self.end_arrays]
            over_spans(_edge_kernels.gather_two, len(out), *ends, *self.share_arrays, out.numpy(), grain=GRAIN)
            start = 0
        else:
            torch.addmm(self.parameters[0], self.rows[0][s], self.weights[0].T, out=out)
            start = 1
        for row, weight in zip(self.rows[start:], self.weights[start:], strict=True):
            out.addmm_(row[s], weight.T)
        return out

    def through(self, s: slice, values: Sequence[Tensor | None], num_stages: int) -> Tensor:
        """Run ``num_stages`` of a chunk; the outputs of Linear layers go into ``values`` where given."""
        from hitloom.nn import _edge_kernels

        num, widths = s.stop - s.start, self.plan.widths

        def space(depth: int) -> Tensor:
            given = values[depth]
            return self.buffer(f"linear{depth % 2}", num, widths[depth]) if given is None else given

        value = self.first(s, space(0))
        for depth, stage in enumerate(self.plan.stages[:num_stages]):
            # not in place: a loop over two names for the same memory is not vectorised
            out = self.buffer("active", num, widths[depth])
            over_spans(
                _edge_kernels.norm_act, num, value.numpy(), *self.scales[depth], stage.normalise, stage.kind,
                out.numpy(), grain=GRAIN,
            )  # fmt: skip
            value = out
            if stage.linear is not None:
                weight, bias = self.parameters[stage.linear : stage.linear + 2]
                value = torch.addmm(bias, value, weight.T, out=space(depth + 1))
        return value


class _Forward(_Pass):
    """Forward pass; ``kept`` holds the outputs of the Linear layers of each chunk if the plan keeps them."""

    def __init__(self, plan: Plan, tensors: Sequence[Tensor], *, recorded: bool) -> None:
        super().__init__(plan, tensors)
        self.kept: list[list[Tensor]] = []
        self.sums = [NodeSums(tell, plan.widths[-1], ties=recorded) for tell in plan.tells]
        self.out = self.rows[0] if plan.reuse else torch.empty(plan.num_rows, plan.widths[-1])

    def run(self) -> None:
        widths = self.plan.widths
        for s in self.chunks():
            num = s.stop - s.start
            values: list[Tensor | None] = [None] * len(widths)
            if self.plan.keep:
                # the output of the last Linear is needed only where an activation follows it
                values = [
                    torch.empty(num, width) if depth < len(self.plan.stages) else None
                    for depth, width in enumerate(widths)
                ]
                self.kept.append([value for value in values if value is not None])
            value = self.through(s, values, len(self.plan.stages))
            if self.plan.residual:
                torch.add(value, self.rows[0][s], out=self.out[s])
            else:
                self.out[s] = value
            for sums in self.sums:
                sums.put(s, self.out[s])

    def results(self) -> tuple[Tensor, ...]:
        return self.out, *(sums.result() for sums in self.sums)


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plan: Plan, *tensors: Tensor) -> tuple[Tensor, ...]:
        work = _Forward(plan, [tensor.detach() for tensor in tensors], recorded=True)
        work.run()
        results = work.results()
        ctx.plan, ctx.kept, ctx.num_tensors = plan, work.kept, len(tensors)
        ctx.ties = [sums.for_backward() for sums in work.sums]
        # what is gathered is needed only to run a chunk again
        gathered = 2 if plan.keep and plan.ends is not None else 0
        ctx.save_for_backward(*([None] * gathered), *tensors[gathered:], *results[: 1 if plan.tells else 0])
        ctx.set_materialize_grads(False)
        return results

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor | None, *grad_messages: Tensor | None) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        tensors, out = saved[: ctx.num_tensors], saved[ctx.num_tensors] if ctx.plan.tells else None
        kept, ctx.kept = ctx.kept, None
        work = _Backward(ctx.plan, tensors, ctx.needs_input_grad[1:])
        work.run(grad_out, out, [sums.gradient(grad) for sums, grad in zip(ctx.ties, grad_messages, strict=True)], kept)
        return (None, *work.results())


class _Backward(_Pass):
    """Backward pass over chunks; gradients of all tensors in their order."""

    def __init__(self, plan: Plan, tensors: Sequence[Tensor], needed: Sequence[bool]) -> None:
        super().__init__(plan, tensors)
        self.needed = needed
        at = len(self.shares)
        self.grad_shares = [torch.zeros(plan.num_nodes, plan.widths[0]) for _ in self.shares]
        self.grad_rows = [
            torch.empty_like(row, memory_format=torch.contiguous_format) if needed[at + i] else None
            for i, row in enumerate(self.rows)
        ]
        self.grad_weights = [torch.zeros_like(weight) for weight in self.weights]
        self.grad_parameters = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.sums = {w: np.zeros((num_threads(), 2, w), np.float32) for w in plan.widths}

    def results(self) -> list[Tensor | None]:
        return [*self.grad_shares, *self.grad_rows, *self.grad_weights, *self.grad_parameters]

    def run(
        self, grad_out: Tensor | None, out: Tensor | None, messages: Sequence[Any], kept: list[list[Tensor]]
    ) -> None:
        plan = self.plan
        kept.reverse()
        for s in self.chunks():
            num = s.stop - s.start
            grad = self.buffer("grad_out", num, plan.widths[-1])
            if grad_out is None:
                grad.zero_()
            else:
                grad.copy_(grad_out[s])
            for message in messages:
                if message is not None and out is not None:
                    message.put(s, out[s], grad)
            values = kept.pop() if plan.keep else self._again(s)
            first = self._back(values, grad)
            self._into_first(s, first, grad)

    def _again(self, s: slice) -> list[Tensor]:
        num = s.stop - s.start
        num_stages = len(self.plan.stages)
        spaces = [self.buffer(f"again{depth}", num, self.plan.widths[depth]) for depth in range(num_stages)]
        if spaces:
            self.through(s, spaces, num_stages - 1)
        return spaces

    def _back(self, values: list[Tensor], grad_out: Tensor) -> Tensor:
        """Return the gradient of the first layer's output, from that of the end."""
        from hitloom.nn import _edge_kernels

        grad = grad_out
        for depth in reversed(range(len(self.plan.stages))):
            stage, num, width = self.plan.stages[depth], len(grad_out), self.plan.widths[depth]
            below = self.buffer(f"grad{depth % 2}", num, width)
            if stage.linear is None:
                below.copy_(grad)
            else:
                torch.mm(grad, self.parameters[stage.linear], out=below)
            active = self.buffer("active", num, width)
            sums = self.sums[width]
            sums[:] = 0
            over_spans(
                _edge_kernels.norm_act_backward, num, values[depth].numpy(), *self.scales[depth], stage.normalise,
                stage.kind, below.numpy(), active.numpy(), grain=GRAIN, own=sums,
            )  # fmt: skip
            if stage.linear is not None:
                self.grad_parameters[stage.linear].addmm_(grad.T, active)
                self.grad_parameters[stage.linear + 1] += grad.sum(0)
            if stage.scale is not None:
                total = torch.from_numpy(sums.sum(0))
                self.grad_parameters[stage.scale] += total[0]
                self.grad_parameters[stage.scale + 1] += total[1]
            grad = below
        return grad

    def _into_first(self, s: slice, grad: Tensor, grad_out: Tensor) -> None:
        """Add what a chunk gives to the gradients of the first layer's inputs."""
        from hitloom.nn import _edge_kernels

        for i, (row, weight, into) in enumerate(zip(self.rows, self.weights, self.grad_rows, strict=True)):
            self.grad_weights[i].addmm_(grad.T, row[s])
            if into is None:
                continue
            if self.plan.residual and i == 0:
                torch.addmm(grad_out, grad, weight, out=into[s])
            else:
                torch.mm(grad, weight, out=into[s])
        if self.plan.ends is None:
            self.grad_parameters[0] += grad.sum(0)
            return
        for end, into in zip(self.end_arrays, self.grad_shares, strict=True):
            over_spans(
                _edge_kernels.add_at, grad.shape[1], end[s], grad.numpy(), into.numpy(), grain=CHANNELS
            )  # fmt: skip
