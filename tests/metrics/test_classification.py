"""Classification metrics equal counts made sample by sample, on every library."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest
from predictions import CLASSES, LABELS, LOGITS, ONE, ROWS, SAMPLES, ZERO_ONE

import chainrule as cr
from chainrule import metrics
from chainrule.metrics import (
    binary_accuracy,
    confusion_matrix,
    f1,
    precision,
    recall,
    top_k_accuracy,
)

SCORES = {"precision": precision, "recall": recall, "f1": f1}
AVERAGES = ["macro", "micro", "weighted"]


def counted(predicted, actual, classes):
    """Compute the confusion matrix one sample at a time."""
    matrix = np.zeros((classes, classes), int)
    for i, j in zip(actual, predicted, strict=True):
        matrix[i, j] += 1
    return matrix


def scored(name, right, predicted, actual):
    """Compute precision, recall or F1 by its definition, from three counts of samples."""
    p = right / predicted if predicted else 0.0
    r = right / actual if actual else 0.0
    harmonic = 2 * p * r / (p + r) if p + r else 0.0
    return {"precision": p, "recall": r, "f1": harmonic}[name]


def averaged(name, matrix, average):
    """Average a score over the classes that occur."""
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


def test_an_output_on_the_threshold_is_class_0(library):
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
def test_a_score_of_no_samples_is_zero(outputs, targets, expected, library):
    outputs, targets = library.asarray(outputs), library.asarray(targets)
    assert {name: float(f(outputs, targets)) for name, f in SCORES.items()} == expected


def test_labels_of_two_classes_may_be_booleans(library):
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


def test_top_k_prefers_lower_classes_among_equal_outputs(library):
    outputs, targets = library.asarray(np.zeros((5, 4))), library.asarray([0, 0, 1, 2, 3])
    assert [float(top_k_accuracy(k)(outputs, targets)) for k in (1, 2, 3)] == [0.4, 0.6, 0.8]
    assert float(metrics.accuracy(outputs, targets)) == 0.4


def test_top_k_of_nan_is_wrong(library):
    outputs, targets = library.asarray(np.full((4, 4), np.nan)), library.asarray([0, 1, 2, 3])
    assert float(top_k_accuracy(3)(outputs, targets)) == 0.0


def test_top_k_is_an_object_with_a_name():
    metric = top_k_accuracy(3)
    assert metric.__name__ == "top_3_accuracy"
    assert repr(metric) == "top_k_accuracy(k=3, ignore_index=None)"
    assert metric == pickle.loads(pickle.dumps(metric)) == copy.deepcopy(metric)
    with pytest.raises(ValueError, match="expected k to be at least 1, found 0"):
        top_k_accuracy(0)
    with pytest.raises(TypeError, match="expected k to be a whole number, found 2.5"):
        top_k_accuracy(2.5)


def test_a_trainer_reports_metrics(library):
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


def test_a_trainer_reports_metrics_under_custom_names(library):
    model = cr.Sequential(cr.Linear(4, 1), cr.Sigmoid(), backend=library.backend, seed=0)
    chosen = {"found": partial(recall, threshold=0.5), "sound": partial(precision, threshold=0.5)}
    trainer = cr.Trainer(model, loss=cr.BCELoss(), optimizer=cr.SGD(0.1), metrics=chosen)
    x = np.random.default_rng(1).normal(size=(SAMPLES, 4))
    found = trainer.evaluate(x, ZERO_ONE[:, None])
    matrix = counted((model.predict(x)[:, 0] > 0.5).astype(int), ZERO_ONE, 2)
    assert found["found"] == pytest.approx(averaged("recall", matrix, "binary"))
    assert found["sound"] == pytest.approx(averaged("precision", matrix, "binary"))
