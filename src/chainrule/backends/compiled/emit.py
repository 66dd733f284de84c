"""Emit a program as LLVM code: one function for a step, and one for a run of steps."""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .fuse import Group, fused, on_axes, temporaries_in_registers
from .products import emit_product
from .program import Access, Buffer, Constant, Loop, Operand, Product, Program

KINDS = {"f": "f", "b": "b", "i": "i", "u": "i"}

# The instruction of each function, for floating-point numbers (f), integers (i) and booleans (b).
_INSTRUCTIONS = {
    "add": {"f": "fadd contract {t} {0}, {1}", "i": "add {t} {0}, {1}"},
    "subtract": {"f": "fsub contract {t} {0}, {1}", "i": "sub {t} {0}, {1}"},
    "multiply": {"f": "fmul contract {t} {0}, {1}", "i": "mul {t} {0}, {1}"},
    "divide": {"f": "fdiv {t} {0}, {1}"},
    "pow": {"f": "call {t} @llvm.pow.{s}({t} {0}, {t} {1})"},
    "maximum": {
        "f": "call {t} @llvm.maximum.{s}({t} {0}, {t} {1})",
        "i": "call {t} @llvm.smax.{s}({t} {0}, {t} {1})",
    },
    "minimum": {
        "f": "call {t} @llvm.minimum.{s}({t} {0}, {t} {1})",
        "i": "call {t} @llvm.smin.{s}({t} {0}, {t} {1})",
    },
    "less": {"f": "fcmp olt {t} {0}, {1}", "i": "icmp slt {t} {0}, {1}"},
    "less_equal": {"f": "fcmp ole {t} {0}, {1}", "i": "icmp sle {t} {0}, {1}"},
    "greater": {"f": "fcmp ogt {t} {0}, {1}", "i": "icmp sgt {t} {0}, {1}"},
    "greater_equal": {"f": "fcmp oge {t} {0}, {1}", "i": "icmp sge {t} {0}, {1}"},
    "equal": {"f": "fcmp oeq {t} {0}, {1}", "i": "icmp eq {t} {0}, {1}", "b": "icmp eq i1 {0}, {1}"},
    "not_equal": {"f": "fcmp une {t} {0}, {1}", "i": "icmp ne {t} {0}, {1}", "b": "xor i1 {0}, {1}"},
    "bitwise_and": {"i": "and {t} {0}, {1}", "b": "and i1 {0}, {1}"},
    "bitwise_or": {"i": "or {t} {0}, {1}", "b": "or i1 {0}, {1}"},
    "bitwise_xor": {"i": "xor {t} {0}, {1}", "b": "xor i1 {0}, {1}"},
    "bitwise_right_shift": {"i": "ashr {t} {0}, {1}"},
    "where": dict.fromkeys("fib", "select i1 {0}, {t} {1}, {t} {2}"),
    **{n: {"f": f"call {{t}} @llvm.{n}.{{s}}({{t}} {{0}})"} for n in ("exp", "log", "sqrt", "floor")},
    **{n: {"f": f"call {{t}} @{n}{{libm}}({{t}} {{0}})"} for n in ("expm1", "log1p", "tanh")},
    "abs": {"f": "call {t} @llvm.fabs.{s}({t} {0})", "i": "call {t} @llvm.abs.{s}({t} {0}, i1 0)"},
}

# The instruction that converts numbers, by the kinds of both dtypes.
_CONVERSIONS = {
    "if": "sitofp", "fi": "fptosi", "bf": "uitofp", "bi": "zext", "uf": "uitofp", "ui": "zext",
}  # fmt: skip


