"""Emit a program as LLVM code: a function for one step, and a function for a run of steps."""

from __future__ import annotations

import re
import struct
from typing import Any

import numpy as np

from ...errors import BackendError
from .fuse import Group, fused, only_in_registers
from .program import Access, Buffer, Constant, Operation, Program

INSTRUCTIONS = {
    "add": ("fadd contract", "add"), "subtract": ("fsub contract", "sub"),
    "multiply": ("fmul contract", "mul"), "divide": ("fdiv", "sdiv"),
    "less": ("fcmp olt", "icmp slt"), "less_equal": ("fcmp ole", "icmp sle"),
    "greater": ("fcmp ogt", "icmp sgt"), "greater_equal": ("fcmp oge", "icmp sge"),
    "equal": ("fcmp oeq", "icmp eq"), "not_equal": ("fcmp une", "icmp ne"),
    "maximum": ("@llvm.maximum{0}", "@llvm.smax{0}"), "bitwise_and": ("", "and"),
    "minimum": ("@llvm.minimum{0}", "@llvm.smin{0}"), "bitwise_or": ("", "or"),
    "abs": ("@llvm.fabs{0}", ""), "bitwise_xor": ("", "xor"), "bitwise_right_shift": ("", "ashr"),
    "where": ("select",) * 2, "copy": ("copy",) * 2, "reduce add": ("fadd contract reassoc", "add"),
    **{name: (f"@llvm.{name}{{0}}", "") for name in ("exp", "log", "sqrt", "floor", "pow")},
    **{name: (f"@{name}{{1}}", "") for name in ("expm1", "log1p", "tanh")},
}  # fmt: skip
"""The instruction of each function for floating-point numbers, and for integers and booleans. A
name with @ is a function of LLVM or of the C library. Its suffix depends on the type."""

# The instruction that converts a number, by the kinds of both dtypes and whether it gets longer.
_CONVERSIONS = {
    "bf": "uitofp", "bi": "zext", "bu": "zext", "uf": "uitofp", "ui": "zext", "if": "sitofp",
    "fi": "fptosi", "fu": "fptoui", "ff": "fptrunc", "ff+": "fpext", "ii": "trunc", "ii+": "sext",
}  # fmt: skip

_RUN = """
define internal i1 @step({parameters}) noinline {{
{body}
  ret i1 1
broken:
  ret i1 0
}}
define i64 @run(ptr %table, i64 %count) {{
entry:
{pointers}  br label %next
next:
  %i = phi i64 [0, %entry], [%done, %more]
  %whole = call i1 @step({parameters})
  br i1 %whole, label %more, label %end
more:
  %done = add i64 %i, 1
  %last = icmp eq i64 %done, %count
  br i1 %last, label %end, label %next
end:
  %steps = phi i64 [%i, %next], [%done, %more]
  ret i64 %steps
}}
!0 = distinct !{{!0, !{{!"llvm.loop.unroll.disable"}}}}
"""
_POINTER = """\
  %a{0} = getelementptr ptr, ptr %table, i64 {1}
  %b{0} = load ptr, ptr %a{0}
"""


def emit(program: Program) -> tuple[str, list[int]]:
    """Return the LLVM code of a program, and the numbers of the buffers that it needs.

    The function ``step`` takes a pointer to each buffer, runs a step, and returns whether it was
    not broken off. ``run`` takes a table of these pointers and a number of steps, and returns how
    many steps it completed.
    """
    groups = fused(program)
    code = Code(only_in_registers(groups))
    for group in groups:
        code.group(group)
    body = "\n".join([*code.slots, *code.lines])
    calls = re.findall(r"call (\w+ @[\w.]+)\((.*)\)", body)
    declared = {f"declare {f}({re.sub(r' [^, ]+(?=,|$)', '', values)})" for f, values in calls}
    numbers = sorted({int(number) for number in re.findall(r"%b(\d+)", body)})
    pointers = "".join(_POINTER.format(n, i) for i, n in enumerate(numbers))
    parameters = ", ".join(f"ptr noalias %b{n}" for n in numbers)
    run = _RUN.format(body=body, pointers=pointers, parameters=parameters)
    return "\n".join(sorted(declared)) + run, numbers


