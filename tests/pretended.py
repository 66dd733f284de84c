"""Array libraries that pretend to be on a GPU. They record every copy to the host.

The arrays really are NumPy arrays. As with CuPy and PyTorch, an array moves to another pretended
library only through DLPack, and to NumPy only by an explicit copy to the host.
"""

import types

import numpy as np
from array_api_compat import numpy as xp

HOST, GPU = (1, 0), (2, 0)  # DLPack's device numbers
OPERATORS = (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor",
    "radd", "rsub", "rmul", "rtruediv", "rpow", "rmatmul", "lshift", "rshift",
    "lt", "le", "gt", "ge", "eq", "ne", "neg", "abs", "invert", "float", "int", "bool", "index",
)  # fmt: skip
IN_PLACE = ("iadd", "isub", "imul", "itruediv")


def library(name):
    """Return a namespace whose list ``left`` holds the size of each copy to the host."""
    module = types.ModuleType(name)
    module.left = []

    class Array:
        device = "gpu"
        __array_ufunc__ = None  # with None, NumPy uses this class's operators

        def __init__(self, hidden):
            self.hidden = np.asarray(hidden)

        def __getattr__(self, attribute):
            if attribute not in ("shape", "dtype", "ndim", "size", "T"):
                raise AttributeError(attribute)
            return covered(getattr(self.hidden, attribute))

        def __getitem__(self, key):
            return covered(self.hidden[uncovered(key)])

        def __setitem__(self, key, value):
            self.hidden[uncovered(key)] = uncovered(value)

        def __array__(self, *_, **__):
            raise TypeError("arrays on a GPU are converted to NumPy only by an explicit copy")

        def __array_namespace__(self, **_):
            return module

        def __dlpack_device__(self):
            return GPU

        def __dlpack__(self, *, dl_device=None, **_):
            if dl_device != HOST:
                return self.hidden.__dlpack__()
            module.left.append(self.size)
            return self.hidden.copy().__dlpack__()

    def uncovered(x):
        if isinstance(x, tuple | list):
            return type(x)(map(uncovered, x))
        assert isinstance(x, Array) or not hasattr(x, "__dlpack__"), f"{name} was given {type(x)}"
        return x.hidden if isinstance(x, Array) else x

    def covered(x):
        if isinstance(x, np.ndarray | np.generic):
            return Array(x)
        return tuple(map(covered, x)) if isinstance(x, tuple) else x

    def operator(method):
        return lambda self, *other: covered(getattr(self.hidden, method)(*uncovered(other)))

    def in_place(method):
        def apply(self, other):
            getattr(self.hidden, method)(uncovered(other))
            return self

        return apply

    for operation in OPERATORS:
        setattr(Array, f"__{operation}__", operator(f"__{operation}__"))
    for operation in IN_PLACE:
        setattr(Array, f"__{operation}__", in_place(f"__{operation}__"))

    def asarray(x, *, dtype=None, device=None, copy=None):
        return Array(xp.asarray(x.hidden if isinstance(x, Array) else x, dtype=dtype, copy=copy))

    def from_dlpack(x):
        assert x.__dlpack_device__() == GPU
        return Array(np.from_dlpack(Capsule(x.__dlpack__())))

    def find(attribute):
        found = getattr(xp, attribute)
        if not callable(found) or isinstance(found, type):
            return found

        def call(*arguments, device=None, **options):
            options = {name: uncovered(option) for name, option in options.items()}
            return covered(found(*uncovered(arguments), **options))

        return call

    module.asarray, module.from_dlpack, module.__getattr__ = asarray, from_dlpack, find
    return module


class Capsule:
    """A DLPack capsule that NumPy accepts, because it reports the host as its device."""

    def __init__(self, capsule):
        self.capsule = capsule

    def __dlpack__(self, **_):
        return self.capsule

    def __dlpack_device__(self):
        return HOST
