# mypy: disable-error-code="no-untyped-def, call-arg, var-annotated"
"""Vector instructions for the leaf searches: one query, or one box, against the 64 points of a leaf.

Written as LLVM vectors because the compiler's own vectorisation of the same loops keeps the 64 running sums in memory
instead of in registers (measured: 2 to 5 times slower). Eight sums of eight floats are in registers while the axes
are walked; after every ``STEP`` axes the walk ends if no point can pass the bound any more.

L leaves, D dimensions, Q queries.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LEAF = 64  # points per leaf: one bit each in a 64-bit mask
STEP = 8  # axes between two looks at the bound
_WIDTH = 8
_NUM = LEAF // _WIDTH
_FLOAT = ir.FloatType()
_INT = ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, _WIDTH)


def _const(value: int) -> Any:
    return ir.Constant(_INT, value)


def _splat(builder: Any, value: Any) -> Any:
    """Return a vector that holds ``value`` everywhere."""
    empty = ir.Constant(_VECTOR, ir.Undefined)
    one = builder.insert_element(empty, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, empty, ir.Constant(ir.VectorType(ir.IntType(32), _WIDTH), [0] * _WIDTH))


def _vectors(builder: Any, pointer: Any) -> list[Any]:
    """Load 64 floats as eight vectors."""
    base = builder.bitcast(pointer, _VECTOR.as_pointer())
    return [builder.load(builder.gep(base, [_const(i)]), align=4) for i in range(_NUM)]


def _walk(builder: Any, dim: Any, leaf_pointer: Any, limits: list[Any], gap_of: Any) -> tuple[Any, list[Any]]:
    """Emit the loop over the axes; return the mask of sums <= limits and the sums (partial where the mask is 0).

    ``gap_of(axis)`` emits what is needed once per axis and returns a function of a vector of coordinates.
    """
    fma = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), f"llvm.fmuladd.v{_WIDTH}f32"
    )
    entry = builder.block
    outer, inner, check, done = (
        builder.append_basic_block(f"walk.{name}") for name in ("outer", "inner", "check", "done")
    )
    zero = ir.Constant(_VECTOR, [0.0] * _WIDTH)
    builder.branch(outer)

    builder.position_at_end(outer)
    begin = builder.phi(_INT)
    begin.add_incoming(_const(0), entry)
    outer_sums = [builder.phi(_VECTOR) for _ in range(_NUM)]
    short = builder.icmp_signed("<", builder.sub(dim, begin), _const(STEP + STEP // 2))
    stop = builder.select(short, dim, builder.add(begin, _const(STEP)))
    builder.branch(inner)

    builder.position_at_end(inner)
    axis = builder.phi(_INT)
    axis.add_incoming(begin, outer)
    sums = [builder.phi(_VECTOR) for _ in range(_NUM)]
    gap = gap_of(axis)
    points = _vectors(builder, builder.gep(leaf_pointer, [builder.mul(axis, _const(LEAF))]))
    new = []
    for point, total in zip(points, sums, strict=True):
        distance = gap(point)
        new.append(builder.call(fma, [distance, distance, total]))
    following = builder.add(axis, _const(1))
    axis.add_incoming(following, inner)
    builder.cbranch(builder.icmp_signed("<", following, stop), inner, check)

    builder.position_at_end(check)
    mask = _const(0)
    for i, (total, limit) in enumerate(zip(new, limits, strict=True)):
        bits = builder.bitcast(builder.fcmp_ordered("<=", total, limit), ir.IntType(_WIDTH))
        mask = builder.or_(mask, builder.shl(builder.zext(bits, _INT), _const(i * _WIDTH)))
    begin.add_incoming(following, check)
    for before, inside, total in zip(outer_sums, sums, new, strict=True):
        before.add_incoming(zero, entry)
        before.add_incoming(total, check)
        inside.add_incoming(before, outer)
        inside.add_incoming(total, inner)
    more = builder.and_(builder.icmp_signed("<", following, dim), builder.icmp_unsigned("!=", mask, _const(0)))
    builder.cbranch(more, outer, done)
    builder.position_at_end(done)
    return mask, new


@intrinsic
def meet(typing_context, points, leaf, query, row, bound, out):
    """Squared distances of ``query[row]`` to ``points[leaf]`` (D, 64): the mask of those <= ``bound``.

    ``out`` (64,) holds the squared distances when the mask is not 0, and is untouched when it is. All arrays are
    float32 and contiguous. Padding of NaN never passes.
    """

    def emit(context, builder, signature, arguments):
        points, leaf, query, row, bound, out = arguments
        points = context.make_array(signature.args[0])(context, builder, points)
        query = context.make_array(signature.args[2])(context, builder, query)
        out = context.make_array(signature.args[5])(context, builder, out)
        dim = builder.extract_value(points.shape, 1)
        block = builder.gep(points.data, [builder.mul(builder.mul(leaf, dim), _const(LEAF))])
        line = builder.gep(query.data, [builder.mul(row, dim)])

        def gap_of(axis):
            value = _splat(builder, builder.load(builder.gep(line, [axis])))
            return lambda point: builder.fsub(point, value)

        mask, sums = _walk(builder, dim, block, [_splat(builder, bound)] * _NUM, gap_of)
        with builder.if_then(builder.icmp_unsigned("!=", mask, _const(0))):
            target = builder.bitcast(out.data, _VECTOR.as_pointer())
            for i, total in enumerate(sums):
                builder.store(total, builder.gep(target, [_const(i)]), align=4)
        return mask

    return types.uint64(points, types.intp, query, types.intp, types.float32, out), emit


@intrinsic
def reach(typing_context, points, leaf, boxes, other, bounds):
    """Mask of the points of ``points[leaf]`` (D, 64) whose squared distance to a box is <= their ``bounds`` (64,).

    ``boxes`` (L, 2, D) holds lower and upper corners; ``other`` says which. Padding needs a negative bound.
    """

    def emit(context, builder, signature, arguments):
        points, leaf, boxes, other, bounds = arguments
        points = context.make_array(signature.args[0])(context, builder, points)
        boxes = context.make_array(signature.args[2])(context, builder, boxes)
        bounds = context.make_array(signature.args[4])(context, builder, bounds)
        dim = builder.extract_value(points.shape, 1)
        block = builder.gep(points.data, [builder.mul(builder.mul(leaf, dim), _const(LEAF))])
        lower = builder.gep(boxes.data, [builder.mul(builder.mul(other, dim), _const(2))])
        upper = builder.gep(lower, [dim])
        zero = ir.Constant(_VECTOR, [0.0] * _WIDTH)

        def larger(a, b):
            return builder.select(builder.fcmp_ordered(">", a, b), a, b)

        def gap_of(axis):
            low = _splat(builder, builder.load(builder.gep(lower, [axis])))
            high = _splat(builder, builder.load(builder.gep(upper, [axis])))
            return lambda point: larger(larger(builder.fsub(low, point), builder.fsub(point, high)), zero)

        mask, _ = _walk(builder, dim, block, _vectors(builder, bounds.data), gap_of)
        return mask

    return types.uint64(points, types.intp, boxes, types.intp, bounds), emit


@intrinsic
def lowest(typing_context, mask):
    """Position of the lowest set bit of a mask that is not 0."""

    def emit(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), emit


@intrinsic
def bits_of(typing_context, value):
    """The bits of a float32 as an int64; they grow with the value when it is not negative."""

    def emit(context, builder, signature, arguments):
        return builder.zext(builder.bitcast(arguments[0], ir.IntType(32)), _INT)

    return types.int64(types.float32), emit


@intrinsic
def float_of(typing_context, bits):
    """The float32 whose bits are the low half of an int64: the inverse of :func:`bits_of`."""

    def emit(context, builder, signature, arguments):
        return builder.bitcast(builder.trunc(arguments[0], ir.IntType(32)), _FLOAT)

    return types.float32(types.int64), emit
