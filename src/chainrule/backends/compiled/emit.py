"""Emit a program as LLVM code: a function for one step, and a function for a run of steps."""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .fuse import Group, fused, on_axes, only_in_registers
from .program import Access, Buffer, Constant, Operation, Program

# The instruction of each function for floating-point numbers, then for integers and booleans. A
# name with @ is a function of LLVM or of C's library.
INSTRUCTIONS = {
    "add": ("fadd contract", "add"),
    "subtract": ("fsub contract", "sub"),
    "multiply": ("fmul contract", "mul"),
    "divide": ("fdiv", "sdiv"),
    "less": ("fcmp olt", "icmp slt"),
    "less_equal": ("fcmp ole", "icmp sle"),
    "greater": ("fcmp ogt", "icmp sgt"),
    "greater_equal": ("fcmp oge", "icmp sge"),
    "equal": ("fcmp oeq", "icmp eq"),
    "not_equal": ("fcmp une", "icmp ne"),
    "maximum": ("@llvm.maximum.{short}", "@llvm.smax.{short}"),
    "minimum": ("@llvm.minimum.{short}", "@llvm.smin.{short}"),
    "abs": ("@llvm.fabs.{short}", ""),
    "bitwise_and": ("", "and"),
    "bitwise_or": ("", "or"),
    "bitwise_xor": ("", "xor"),
    "bitwise_right_shift": ("", "ashr"),
    "reduce add": ("fadd contract reassoc", "add"),
    **{name: (f"@llvm.{name}.{{short}}", "") for name in ("exp", "log", "sqrt", "floor", "pow")},
    **{name: (f"@{name}{{c}}", "") for name in ("expm1", "log1p", "tanh")},
}

# The instruction that converts a number, by the kinds of both dtypes.
_CONVERSIONS = {
    "bf": "uitofp", "bi": "zext", "bu": "zext", "uf": "uitofp", "ui": "zext", "if": "sitofp",
    "fi": "fptosi", "fu": "fptoui",
}  # fmt: skip


def emit(program: Program) -> tuple[str, list[Buffer]]:
    """Return the LLVM code of a program, and the buffers that it needs.

    The function ``step`` takes a pointer to each buffer, runs a step, and returns whether it was
    not broken off. ``run`` takes a table of these pointers and a number of steps, and returns how
    many steps it completed.
    """
    groups, undo = fused(program), [[operation] for operation in program.undo]
    code = Code(only_in_registers([*groups, *undo]))
    for group in groups:
        code.group(group)
    code.lines += ["  ret i1 1", "broken:"]
    for group in undo:
        code.group(group)
    body = "\n".join([*code.slots, *code.lines])
    used = {int(number) for number in re.findall(r"%b(\d+)", body)}
    buffers = [program.buffers[number] for number in sorted(used)]
    names = [f"%b{buffer.number}" for buffer in buffers]
    pointers = "".join(
        f"  %at{i} = getelementptr ptr, ptr %table, i64 {i}\n  {name} = load ptr, ptr %at{i}\n"
        for i, name in enumerate(names)
    )
    calls = re.findall(r"call (\w+) (@[\w.]+)\((.*)\)", body)
    kinds = ((result, f, re.sub(r" [^, ]+(?=,|$)", "", arguments)) for result, f, arguments in calls)
    declared = sorted({f"declare {result} {f}({kinds})" for result, f, kinds in kinds})
    return "\n".join(declared) + _RUN.format(
        body=body,
        pointers=pointers,
        parameters=", ".join(f"ptr noalias {name}" for name in names),
        arguments=", ".join(f"ptr {name}" for name in names),
    ), buffers


_RUN = """
define internal i1 @step({parameters}) noinline {{
{body}
  ret i1 0
}}
define i64 @run(ptr %table, i64 %count) {{
{pointers}  br label %next
next:
  %i = phi i64 [0, %0], [%done, %more]
  %whole = call i1 @step({arguments})
  br i1 %whole, label %more, label %end
more:
  %done = add i64 %i, 1
  %last = icmp eq i64 %done, %count
  br i1 %last, label %end, label %next
end:
  %steps = phi i64 [%i, %next], [%done, %more]
  ret i64 %steps
}}
!0 = distinct !{{!0, !1}}
!1 = !{{!"llvm.loop.unroll.disable"}}
"""


def _type(dtype: Any, *, stored: bool = True) -> str:
    """Return LLVM's type of a number. In memory, a boolean is a byte."""
    if dtype.kind == "f":
        return {2: "half", 4: "float", 8: "double"}[dtype.itemsize]
    return f"i{8 * dtype.itemsize}" if stored or dtype.kind != "b" else "i1"


