"""Metrics against counting sample by sample, on every library."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest
from array_api_compat import array_namespace

import chainrule as cr
from chainrule import metrics
from chainrule.metrics import (
    binary_accuracy,
    confusion_matrix,
    f1,
    mean_absolute_error,
    precision,
    r2,
    recall,
    top_k_accuracy,
)

SCORES = {"precision": precision, "recall": recall, "f1": f1}
AVERAGES = ["macro", "micro", "weighted"]

RNG = np.random.default_rng(0)
SAMPLES, CLASSES = 60, 5
# The fourth class is never the largest, the fifth neither that nor a target.
LOGITS = RNG.normal(size=(SAMPLES, CLASSES)) - np.asarray([0.0, 0.0, 0.0, 9.0, 9.0])
LABELS = RNG.choice(4, p=[0.4, 0.3, 0.2, 0.1], size=SAMPLES)
ROWS = np.eye(CLASSES)[LABELS]
ONE, ZERO_ONE = RNG.normal(size=SAMPLES), RNG.integers(0, 2, SAMPLES)


def counted(predicted, actual, classes):
    """The confusion matrix, a sample at a time."""
    matrix = np.zeros((classes, classes), int)
    for i, j in zip(actual, predicted, strict=True):
        matrix[i, j] += 1
    return matrix


def scored(name, right, predicted, actual):
    """Precision, recall or F1 from three counts, as they are defined."""
    p = right / predicted if predicted else 0.0
    r = right / actual if actual else 0.0
    harmonic = 2 * p * r / (p + r) if p + r else 0.0
    return {"precision": p, "recall": r, "f1": harmonic}[name]


def averaged(name, matrix, average):
    """The average over the classes that occur."""
    counts = [
        (matrix[i, i], matrix[:, i].sum(), matrix[i, :].sum())
        for i in range(len(matrix))
        if matrix[:, i].any() or matrix[i, :].any()
    ]
    if average == "micro":
        return scored(name, *map(sum, zip(*counts, strict=True)))
    if average == "binary":
        return scored(name, matrix[1, 1], matrix[:, 1].sum(), matrix[1, :].sum())
    scores = [scored(name, *count) for count in counts]
    weights = None if average == "macro" else [actual for *_, actual in counts]
    return np.average(scores, weights=weights)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("targets", [LABELS, LABELS.astype("uint8"), ROWS, ROWS.astype(bool)])
def test_confusion_matrix(targets, dtype, library):
    outputs = library.asarray(LOGITS.astype(dtype))
    found = confusion_matrix(outputs, library.asarray(targets))
    assert found.dtype == library.backend.xp.int64
    expected = counted(LOGITS.argmax(axis=1), LABELS, CLASSES)
    assert expected[3].any()
    assert not expected[:, 3].any()
    np.testing.assert_array_equal(library.to_numpy(found), expected)


@pytest.mark.parametrize("dtype", [int, float, bool])
@pytest.mark.parametrize("shape", [(SAMPLES,), (SAMPLES, 1)])
def test_confusion_matrix_of_one_output(shape, dtype, library):
    targets = library.asarray(ZERO_ONE.reshape(shape).astype(dtype))
    for threshold, outputs in ((0.0, ONE), (0.5, 1.0 / (1.0 + np.exp(-ONE)))):
        found = confusion_matrix(
            library.asarray(outputs.reshape(shape)), targets, threshold=threshold
        )
        expected = counted((ONE > 0.0).astype(int), ZERO_ONE, 2)
        np.testing.assert_array_equal(library.to_numpy(found), expected)


def test_what_lies_on_the_threshold_is_class_0(library):
    on_it, targets = library.asarray([0.0, 0.0]), library.asarray([0, 1])
    assert library.to_numpy(confusion_matrix(on_it, targets)).tolist() == [[1, 0], [1, 0]]
    assert float(binary_accuracy(0.0)(on_it, targets)) == 0.5


@pytest.mark.parametrize("targets", [LABELS, ROWS], ids=["labels", "rows"])
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("name", SCORES)
def test_scores_of_many_classes(name, average, targets, library):
    outputs, targets = library.asarray(LOGITS), library.asarray(targets)
    found = SCORES[name](outputs, targets, average=average)
    matrix = counted(LOGITS.argmax(axis=1), LABELS, CLASSES)
    assert float(found) == pytest.approx(averaged(name, matrix, average), rel=1e-12)
    if average == "macro":
        assert float(SCORES[name](outputs, targets)) == float(found)
    if average == "micro":
        assert float(found) == pytest.approx(float(metrics.accuracy(outputs, targets)), rel=1e-12)


@pytest.mark.parametrize("average", ["binary", *AVERAGES])
@pytest.mark.parametrize("name", SCORES)
def test_scores_of_two_classes(name, average, library):
    expected = averaged(name, counted((ONE > 0.0).astype(int), ZERO_ONE, 2), average)
    columns = library.asarray(np.stack([-ONE, ONE], axis=1))
    targets = library.asarray(ZERO_ONE)
    for outputs in (library.asarray(ONE), columns):
        found = SCORES[name](outputs, targets, average=average)
        assert float(found) == pytest.approx(expected, rel=1e-12)
        if average == "binary":
            assert float(SCORES[name](outputs, targets)) == float(found)


@pytest.mark.parametrize(
    ("outputs", "targets", "expected"),
    [
        ([-1.0, -2.0], [1, 1], {"precision": 0.0, "recall": 0.0, "f1": 0.0}),
        ([1.0, 2.0], [0, 0], {"precision": 0.0, "recall": 0.0, "f1": 0.0}),
        ([-1.0, -2.0], [0, 0], {"precision": 0.0, "recall": 0.0, "f1": 0.0}),
        ([1.0, 2.0], [1, 1], {"precision": 1.0, "recall": 1.0, "f1": 1.0}),
    ],
    ids=["none predicted", "none actual", "neither", "all"],
)
@pytest.mark.filterwarnings("error")
def test_nothing_to_divide_by_is_zero(outputs, targets, expected, library):
    outputs, targets = library.asarray(outputs), library.asarray(targets)
    assert {name: float(f(outputs, targets)) for name, f in SCORES.items()} == expected


def test_labels_of_two_classes_may_be_truth_values(library):
    outputs = library.asarray(np.stack([-ONE, ONE], axis=1))
    for metric in (metrics.accuracy, top_k_accuracy(1), confusion_matrix, f1):
        found = metric(outputs, library.asarray(ZERO_ONE > 0))
        expected = metric(outputs, library.asarray(ZERO_ONE))
        np.testing.assert_array_equal(library.to_numpy(found), library.to_numpy(expected))


def test_top_k(library):
    outputs = library.asarray(LOGITS)
    order = [sorted(range(CLASSES), key=lambda c: -row[c]) for row in LOGITS]
    for k in range(1, CLASSES):
        expected = np.mean([t in best[:k] for t, best in zip(LABELS, order, strict=True)])
        for targets in (LABELS, LABELS.astype("uint8"), ROWS):
            found = top_k_accuracy(k)(outputs, library.asarray(targets))
            assert float(found) == pytest.approx(expected, rel=1e-12)


def test_top_k_of_equal_outputs_takes_the_lower_classes(library):
    outputs, targets = library.asarray(np.zeros((5, 4))), library.asarray([0, 0, 1, 2, 3])
    assert [float(top_k_accuracy(k)(outputs, targets)) for k in (1, 2, 3)] == [0.4, 0.6, 0.8]
    assert float(metrics.accuracy(outputs, targets)) == 0.4


def test_top_k_of_nan_is_wrong(library):
    outputs, targets = library.asarray(np.full((4, 4), np.nan)), library.asarray([0, 1, 2, 3])
    assert float(top_k_accuracy(3)(outputs, targets)) == 0.0


def test_top_k_is_an_object_with_a_name():
    metric = top_k_accuracy(3)
    assert metric.__name__ == "top_3_accuracy"
    assert repr(metric) == "top_k_accuracy(k=3)"
    assert metric == pickle.loads(pickle.dumps(metric)) == copy.deepcopy(metric)
    with pytest.raises(ValueError, match="expected k to be at least 1, found 0"):
        top_k_accuracy(0)
    with pytest.raises(TypeError, match="expected k to be a whole number, found 2.5"):
        top_k_accuracy(2.5)


TARGETS = RNG.normal(size=(SAMPLES, 3)) * [1.0, 10.0, 0.1] + [0.0, 100.0, -3.0]
PREDICTED = TARGETS + RNG.normal(size=(SAMPLES, 3)) * [0.5, 20.0, 0.01]


def determined(y, t):
    """R² of one output, a sample at a time."""
    mean = sum(t) / len(t)
    unexplained = sum((b - a) ** 2 for a, b in zip(y, t, strict=True))
    return 1.0 - unexplained / sum((b - mean) ** 2 for b in t)


def test_r2(library):
    each = [determined(PREDICTED[:, i], TARGETS[:, i]) for i in range(3)]
    assert min(each) < 0.0 < max(each)
    for i, expected in enumerate(each):
        for columns in (i, slice(i, i + 1)):
            y, t = library.asarray(PREDICTED[:, columns]), library.asarray(TARGETS[:, columns])
            assert float(r2(y, t)) == pytest.approx(expected, rel=1e-11)
    found = r2(library.asarray(PREDICTED), library.asarray(TARGETS))
    assert float(found) == pytest.approx(np.mean(each), rel=1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_r2_of_targets_that_do_not_vary(dtype, library):
    targets = np.full((7, 2), 0.1, dtype)
    off = targets + np.asarray([0.0, 1.0], dtype)
    t = library.asarray(targets)
    assert float(r2(t, t)) == 1.0
    assert float(r2(library.asarray(off), t)) == 0.5
    assert float(r2(library.asarray(off[:, 1:]), t[:, 1:])) == 0.0


def test_r2_of_the_mean_is_zero(library):
    t = np.arange(6)
    assert float(r2(library.asarray(np.full(6, 2.5)), library.asarray(t))) == pytest.approx(0.0)
    assert float(r2(library.asarray(t.astype(float)), library.asarray(t))) == 1.0


def test_mean_absolute_error(library):
    y, t = library.asarray(PREDICTED), library.asarray(TARGETS)
    by_hand = sum(abs(a - b) for a, b in zip(PREDICTED.flat, TARGETS.flat, strict=True))
    assert float(mean_absolute_error(y, t)) == pytest.approx(by_hand / TARGETS.size, rel=1e-12)
    whole = library.asarray([1.0, 4.0]), library.asarray([2, 2])
    assert float(mean_absolute_error(*whole)) == 1.5


# Each with outputs and targets that suit it.
ALL = {
    "accuracy": (metrics.accuracy, LOGITS, LABELS),
    "binary_accuracy": (binary_accuracy(0.0), ONE, ZERO_ONE),
    "top_2_accuracy": (top_k_accuracy(2), LOGITS, LABELS),
    **{
        f"{name}, {average}": (partial(score, average=average), LOGITS, LABELS)
        for name, score in SCORES.items()
        for average in AVERAGES
    },
    **{f"{name}, binary": (score, ONE, ZERO_ONE) for name, score in SCORES.items()},
    "f1, rows": (f1, LOGITS, ROWS),
    "r2": (r2, PREDICTED, TARGETS),
    "mean_absolute_error": (mean_absolute_error, PREDICTED, TARGETS),
}
every_metric = pytest.mark.parametrize(("metric", "outputs", "targets"), ALL.values(), ids=ALL)


@every_metric
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_metric_is_one_number_of_the_outputs_kind(metric, outputs, targets, dtype, library):
    y, t = library.asarray(outputs.astype(dtype)), library.asarray(targets)
    kept = [library.to_numpy(a).copy() for a in (y, t)]
    found = metric(y, t)
    assert array_namespace(found) is array_namespace(y)
    assert (found.shape, found.dtype) == ((), y.dtype)
    assert found.device == y.device
    for array, old in zip((y, t), kept, strict=True):
        np.testing.assert_array_equal(library.to_numpy(array), old)


@every_metric
def test_a_metric_reads_nothing_back(metric, outputs, targets, monkeypatch):
    """On a device each of these would wait until all work is done."""
    xp = pytest.importorskip("array_api_strict")
    y, t = xp.asarray(outputs), xp.asarray(targets)

    def refuse(self, *arguments):
        raise AssertionError("a value was read back from the device")

    for method in ("__bool__", "__int__", "__float__", "__index__", "__array__"):
        monkeypatch.setattr(type(y), method, refuse, raising=False)
    monkeypatch.setattr(type(y), "__dlpack_device__", lambda self: (2, 0))
    found = metric(y, t)
    monkeypatch.undo()
    assert float(found) == pytest.approx(float(metric(outputs, targets)), rel=1e-12)


def test_a_trainer_reports_them(library):
    model = cr.Sequential(cr.Linear(4, CLASSES), backend=library.backend, dtype="float64", seed=0)
    x = np.random.default_rng(1).normal(size=(SAMPLES, 4))
    chosen = [metrics.accuracy, top_k_accuracy(2), top_k_accuracy(3), precision, recall, f1]
    trainer = cr.Trainer(
        model, loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(0.1), metrics=chosen
    )  # fmt: skip
    found = trainer.evaluate(x, LABELS)
    names = ["accuracy", "top_2_accuracy", "top_3_accuracy", "precision", "recall", "f1"]
    assert list(found) == ["loss", *names]
    matrix = counted(model.predict(x).argmax(axis=1), LABELS, CLASSES)
    assert found["f1"] == pytest.approx(averaged("f1", matrix, "macro"))
    assert found["accuracy"] <= found["top_2_accuracy"] <= found["top_3_accuracy"]
    history = trainer.fit(x, LABELS, epochs=1, validation_data=(x, LABELS), verbose=0)
    assert history["val_recall"] == [pytest.approx(trainer.evaluate(x, LABELS)["recall"])]


def test_a_trainer_reports_them_under_names_of_ones_own(library):
    model = cr.Sequential(cr.Linear(4, 1), cr.Sigmoid(), backend=library.backend, seed=0)
    chosen = {"found": partial(recall, threshold=0.5), "sound": partial(precision, threshold=0.5)}
    trainer = cr.Trainer(model, loss=cr.BCELoss(), optimizer=cr.SGD(0.1), metrics=chosen)
    x = np.random.default_rng(1).normal(size=(SAMPLES, 4))
    found = trainer.evaluate(x, ZERO_ONE[:, None])
    matrix = counted((model.predict(x)[:, 0] > 0.5).astype(int), ZERO_ONE, 2)
    assert found["found"] == pytest.approx(averaged("recall", matrix, "binary"))
    assert found["sound"] == pytest.approx(averaged("precision", matrix, "binary"))


def test_a_trainer_wants_numbers():
    model = cr.Sequential(cr.Linear(4, CLASSES))
    trainer = cr.Trainer(
        model, loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(0.1), metrics=[confusion_matrix]
    )
    with pytest.raises(cr.ShapeError, match="metric 'confusion_matrix': expected one number"):
        trainer.evaluate(np.zeros((SAMPLES, 4)), LABELS)


BAD = {
    "one output, labels beside": (f1, ONE[:, None], ZERO_ONE, r"f1: .* \(60, 1\), found \(60,\)"),
    "one output, rows": (recall, ONE, ZERO_ONE[:, None], r"recall: .* \(60,\), found \(60, 1\)"),
    "labels in a column": (precision, LOGITS, LABELS[:, None], r"\(60,\) or \(60, 5\), found"),
    "other length": (confusion_matrix, LOGITS, LABELS[1:], r"confusion_matrix: .* found \(59,\)"),
    "three axes": (f1, LOGITS[None], LABELS, r"of shape \(samples, classes\) .* \(1, 60, 5\)"),
    "no axis": (f1, ONE[0], ZERO_ONE[0], r"of shape \(samples, classes\) .* found \(\)"),
    "top k of one": (top_k_accuracy(1), ONE[:, None], LABELS, "top_1_accuracy: .* two classes"),
    "top k of k": (top_k_accuracy(5), LOGITS, LABELS, "expected more than 5 classes, found 5"),
    "top k of fewer": (top_k_accuracy(9), LOGITS, LABELS, "expected more than 9 classes, found 5"),
    "r2": (r2, PREDICTED, TARGETS[:, :1], r"r2: expected targets of shape \(60, 3\)"),
    "error": (mean_absolute_error, ONE, ONE[:, None], "mean_absolute_error: expected targets"),
}


@pytest.mark.parametrize(("metric", "outputs", "targets", "message"), BAD.values(), ids=BAD)
def test_bad_shapes(metric, outputs, targets, message, library):
    with pytest.raises(cr.ShapeError, match=message):
        metric(library.asarray(outputs), library.asarray(targets))


NAN = np.where(np.arange(SAMPLES) == 7, np.nan, ONE)
MEANINGLESS = {
    "labels above": (confusion_matrix, LOGITS, LABELS + 50, "labels of 5 classes from 0 to 4, fou"),
    "labels below": (metrics.accuracy, LOGITS, LABELS - 1, "from 0 to 4, found -1"),
    "labels above, top k": (top_k_accuracy(2), LOGITS, LABELS + 5, "labels of 5 classes"),
    "labels of one output": (f1, ONE, ZERO_ONE + 1, "targets of two classes from 0 to 1, found 2"),
    "not whole": (metrics.accuracy, LOGITS, LABELS + 0.5, "accuracy: expected whole labels"),
    "NaN labels": (metrics.accuracy, LOGITS, NAN, "accuracy: expected finite targets"),
    "NaN rows": (recall, LOGITS, ROWS * NAN[:, None], "recall: expected finite targets"),
    "NaN of one output": (precision, ONE, NAN, "precision: expected finite targets"),
    "NaN, binary": (binary_accuracy(0.0), ONE, NAN, "binary_accuracy: expected finite targets"),
    "NaN, r2": (r2, ONE, NAN, "r2: expected finite targets, found NaN or infinity"),
    "infinity": (mean_absolute_error, ONE, NAN * np.inf, "mean_absolute_error: expected finite"),
    **{
        f"no samples, {name}": (metric, outputs[:0], targets[:0], "at least one sample, found")
        for name, (metric, outputs, targets) in ALL.items()
    },
}


@pytest.mark.parametrize(
    ("metric", "outputs", "targets", "message"), MEANINGLESS.values(), ids=MEANINGLESS
)
def test_targets_that_cannot_be_meant(metric, outputs, targets, message, library):
    if library.name == "cupy" and targets.size:
        pytest.skip("values are not read from a device")
    with pytest.raises(cr.DataError, match=message):
        metric(library.asarray(outputs), library.asarray(targets))


@pytest.mark.parametrize("metric", [metrics.accuracy, f1, top_k_accuracy(2), confusion_matrix])
def test_words_are_no_labels(metric):
    with pytest.raises(cr.DataError, match="array of real numbers, found dtype <U3"):
        metric(LOGITS, np.full(SAMPLES, "cat"))


def test_labels_may_be_whole_floats(library):
    found = metrics.accuracy(library.asarray(LOGITS), library.asarray(LABELS.astype(float)))
    assert float(found) == pytest.approx((LOGITS.argmax(axis=1) == LABELS).mean())


@every_metric
def test_outputs_that_are_nan_are_never_right(metric, outputs, targets, library):
    """And are no error: a training that diverged is evaluated, too."""
    found = float(metric(library.asarray(np.full_like(outputs, np.nan)), library.asarray(targets)))
    assert found == 0.0 or np.isnan(found)
    right = library.asarray(np.full((4, 2), np.nan)), library.asarray([0, 0, 0, 0])
    assert not library.to_numpy(confusion_matrix(*right)).any()
    assert float(r2(library.asarray([np.nan, np.nan]), library.asarray([1.0, 1.0]))) == 0.0


@every_metric
def test_outputs_may_be_lists(metric, outputs, targets):
    assert metric(outputs.tolist(), targets.tolist()) == pytest.approx(metric(outputs, targets))


@pytest.mark.parametrize("name", SCORES)
def test_bad_averages(name):
    with pytest.raises(ValueError, match=f"{name}: expected average to be one of .* found 'mean'"):
        SCORES[name](LOGITS, LABELS, average="mean")
    with pytest.raises(ValueError, match=f"{name}: average='binary' is for two classes, found 5"):
        SCORES[name](LOGITS, LABELS, average="binary")
