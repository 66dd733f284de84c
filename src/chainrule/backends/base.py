"""The array library that a model runs on. Each method hides a difference between libraries.

The rest of the package uses only the Array API standard, through the namespace ``xp``, and names no
library. The methods of `Backend` also use only the standard, so every conforming library works. The
other modules of this folder override a method where measurements showed that this is faster.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from functools import cache, partial
from types import ModuleType
from typing import Any, ClassVar, TypeAlias

import array_api_compat
import numpy as np

from ..errors import BackendError, shown
from ..types import Array, Rule
from .conversion import brought_to, real, to_numpy

BackendLike: TypeAlias = "str | Backend | ModuleType"


class Backend:
    """An array library, given by its Array API namespace and a device.

    Parameters
    ----------
    xp : namespace
        A module that conforms to the Array API standard, such as ``array_api_strict``, or that
        array-api-compat can adapt to it, such as ``torch``.
    device : optional
        The device, in the library's own notation. By default, the library's default device.
    precision : str, optional
        One of `precisions`. By default, the library's own setting.

    Raises
    ------
    TypeError
        If the library's arrays cannot be written to (JAX), or if a reshaped slice is a copy instead
        of a view. Parameters are views into one vector. If they were copies, training would have no
        effect.
    BackendError
        If the library does not have this device.

    Examples
    --------
    >>> backend = cr.Backend(np)
    >>> backend.asarray([1, 2, 3], dtype=np.float32)
    array([1., 2., 3.], dtype=float32)
    >>> model = cr.mlp([4, 3], backend=backend)
    >>> model.predict(np.ones((2, 4))).shape
    (2, 3)
    """

    known: ClassVar[dict[str, Callable[..., Backend]]] = {}
    """A dict from names to backend classes."""

    repeats = False
    """Whether `compile` returns a faster version of a training step."""

    precisions: tuple[str, ...] = ()
    """The precisions to which `matmul` can round float32 inputs (see `get_backend`)."""

    patch_elements = 2**24
    """The approximate maximum size of a convolution's patch matrix (see `Convolution._parts`). With
    few output channels or a single large image, the matrix may be several times as large."""

    def __init_subclass__(cls, *, name: str = "", **options: Any) -> None:
        super().__init_subclass__(**options)
        if name:
            Backend.known[name] = cls

    def __init__(self, xp: ModuleType, *, device: Any = None, precision: str | None = None) -> None:
        if not hasattr(xp, "asarray"):
            raise TypeError(f"expected an Array API namespace such as numpy, found {xp!r}")
        self.xp: Any = array_api_compat.array_namespace(xp.empty(0))
        self.name: str = xp.__name__
        self.device = device
        self.array_type: type = type(self.xp.empty(0))
        self._kernels: dict[Callable[..., Any], Callable[..., Any]] = {}
        self._probe_views()
        if precision not in (None, *self.precisions):
            among = f"one of {self.precisions}" if self.precisions else "None, the only choice"
            raise ValueError(
                f"backend {self.name!r}: expected precision to be {among}, found {precision!r}"
            )
        self.precision = precision

    def _probe_views(self) -> None:
        """Check that writing to a view changes the vector. The standard does not guarantee this."""
        try:
            vector = self.xp.zeros(3, device=self.device)
            float(vector[2])
        except Exception as error:  # each library raises its own kind of error
            if self.device is None:
                raise
            raise BackendError(
                f"backend {self.name!r} cannot use device={self.device!r} ({error}); to choose "
                "the array library, use backend="
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

    # Operations that differ between libraries.

    def asarray(self, x: Any, *, dtype: Any = None) -> Array:
        """Return `x` as an array of this library on this device. Copy `x` only if necessary.

        If `x` is an array of another library on the same kind of GPU, DLPack converts it.

        Raises
        ------
        DataError
            If `x` holds strings, objects, ragged lists or complex numbers instead of real numbers.
        """
        is_own = isinstance(x, self.array_type)
        x = real(self.xp, x) if is_own else brought_to(self.xp, self.device, x)
        return self.xp.asarray(x, dtype=dtype, device=self.device)

    def to_numpy(self, x: Array) -> np.ndarray:
        """Return `x` as a NumPy array, which may share memory with `x`."""
        return np.array(to_numpy(x))

    def read_only(self, x: Array) -> Array:
        """Return a read-only view of `x`, or a copy if the library has no read-only views."""
        return self.xp.asarray(x, copy=True)

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """Return the matrix product ``a @ b``, and write it to `out` if `out` is given."""
        if out is None:
            return a @ b
        out[...] = a @ b
        return out

    def elementwise(self, make_rule: Callable[[Any], Rule], *, outputs: int) -> Callable[..., None]:
        """Return a function that applies an elementwise rule to arrays in place.

        Parameters
        ----------
        make_rule : callable
            A function that takes a namespace and returns the rule. The rule is a pure function of
            arrays and 0-d arrays that uses only arithmetic and ``xp.sqrt``. The rule returns new
            values for its first arguments.
        outputs : int
            The number of arguments for which the rule returns new values.

        Returns
        -------
        update : callable
            A function that takes the rule's arguments and overwrites the first `outputs` of them
            with the new values.

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
            overwrite(arguments[:outputs], rule(*arguments))

        return update

    def kernel(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a version of `function` for this library, as a single kernel if there is one.

        Parameters
        ----------
        function : callable
            A pure function ``function(xp, *arguments)``.

        Returns
        -------
        callable
            A function that takes the arguments without ``xp`` and returns the same result, up to
            rounding.

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
        """Add ``values[i]`` to row ``target[index[i]]`` for every `i`. Indices may repeat."""
        rows = self.xp.arange(target.shape[0], dtype=index.dtype, device=self.device)
        one_hot = self.xp.astype(rows[:, None] == index[None, :], target.dtype)
        target += one_hot @ values

    def expect_norm(self, x: Array, largest: float = math.inf) -> None:
        """Break off a compiled step if the Euclidean norm of `x` is above `largest`, or NaN.

        The step then runs in Python, where such numbers are handled. Steps that are not compiled
        ignore this method.
        """

    def recording(self) -> Any:
        """Return a backend that records a step to compile it, or None if this is not possible."""
        return None

    def compile(self, step: Callable[[], None]) -> Callable[[], None]:
        """Return a faster version of a training step, or the step itself.

        Parameters
        ----------
        step : callable
            A function that performs the same operations on the same arrays at every call. Only the
            first call may differ. After a few calls, the backend repeats these operations without
            calling `step`.

        Raises
        ------
        BackendError
            If a required package is missing. The returned function also raises this error if the
            operations cannot be repeated. The failed call has no effect.
        """
        return step

    def synchronize(self) -> None:
        """Wait until the device has finished all its work (for timing)."""

    # Dtypes, repr and copies.

    def dtype(self, name: str) -> Any:
        """Return the library's dtype called `name`, ``"float32"`` or ``"float64"``."""
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
    """Return the backend with this name or namespace. Return a `Backend` unchanged.

    Parameters
    ----------
    backend : str, Backend or namespace
        ``"numpy"``, ``"cupy"``, ``"torch"``, or a module that conforms to the Array API standard.
    device : optional
        The device, in the library's own notation. By default, the library's default device.
    precision : {"float32", "tf32"}, optional
        For CuPy only: the precision to which layers round the float32 inputs of matrix products.
        Sums and all other operations stay in float32. By default, CuPy's own setting.

    Raises
    ------
    ValueError
        If no backend has this name, or if the backend does not offer this precision.
    BackendError
        If the library, the device or the hardware is missing.

    Examples
    --------
    >>> get_backend("numpy")
    Backend('numpy')
    """
    device = getattr(device, "id", device)  # a CuPy device cannot be hashed, so use its number
    if isinstance(backend, Backend):
        for name, asked in (("device", device), ("precision", precision)):
            if asked not in (None, getattr(backend, name)):
                raise ValueError(f"{name}={asked!r} comes too late: {backend!r} already exists")
        return backend
    library: Any = backend
    if isinstance(backend, ModuleType):
        name = backend.__name__.removeprefix("array_api_compat.")
        library = name if name in Backend.known else backend
    elif backend not in Backend.known:
        raise ValueError(
            f"unknown backend {backend!r}: expected one of {', '.join(map(repr, Backend.known))}, "
            "or an Array API namespace"
        )
    return _made(library, device, precision)


@cache
def _made(library: str | ModuleType, device: Any, precision: str | None) -> Backend:
    """Create and check a backend. Later calls return the same backend."""
    if isinstance(library, ModuleType):
        return Backend(library, device=device, precision=precision)
    return Backend.known[library](device=device, precision=precision)


@cache
def kernel(xp: ModuleType, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the kernel of a formula for this namespace's arrays (see `Backend.kernel`)."""
    name = xp.__name__.removeprefix("array_api_compat.")
    return get_backend(xp).kernel(function) if name in Backend.known else partial(function, xp)


def overwrite(arrays: Sequence[Array], results: Any) -> None:
    """Write the results of a rule to the arrays. The results must be a tuple."""
    expected = f"expected the rule to return a tuple (value, *slots) of length {len(arrays)}"
    if not isinstance(results, tuple):
        raise TypeError(f"{expected}, found {shown(results)}")
    if len(results) != len(arrays):
        raise ValueError(f"{expected}, found {len(results)}")
    for array, result in zip(arrays, results, strict=True):
        array[...] = result


def _restore(name: str, device: Any, precision: str | None) -> Backend:
    library = importlib.import_module(name)  # noqa: TID251  (not a module of this package)
    return get_backend(library, device=device, precision=precision)


def available_backends() -> list[str]:
    """Return the names of the backends that work on this machine.

    Examples
    --------
    >>> "numpy" in available_backends()
    True
    """
    names = []
    for name in Backend.known:
        try:
            get_backend(name)
        except BackendError:
            continue
        names.append(name)
    return names
