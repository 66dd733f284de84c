"""`CrossEntropyLoss` treats samples with an ignored label as absent."""

from functools import partial

import numpy as np
import pytest

import chainrule as cr

Y = np.random.default_rng(0).normal(size=(6, 3))
LABELS = np.asarray([0, 2, 1, 1, 2, 0])
KEPT = [0, 2, 3, 5]  # indices of the samples that are not ignored

OPTIONS = {
    "plain": {},
    "weighted": {"weight": [1.0, 5.0, 0.5]},
    "smoothed": {"label_smoothing": 0.2},
    "weighted and smoothed": {"weight": [1.0, 5.0, 0.5], "label_smoothing": 0.2},
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


def ignored(label=-100, dtype="int64"):
    labels = np.full(6, label, dtype)
    labels[KEPT] = LABELS[KEPT]
    return labels


@every_option
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_ignored_samples_count_as_absent(options, reduction, weighted, library):
    weight = np.asarray([1.0, 2.0, 0.0, 0.5, 3.0, 1.0]) if weighted else None
    of_kept = weight[KEPT] if weighted else None
    value, backward = cr.CrossEntropyLoss(reduction=reduction, **options)(
        Y[KEPT], LABELS[KEPT], sample_weight=of_kept
    )
    loss = cr.CrossEntropyLoss(ignore_index=-100, reduction=reduction, **options)
    y = Y.copy()
    y[1] = np.nan  # outputs for an ignored sample do not matter
    found, back = loss(library.asarray(y), library.asarray(ignored()), sample_weight=weight)
    gradient = np.zeros((6, 3))
    gradient[KEPT] = backward()
    if reduction == "none":
        values = np.zeros(6)
        values[KEPT] = value
        value = values
    np.testing.assert_allclose(library.to_numpy(found), value, rtol=1e-12)
    np.testing.assert_allclose(library.to_numpy(back()), gradient, rtol=1e-12, atol=1e-15)


@every_option
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_batch_of_ignored_samples_has_zero_loss(options, reduction, library):
    loss = cr.CrossEntropyLoss(ignore_index=7, reduction=reduction, **options)
    value, backward = loss(library.asarray(Y), library.asarray(np.full(6, 7)))
    assert float(value) == 0.0
    assert not library.to_numpy(backward()).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_are_right(dtype, library):
    loss = cr.CrossEntropyLoss(ignore_index=1, weight=[1.0, 5.0, 0.5])
    cr.gradcheck(loss, shape=(6, 3), target=ignored(1), backend=library.backend)
    y = library.asarray(Y.astype(dtype))
    value, backward = loss(y, library.asarray(ignored(1)))
    assert value.dtype == backward().dtype == y.dtype


@pytest.mark.parametrize(("label", "dtype"), [(255, "uint8"), (-1, "int32"), (0, "int64")])
def test_any_label_of_any_integer_type_can_be_ignored(label, dtype, library):
    found, _ = cr.CrossEntropyLoss(ignore_index=label)(
        library.asarray(Y), library.asarray(ignored(label, dtype))
    )
    counted = ignored(label) != label
    expected, _ = cr.CrossEntropyLoss()(Y[counted], LABELS[counted])
    assert float(found) == pytest.approx(float(expected), rel=1e-12)


def test_other_labels_out_of_range_are_refused(library):
    if library.name == "cupy":
        pytest.skip("values on a device are not checked")
    y, labels = library.asarray(Y), ignored()
    labels[0] = -1
    with pytest.raises(cr.DataError, match="labels of 3 classes from 0 to 2, found -1"):
        cr.CrossEntropyLoss(ignore_index=-100)(y, library.asarray(labels))
    with pytest.raises(cr.DataError, match="labels of 3 classes from 0 to 2, found -100"):
        cr.CrossEntropyLoss()(y, library.asarray(ignored()))
    with pytest.raises(TypeError, match="expected ignore_index to be a whole number, found 1.5"):
        cr.CrossEntropyLoss(ignore_index=1.5)


def test_rows_are_never_ignored(library):
    y, rows = library.asarray(Y), library.asarray(np.eye(3)[LABELS])
    found, _ = cr.CrossEntropyLoss(ignore_index=2)(y, rows)
    assert float(found) == float(cr.CrossEntropyLoss()(y, rows)[0])
    assert float(cr.metrics.accuracy(y, rows, ignore_index=2)) == float(
        cr.metrics.accuracy(y, rows)
    )


@pytest.mark.parametrize("micro_batches", [1, 3])
def test_training_is_the_same_as_without_the_ignored_samples(micro_batches, library):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(40, 4)), rng.integers(0, 3, 40)
    missing = rng.random(40) < 0.4
    y[missing] = -100

    def trained(x, y, **options):
        model = cr.mlp([4, 5, 3], activation="tanh", backend=library.backend, dtype="float64")
        loss = cr.CrossEntropyLoss(ignore_index=-100)
        trainer = cr.Trainer(model, loss=loss, optimizer=cr.SGD(0.1))
        history = trainer.fit(
            x, y, epochs=3, batch_size=len(x), validation_data=(x, y), verbose=0, **options
        )
        columns = [history[name] for name in ("loss", "val_loss", "val_accuracy")]
        return *columns, library.to_numpy(model.state.values)

    found = trained(x, y, micro_batches=micro_batches)
    for a, b in zip(found, trained(x[~missing], y[~missing]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)


def test_accuracy_leaves_out_ignored_samples(library):
    y = library.asarray(Y)
    right = Y[KEPT].argmax(axis=1) == LABELS[KEPT]
    found = cr.metrics.accuracy(y, library.asarray(ignored()), ignore_index=-100)
    assert float(found) == pytest.approx(right.mean())
    nothing = library.asarray(np.full(6, -100))
    assert float(cr.metrics.accuracy(y, nothing, ignore_index=-100)) == 0.0
    nan = library.asarray(np.full((6, 3), np.nan))
    assert float(cr.metrics.accuracy(nan, library.asarray(ignored()), ignore_index=-100)) == 0.0
    if library.name != "cupy":
        with pytest.raises(cr.DataError, match="accuracy: expected labels .* found -100"):
            cr.metrics.accuracy(y, library.asarray(ignored()))


@pytest.mark.parametrize("call", [cr.CrossEntropyLoss(), cr.metrics.accuracy], ids=["loss", "acc"])
def test_labels_beyond_int64_are_not_reported_as_negative(call, library):
    if library.name == "cupy":
        pytest.skip("values on a device are not checked")
    labels = library.asarray(np.asarray([2**63 + 1, 0], "uint64"))
    with pytest.raises(cr.DataError, match=f"from 0 to 2, found {2**63 - 1} or more"):
        call(library.asarray(Y[:2]), labels)


METRICS = {
    "accuracy": cr.metrics.accuracy,
    "top_2_accuracy": lambda *a, ignore_index=None: cr.metrics.top_k_accuracy(2, ignore_index)(*a),
    "confusion_matrix": cr.metrics.confusion_matrix,
    "precision": cr.metrics.precision,
    "recall": partial(cr.metrics.recall, average="weighted"),
    "f1": cr.metrics.f1,
}


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_metrics_of_a_tagger(metric, library):
    """A metric depends only on the outputs for labels that are not ignored."""
    rng = np.random.default_rng(3)
    y, labels = rng.normal(size=(4, 5, 3)), rng.integers(0, 3, (4, 5))
    counted = rng.random((4, 5)) < 0.6
    expected = metric(library.asarray(y[counted]), library.asarray(labels[counted]))
    for ignored in (-100, 255):
        given = library.asarray(np.where(counted, labels, ignored))
        found = metric(library.asarray(y), given, ignore_index=ignored)
        np.testing.assert_allclose(*map(library.to_numpy, (found, expected)), rtol=1e-12)
    if library.name == "cupy":
        return  # values on a device are not checked
    given = library.asarray(np.where(counted, labels, -100))
    with pytest.raises(cr.DataError, match="found -100: ignore_index=-100 leaves out this label"):
        metric(library.asarray(y), given)


def test_top_k_accuracy_in_training():
    """The metric of the training data leaves out ignored labels, too."""
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(6, 5, 4)), np.full((6, 5), -100)
    labels[:, 1] = rng.integers(0, 3, 6)
    model = cr.Sequential(cr.Linear(4, 3))
    metric = cr.metrics.top_k_accuracy(2, ignore_index=-100)
    loss = cr.CrossEntropyLoss(ignore_index=-100)
    trainer = cr.Trainer(model, loss=loss, optimizer=cr.SGD(0.0), metrics=[metric])
    found = trainer.fit(x, labels, batch_size=2, verbose=0)["top_2_accuracy"]
    assert found == [pytest.approx(trainer.evaluate(x, labels)["top_2_accuracy"])]
    alone = cr.metrics.top_k_accuracy(2)(model.predict(x)[:, 1], labels[:, 1])
    assert found == [pytest.approx(float(alone))]
