"""Check input data: data frames, lists, sparse matrices, and arrays of other libraries."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.validation import validate_data

from ..backends import Backend, get_backend
from ..backends.conversion import like, to_numpy
from ..data.moving import of_few_dtypes
from ..errors import DataError, blaming
from ..layers import Sequential
from ..types import Array

_TOGETHER = 1024  # the number of sparse rows to convert at a time


def is_foreign(x: Any) -> bool:
    """Return whether `x` is an array of a library other than NumPy."""
    return is_array_api_obj(x) and not isinstance(x, np.ndarray | np.generic)


def is_sparse(x: Any) -> bool:
    """Return whether `x` is a SciPy sparse matrix or array."""
    return hasattr(x, "tocsr")


def to_host(x: Any) -> Any:
    """Convert to NumPy what scikit-learn rejects, or converts to floats (see `_is_nullable`)."""
    if isinstance(x, np.ndarray) and x.dtype.kind == "T":  # strings of variable width
        return np.asarray(x.tolist())
    return to_numpy(x) if is_foreign(x) or _is_nullable(x) else x


def _is_nullable(x: Any) -> bool:
    """Return whether pandas's data holds integers or booleans in dtypes that allow missing values.

    scikit-learn converts these dtypes to float64, where two large labels can become equal.
    """
    dtypes = [x.dtype] if hasattr(x, "dtype") else list(getattr(x, "dtypes", ()))
    nullable = any(hasattr(dtype, "na_value") and dtype.kind in "biu" for dtype in dtypes)
    return nullable and not np.any(x.isna())


def targets_on_host(y: Any) -> Any:
    """Return targets in host memory. Raise an error for missing or masked elements."""
    if isinstance(y, np.ma.MaskedArray):
        expect_numbers("y", y)
    expect_present("y", y)
    return to_host(y)


def few(labels: Any) -> str:
    """Return labels as text for an error message. If there are many labels, most are left out."""
    return np.array2string(np.asarray(labels), threshold=12, edgeitems=3)


def read(estimator: Any, x: Any, y: Any, *, numeric: bool, reset: bool) -> tuple[Array, Array]:
    """Check inputs and targets. Arrays of other libraries stay on their device.

    Parameters
    ----------
    estimator : BaseEstimator
        The estimator that will use the data.
    x, y : array-like
        ``(samples, features)``, and ``(samples,)`` or ``(samples, outputs)``.
    numeric : bool
        Whether the targets must be numbers.
    reset : bool
        Whether to record the number and the names of the features. If False, both must match the
        recorded values.
    """
    given = y
    expect_present("y", y)
    if not is_foreign(x):
        x, y = validated(
            estimator,
            x,
            to_host(y),
            accept_sparse=("csr", "csc"),
            multi_output=True,
            y_numeric=numeric,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
    else:
        x, kind = read_foreign(estimator, x, reset=reset), "numeric" if numeric else None
        if y is None:
            name = type(estimator).__name__
            raise ValueError(f"{name} requires y to be passed, but the target y is None")
        if is_foreign(y):
            check_foreign(y, "y", dimensions=(1, 2))
            y = _signed(y)
        else:
            y = check_array(y, ensure_2d=False, dtype=kind, accept_sparse=True, input_name="y")
        if y.shape[0] != x.shape[0]:
            raise ValueError(
                f"expected one target for each of {x.shape[0]} samples, found {y.shape[0]}"
            )
    y = y.toarray() if is_sparse(y) else y
    if numeric and not is_foreign(y) and y.dtype.kind in "US":
        raise ValueError(f"expected y to hold numbers, found strings, {y.dtype}")
    if numeric or isinstance(given, np.ma.MaskedArray):
        expect_numbers("y", given)
    if y.ndim == 2 and y.shape[1] == 1:
        y = array_namespace(y).reshape(y, (-1,)) if is_foreign(y) else column_or_1d(y, warn=True)
    return x, y


def read_inputs(estimator: Any, x: Any) -> Array:
    """Check the inputs of a trained model."""
    if is_foreign(x):
        return read_foreign(estimator, x, reset=False)
    return validated(estimator, x, accept_sparse=("csr", "csc"), reset=False)


def validated(estimator: Any, x: Any, *others: Any, **options: Any) -> Any:
    """Check data with scikit-learn, and reject dates and masked elements in `x`."""
    frame = hasattr(x, "columns")  # check data frames first, so that errors name the column
    if frame:
        expect_numbers("X", x)
    else:
        expect_present("X", x)
    data = validate_data(estimator, x, *others, **options)
    if not frame:
        expect_numbers("X", x)
    return data


def expect_numbers(name: str, data: Any) -> None:
    """Raise a `DataError` if the data does not hold real numbers."""
    if not (data is None or is_sparse(data) or is_foreign(data)):
        with blaming(name):
            to_numpy(data)


def expect_present(name: str, data: Any) -> None:
    """Raise a `DataError` if a value is missing in a list or in an array of objects.

    Missing values are None, masked elements, NaN, and pandas's NA and NaT. Arrays of numbers are
    not checked, because scikit-learn finds NaN in these arrays.
    """
    if data is None or is_foreign(data) or is_sparse(data):
        return
    if not isinstance(data, list | tuple):
        array = np.asarray(data)
        if array.dtype != object:
            return
        data = array.tolist()
    if not isinstance(data, list | tuple) or _PRESENT.issuperset(map(type, data)):
        return
    for i, sample in enumerate(data):
        values = sample if isinstance(sample, list | tuple) else [sample]
        if not _PRESENT.issuperset(map(type, values)):
            for value in filter(_is_missing, values):
                raise DataError(f"{name}: expected no missing values, found {value!r} in row {i}")


_PRESENT = frozenset({bool, int, float, str})  # scikit-learn finds NaN among floats


def _is_missing(value: Any) -> bool:
    if value is None or value is np.ma.masked:
        return True
    try:
        return bool(value != value)  # True for NaN and NaT
    except TypeError:  # comparisons with pandas's NA do not return a bool
        return True
    except ValueError:  # `value` is an array
        return False


def read_foreign(estimator: Any, x: Array, *, reset: bool) -> Array:
    """Check inputs in an array of another library. The array stays on its device."""
    check_foreign(x, "X", dimensions=(2,))
    if reset:
        estimator.n_features_in_ = int(x.shape[1])
        estimator.__dict__.pop("feature_names_in_", None)
    elif x.shape[1] != estimator.n_features_in_:
        raise ValueError(
            f"X has {x.shape[1]} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input"
        )
    return _signed(x)


def _signed(array: Array) -> Array:
    """Convert unsigned integers to signed ones, because PyTorch cannot select elements of them."""
    xp = array_namespace(array)
    return of_few_dtypes(xp, array) if xp.isdtype(array.dtype, "unsigned integer") else array


def check_foreign(array: Array, name: str, *, dimensions: tuple[int, ...]) -> None:
    """Raise a `ValueError` if an array of another library is not valid data."""
    xp = array_namespace(array)
    if array.ndim not in dimensions or 0 in array.shape:
        shapes = " or ".join(("(samples,)", "(samples, features)")[n - 1] for n in dimensions)
        raise ValueError(f"expected {name} of shape {shapes}, found {tuple(array.shape)}")
    if xp.isdtype(array.dtype, "complex floating"):
        raise ValueError(
            f"Complex data not supported: expected real numbers in {name}, found {array.dtype}"
        )
    real = xp.isdtype(array.dtype, "real floating")
    try:
        finite = bool(xp.all(xp.isfinite(array) if real else array)) or not real
    except (RuntimeError, TypeError) as error:  # a sparse tensor, or a tensor without data
        why = str(error).partition(". ")[0]
        raise ValueError(
            f"expected {name} to be a dense array, found {type(array).__name__} on {array.device} "
            f"that cannot be read: {why}"
        ) from error
    if not finite:
        raise ValueError(f"{name} contains NaN or infinity")


def codes_of(labels: Array, classes: np.ndarray) -> Array:
    """Return the index of each label in `classes`, on the device of the labels."""
    if not is_foreign(labels):
        return np.searchsorted(classes, labels)
    xp = array_namespace(labels)
    whole = classes.dtype.kind != "f" and not xp.isdtype(labels.dtype, "real floating")
    kind = xp.int64 if whole else xp.float64  # both arrays need the same dtype
    return xp.searchsorted(xp.astype(like(labels, classes), kind), xp.astype(labels, kind))


def backend_for(x: Array, backend: Any, device: Any) -> Backend:
    """Return the requested backend. "auto" means the backend and the device of the array."""
    if backend != "auto":
        return get_backend(backend, device=device)
    if not is_foreign(x):
        return get_backend("numpy", device=device)
    xp = array_namespace(x)
    elsewhere = x.device != xp.empty(0).device
    return get_backend(xp, device=x.device if device is None and elsewhere else device)


def precision_for(x: Array, precision: str) -> str:
    """Return the requested dtype. "auto" means float32 for float32 data, otherwise float64."""
    if precision != "auto":
        return precision
    return "float32" if str(x.dtype).endswith("float32") else "float64"


def taken(array: Any, rows: np.ndarray) -> Any:
    """Return the given rows of an array or a sparse matrix. If `array` is None, return None."""
    if array is None:
        return None
    if is_sparse(array):
        return array[rows]
    xp = array_namespace(array)
    return xp.take(array, xp.asarray(rows, device=array.device), axis=0)


def outputs(model: Sequential, x: Any) -> Array:
    """Return the outputs of the model for dense or sparse inputs."""
    if not is_sparse(x):
        return model.predict(x)
    batches = SparseBatches((x,), batch_size=_TOGETHER, shuffle=False)
    return np.concatenate([model.predict(*batch) for batch in batches()])


@dataclass
class SparseBatches:
    """Batches of a sparse matrix, which are converted to dense arrays one at a time.

    Given the same generator, the batches hold the same samples as those of `minibatches`.

    Parameters
    ----------
    arrays : tuple
        The sparse inputs, followed by dense arrays with the same number of rows. Arrays that are
        None are ignored.
    batch_size : int, optional
        The number of samples per batch. The last batch may be smaller.
    shuffle, drop_last : bool, optional
        Whether to shuffle the samples, and whether to leave out a smaller last batch.
    """

    arrays: tuple[Any, ...]
    batch_size: int = _TOGETHER
    shuffle: bool = True
    drop_last: bool = False

    def __post_init__(self) -> None:
        inputs, *others = self.arrays
        self.arrays = (inputs.tocsr(), *(array for array in others if array is not None))
        self.samples = int(inputs.shape[0])
        self.used = self.samples - self.drop_last * (self.samples % self.batch_size)

    def __len__(self) -> int:
        return math.ceil(self.used / self.batch_size)

    def __call__(self, rng: np.random.Generator | None = None) -> Iterator[tuple[Array, ...]]:
        order = np.arange(self.samples)
        if rng is not None and self.shuffle:
            order = rng.permutation(self.samples)
        for start in range(0, self.used, self.batch_size):
            rows = order[start : min(start + self.batch_size, self.used)]
            yield self.arrays[0][rows].toarray(), *(taken(a, rows) for a in self.arrays[1:])
