"""Turn a program into machine code with llvmlite. Machine code is cached in memory and on disk."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numpy as np

from ...errors import BackendError
from ...files.atomic import write_atomically
from .emit import emit
from .program import Program


class CompiledStep:
    """A recorded step as machine code.

    Parameters
    ----------
    program : Program
        The operations of the step.

    Attributes
    ----------
    code : str
        The LLVM code of the step.
    """

    def __init__(self, program: Program) -> None:
        self.code, buffers = emit(program)
        self._run = _compiled(self.code)
        given = [np.empty(b.size, b.dtype) if b.array is None else b.array for b in buffers]
        self._arrays = given  # keeps the memory
        self._table = np.asarray([array.ctypes.data for array in given], dtype=np.uintp)

    def __call__(self, count: int = 1) -> int:
        """Run some steps, and return how many were completed.

        A step is broken off if one of its guards fails. Then only gradients have changed.
        """
        return int(self._run(self._table.ctypes.data, count))


@cache
def _compiled(code: str) -> Any:
    """Return the function ``run`` of some LLVM code. Equal programs share one function."""
    machine, name = _target(), hashlib.sha256(code.encode()).hexdigest()
    parts = llvmlite.__version__, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    key = hashlib.sha256("\n".join((*parts, code)).encode()).hexdigest()
    stored = _read(key)
    if stored is None:
        stored = _machine_code(code, machine)
        _write(key, stored)
    builder = llvm.JITLibraryBuilder().add_object_img(stored).add_current_process()
    for kind, address in _gemm().items():
        builder.import_symbol(f"{kind}_gemm", address)
    library = builder.export_symbol("run").link(_jit(), name)
    run = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_size_t, ctypes.c_int64)(library["run"])
    run.library = library  # keeps the code
    return run


def _machine_code(code: str, machine: Any) -> bytes:
    """Optimise LLVM code for this processor, and translate it to machine code."""
    module = llvm.parse_assembly(code)
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = options.slp_vectorization = True
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(module, passes)
    found: bytes = machine.emit_object(module)
    return found


@cache
def _target() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features().flatten()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=3, reloc="pic", codemodel="small"
    )


@cache
def _jit() -> Any:
    return llvm.create_lljit_compiler(_target(), use_jit_link=False, suppress_errors=False)


@cache
def _gemm() -> dict[str, int]:
    """Return the addresses of the matrix products in NumPy's own BLAS, by type.

    Raises
    ------
    BackendError
        If NumPy uses another BLAS than the OpenBLAS of its wheels.
    """
    library = ctypes.CDLL(np._core._multiarray_umath.__file__)  # also finds what NumPy links to
    try:
        functions = {
            kind: getattr(library, f"scipy_cblas_{letter}gemm64_")
            for kind, letter in (("float", "s"), ("double", "d"))
        }
    except AttributeError as error:
        raise BackendError("the matrix products of this NumPy cannot be called") from error
    return {k: int(ctypes.cast(f, ctypes.c_void_p).value or 0) for k, f in functions.items()}


def _path(key: str) -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "chainrule" / "compiled" / f"{key}.o"


def _read(key: str) -> bytes | None:
    """Return cached machine code, or None if there is none or its checksum is wrong."""
    try:
        stored = _path(key).read_bytes()
    except OSError:
        return None
    return stored[32:] if hashlib.sha256(stored[32:]).digest() == stored[:32] else None


def _write(key: str, code: bytes) -> None:
    """Write machine code to the cache. Without a writable folder, nothing is cached."""
    with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: there is no home folder
        _path(key).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(_path(key), hashlib.sha256(code).digest() + code)
