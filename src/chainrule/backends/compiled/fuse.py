"""Drop operations without effect, and fuse loops over the same space into one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .program import Access, Buffer, Constant, Guard, Loop, Operation, Product, Program, reads

Group = list[Loop]
"""Loops over the same space, which run as one loop with several statements."""


def fused(program: Program) -> list[Group | Product | Guard]:
    """Return the operations that have an effect, with neighbouring loops joined into groups."""
    groups: list[Group | Product | Guard] = []
    for operation in _with_effect(program):
        if not isinstance(operation, Loop):
            groups.append(operation)
            continue
        loop = _without_ones(operation)
        for group in reversed(groups):
            if isinstance(group, list) and _can_join(loop, group):
                group.append(loop)
                break
            if not _independent(loop, group):
                groups.append([loop])
                break
        else:
            groups.append([loop])
    return groups


def temporaries_in_registers(groups: Sequence[Group | Product | Guard]) -> set[Buffer]:
    """Return the temporary arrays that no other group reads, so that they need no memory."""
    users: dict[Buffer, set[int]] = {}
    for i, group in enumerate(groups):
        members: Sequence[Operation] = group if isinstance(group, list) else [group]
        for operation in members:
            accesses = reads(operation)
            accesses += [] if isinstance(operation, Guard) else [operation.out]
            for access in accesses:
                if access.buffer is not None:
                    users.setdefault(access.buffer, set()).add(i)
    reduced = {
        loop.out.buffer
        for group in groups
        if isinstance(group, list)
        for loop in group
        if loop.function.startswith("reduce") or loop.out.index
    }
    return {
        buffer
        for buffer, places in users.items()
        if buffer.array is None and len(places) == 1 and buffer not in reduced
    }


def _with_effect(program: Program) -> list[Operation]:
    """Return the operations whose results reach an array of the training run, or a guard."""
    kept, needed = list[Operation](), {a.buffer for loop in program.undo for a in reads(loop)}
    for operation in reversed(program.operations):
        if not isinstance(operation, Guard):
            buffer = operation.out.buffer
            if buffer not in needed and buffer is not None and buffer.array is None:
                continue
        kept.append(operation)
        needed |= {access.buffer for access in reads(operation)}
    return kept[::-1]


def _without_ones(loop: Loop) -> Loop:
    """Return the loop without axes of length 1."""
    axes = [a for a, n in enumerate(loop.space) if n != 1]
    return loop if len(axes) == len(loop.space) else on_axes(loop, axes)


def on_axes(loop: Loop, axes: Sequence[int]) -> Loop:
    """Return the loop with some of its axes."""

    def narrowed(operand: Any) -> Any:
        if isinstance(operand, Constant):
            return operand
        index = tuple((narrowed(access), stride) for access, stride in operand.index)
        return operand._replace(strides=tuple(operand.strides[a] for a in axes), index=index)

    inputs, space = tuple(map(narrowed, loop.inputs)), tuple(loop.space[a] for a in axes)
    return Loop(loop.function, space, inputs, narrowed(loop.out))


def _can_join(loop: Loop, group: Group) -> bool:
    """Return whether the loop can run as the last statement of a group.

    The loop may use results of the group only at the same place, in the same iteration.
    """
    if loop.space != group[0].space:
        return False
    own = [*reads(loop), loop.out]
    for other in group:
        final = not (_repeats(other.out, loop.space) or other.out.index)
        for access in own:
            if access.buffer is other.out.buffer and not (final and access == other.out):
                return False
        for access in reads(other):
            same = access == loop.out and not _repeats(access, loop.space) and not access.index
            if access.buffer is loop.out.buffer and access.buffer is not None and not same:
                return False
    return True


def _repeats(access: Access, space: Sequence[int]) -> bool:
    """Return whether several iterations use the same element."""
    return any(stride == 0 and n > 1 for stride, n in zip(access.strides, space, strict=True))


def _independent(loop: Loop, group: Group | Product | Guard) -> bool:
    """Return whether the loop can run before the group."""
    if isinstance(group, Guard):
        return loop.out.buffer is not None and loop.out.buffer.array is None and (
            loop.out.buffer is not group.condition.buffer
        )
    members: Sequence[Loop | Product] = group if isinstance(group, list) else [group]
    own = {access.buffer for access in reads(loop)} | {loop.out.buffer}
    return not any(
        other.out.buffer in own or loop.out.buffer in {a.buffer for a in reads(other)}
        for other in members
    )
