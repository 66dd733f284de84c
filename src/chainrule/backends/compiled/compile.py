"""Turn a program into machine code with llvmlite. Machine code is cached in memory and on disk."""

from __future__ import annotations

import ctypes
import threading
from functools import cache, partial
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numpy as np

from ...files.cache import cached
from .emit import emit
from .program import Program

_one_at_a_time = threading.Lock()
_functions: dict[str, tuple[Any, list[int]]] = {}  # the result of `emit` for the text of a program


class CompiledStep:
    """A recorded step as machine code. Equal programs share the code, but not the arrays."""

    def __init__(self, program: Program) -> None:
        with _one_at_a_time:
            if program.text not in _functions:
                code, numbers = emit(program)
                _functions[program.text] = _linked(code, f"step {len(_functions)}"), numbers
            self._run, numbers = _functions[program.text]
        buffers = [program.buffers[number] for number in numbers]
        self._arrays = [np.empty(b.size, b.dtype) if b.array is None else b.array for b in buffers]
        self._table = np.asarray([array.ctypes.data for array in self._arrays], dtype=np.uintp)
        self._pointer = self._table.ctypes.data

    def __call__(self, count: int = 1) -> int:
        """Run some steps, and return how many were completed. A step may be broken off."""
        return int(self._run(self._pointer, count))


def _linked(code: str, name: str) -> Any:
    """Return the function ``run`` of some LLVM code."""
    parts = llvmlite.__version__, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    machine_code = cached("\n".join((*parts, code)), partial(_machine_code, code))
    builder = llvm.JITLibraryBuilder().add_object_img(machine_code).add_current_process()
    blas = ctypes.CDLL(vars(np)["_core"]._multiarray_umath.__file__)  # finds NumPy's own BLAS
    for kind, letter in (("float", "s"), ("double", "d")):
        if f"@{kind}_gemm" in code:
            gemm = ctypes.cast(getattr(blas, f"scipy_cblas_{letter}gemm64_"), ctypes.c_void_p)
            builder.import_symbol(f"{kind}_gemm", gemm.value)
    library = builder.export_symbol("run").link(_tools()[1], name)
    run = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_size_t, ctypes.c_int64)(library["run"])
    run.library = library  # type: ignore[attr-defined]  # keeps the code
    return run


def _machine_code(code: str) -> bytes:
    """Optimise LLVM code for this processor, and translate it to machine code."""
    (machine, _), module = _tools(), llvm.parse_assembly(code)
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(module, passes)
    return bytes(machine.emit_object(module))


@cache
def _tools() -> tuple[Any, Any]:
    """Return the compiler for this processor, and the linker that loads its machine code."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    cpu, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    target = llvm.Target.from_default_triple()
    machine = target.create_target_machine(cpu=cpu, features=features, opt=3, reloc="pic")
    return machine, llvm.create_lljit_compiler(machine)
