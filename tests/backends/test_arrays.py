"""Data may be lists, data frames or arrays of any library. Arrays stay on their device."""

import datetime
import decimal
import fractions
from functools import partial

import numpy as np
import pretended
import pytest

import chainrule as cr
from chainrule.metrics import (
    accuracy,
    binary_accuracy,
    confusion_matrix,
    f1,
    mean_absolute_error,
    r2,
    top_k_accuracy,
)

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 3))
Y = np.arange(40) % 3
WEIGHT = rng.random(40)


def data_trainer(backend, **options):
    layers = cr.Linear(3, 6), cr.BatchNorm(6), cr.ReLU(), cr.Dropout(0.2), cr.Linear(6, 3)
    model = cr.Sequential(*layers, backend=backend, dtype="float64", seed=0)
    return cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.Adam(), **options)


# Arrays of two libraries on one device.


@pytest.fixture
def gpu():
    """Two array libraries that pretend to hold their arrays on a GPU."""
    return pretended.library("one"), pretended.library("other")


def test_an_array_on_a_device_is_shared_in_place(gpu):
    one, other = gpu
    x = one.asarray(X.copy())
    y = cr.get_backend(other).asarray(x)
    x[0, 0] = 5.0
    assert float(y[0, 0]) == 5.0
    assert cr.get_backend(other).asarray(x, dtype=other.float32).dtype == other.float32
    assert one.left == other.left == []
    assert cr.get_backend("numpy").asarray(x).shape == (40, 3)  # this copies x to the host
    assert cr.get_backend(other).asarray(X).dtype == other.float64
    assert one.left == [120]


def test_arrays_on_a_device_must_hold_numbers(gpu):
    one, other = gpu
    with pytest.raises(cr.DataError, match="expected an array of real numbers, found dtype comp"):
        cr.get_backend(other).asarray(one.asarray(X + 1j))

    class NotForExport(type(one.asarray(X))):
        def __dlpack__(self, **_):
            raise BufferError("follows its gradient")

    with pytest.raises(cr.DataError, match="found NotForExport: follows its gradient"):
        cr.get_backend(other).asarray(NotForExport(X))


def test_training_on_another_librarys_arrays_leaves_them_on_the_device(gpu):
    one, other = gpu
    x, y, weight = map(one.asarray, (X, Y, WEIGHT))
    here, there = data_trainer("numpy"), data_trainer(other)
    options = {"epochs": 3, "batch_size": 15, "verbose": 0}
    history = there.fit(x, y, sample_weight=weight, validation_data=(x, y), **options)
    expected = here.fit(X, Y, sample_weight=WEIGHT, validation_data=(X, Y), **options)
    for name in ("loss", "val_loss", "val_accuracy"):
        np.testing.assert_allclose(history[name], expected[name])
    assert there.evaluate(x, y, sample_weight=weight) == pytest.approx(
        here.evaluate(X, Y, sample_weight=WEIGHT)
    )
    assert one.left == []
    assert max(other.left) < 20  # only one epoch's measurements leave the device
    other.left.clear()

    predicted = there.model.predict(x, batch_size=7)
    assert type(predicted) is type(x)
    np.testing.assert_allclose(predicted.hidden, here.model.predict(X))
    assert one.left == other.left == []
    assert type(there.model.predict(X)) is np.ndarray
    assert type(here.model.predict(x)) is type(x)


def test_batches_stay_on_the_device(gpu):
    one, other = gpu
    x, y = one.asarray(X), one.asarray(Y)
    for a, b in cr.minibatches(x, y, batch_size=16, backend=other):
        assert type(a) is type(b) is type(other.empty(0))
    assert one.left == other.left == []


# Data with dtypes and layouts that some libraries do not accept.

NUMBERS = np.arange(12.0, dtype="float32").reshape(4, 3)


def bfloat16(values):
    return values.astype(pytest.importorskip("ml_dtypes").bfloat16)


