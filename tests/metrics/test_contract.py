"""Every metric returns a 0-d array on the right device, and refuses invalid inputs."""

from functools import partial

import numpy as np
import pytest
from array_api_compat import array_namespace
from predictions import CLASSES, LABELS, LOGITS, ONE, PREDICTED, ROWS, SAMPLES, TARGETS, ZERO_ONE

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


# Each metric with suitable outputs and targets.
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
def test_a_metric_is_one_number_with_the_dtype_of_the_outputs(
    metric, outputs, targets, dtype, library
):
    y, t = library.asarray(outputs.astype(dtype)), library.asarray(targets)
    kept = [library.to_numpy(a).copy() for a in (y, t)]
    found = metric(y, t)
    assert array_namespace(found) is array_namespace(y)
    assert (found.shape, found.dtype) == ((), y.dtype)
    assert found.device == y.device
    for array, old in zip((y, t), kept, strict=True):
        np.testing.assert_array_equal(library.to_numpy(array), old)


@every_metric
def test_a_metric_reads_no_values_from_the_device(metric, outputs, targets, monkeypatch):
    """No metric calls a method that waits for the device. Here, these methods raise an error."""
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


def test_a_trainer_refuses_metrics_that_are_not_numbers():
    model = cr.Sequential(cr.Linear(4, CLASSES))
    trainer = cr.Trainer(
        model, loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(0.1), metrics=[confusion_matrix]
    )
    with pytest.raises(cr.ShapeError, match="metric 'confusion_matrix': expected one number"):
        trainer.evaluate(np.zeros((SAMPLES, 4)), LABELS)


BAD = {
    "one output, labels in a row": (f1, ONE[:, None], ZERO_ONE, r"f1: .* \(60, 1\), found \(60,\)"),
    "one output, rows": (recall, ONE, ZERO_ONE[:, None], r"recall: .* \(60,\), found \(60, 1\)"),
    "labels in a column": (precision, LOGITS, LABELS[:, None], r"\(60,\) or \(60, 5\), found"),
    "other length": (confusion_matrix, LOGITS, LABELS[1:], r"confusion_matrix: .* found \(59,\)"),
    "three axes": (f1, LOGITS[None], LABELS, r"\(1, 60\) or \(1, 60, 5\), found \(60,\)"),
    "no axis": (f1, ONE[0], ZERO_ONE[0], r"of shape \(samples, ..., classes\) .* found \(\)"),
    "top k of one": (top_k_accuracy(1), ONE[:, None], LABELS, "top_1_accuracy: .* two classes"),
    "top k of k": (top_k_accuracy(5), LOGITS, LABELS, "expected more than 5 classes, found 5"),
    "top k of fewer": (top_k_accuracy(9), LOGITS, LABELS, "expected more than 9 classes, found 5"),
    "r2": (r2, PREDICTED, TARGETS[:, :1], r"r2: expected targets of shape \(60, 3\)"),
    "error": (mean_absolute_error, ONE, ONE[:, None], "mean_absolute_error: expected targets"),
}


@pytest.mark.parametrize(("metric", "outputs", "targets", "message"), BAD.values(), ids=BAD)
def test_wrong_shapes_are_refused(metric, outputs, targets, message, library):
    with pytest.raises(cr.ShapeError, match=message):
        metric(library.asarray(outputs), library.asarray(targets))


NAN = np.where(np.arange(SAMPLES) == 7, np.nan, ONE)
MEANINGLESS = {
    "labels above": (confusion_matrix, LOGITS, LABELS + 50, "labels of 5 classes from 0 to 4, fou"),
    "labels from 1": (
        metrics.accuracy,
        LOGITS[:5],
        np.arange(5) + 1,
        "^accuracy: expected labels of 5 classes from 0 to 4, found 5: labels start at 0",
    ),
    "labels below": (metrics.accuracy, LOGITS, LABELS - 1, "from 0 to 4, found -1"),
    "labels above, top k": (top_k_accuracy(2), LOGITS, LABELS + 5, "labels of 5 classes"),
    "labels of one output": (f1, ONE, ZERO_ONE + 1, "targets of two classes from 0 to 1, found 2"),
    "not whole": (metrics.accuracy, LOGITS, LABELS + 0.5, "accuracy: expected integer labels"),
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
def test_invalid_targets_are_refused(metric, outputs, targets, message, library):
    if library.name == "cupy" and targets.size:
        pytest.skip("values on a device are not checked")
    with pytest.raises(cr.DataError, match=message):
        metric(library.asarray(outputs), library.asarray(targets))


@pytest.mark.parametrize("metric", [metrics.accuracy, f1, top_k_accuracy(2), confusion_matrix])
def test_words_are_refused_as_labels(metric):
    with pytest.raises(cr.DataError, match="array of real numbers, found dtype <U3"):
        metric(LOGITS, np.full(SAMPLES, "cat"))


def test_labels_may_be_floats(library):
    found = metrics.accuracy(library.asarray(LOGITS), library.asarray(LABELS.astype(float)))
    assert float(found) == pytest.approx((LOGITS.argmax(axis=1) == LABELS).mean())


@every_metric
def test_outputs_that_are_nan_are_never_right(metric, outputs, targets, library):
    """NaN outputs count as wrong instead of raising an error, so a diverged model can be scored."""
    found = float(metric(library.asarray(np.full_like(outputs, np.nan)), library.asarray(targets)))
    assert found == 0.0 or np.isnan(found)
    right = library.asarray(np.full((4, 2), np.nan)), library.asarray([0, 0, 0, 0])
    assert not library.to_numpy(confusion_matrix(*right)).any()
    assert float(r2(library.asarray([np.nan, np.nan]), library.asarray([1.0, 1.0]))) == 0.0


@every_metric
def test_outputs_may_be_lists(metric, outputs, targets):
    assert metric(outputs.tolist(), targets.tolist()) == pytest.approx(metric(outputs, targets))


@pytest.mark.parametrize("name", SCORES)
def test_invalid_averages_are_refused(name):
    with pytest.raises(ValueError, match=f"{name}: expected average to be one of .* found 'mean'"):
        SCORES[name](LOGITS, LABELS, average="mean")
    with pytest.raises(ValueError, match=f"{name}: average='binary' is for two classes, found 5"):
        SCORES[name](LOGITS, LABELS, average="binary")
