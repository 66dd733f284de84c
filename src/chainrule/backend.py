"""The array library that a model runs on: its namespace, and the few seams where libraries differ.

Everything else in the package is written against the Array API standard through ``xp`` and names
no library. Each seam below is pure standard code, so any conforming library works as it is; the
classes in ``_backends`` replace those seams for which a measurement asked.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache, partial
from numbers import Real
from types import ModuleType
from typing import Any, TypeAlias

import array_api_compat
import numpy as np

from .errors import BackendError, DataError

Array: TypeAlias = Any
"""An array of any library; the standard defines no common class to name here."""

Rule: TypeAlias = Callable[..., tuple[Array, ...]]
"""New values of its first arguments, see `Backend.elementwise`."""

BackendLike: TypeAlias = "str | Backend | ModuleType"

_KNOWN = {"numpy": "NumpyBackend", "cupy": "CupyBackend", "torch": "TorchBackend"}

_HOST = 1  # kDLCPU

_NUMBERS = "biuf"  # the kinds of NumPy's dtypes that hold real numbers


class Backend:
    """An array library, as its Array API namespace and a device.

    Parameters
    ----------
    xp : namespace
        A module that conforms to the Array API standard, or one that array-api-compat can make
        conform (``array_api_strict``, ``torch``, ...).
    device : optional
        A device in the library's own terms; its default one if not given.

    Raises
    ------
    TypeError
        If the library's arrays cannot be written to (JAX), or if a reshaped slice is a copy, not
        a view. Parameters are views into one vector, so training would silently do nothing.
    BackendError
        If it has no such device.
    """

    repeats = False
    """Whether `compile` gives something better than what it was given."""

    precisions: tuple[str, ...] = ()
    """What `matmul` may round float32 to, where there is a choice; see `get_backend`."""

    precision: str | None = None

    def __init__(self, xp: ModuleType, *, device: Any = None) -> None:
        if not hasattr(xp, "asarray"):
            raise TypeError(f"expected an Array API namespace such as numpy, found {xp!r}")
        self.xp: Any = array_api_compat.array_namespace(xp.empty(0))
        self.name: str = xp.__name__
        self.device = device
        self.array_type: type = type(self.xp.empty(0))
        self._kernels: dict[Callable[..., Any], Callable[..., Any]] = {}
        self._probe_views()

    def _probe_views(self) -> None:
        """Find out whether writing to a view writes to the vector; the standard leaves it open."""
        try:
            vector = self.xp.zeros(3, device=self.device)
            float(vector[2])
        except Exception as error:  # each library has its own
            if self.device is None:
                raise
            raise BackendError(
                f"backend {self.name!r} cannot use device={self.device!r} ({error}); which library "
                "computes is chosen by backend="
            ) from error
        try:
            view = self.xp.reshape(vector[1:], (2, 1), copy=False)
            view[...] = 1.0
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"backend {self.name!r} cannot train: its arrays cannot be written to ({error})"
            ) from error
        if float(vector[2]) != 1.0:
            raise TypeError(
                f"backend {self.name!r} cannot train: its reshaped slices are copies, not views"
            )

    # The seams.

    def asarray(self, x: Any, *, dtype: Any = None) -> Array:
        """`x` as an array of this library on this device, copied only where that is needed.

        What another library has on a device of the same kind comes from there, by DLPack.

        Raises
        ------
        DataError
            If `x` does not hold real numbers (strings, objects, ragged lists, complex numbers).
        """
        if not isinstance(x, self.array_type):
            x = _brought_to(self.xp, self.device, x)
        return self.xp.asarray(x, dtype=dtype, device=self.device)

    def to_numpy(self, x: Array) -> np.ndarray:
        """`x` as a NumPy array in host memory."""
        return np.array(as_numpy(x))

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """The matrix product ``a @ b``, in `out` if there is one."""
        if out is None:
            return a @ b
        out[...] = a @ b
        return out

    def elementwise(self, make_rule: Callable[[Any], Rule], *, outputs: int) -> Callable[..., None]:
        """Make an in-place update of arrays from a rule for their elements.

        Parameters
        ----------
        make_rule : callable
            Takes a namespace, returns the rule: a pure function of arrays and 0-d arrays, made of
            arithmetic and ``xp.sqrt`` only, that returns the new values of its first arguments.
        outputs : int
            How many those are.

        Returns
        -------
        update : callable
            Takes the rule's arguments and overwrites the first of them with what it returns.

        Examples
        --------
        >>> import numpy
        >>> shrink = lambda xp: lambda x, rate: (x - rate * x,)
        >>> decay = Backend(numpy).elementwise(shrink, outputs=1)
        >>> x = numpy.asarray([2.0, 4.0])
        >>> decay(x, numpy.asarray(0.5))
        >>> x
        array([1., 2.])
        """
        rule = make_rule(self.xp)

        def update(*arguments: Array) -> None:
            for old, new in zip(arguments[:outputs], rule(*arguments), strict=True):
                old[...] = new

        return update

    def kernel(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A formula for this library's arrays, as one kernel where the backend has one for it.

        Parameters
        ----------
        function : callable
            ``function(xp, *arguments)``, pure.

        Returns
        -------
        callable
            Takes the arguments without ``xp`` and returns the same to rounding.

        Examples
        --------
        >>> import numpy
        >>> half = lambda xp, x: xp.astype(x, xp.float32) / 2
        >>> Backend(numpy).kernel(half)(numpy.asarray([2, 4]))
        array([1., 2.], dtype=float32)
        """
        found = self._kernels.get(function)
        if found is None:
            found = self._kernels[function] = self._make_kernel(function)
        return found

    def _make_kernel(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return partial(function, self.xp)

    def scatter_add(self, target: Array, index: Array, values: Array) -> None:
        """Add row ``values[i]`` to row ``target[index[i]]`` for every `i`; repeated rows add up."""
        rows = self.xp.arange(target.shape[0], dtype=index.dtype, device=self.device)
        one_hot = self.xp.astype(rows[:, None] == index[None, :], target.dtype)
        target += one_hot @ values

    def compile(self, step: Callable[[], None]) -> Callable[[], None]:
        """A faster equivalent of a step, or the step itself.

        Parameters
        ----------
        step : callable
            Does the same operations on the same arrays at each call but the first, which is not
            repeated. After a few calls they are repeated without it.

        Raises
        ------
        BackendError
            If something is missing for it; or later by what is returned, if these operations
            cannot be repeated: nothing was done then.
        """
        return step

    def synchronize(self) -> None:
        """Wait until all work handed to the device is done (for timing)."""

    # Identity.

    def dtype(self, name: str) -> Any:
        """The library's own dtype called `name`, which is ``"float32"`` or ``"float64"``."""
        if str(name) not in ("float32", "float64"):
            raise ValueError(f"expected dtype 'float32' or 'float64', found {name!r}")
        return getattr(self.xp, str(name))

    def __repr__(self) -> str:
        chosen = {"device": self.device, "precision": self.precision}
        words = (f", {name}={value!r}" for name, value in chosen.items() if value is not None)
        return f"Backend({self.name!r}{''.join(words)})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Backend:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.name, self.device, self.precision)


def get_backend(
    backend: BackendLike, *, device: Any = None, precision: str | None = None
) -> Backend:
    """The backend of that name or namespace, or `backend` itself if it is one already.

    Parameters
    ----------
    backend : str, Backend or namespace
        ``"numpy"``, ``"cupy"``, ``"torch"``, or a module that conforms to the Array API standard.
    device : optional
        A device in the library's own terms, its default one if not given.
    precision : {"float32", "tf32"}, optional
        On CuPy, what the matrix products of layers round float32 to before they multiply; they add
        up in float32, and all else stays float32. As CuPy itself is set if not given.

    Raises
    ------
    ValueError
        If no backend has this name, or if this one has no such precision.
    BackendError
        If the library, the device, or the hardware that it needs, is not there.

    Examples
    --------
    >>> get_backend("numpy")
    Backend('numpy')
    """
    if isinstance(backend, Backend):
        for name, asked in (("device", device), ("precision", precision)):
            if asked not in (None, getattr(backend, name)):
                raise ValueError(f"{name}={asked!r} was asked for, but {backend!r} is made already")
        return backend
    if isinstance(backend, ModuleType):
        name = backend.__name__.removeprefix("array_api_compat.")
        if name in _KNOWN:
            return _known(name, device, precision)
        return _foreign(backend, device, precision)
    if backend not in _KNOWN:
        raise ValueError(
            f"unknown backend {backend!r}: expected one of {', '.join(map(repr, _KNOWN))}, "
            "or an Array API namespace"
        )
    return _known(backend, device, precision)


@cache
def _known(name: str, device: Any, precision: str | None) -> Backend:
    """A backend is probed once, when it is first asked for."""
    module = importlib.import_module(f"._backends.{name}", __package__)
    backend: Backend = getattr(module, _KNOWN[name])(device=device)
    return _with(backend, precision)


@cache
def _foreign(namespace: ModuleType, device: Any, precision: str | None) -> Backend:
    return _with(Backend(namespace, device=device), precision)


def _with(backend: Backend, precision: str | None) -> Backend:
    if precision not in (None, *backend.precisions):
        among = f"one of {backend.precisions}" if backend.precisions else "none, as it has one only"
        raise ValueError(
            f"backend {backend.name!r}: expected as precision {among}, found {precision!r}"
        )
    backend.precision = precision
    return backend


def kernel(xp: ModuleType, function: Callable[..., Any]) -> Callable[..., Any]:
    """`Backend.kernel` for arrays whose namespace is all that is known."""
    name = xp.__name__.removeprefix("array_api_compat.")
    if name in _KNOWN:
        return _known(name, None, None).kernel(function)
    return partial(function, xp)


def sign(xp: ModuleType, x: Array) -> Array:
    """-1, 0 or 1, a formula for `kernel`: what array-api-compat does on CuPy waits for the GPU."""
    return xp.sign(x)


def dot(xp: ModuleType, a: Array, b: Array) -> Array:
    """``sum(a * b)`` over the last axis, which stays; a formula for `kernel`, see there.

    What array-api-compat makes of it on CuPy is a matrix product.
    """
    return xp.vecdot(a, b)[..., None]


def _restore(name: str, device: Any, precision: str | None) -> Backend:
    return get_backend(importlib.import_module(name), device=device, precision=precision)


def available_backends() -> list[str]:
    """Names of the backends that would work here, now.

    Examples
    --------
    >>> "numpy" in available_backends()
    True
    """
    names = []
    for name in _KNOWN:
        try:
            get_backend(name)
        except BackendError:
            continue
        names.append(name)
    return names


def beside(array: Array, x: Any) -> Array:
    """`x` (a list, a frame, an array of any library) as an array like `array`, where that lies.

    Raises
    ------
    DataError
        If it does not hold real numbers.
    """
    if type(x) is type(array):
        return host_array(x) if type(x) is np.ndarray else x  # words are NumPy's own, too
    xp = array_api_compat.array_namespace(array)
    return xp.asarray(_brought_to(xp, array.device, x), device=array.device)


def _brought_to(xp: Any, device: Any, x: Any) -> Array:
    """What the library's own `asarray` can take: an array of its own, or one in host memory."""
    there = _kind_of_device(xp.empty(0, device=device))
    if there != _HOST and _kind_of_device(x) == there:
        array = _converted(xp.from_dlpack, x)
        if not xp.isdtype(array.dtype, ("bool", "integral", "real floating")):
            raise DataError(f"expected an array of real numbers, found dtype {array.dtype}")
        return array
    array = host_array(x)
    if array.dtype == np.float16 and not hasattr(xp, "float16"):
        array = array.astype(np.float32)
    if there == _HOST and not array.flags.writeable:
        array = array.copy()  # a library that shares the memory may not know that (PyTorch)
    return array


def host_array(x: Any) -> np.ndarray:
    """`x` (a list, a frame, an array of any library) as a NumPy array of real numbers.

    Raises
    ------
    DataError
        If it does not hold real numbers.
    """
    if type(x) is np.ndarray and x.dtype.kind in _NUMBERS:
        return x
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        raise DataError("expected an array without masked elements: fill them first")
    array: np.ndarray = _converted(as_numpy, x)
    one = ""
    if array.dtype == object:
        others = ((i, v) for i, v in enumerate(array.flat) if not isinstance(v, Real))
        i, other = next(others, (-1, None))
        if i < 0:
            array = np.asarray(array.tolist())
        else:
            one = f" with {other!r:.40}"
            if array.ndim == 2 and hasattr(x, "columns"):
                one += f" in column {list(x.columns)[i % array.shape[1]]!r}"
    if array.dtype.kind not in _NUMBERS:
        raise DataError(f"expected an array of real numbers, found dtype {array.dtype}{one}")
    return array


def _converted(convert: Callable[[Any], Array], x: Any) -> Array:
    try:
        return convert(_bare(x))
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        found = type(x).__name__
        raise DataError(f"expected an array of numbers, found {found}: {error}") from error


def _bare(x: Any) -> Any:
    """`x` without what no other library takes: the record of an autograd (PyTorch), bfloat16."""
    if hasattr(x, "detach"):
        x = x.detach()
    if str(getattr(x, "dtype", "")).endswith("bfloat16"):
        xp = array_api_compat.array_namespace(x)
        x = xp.astype(x, xp.float32)
    return x


def as_numpy(x: Any) -> np.ndarray:
    """`x` as a NumPy array of whatever it holds, in host memory."""
    try:
        array = np.asarray(x)
    except (TypeError, RuntimeError):  # from a device, where copying to the host must be asked for
        if not hasattr(x, "__dlpack__"):
            raise
        return np.from_dlpack(x) if on_host(x) else np.from_dlpack(x, device="cpu")  # NumPy >= 2.1
    if array.dtype == object and array.ndim == 2 and hasattr(x, "items"):
        # A frame whose columns are of several kinds, each of which may be one of numbers.
        array = np.stack([np.asarray(column) for _, column in x.items()], axis=1)
    return array


def on_host(x: Array) -> bool:
    """Whether `x` lies in host memory, where reading a number costs no synchronisation."""
    return _kind_of_device(x) == _HOST


def _kind_of_device(x: Any) -> int:
    """Its number in DLPack; what is no array is in host memory."""
    return int(x.__dlpack_device__()[0]) if hasattr(x, "__dlpack_device__") else _HOST