ODD = {
    "big-endian": lambda x: x.astype(">f4"),
    "big-endian, float16": lambda x: x.astype(">f2"),
    "big-endian integers": lambda x: x.astype(">i4"),
    "backwards": lambda x: x[::-1].copy()[::-1],
    "backwards along rows": lambda x: np.flip(np.flip(x, 1).copy(), 1),
    "every other": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "Fortran's order": np.asfortranarray,
    "read-only": lambda x: np.broadcast_to(x, x.shape),
    "long double": lambda x: x.astype("longdouble"),
    "unsigned long long": lambda x: x.astype("ulonglong"),
    "bfloat16": bfloat16,
    "matrix of bytes": lambda x: memoryview(x.astype("u1")),
    "objects": lambda x: x.astype(object),
    "lists of 0-d arrays": lambda x: [[np.asarray(number) for number in row] for row in x],
    "arrays in objects": lambda x: pandas_series(list(x)),
    "fractions": lambda x: [[fractions.Fraction(float(number)) for number in row] for row in x],
    "decimals": lambda x: [[decimal.Decimal(float(number)) for number in row] for row in x],
    "nothing masked": np.ma.asarray,
    "lazy": lambda x: pytest.importorskip("dask.array").from_array(x, chunks=2),
}


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_any_dtype_and_layout_gives_the_same_numbers(make, library):
    x, targets = make(NUMBERS), np.asarray([0, 1, 1, 0])
    array = library.backend.asarray(x)
    np.testing.assert_array_equal(library.to_numpy(array), NUMBERS)
    found, expected = (
        cr.Trainer(
            cr.mlp([3, 4, 2], backend=library.backend, seed=1),
            loss=cr.CrossEntropyLoss(),
            optimizer=cr.SGD(0.01),
        )
        for _ in range(2)
    )
    for trainer, data in ((found, x), (expected, NUMBERS)):
        options = {"validation_data": (data, targets), "batch_size": 2, "verbose": 0}
        trainer.fit(data, targets, **options)
    same = partial(np.testing.assert_allclose, rtol=1e-6)  # NumPy's products depend on the layout
    same(found.history.step_losses, expected.history.step_losses)
    same(found.history["val_loss"], expected.history["val_loss"])
    same(np.asarray(found.model.predict(x)), expected.model.predict(NUMBERS))
    loss, outputs = cr.MSELoss(), library.asarray(NUMBERS)
    assert float(loss(outputs, x)[0]) == 0.0
    model = cr.Sequential(cr.Linear(3, 4, bias=False))
    model.bind(library.backend, values={"0.weight": x})
    np.testing.assert_array_equal(library.to_numpy(model[0].weight.value), NUMBERS)


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([2**63, 2**64 - 1], [2.0**63, 2.0**64]),
        (np.asarray([2**64 - 1, 1], "uint64"), [2.0**64, 1.0]),
        (np.asarray([2**63 - 1025, 0], "uint64"), [2**63 - 1025, 0]),
        ([10**30, -1], [1e30, -1.0]),
        (np.asarray([10**30, 1.5], dtype=object), [1e30, 1.5]),
        ([2**62, -1], [2**62, -1]),
    ],
)
def test_integers_do_not_wrap(x, expected, library):
    ((found,),) = cr.minibatches(x, batch_size=2, shuffle=False, backend=library.backend)
    assert library.to_numpy(found).tolist() == expected
    assert type(library.to_numpy(found).tolist()[0]) is type(expected[0])


DAY = np.datetime64("2020-01-01")
MASKED = np.ma.masked_greater(NUMBERS, 10.0)
NO_NUMBERS = {
    "dates": (np.full((4, 3), DAY), "found dtype datetime64"),
    "dates in lists": ([[DAY, 1.0, 2.0]] * 4, "found dtype datetime64"),
    "days": ([[datetime.date(2020, 1, 1)] * 3] * 4, r"object with datetime.date\(2020, 1, 1\)"),
    "durations": ([[np.timedelta64(1, "s"), 1.0, 2.0]] * 4, "found dtype timedelta64"),
    "masked": (MASKED, "without masked elements"),
    "masked in a list": (list(MASKED), "without masked elements"),
    "masked in lists": ([[1.0, 2.0, np.ma.masked]] * 4, "without masked elements"),
    "complex": (NUMBERS + 1j, "found dtype complex64"),
    "words": (NUMBERS.astype(str), "found dtype <U32"),
    "bytes": (NUMBERS.astype("S"), r"found dtype \|S32"),
    "a set": ({1, 2}, r"object with \{1, 2\}"),
    "a generator": ((row for row in NUMBERS), "object with <generator"),
    "a record": (np.zeros((4, 3), [("a", "f4")]), "found dtype "),
    "too large": ([[10**400] * 3] * 4, "found list: .*too large"),
}


