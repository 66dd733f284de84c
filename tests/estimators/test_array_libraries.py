"""Estimators accept arrays of other libraries and data frames."""

import pickle

import numpy as np
import pretended
import pytest

import chainrule as cr

pytest.importorskip("sklearn", "1.9")  # older scikit-learn versions need an older version of SciPy
from fitted import (
    LABELS,
    NAMES,
    NUMBER,
    NUMBERS,
    SMALL,
    THREE,
    TWO,
    WEIGHTS,
    X,
    assert_same_weights,
    fitted,
)
from scipy import sparse

from chainrule.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["", "weighted"])
def test_arrays_of_another_library_stay_in_that_library(library, solver, weight):
    """Training on arrays of a library uses only this library, and gives NumPy's results."""
    x, y, labels, numbers = map(library.asarray, (X, THREE, LABELS, NUMBERS))
    theirs = library.backend.array_type
    weights = None if weight is None else library.asarray(weight)
    options = {"solver": solver, "activation": "tanh", "max_iter": 6, "tol": 0.0}
    for kind, target, host in (
        (MLPClassifier, y, THREE), (MLPClassifier, labels, LABELS),
        (MLPRegressor, numbers, NUMBERS),
    ):  # fmt: skip
        model = fitted(kind, target, x, weights, **options)
        assert model.model_.backend is library.backend
        numpy = fitted(kind, host, X, weight, **options)
        predicted = model.predict(x)
        assert isinstance(predicted, theirs)
        np.testing.assert_allclose(library.to_numpy(predicted), numpy.predict(X), atol=1e-6)
        assert model.score(x, target, weights) == pytest.approx(numpy.score(X, host, weight))
        if kind is MLPClassifier:
            p, log_p = model.predict_proba(x), model.predict_log_proba(x)
            assert isinstance(p, theirs)
            assert isinstance(log_p, theirs)
            np.testing.assert_allclose(library.to_numpy(p), numpy.predict_proba(X), atol=1e-6)
        twin = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(
            library.to_numpy(twin.predict(x)), library.to_numpy(predicted)
        )


@pytest.mark.parametrize("options", [{}, {"solver": "lbfgs"}, {"early_stopping": True}], ids=str)
@pytest.mark.parametrize("elsewhere", [False, True], ids=["auto", "another"])
@pytest.mark.parametrize(
    ("kind", "y"),
    [(MLPClassifier, THREE), (MLPClassifier, THREE > 0), (MLPClassifier, LABELS),
     (MLPRegressor, NUMBER[:, None]), (MLPRegressor, NUMBERS)],
    ids=["classes", "booleans", "labels", "number", "numbers"],
)  # fmt: skip
def test_arrays_on_a_device_stay_there(kind, y, elsewhere, options):
    one, other = pretended.library("one"), pretended.library("other")
    options = {"max_iter": 3, "backend": other if elsewhere else "auto", **options}
    if kind is MLPClassifier:
        options["class_weight"] = "balanced"
    x = one.asarray(X)
    model = fitted(kind, one.asarray(y), x, one.asarray(WEIGHTS), **options)
    expected = []
    if kind is MLPClassifier:
        # Finding the classes copies the labels. Balancing the classes copies the sample weights.
        expected += [y.size, 130]
        if "early_stopping" in options and y is not LABELS:
            # Choosing the validation data copies the labels again.
            expected.append(130)
    assert [n for n in one.left if n >= 130] == expected
    one.left.clear()
    other.left.clear()
    predicted = model.predict(x)
    assert type(predicted) is type(x)
    if kind is MLPClassifier:
        assert type(model.predict_log_proba(x)) is type(x)
    assert one.left == other.left == []
    y = y[:, 0] if y.shape[1:] == (1,) else y
    here = fitted(kind, y, X, WEIGHTS, **{**options, "backend": "numpy"})
    np.testing.assert_allclose(predicted.hidden, here.predict(X), atol=1e-6)
    assert predicted.dtype == here.predict(X).dtype


def pandas_frame(dtype):
    def make(columns):
        if "pyarrow" in dtype:
            pytest.importorskip("pyarrow")
        pandas = pytest.importorskip("pandas")
        return pandas.DataFrame(columns, columns=list("abcde"), dtype=dtype)

    return make


