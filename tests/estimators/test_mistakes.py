"""Invalid parameters, targets and weights of estimators are refused."""

import builtins
import importlib
import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule.callbacks import Callback

pytest.importorskip("sklearn", "1.9")  # older scikit-learn versions need an older version of SciPy
from fitted import LABELS, NUMBER, THREE, TWO, WEIGHTS, X, fitted
from scipy import sparse

from chainrule.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"activation": ["relu"]}, "expected 2 values of activation .one for each .* found 1"),
        ({"activation": "linear"}, "expected activation to be one of identity, logistic"),
        ({"activation": 3}, "expected activation to be a value or a list"),
        ({"dropout": [0.1]}, "expected 2 values of dropout"),
        ({"dropout": 1.0}, "expected dropout in \\[0, 1\\)"),
        ({"hidden_layer_sizes": (3, 0)}, "hidden_layer_sizes"),
        ({"hidden_layer_sizes": 2.5}, "hidden_layer_sizes"),
        ({"hidden_layer_sizes": True}, "hidden_layer_sizes"),
        ({"solver": "newton"}, "expected solver to be one of"),
        ({"solver": "sgd", "optimizer": cr.Adam()}, "solver to be left out when optimizer=Adam"),
        ({"solver": "lbfgs", "optimizer": cr.Adam()}, "optimizer to be left out: solver='lbfgs'"),
        ({"solver": "lbfgs", "dropout": [0.0, 0.1]}, "dropout to be left out"),
        ({"solver": "lbfgs", "batch_norm": True}, "batch_norm to be left out"),
        ({"solver": "lbfgs", "callbacks": [Callback()]}, "callbacks to be left out"),
        ({"optimizer": "adam"}, "expected optimizer to be None or an optimizer"),
        ({"callbacks": Callback()}, "a list of callbacks"),
        ({"callbacks": [print]}, "a list of callbacks"),
        ({"loss": "hinge"}, "expected loss to be one of"),
        ({"loss": cr.MSELoss(reduction="sum")}, "expected loss to be a loss with a mean reduction"),
        ({"precision": "float16"}, "expected precision to be one of"),
        ({"alpha": -1.0}, "expected alpha to be a number in \\[0, inf\\), found -1.0"),
        ({"alpha": float("nan")}, "alpha"),
        ({"alpha": "small"}, "alpha"),
        ({"batch_size": 0}, "expected batch_size to be a whole number of at least 1 or 'auto'"),
        ({"max_iter": 2.5}, "max_iter"),
        ({"learning_rate_init": 0.0}, "learning_rate_init"),
        ({"momentum": 1.0}, "momentum"),
        ({"shuffle": "yes"}, "expected shuffle to be True or False, found 'yes'"),
        ({"n_iter_no_change": 0}, "n_iter_no_change"),
        ({"backend": "tensorflow"}, "unknown backend"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_invalid_parameters(kind, options, words):
    with pytest.raises(ValueError, match=words):
        fitted(kind, TWO, **options)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_batches_without_variance(form):
    for samples, size in ((1, "auto"), (130, 1)):
        words = f"batch_norm=True: .* at least 2 .*n_samples={samples}.*batch_size={size!r}"
        x = form(X[:samples])
        with pytest.raises(ValueError, match=words):
            fitted(MLPClassifier, TWO[:samples], x, batch_norm=True, batch_size=size)


def test_invalid_targets_and_weights():
    for strings in (["1"] * 130, np.asarray(["1"] * 130)):
        with pytest.raises(ValueError, match="expected y to hold numbers, found strings"):
            fitted(MLPRegressor, strings)
    for solver in ("adam", "lbfgs"):
        with pytest.raises(ValueError, match="targets of at least 0"):
            fitted(MLPRegressor, NUMBER, loss="poisson", solver=solver)
    with pytest.raises(ValueError, match="Unknown label type"):
        fitted(MLPClassifier, NUMBER)
    with pytest.raises(ValueError, match="indicator matrix"):
        fitted(MLPClassifier, np.stack([THREE, TWO], axis=1))
    with pytest.raises(ValueError, match="several labels"):
        fitted(MLPClassifier, LABELS, loss=cr.CrossEntropyLoss())
    for weight in (-WEIGHTS, 0.0 * WEIGHTS):
        with pytest.raises(ValueError, match="sample_weight to be at least zero"):
            fitted(MLPRegressor, NUMBER, weight=weight)
    for solver in ("adam", "lbfgs"):
        with pytest.raises(ValueError, match=r"finite sum, found values from 1e\+308 to 1e\+308"):
            fitted(MLPRegressor, NUMBER, weight=np.full(130, 1e308), solver=solver)
        large = {"weight": np.full(130, 1e38), "precision": "float32", "solver": solver}
        with np.errstate(all="ignore"), pytest.raises(ValueError, match="^sample_weight: .*inf"):
            fitted(MLPRegressor, NUMBER, **large)
        with pytest.raises(ValueError, match="^sample_weight: .* that sum to 0"):
            fitted(MLPRegressor, NUMBER, **{**large, "weight": np.full(130, 1e-60)})
    for kind, y in ((MLPRegressor, NUMBER), (MLPClassifier, THREE)):
        with pytest.raises(ValueError, match="sample_weight to be at least zero"):
            fitted(kind, y).score(X, y, -WEIGHTS)
    with pytest.raises(ValueError, match="130 sample weights"):
        fitted(MLPRegressor, NUMBER, weight=WEIGHTS[:9])
    with pytest.raises(ValueError, match="validation set is too small"):
        fitted(MLPRegressor, NUMBER, early_stopping=True, validation_fraction=0.005)
    with pytest.raises(AttributeError, match="partial_fit"):
        MLPRegressor(solver="lbfgs").partial_fit(X, NUMBER)
    with pytest.raises(ValueError, match="early_stopping=True: set it to False"):
        MLPRegressor(early_stopping=True).partial_fit(X, NUMBER)


def test_a_missing_array_library(monkeypatch):
    if "cupy" in cr.available_backends():
        pytest.skip("CuPy is not missing")
    with pytest.raises(cr.BackendError, match="cupy"):
        fitted(MLPRegressor, NUMBER, backend="cupy")


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def missing(name, *arguments, **options):
        if name.partition(".")[0] == "sklearn":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    monkeypatch.delitem(sys.modules, "chainrule.estimators")
    with pytest.raises(ImportError, match=r'pip install "\.\[sklearn\]" in a clone'):
        importlib.import_module("chainrule.estimators")


DATES = np.arange(130).astype("M8[D]")
MASKED = np.ma.masked_less(X, 0.0)
NO_NUMBERS = {
    "dates": (np.stack([DATES] * 2, axis=1), "found dtype datetime64"),
    "durations": (np.ones((130, 2), "m8[s]"), "found dtype timedelta64"),
    "masked": (MASKED, "without masked elements"),
    "masked within a list": (list(MASKED), "without masked elements"),
}


@pytest.mark.parametrize(("x", "message"), NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_data_that_scikit_learn_would_accept_as_numbers(x, message):
    for kind, y in ((MLPRegressor, NUMBER), (MLPClassifier, THREE)):
        with pytest.raises(cr.DataError, match=f"^X: .*{message}"):
            kind(max_iter=1).fit(x, y)
    trained = MLPRegressor(max_iter=1).partial_fit(np.ones(np.shape(x)), NUMBER)
    with pytest.raises(cr.DataError, match=f"^X: .*{message}"):
        trained.predict(x)
    if not isinstance(x, list):
        with pytest.raises(cr.DataError, match=f"^y: .*{message}"):
            MLPRegressor(max_iter=1).fit(X, x[:, 0])
        with pytest.raises(cr.DataError, match=f"^sample_weight: .*{message}"):
            MLPRegressor(max_iter=1).fit(X, NUMBER, x[:, 0])


@pytest.mark.parametrize(("kind", "y"), [(MLPClassifier, THREE), (MLPRegressor, NUMBER)])
def test_masked_targets_are_not_scored(kind, y):
    model = kind(max_iter=1).partial_fit(X, y, **({"classes": [0, 1, 2]} if y is THREE else {}))
    with pytest.raises(cr.DataError, match="^y: .*without masked elements"):
        model.score(X, np.ma.masked_less(y, 1))
    assert model.score(X, np.ma.masked_array(y)) == model.score(X, y)


def test_dates_in_frames():
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    for frame in (pandas.DataFrame, polars.DataFrame):
        with pytest.raises(cr.DataError, match="^X: .* datetime64.* in column 'day'"):
            MLPRegressor(max_iter=1).fit(frame({"a": X[:, 0], "day": DATES}), NUMBER)


def test_words_are_labels():
    """Labels may be in any kind of string array, and predictions are the same strings."""
    words = np.asarray(["cat", "dog", "emu"])[THREE]
    expected = fitted(MLPClassifier, THREE).predict(X)
    for y in (words, words.tolist(), words.astype(object), words.astype(np.dtypes.StringDType())):
        found = fitted(MLPClassifier, y)
        assert found.classes_.tolist() == ["cat", "dog", "emu"]
        assert (found.predict(X) == np.asarray(["cat", "dog", "emu"])[expected]).all()
        assert found.score(X, y) == np.mean(expected == THREE)


def test_many_classes_are_not_all_listed():
    many = np.arange(len(X)) // 2
    model = MLPClassifier((4,), max_iter=1).fit(X, many)
    with pytest.raises(ValueError, match=r"among \[ ?0 +1 +2 \.\.\. 62 63 64\], found \[65\]$"):
        model.fit(X, many, validation_data=(X, many + 1))
    weights = dict.fromkeys(range(66), 1.0)
    del weights[3]
    with pytest.raises(ValueError, match=r"among \[0, 1, 2, 3, \.\.\.\], found \[65\]$"):
        fitted(MLPClassifier, many, class_weight=weights)


def missing_values():
    pandas = pytest.importorskip("pandas")
    return {"<NA>": pandas.NA, "NaT": pandas.NaT, "None": None, "masked": np.ma.masked}


@pytest.mark.parametrize("value", ["<NA>", "NaT", "None", "masked"])
@pytest.mark.parametrize(
    "form", [list, lambda y: np.asarray(y, dtype=object)], ids=["list", "objects"]
)
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_missing_values_in_lists(kind, form, value):
    y, x, weight = TWO.tolist(), X.tolist(), [1.0] * len(X)
    model = fitted(kind, TWO)
    y[3] = x[3][1] = weight[3] = missing_values()[value]
    y, x, weight = map(form, (y, x, weight))
    for name, use in {
        "y": lambda: fitted(kind, y),
        "X": lambda: fitted(kind, TWO, x),
        "sample_weight": lambda: fitted(kind, TWO, X, weight),
        "y ": lambda: model.score(X, y),
        "X ": lambda: model.predict(x),
    }.items():
        message = f"^{name.strip()}: expected no missing values, found {value} in row 3$"
        with pytest.raises(cr.DataError, match=message):
            use()
    with pytest.raises(cr.DataError, match="^validation_data: y: expected no missing values"):
        model.fit(X, TWO, validation_data=(X, y))
    strings = pytest.importorskip("pandas").Series(["a", "b"] * (len(X) // 2), dtype="string")
    strings[1] = None
    if kind is MLPClassifier:
        with pytest.raises(
            cr.DataError, match="^y: expected no missing values, found <NA> in row 1"
        ):
            fitted(kind, strings)