def type_of(dtype: Any, *, stored: bool = False) -> str:
    """Return LLVM's type of a number. In memory, a boolean is a byte."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return {4: "float", 8: "double"}[dtype.itemsize]
    return f"i{8 * dtype.itemsize}" if dtype.kind != "b" or stored else "i1"


class Code:
    """The lines of a function. Numbers that change are kept in stack slots, as in C."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.slots: list[str] = []
        self.declared: set[str] = set()
        self._count = 0

    def name(self) -> str:
        """Return a new name."""
        self._count += 1
        return f"%v{self._count}"

    def __call__(self, instruction: str) -> str:
        """Add an instruction, and return the name of its result."""
        name = self.name()
        self.lines.append(f"  {name} = {instruction}")
        return name

    def do(self, instruction: str) -> None:
        """Add an instruction without a result."""
        self.lines.append(f"  {instruction}")

    def slot(self, kind: str, value: str) -> str:
        """Return a stack slot that holds a value."""
        name = self.name()
        self.slots.append(f"  {name} = alloca {kind}")
        self.do(f"store {kind} {value}, ptr {name}")
        return name

    @contextlib.contextmanager
    def loop(self, count: int, step: int = 1) -> Iterator[str]:
        """Repeat the block for an index from 0 to `count`, exclusively."""
        if count <= step:
            yield "0"
            return
        slot, label = self.slot("i64", "0"), self.name()[1:]
        self.do(f"br label %{label}")
        self.lines.append(f"{label}:")
        index = self(f"load i64, ptr {slot}")
        yield index
        following = self(f"add nuw nsw i64 {index}, {step}")
        self.do(f"store i64 {following}, ptr {slot}")
        more = self(f"icmp ult i64 {following}, {count}")
        unroll = "" if count <= 4 * step else ", !llvm.loop !0"  # long loops take long to compile
        self.do(f"br i1 {more}, label %{label}, label %{label}.end{unroll}")
        self.lines.append(f"{label}.end:")

    def place(self, offset: int, terms: Sequence[tuple[str, int]]) -> str:
        """Return the sum of an offset and of products ``index * stride``."""
        total = str(offset)
        for index, stride in terms:
            if stride and index != "0":
                product = index if stride == 1 else self(f"mul nsw i64 {index}, {stride}")
                total = product if total == "0" else self(f"add nsw i64 {total}, {product}")
        return total

    def address(self, buffer: Buffer, place: str) -> str:
        """Return the address of an element."""
        kind = type_of(buffer.dtype, stored=True)
        return self(f"getelementptr inbounds {kind}, ptr %b{buffer.number}, i64 {place}")


class Body:
    """Emits the body of a fused loop, for one iteration."""

    def __init__(self, code: Code, indices: Sequence[str], registers: set[Buffer]) -> None:
        self.code = code
        self.indices = indices
        self.registers = registers
        self.known: dict[Operand, str] = {}  # the numbers that this iteration has computed or read

    def statement(self, loop: Loop) -> None:
        """Emit one of the fused loops."""
        code, out = self.code, loop.out.buffer
        assert out is not None
        values = [self.value(operand) for operand in loop.inputs]
        function = loop.function.removeprefix("reduce ")
        dtype = dtype_of(loop.inputs[-1])
        if function == "copy":
            result = converted(code, values[0], dtype, out.dtype)
        else:
            kind, t = KINDS[dtype.kind], type_of(dtype)
            short = {"float": "f32", "double": "f64"}.get(t, t)
            text = _INSTRUCTIONS[function][kind]
            if loop.function == "reduce add":
                text = text.replace("contract", "contract reassoc")
            result = code(text.format(*values, t=t, s=short, libm="f" if t == "float" else ""))
            declare(code, result)
        self.known[loop.out] = result
        if out in self.registers:
            return
        if out.dtype == bool:
            result = code(f"zext i1 {result} to i8")
        address = code.address(out, self.place(loop.out))
        code.do(f"store {type_of(out.dtype, stored=True)} {result}, ptr {address}")

    def value(self, operand: Operand) -> str:
        """Return an operand, which is read from memory if necessary."""
        if operand not in self.known:
            self.known[operand] = self._new_value(operand)
        return self.known[operand]

    def _new_value(self, operand: Operand) -> str:
        if isinstance(operand, Constant):
            return literal(operand)
        place = self.place(operand)
        if operand.buffer is None:
            return place
        kind = type_of(operand.buffer.dtype, stored=True)
        value = self.code(f"load {kind}, ptr {self.code.address(operand.buffer, place)}")
        return self.code(f"trunc i8 {value} to i1") if operand.buffer.dtype == bool else value

    def place(self, access: Access) -> str:
        """Return the place of an element in its buffer."""
        terms = list(zip(self.indices, access.strides, strict=True))
        return self.code.place(
            access.offset, terms + [(self.value(i), stride) for i, stride in access.index]
        )


def dtype_of(operand: Operand) -> np.dtype[Any]:
    """Return the dtype of an operand."""
    if isinstance(operand, Constant):
        return operand.dtype
    return np.dtype(np.int64) if operand.buffer is None else operand.buffer.dtype


def literal(constant: Constant) -> str:
    """Return a number as LLVM writes it. Floating-point numbers are written bit by bit."""
    value, dtype = constant
    if dtype.kind == "f":
        return f"0x{struct.pack('>d', float(dtype.type(value))).hex()}"
    return str(int(value))