FRAMES = {
    "pandas": pandas_frame("float64"),
    "pandas, nullable": pandas_frame("Float64"),
    "pandas, pyarrow": pandas_frame("double[pyarrow]"),
    "polars": lambda x: pytest.importorskip("polars").DataFrame(x, schema=list("abcde")),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
@pytest.mark.parametrize(
    ("kind", "y"),
    [(MLPClassifier, THREE), (MLPClassifier, NAMES), (MLPClassifier, LABELS),
     (MLPRegressor, NUMBER), (MLPRegressor, NUMBERS)],
    ids=["classes", "names", "labels", "number", "numbers"],
)  # fmt: skip
def test_frames_train_like_arrays(kind, y, frame):
    x = frame(X)
    series = type(x["a"]) if y.ndim == 1 else type(x)
    model = fitted(kind, series(y), x, type(x["a"])(WEIGHTS))
    expected = fitted(kind, y, X, WEIGHTS)
    assert_same_weights(model, expected, atol=0)
    assert model.feature_names_in_.tolist() == list("abcde")
    predicted = model.predict(x)
    assert type(predicted) is np.ndarray
    np.testing.assert_array_equal(predicted, expected.predict(X))
    assert model.score(x, series(y)) == pytest.approx(expected.score(X, y))
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(x[["b", "a", "c", "d", "e"]])
    with pytest.raises(ValueError, match="contains NaN"):
        model.predict(frame(np.where(X > 2.0, np.nan, X)))


@pytest.mark.parametrize("dtype", ["Int64", "UInt64", "boolean", "int64[pyarrow]"])
def test_nullable_labels_keep_their_values(dtype):
    """As float64, these two labels would be equal."""
    pandas = pytest.importorskip("pandas")
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    labels = THREE > 0 if dtype == "boolean" else np.where(THREE > 0, 2**60 + 1, 2**60)
    given = pandas.Series(labels, dtype=dtype)
    model = fitted(MLPClassifier, given, X)
    np.testing.assert_array_equal(model.classes_, np.unique(labels))
    assert_same_weights(model, fitted(MLPClassifier, labels, X), atol=0)
    assert model.score(X, given) == np.mean(model.predict(X) == labels)
    given[0] = None
    with pytest.raises(ValueError, match="NaN|missing values"):
        fitted(MLPClassifier, given, X)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
def test_labels_and_inputs_that_are_unsigned_integers(dtype, library):
    """PyTorch has these dtypes, but lacks most functions for them."""
    x, early = np.abs(10 * X).astype(dtype), {"early_stopping": True, "max_iter": 6}
    own_x, own_y = (library.backend.xp.asarray(a) for a in (x, THREE.astype(dtype)))
    model, expected = (
        fitted(MLPClassifier, own_y, own_x, **early),
        fitted(MLPClassifier, THREE, x.astype(int), **early),
    )
    np.testing.assert_array_equal(library.to_numpy(model.predict(own_x)), expected.predict(x))
    assert model.score(own_x, own_y) == pytest.approx(expected.score(x, THREE))


def test_another_backend_for_numpy_arrays(backend_name):
    """Training may run on another backend even if inputs and outputs are NumPy arrays."""
    early = {"early_stopping": True, "max_iter": 6}
    for data in (X, sparse.csr_array(X)):
        model = fitted(MLPClassifier, NAMES, data, backend=backend_name, **early)
        assert model.model_.backend.name == cr.get_backend(backend_name).name
        assert type(model.predict(data)) is type(model.predict_proba(data)) is np.ndarray
        here = fitted(MLPClassifier, NAMES, X, **early)
        np.testing.assert_allclose(model.predict_proba(data), here.predict_proba(X), atol=1e-6)


def test_bad_arrays_of_another_library():
    strict = pytest.importorskip("array_api_strict")
    x, y = strict.asarray(X), strict.asarray(NUMBER)
    model = fitted(MLPRegressor, y, x)
    with pytest.raises(ValueError, match="X has 4 features, but MLPRegressor is expecting 5"):
        model.predict(x[:, :4])
    with pytest.raises(ValueError, match="samples, features"):
        model.predict(x[:, 0])
    with pytest.raises(ValueError, match="one target for each of 130 samples, found 100"):
        model.fit(x, y[:100])
    with pytest.raises(ValueError, match="NaN|missing values"):
        model.fit(x * strict.nan, y)
    assert isinstance(fitted(MLPClassifier, NAMES, x).predict(x), np.ndarray)  # string labels


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
def test_bad_tensors(kind):
    torch = pytest.importorskip("torch")
    x, y, weight = torch.asarray(X), torch.asarray(TWO), torch.asarray(WEIGHTS)
    for name, data in (
        ("X", (x + 0j, y)), ("y", (x, y + 0j)), ("sample_weight", (x, y, weight + 0j)),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"Complex data not supported.* {name}, found"):
            kind(**SMALL).fit(*data)
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        kind(**SMALL).fit(x, None)
    for change, words in (
        (torch.Tensor.to_sparse, "[Ss]parse"),
        (lambda t: t.to("meta"), "meta"),
    ):
        for i, name in enumerate(("X", "y", "sample_weight")):
            data = [x, y, weight]
            data[i] = change(data[i])
            with pytest.raises(ValueError, match=f"expected {name} .*{words}"):
                kind(**SMALL).fit(*data)
    with pytest.raises(ValueError, match="expected X .*SparseCsr"):
        kind(**SMALL).fit(x.to_sparse_csr(), y)
    for number in (torch.nan, torch.inf):
        with pytest.raises(ValueError, match="sample_weight contains NaN or infinity"):
            kind(**SMALL).fit(x, y, weight * number)