class Code:
    """The lines of a function. The counters of loops are kept in stack slots, as in C."""

    def __init__(self, registers: set[Buffer]) -> None:
        self.lines, self.slots, self._names = list[str](), list[str](), 0
        self.registers = registers  # buffers without memory
        self.indices: list[str] = []  # of the loops around the current statement
        self.known: dict[Any, str] = {}  # the numbers of the current iteration

    def __call__(self, instruction: str) -> str:
        """Add an instruction, and return the name of its result."""
        self._names += 1
        self.lines.append(f"  %v{self._names} = {instruction}")
        return f"%v{self._names}"

    def group(self, group: Group) -> None:
        """Emit a group of operations."""
        self.known = {}
        if group[0].function == "matmul":
            self._matmul(group[0])
        elif group[0].function == "expect":
            holds, block = self.value(group[0].inputs[0]), f"whole{self._names}"
            self.lines += [f"  br i1 {holds}, label %{block}, label %broken", f"{block}:"]
        else:
            self._loops(group[0].space, group)

    def _loops(self, space: tuple[int, ...], group: Group) -> None:
        """Emit nested loops over a space, with the statements of a group inside."""
        if not space:
            for loop in group:
                self._statement(loop)
            return
        slot = f"%slot{len(self.slots)}"
        self.slots.append(f"  {slot} = alloca i64")
        self.lines += [f"  store i64 0, ptr {slot}", f"  br label {slot}b", f"{slot[1:]}b:"]
        self.indices.append(self(f"load i64, ptr {slot}"))
        self._loops(space[1:], group)
        following = self(f"add nuw nsw i64 {self.indices.pop()}, 1")
        more = self(f"icmp ult i64 {following}, {space[0]}")
        rolled = ", !llvm.loop !0" if space[0] > 4 else ""  # unrolling a long loop takes long
        end = f"  br i1 {more}, label {slot}b, label {slot}e{rolled}"
        self.lines += [f"  store i64 {following}, ptr {slot}", end, f"{slot[1:]}e:"]

    def _statement(self, loop: Operation) -> None:
        values, dtype, out = [*map(self.value, loop.inputs)], loop.inputs[-1].dtype, loop.out
        kind, real = type_of(dtype), dtype.kind == "f"
        suffixes = f".{'f' if real else 'i'}{8 * dtype.itemsize}", "f" * (kind == "float")
        function = loop.function.removeprefix("" if loop.function in INSTRUCTIONS else "reduce ")
        word = INSTRUCTIONS[function][not real].format(*suffixes)
        if not word:
            raise BackendError(f"{function!r} of {dtype} cannot be compiled")
        pairs = zip(loop.inputs, values, strict=True)
        typed = ", ".join(f"{type_of(operand.dtype)} {value}" for operand, value in pairs)
        if word == "copy":
            result = self._converted(values[0], dtype, out.dtype)
        elif word == "select":
            result = self(f"select {typed}")
        elif word[0] == "@":
            result = self(f"call {kind} {word}({typed})")
        else:
            result = self(f"{word} {kind} {', '.join(values)}")
        self.known[out] = result
        if out.buffer not in self.registers:
            stored = result if out.dtype != bool else self(f"zext i1 {result} to i8")
            self.lines.append(f"  store {type_of(out.dtype, 8)} {stored}, ptr {self._address(out)}")

    def value(self, operand: Access | Constant) -> str:
        """Return an operand, which is read from memory if necessary."""
        if isinstance(operand, Constant):
            return _literal(*operand)
        if operand not in self.known:
            found = self(f"load {type_of(operand.dtype, 8)}, ptr {self._address(operand)}")
            boolean = operand.dtype == bool
            self.known[operand] = self(f"trunc i8 {found} to i1") if boolean else found
        return self.known[operand]

    def _place(self, access: Access) -> str:
        """Return the place of an element in its buffer."""
        total = str(access.offset)
        terms = [(i, s) for i, s in zip(self.indices, access.strides, strict=False) if s]
        for index, stride in terms + [(self.value(i), stride) for i, stride in access.gathered]:
            total = self(f"add nsw i64 {total}, {self(f'mul nsw i64 {index}, {stride}')}")
        return total

    def _address(self, access: Any) -> str:
        pointer, place = f"ptr %b{access.buffer.number}", self._place(access)
        return self(f"getelementptr inbounds {type_of(access.dtype, 8)}, {pointer}, i64 {place}")

    def _converted(self, value: str, old: np.dtype[Any], new: np.dtype[Any]) -> str:
        """Convert a number to another dtype."""
        a, b = type_of(old), type_of(new)
        key = old.kind + new.kind + "+" * (old.kind == new.kind and new.itemsize > old.itemsize)
        return value if a == b else self(f"{_CONVERSIONS[key]} {a} {value} to {b}")

    def _matmul(self, product: Operation) -> None:
        """Call BLAS's ``gemm``, ``out = 1.0 * a @ b + 0.0 * out``, for row-major matrices."""
        (m, k, n), kind, arguments = product.space, type_of(product.out.dtype), list[str]()
        matrices = zip((*product.inputs, product.out), ((m, k), (k, n), (m, n)), strict=True)
        for x, (rows, columns) in matrices:
            by_rows = x.strides[1] == 1 or columns == 1
            step = max(x.strides[0], columns) if by_rows else max(x.strides[1], rows)
            arguments += [f"i32 {111 if by_rows else 112}", f"ptr {self._address(x)}, i64 {step}"]
        (ta, a, tb, b, _, out), sizes = arguments, f"i64 {m}, i64 {n}, i64 {k}"
        values = f"i32 101, {ta}, {tb}, {sizes}, {kind} 1.0, {a}, {b}, {kind} 0.0, {out}"
        self.lines.append(f"  call void @{kind}_gemm({values})")


def type_of(dtype: Any, bits_of_boolean: int = 1) -> str:
    """Return LLVM's type of a number. In memory, a boolean has 8 bits."""
    if dtype.kind == "f":
        return {2: "half", 4: "float", 8: "double"}[dtype.itemsize]
    return f"i{bits_of_boolean if dtype.kind == 'b' else 8 * dtype.itemsize}"


def _literal(value: float, dtype: np.dtype[Any]) -> str:
    """Return a number as LLVM writes it. Floating-point numbers are written bit by bit."""
    number = struct.pack(">d", float(dtype.type(value))).hex() if dtype.kind == "f" else ""
    return f"0x{number}" if number else str(int(dtype.type(value)))