@pytest.mark.parametrize(("x", "message"), NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_data_without_numbers_is_reported_wherever_it_enters(x, message, library):
    trainer = data_trainer(library.backend)
    good, labels = NUMBERS, np.asarray([0, 1, 2, 0])
    for name, use in (
        ("x", lambda: trainer.fit(x, labels, verbose=0)),
        ("y", lambda: trainer.fit(good, x, verbose=0)),
        ("sample_weight", lambda: trainer.evaluate(good, labels, sample_weight=x)),
        ("validation x", lambda: trainer.fit(good, labels, validation_data=(x, labels))),
        ("batch 0, x", lambda: trainer.fit([(x, labels)], verbose=0)),
        ("expected", lambda: trainer.model.predict(x)),
        ("expected", lambda: cr.MSELoss()(library.asarray(good), x)),
        ("expected", lambda: cr.MSELoss()(x, good)),
        ("expected", lambda: mean_absolute_error(library.asarray(good), x)),
        ("values, '0.weight': expected", lambda: data_model(library, x)),
    ):
        with pytest.raises(cr.DataError, match=f"^{name}.*{message}"):
            use()


def data_model(library, weight):
    cr.Sequential(cr.Linear(3, 4, bias=False)).bind(library.backend, values={"0.weight": weight})


def test_masks_of_lazy_arrays_are_seen():
    array = pytest.importorskip("dask.array")
    lazy = array.ma.masked_greater(array.from_array(NUMBERS, chunks=2), 10.0)
    with pytest.raises(cr.DataError, match="^x: .*without masked elements"):
        cr.minibatches(lazy, batch_size=2)


# Targets of losses, which move to the library and device of the outputs.


def pandas_series(values, **options):
    return pytest.importorskip("pandas").Series(values, **options)


def polars_series(values):
    return pytest.importorskip("polars").Series(values)


FORMS = {
    "list": np.ndarray.tolist,
    "read-only": lambda values: np.broadcast_to(values, values.shape),
    "pandas": pandas_series,
    "polars": polars_series,
    "array_api_strict": lambda values: pytest.importorskip("array_api_strict").asarray(values),
    "device": pretended.library("third").asarray,
}


# CuPy checks the device of an array, but the pretended library's arrays are on the host.
FORM_NAMES = [
    pytest.param(name, marks=pytest.mark.not_on("cupy")) if name == "device" else name
    for name in FORMS
]


@pytest.mark.parametrize("form", FORM_NAMES)
def test_targets_are_moved_to_the_device_of_the_outputs(form, library):
    make = FORMS[form]
    outputs, score = library.asarray(X), library.asarray(X[:, 0])
    labels, numbers, weight = make(Y), make(X[:, 1]), make(WEIGHT)
    numpy = cr.CrossEntropyLoss()(X, Y, sample_weight=WEIGHT)
    value, backward = cr.CrossEntropyLoss()(outputs, labels, sample_weight=weight)
    assert float(value) == pytest.approx(float(numpy[0]))
    np.testing.assert_allclose(library.to_numpy(backward()), numpy[1]())
    cr.MSELoss().check(score, numbers)
    for metric in (accuracy, top_k_accuracy(2), f1, confusion_matrix):
        found = library.to_numpy(metric(outputs, labels))
        np.testing.assert_allclose(found, metric(X, Y))
    for metric in (r2, mean_absolute_error):
        assert float(metric(score, numbers)) == pytest.approx(float(metric(X[:, 0], X[:, 1])))
    two, metric = np.where(X[:, 1] > 0.0, 1.0, 0.0), binary_accuracy(0.0)
    assert float(metric(score, make(two))) == pytest.approx(float(metric(X[:, 0], two)))


# Data frames.


def pandas_frame(*kinds):
    def make(columns):
        if "pyarrow" in kinds[0]:
            pytest.importorskip("pyarrow")
        series = (pandas_series(c, dtype=k) for c, k in zip(columns.T, kinds, strict=True))
        return pytest.importorskip("pandas").DataFrame(dict(zip("abc", series, strict=True)))

    return make


def polars_frame(columns):
    polars = pytest.importorskip("polars")
    kinds = polars.Float64, polars.Int32, polars.Boolean
    series = (polars.Series(c).cast(k) for c, k in zip(columns.T, kinds, strict=True))
    return polars.DataFrame(dict(zip("abc", series, strict=True)))


FRAMES = {
    "pandas": (pandas_frame("float64", "float64", "float64"), pandas_series),
    "pandas, mixed": (pandas_frame("float32", "int8", "bool"), pandas_series),
    "pandas, nullable": (
        pandas_frame("Float64", "Int64", "boolean"),
        lambda values: pandas_series(values).convert_dtypes(),
    ),
    "pandas, pyarrow": (
        pandas_frame("double[pyarrow]", "int64[pyarrow]", "bool[pyarrow]"),
        lambda values: pandas_series(values, dtype=f"{values.dtype}[pyarrow]"),
    ),
    "polars": (polars_frame, polars_series),
}
COLUMNS = np.stack([np.round(8 * X[:, 0]) / 8, np.round(4 * X[:, 1]), X[:, 2] > 0], axis=1)


@pytest.mark.parametrize(("frame", "series"), FRAMES.values(), ids=FRAMES)
def test_a_frame_equals_the_array_of_its_columns(frame, series, library):
    x, y, weight = frame(COLUMNS), series(Y), series(WEIGHT)
    options = {"epochs": 2, "batch_size": 15, "verbose": 0}
    ours, expected = data_trainer(library.backend), data_trainer("numpy")
    ours.fit(x, y, sample_weight=weight, validation_data=(x, y), **options)
    expected.fit(COLUMNS, Y, sample_weight=WEIGHT, validation_data=(COLUMNS, Y), **options)
    np.testing.assert_allclose(ours.history["val_loss"], expected.history["val_loss"])
    assert ours.evaluate(x, y) == pytest.approx(expected.evaluate(COLUMNS, Y))
    predicted = ours.model.predict(x)
    assert type(predicted) is np.ndarray
    np.testing.assert_allclose(predicted, expected.model.predict(COLUMNS))


def test_a_frame_of_objects_that_are_numbers(library):
    frame = pandas_frame("object", "object", "object")(COLUMNS)
    array, backend = library.backend.asarray(frame), library.backend
    assert array.dtype == backend.xp.float64
    np.testing.assert_array_equal(library.to_numpy(array), COLUMNS)
    assert backend.asarray(pandas_series(Y, dtype="object")).dtype == backend.xp.int64


GAPS = {
    "Int64": "NaN, infinity or .* in 1 of 4 samples, first in sample 1",
    "Float64": "in 1 of 4 samples, first in sample 1",
    "float32": "in 1 of 4 samples, first in sample 1",
    "boolean": "real numbers, found dtype object with <NA>",
    "object": "real numbers, found dtype object with None",
}


DATED = {
    "dates": datetime.date(2020, 1, 1),
    "times": datetime.datetime(2020, 1, 1),
    "durations": datetime.timedelta(1),
}


@pytest.mark.parametrize("item", DATED.values(), ids=DATED)
@pytest.mark.parametrize("library_of_frames", ["pandas", "polars", "pyarrow"])
def test_dates_in_frames_are_reported_with_their_column(item, library_of_frames):
    frames = pytest.importorskip(library_of_frames)
    make = frames.table if library_of_frames == "pyarrow" else frames.DataFrame
    frame = make({"a": [1.0, 2.0], "day": [item] * 2})
    with pytest.raises(cr.DataError, match="^x: .*(datetime|timedelta).* in column 'day'"):
        cr.minibatches(frame, batch_size=2)
    with pytest.raises(cr.DataError, match="^x: .*(datetime|timedelta)"):
        cr.minibatches(make({"day": [item] * 2})["day"], batch_size=2)


@pytest.mark.parametrize("dtype", GAPS)
@pytest.mark.parametrize("in_frame", [False, True])
def test_missing_values_are_reported(dtype, in_frame):
    gap = pandas_series([1, None, 0, 1], dtype=dtype)
    if in_frame:
        gap = gap.to_frame().assign(other=[1.5, 2.5, 3.5, 4.5])
    with pytest.raises(cr.DataError, match=f"^x: .*{GAPS[dtype]}"):
        cr.minibatches(gap, batch_size=2)


def test_missing_values_of_polars_are_reported():
    polars = pytest.importorskip("polars")
    for values, words in (([1, None], "first in sample 1"), ([True, None], "object with None")):
        with pytest.raises(cr.DataError, match=words):
            cr.minibatches(polars.Series(values), batch_size=2)
    with pytest.raises(cr.DataError, match="first in sample 1"):
        cr.minibatches(polars.DataFrame({"a": [1, None], "b": [0.5, 1.5]}), batch_size=2)


def test_columns_of_strings_are_reported_with_an_example():
    frame = pytest.importorskip("pandas").DataFrame({"a": [1.0, 2.0], "b": ["red", "blue"]})
    model = cr.Sequential(cr.Linear(2, 1))
    for words in (frame, pytest.importorskip("polars").DataFrame(frame.to_dict("list"))):
        with pytest.raises(cr.DataError, match="dtype object with 'red' in column 'b'"):
            model.predict(words)
