"""Drop operations without effect, and fuse loops over the same space."""

from __future__ import annotations

from collections import defaultdict

from .program import NO_LOOPS, Access, Buffer, Operation, Program

Group = list[Operation]
"""Loops over the same space, which run as one loop with several statements, or one operation."""


def fused(program: Program) -> list[Group]:
    """Return the operations of a program in groups. Each loop moves as far forward as possible."""
    groups: list[Group] = []
    for operation in _with_effect(program):
        first = max(0, len(groups) - 50)  # looking further back takes long
        for i, group in reversed([*enumerate(groups, start=1)][first:]):
            if _can_join(operation, group):
                group.append(operation)
                break
            if not all(_independent(operation, other) for other in group):
                groups.insert(i, [operation])
                break
        else:
            groups.insert(first, [operation])
    return groups


def only_in_registers(groups: list[Group]) -> set[Buffer]:
    """Return the temporary arrays that need no memory, as only one group uses them."""
    users, in_memory = defaultdict[Buffer, set[int]](set), set[Buffer]()
    for i, group in enumerate(groups):
        for operation in group:
            for access in (*operation.reads, operation.out):
                users[access.buffer].add(i)
            if operation.function in NO_LOOPS or _repeats(operation.out, operation.space):
                in_memory.add(operation.out.buffer)
    one = {buffer for buffer, found in users.items() if buffer.array is None and len(found) == 1}
    return one - in_memory


def _with_effect(program: Program) -> list[Operation]:
    """Return the operations that change an array of the training run, or break off the step."""
    kept, needed = list[Operation](), set[Buffer]()
    for operation in reversed(program.operations):
        buffer = operation.out.buffer
        if operation.function == "expect" or buffer.array is not None or buffer in needed:
            kept.append(operation)
            needed |= {access.buffer for access in operation.reads}
    return kept[::-1]


def _can_join(loop: Operation, group: Group) -> bool:
    """Return whether a loop can become the last statement of a group.

    A loop may use results of the group only in the same iteration, at the same place.
    """
    if loop.space != group[0].space or {loop.function, group[0].function} & NO_LOOPS:
        return False
    pairs = [(access, other.out) for other in group for access in (*loop.reads, loop.out)]
    pairs += [(access, loop.out) for other in group for access in other.reads]
    return all(a == b and not _repeats(a, loop.space) for a, b in pairs if a.buffer is b.buffer)


def _repeats(access: Access, space: tuple[int, ...]) -> bool:
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
