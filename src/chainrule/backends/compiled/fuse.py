"""Drop operations without effect, and fuse loops over the same space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .program import Access, Buffer, Constant, Operation, Program

Group = list[Operation]
"""Loops over the same space, which run as one loop with several statements, or one operation."""


def fused(program: Program) -> list[Group]:
    """Return the operations of a program in groups. Each loop joins the last possible group."""
    groups: list[Group] = []
    for operation in _with_effect(program):
        if operation.is_loop:
            operation = on_axes(operation, [a for a, n in enumerate(operation.space) if n != 1])
        for group in reversed(groups):
            if _can_join(operation, group):
                group.append(operation)
                break
            if not all(_independent(operation, other) for other in group):
                groups.append([operation])
                break
        else:
            groups.append([operation])
    return groups


def only_in_registers(groups: Sequence[Group]) -> set[Buffer | None]:
    """Return the temporary arrays that need no memory, as only one group uses them."""
    users: dict[Buffer | None, set[int]] = {None: set()}
    for i, group in enumerate(groups):
        for operation in group:
            final = operation.is_loop and not _repeats(operation.out, operation.space)
            for access in (*operation.reads, operation.out):
                users.setdefault(access.buffer, set()).add(i)
            users[operation.out.buffer] |= set() if final else {-1}
    found = {b for b, numbers in users.items() if b is not None and len(numbers) == 1}
    return {b for b in found if b.array is None}


def _with_effect(program: Program) -> list[Operation]:
    """Return the operations that change an array of the training run, or break off the step."""
    kept, needed = list[Operation](), {a.buffer for o in program.undo for a in o.reads}
    for operation in reversed(program.operations):
        buffer = operation.out.buffer
        if buffer is None or buffer.array is not None or buffer in needed:
            kept.append(operation)
            needed |= {access.buffer for access in operation.reads}
    return kept[::-1]


def on_axes(operation: Operation, axes: Sequence[int]) -> Operation:
    """Return the operation on some of its axes."""

    def narrowed(operand: Any) -> Any:
        if isinstance(operand, Constant):
            return operand
        gathered = tuple((narrowed(access), stride) for access, stride in operand.gathered)
        return operand._replace(strides=tuple(operand.strides[a] for a in axes), gathered=gathered)

    inputs, space = map(narrowed, operation.inputs), tuple(operation.space[a] for a in axes)
    return Operation(operation.function, space, tuple(inputs), narrowed(operation.out))


def _can_join(loop: Operation, group: Group) -> bool:
    """Return whether a loop can become the last statement of a group.

    A loop may use results of the group only in the same iteration, at the same place.
    """
    if loop.space != group[0].space or not (loop.is_loop and group[0].is_loop):
        return False
    return all(
        _independent(loop, other)
        or not any(
            a.buffer is b.buffer and (a != b or _repeats(a, loop.space))
            for a, b in (
                *((access, other.out) for access in (*loop.reads, loop.out)),
                *((access, loop.out) for access in other.reads),
            )
        )
        for other in group
    )


def _repeats(access: Access, space: Sequence[int]) -> bool:
    """Return whether several iterations may use the same element."""
    pairs = zip(access.strides, space, strict=True)
    return bool(access.gathered) or any(s == 0 and n > 1 for s, n in pairs)


def _independent(operation: Operation, other: Operation) -> bool:
    """Return whether two operations can be exchanged."""
    if "expect" in (operation.function, other.function):
        return False
    mine, theirs = ({a.buffer for a in o.reads} for o in (operation, other))
    out = operation.out.buffer
    return other.out.buffer not in mine | {out} and out not in theirs