class Code:
    """The lines of a function. The counters of loops are kept in stack slots, as in C."""

    def __init__(self, registers: set[Buffer | None]) -> None:
        self.lines: list[str] = []
        self.slots: list[str] = []
        self.registers = registers
        self.indices: list[str] = []  # of the loops around the current statement
        self.known: dict[Any, str] = {}  # the numbers of the current iteration
        self._names = 0

    def name(self) -> str:
        """Return a new name."""
        self._names += 1
        return f"%v{self._names}"

    def __call__(self, instruction: str) -> str:
        """Add an instruction, and return the name of its result."""
        name = self.name()
        self.lines.append(f"  {name} = {instruction}")
        return name

    @contextlib.contextmanager
    def loop(self, count: int) -> Iterator[str]:
        """Repeat the block for an index from 0 to `count`, exclusively."""
        slot, block = self.name(), self.name()
        self.slots.append(f"  {slot} = alloca i64")
        self.lines += [f"  store i64 0, ptr {slot}", f"  br label {block}", f"{block[1:]}:"]
        index = self(f"load i64, ptr {slot}")
        yield index
        following = self(f"add nuw nsw i64 {index}, 1")
        more = self(f"icmp ult i64 {following}, {count}")
        rolled = ", !llvm.loop !0" if count > 4 else ""  # unrolling takes long
        self.lines += [
            f"  store i64 {following}, ptr {slot}",
            f"  br i1 {more}, label {block}, label {block}.end{rolled}",
            f"{block[1:]}.end:",
        ]

    def group(self, group: Group) -> None:
        """Emit a group of operations."""
        self.known = {}
        if group[0].function == "matmul":
            self._matmul(group[0])
        elif group[0].function == "expect":
            block = self.name()
            holds = self.value(group[0].inputs[0])
            self.lines += [f"  br i1 {holds}, label {block}, label %broken", f"{block[1:]}:"]
        else:
            group = _collapsed(group)
            with contextlib.ExitStack() as nest:
                self.indices = [nest.enter_context(self.loop(n)) for n in group[0].space]
                for loop in group:
                    self._statement(loop)
            self.indices = []

    def _statement(self, loop: Operation) -> None:
        values, dtype, out = [*map(self.value, loop.inputs)], loop.inputs[-1].dtype, loop.out
        kind = _type(dtype, stored=False)
        if loop.function == "copy":
            result = self._converted(values[0], dtype, out.dtype)
        elif loop.function == "where":
            result = self(f"select i1 {values[0]}, {kind} {values[1]}, {kind} {values[2]}")
        else:
            name = loop.function if loop.function in INSTRUCTIONS else loop.function[7:]
            short, c = f"f{8 * dtype.itemsize}" if dtype.kind == "f" else kind, "f" * (kind[0] == "f")
            word = INSTRUCTIONS[name][dtype.kind != "f"].format(short=short, c=c)
            if word[0] == "@":
                result = self(f"call {kind} {word}({', '.join(f'{kind} {v}' for v in values)})")
            else:
                result = self(f"{word} {kind} {', '.join(values)}")
        self.known[out] = result
        if out.buffer not in self.registers:
            if out.dtype == bool:
                result = self(f"zext i1 {result} to i8")
            self.lines.append(f"  store {_type(out.dtype)} {result}, ptr {self.address(out)}")

    def value(self, operand: Access | Constant) -> str:
        """Return an operand, which is read from memory if necessary."""
        if isinstance(operand, Constant):
            return _literal(*operand)
        if operand not in self.known:
            if operand.buffer is None:
                found = self.place(operand)
            else:
                found = self(f"load {_type(operand.dtype)}, ptr {self.address(operand)}")
                if operand.dtype == bool:
                    found = self(f"trunc i8 {found} to i1")
            self.known[operand] = found
        return self.known[operand]

    def place(self, access: Access) -> str:
        """Return the place of an element in its buffer."""
        total = str(access.offset)
        terms = [*zip(self.indices, access.strides, strict=False)]
        for index, stride in terms + [(self.value(i), stride) for i, stride in access.index]:
            if stride:
                product = self(f"mul nsw i64 {index}, {stride}")
                total = self(f"add nsw i64 {total}, {product}")
        return total

    def address(self, access: Access) -> str:
        """Return the address of an element."""
        assert access.buffer is not None
        pointer, place = f"ptr %b{access.buffer.number}", self.place(access)
        return self(f"getelementptr inbounds {_type(access.dtype)}, {pointer}, i64 {place}")

    def _converted(self, value: str, old: np.dtype[Any], new: np.dtype[Any]) -> str:
        """Convert a number to another dtype."""
        a, b = _type(old, stored=False), _type(new, stored=False)
        if a == b:
            return value
        if new.kind == "b":
            return self(f"{INSTRUCTIONS['not_equal'][old.kind != 'f']} {a} {value}, {_literal(0, old)}")
        same = {"f": ("fptrunc", "fpext"), "i": ("trunc", "sext"), "u": ("trunc", "zext")}
        known = _CONVERSIONS.get(old.kind + new.kind)
        return self(f"{known or same[new.kind][new.itemsize > old.itemsize]} {a} {value} to {b}")

    def _matmul(self, product: Operation) -> None:
        """Call BLAS's ``gemm``, ``out = 1.0 * a @ b + 0.0 * out``, for row-major matrices."""
        (m, k, n), matrices = product.space, (*product.inputs, product.out)
        a, b, out = (f"ptr {self.address(x)}, i64 {max(x.strides)}" for x in matrices)
        orders = (f"i32 {111 if x.strides[1] == 1 else 112}" for x in product.inputs)
        kind, sizes = _type(product.out.dtype), f"i64 {m}, i64 {n}, i64 {k}"
        self.lines.append(
            f"  call void @{kind}_gemm(i32 101, {', '.join(orders)}, {sizes}, {kind} 1.0, {a}, {b}, "
            f"{kind} 0.0, {out})"
        )


def _literal(value: float, dtype: np.dtype[Any]) -> str:
    """Return a number as LLVM writes it. Floating-point numbers are written bit by bit."""
    if dtype.kind != "f":
        return str(int(value))
    return f"0x{struct.pack('>d', float(dtype.type(value))).hex()}"


def _collapsed(group: Group) -> Group:
    """Join neighbouring axes of a loop nest if all accesses step through them evenly."""
    axis = 0
    while axis + 1 < len(space := group[0].space):
        accesses = [access for loop in group for access in (*loop.reads, loop.out)]
        if all(a.strides[axis] == space[axis + 1] * a.strides[axis + 1] for a in accesses):
            joined = (*space[:axis], space[axis] * space[axis + 1], *space[axis + 2 :])
            axes = [a for a in range(len(space)) if a != axis]
            group = [on_axes(loop, axes)._replace(space=joined) for loop in group]
        else:
            axis += 1
    return group