def converted(code: Code, value: str, old: np.dtype[Any], new: np.dtype[Any]) -> str:
    """Convert a number to another dtype."""
    a, b = type_of(old), type_of(new)
    if a == b:
        return value
    if new.kind == "b":
        compare, zero = ("fcmp une", "0.0") if old.kind == "f" else ("icmp ne", "0")
        return code(f"{compare} {a} {value}, {zero}")
    longer = new.itemsize > old.itemsize
    same = {"f": ("fptrunc", "fpext"), "i": ("trunc", "sext")}
    pair = old.kind + new.kind
    name = _CONVERSIONS.get(pair) or same[new.kind][longer]
    return code(f"{name} {a} {value} to {b}")


def declare(code: Code, result: str) -> None:
    """Declare the function that an instruction calls."""
    _, _, call = code.lines[-1].partition(" = call ")
    if call:
        kind, _, rest = call.partition(" @")
        name, _, arguments = rest.partition("(")
        kinds = ", ".join(a.split()[0] for a in arguments[:-1].split(", "))
        code.declared.add(f"declare {kind} @{name}({kinds}) willreturn memory(none)")


def _emit_group(code: Code, group: Group, registers: set[Buffer]) -> None:
    """Emit a fused loop."""
    space, loops = _collapsed(group)
    with contextlib.ExitStack() as nest:
        body = Body(code, [nest.enter_context(code.loop(n)) for n in space], registers)
        for loop in loops:
            body.statement(loop)


def _collapsed(group: Group) -> tuple[tuple[int, ...], Group]:
    """Join neighbouring axes of a loop nest if all accesses step through them evenly."""
    loops, axis = group, 0
    while axis + 1 < len(loops[0].space):
        space, n = loops[0].space, loops[0].space[axis + 1]
        operands = [o for loop in loops for o in (*loop.inputs, loop.out)]
        accesses = [a for o in operands if isinstance(o, Access) for a in o.accesses]
        if all(a.strides[axis] == n * a.strides[axis + 1] for a in accesses):
            space = (*space[:axis], space[axis] * n, *space[axis + 2 :])
            axes = [a for a in range(len(space) + 1) if a != axis]
            loops = [on_axes(loop, axes)._replace(space=space) for loop in loops]
        else:
            axis += 1
    return loops[0].space, loops


def emit(program: Program) -> tuple[str, list[Buffer]]:
    """Return the LLVM code of a program, and the buffers that it needs.

    The function ``step`` takes a pointer to each buffer, runs one step, and returns whether all
    guards held. ``run`` takes a table of these pointers and a number of steps, and returns how many
    steps it completed.
    """
    groups, undo, code = fused(program), [[loop] for loop in program.undo], Code()
    registers = temporaries_in_registers([*groups, *undo])
    for group in groups:
        if isinstance(group, list):
            _emit_group(code, group, registers)
        elif isinstance(group, Product):
            emit_product(code, group, type_of(dtype_of(group.out)))
        else:
            holds = Body(code, (), registers).value(group.condition)
            label = code.name()[1:]
            code.do(f"br i1 {holds}, label %{label}, label %broken")
            code.lines.append(f"{label}:")
    code.lines += ["  ret i1 1", "broken:"]
    for group in undo:
        _emit_group(code, group, registers)
    buffers = [b for b in program.buffers if re.search(rf"%b{b.number}\b", "\n".join(code.lines))]
    parameters = ", ".join(f"ptr noalias %b{b.number}" for b in buffers)
    arguments = ", ".join(f"ptr %b{b.number}" for b in buffers)
    loads = [
        line
        for i, b in enumerate(buffers)
        for line in (
            f"  %a{b.number} = getelementptr ptr, ptr %table, i64 {i}",
            f"  %b{b.number} = load ptr, ptr %a{b.number}",
        )
    ]
    lines = [
        *sorted(code.declared),
        f"define internal i1 @step({parameters}) noinline {{",
        *code.slots,
        *code.lines,
        "  ret i1 0",
        "}",
        "define i64 @run(ptr %table, i64 %count) {",
        *loads,
        "  br label %next",
        "next:",
        "  %i = phi i64 [ 0, %0 ], [ %done, %more ]",
        f"  %whole = call i1 @step({arguments})",
        "  br i1 %whole, label %more, label %end",
        "more:",
        "  %done = add i64 %i, 1",
        "  %last = icmp eq i64 %done, %count",
        "  br i1 %last, label %end, label %next",
        "end:",
        "  %steps = phi i64 [ %i, %next ], [ %done, %more ]",
        "  ret i64 %steps",
        "}",
        "!0 = distinct !{!0, !1}",
        '!1 = !{!"llvm.loop.unroll.disable"}',
    ]
    return "\n".join(lines), buffers
