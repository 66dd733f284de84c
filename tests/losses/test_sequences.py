"""Cross-entropy and accuracy with a label for each step of a sequence."""

import numpy as np
import pytest
from helpers import finite_differences, trainer_on

import chainrule as cr

BATCH, TIME, CLASSES = 3, 4, 5
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(BATCH, TIME, CLASSES))
LABELS = RNG.integers(0, CLASSES, (BATCH, TIME))
SHARES = RNG.dirichlet(np.ones(CLASSES), (BATCH, TIME))
BY_SAMPLE = RNG.uniform(0.5, 2.0, BATCH)
BY_STEP = RNG.uniform(0.5, 2.0, (BATCH, TIME)) * (np.arange(TIME) < [[4], [2], [1]])

OPTIONS = {
    "plain": {},
    "weighted": {"weight": [1.0, 3.0, 0.5, 2.0, 1.5]},
    "smoothed": {"weight": [1.0, 3.0, 0.5, 2.0, 1.5], "label_smoothing": 0.1},
    "ignored": {"ignore_index": int(LABELS[1, 2]), "weight": [1.0, 3.0, 0.5, 2.0, 1.5]},
}
options = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
targets = pytest.mark.parametrize(
    "target", [LABELS, SHARES, np.eye(CLASSES)[LABELS]], ids=["labels", "shares", "one-hot"]
)
weights = pytest.mark.parametrize(
    "weight", [None, BY_SAMPLE, BY_STEP], ids=["no weights", "by sample", "by step"]
)


@options
@targets
@weights
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_each_step_counts_like_a_sample(options, target, weight, reduction, library):
    loss = cr.CrossEntropyLoss(reduction=reduction, **options)
    by_step = weight if weight is None or weight.ndim == 2 else np.repeat(weight[:, None], TIME, 1)
    flat = [None if a is None else library.asarray(a) for a in (weight, by_step)]
    given = library.asarray(LOGITS), library.asarray(target)
    rows = [library.asarray(a.reshape(BATCH * TIME, *a.shape[2:])) for a in (LOGITS, target)]
    steps = None if by_step is None else library.asarray(by_step.reshape(-1))
    value, backward = loss(*given, sample_weight=flat[0])
    expected, back = loss(*rows, sample_weight=steps)
    close = {"rtol": 1e-13, "atol": 1e-15}
    found, wanted = library.to_numpy(value), library.to_numpy(expected)
    np.testing.assert_allclose(found.reshape(wanted.shape), wanted, **close)
    found, wanted = library.to_numpy(backward()), library.to_numpy(back())
    assert found.shape == LOGITS.shape
    np.testing.assert_allclose(found.reshape(wanted.shape), wanted, **close)


@options
@weights
@finite_differences
def test_gradients_are_right(options, weight, library):
    loss = cr.CrossEntropyLoss(**options)
    weight = None if weight is None else library.asarray(weight)

    class Weighted(cr.CrossEntropyLoss):
        def __call__(self, y, target):
            return loss(y, target, sample_weight=weight)

    assert cr.gradcheck(Weighted(), x=LOGITS, target=LABELS, backend=library.backend) <= 1e-6


def test_the_mean_with_weights_of_steps_divides_by_their_sum(library):
    value, _ = cr.CrossEntropyLoss()(
        library.asarray(LOGITS), library.asarray(LABELS), sample_weight=library.asarray(BY_STEP)
    )
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=-1, keepdims=True)
    values = -np.log(np.take_along_axis(p, LABELS[..., None], axis=-1)[..., 0])
    assert float(value) == pytest.approx((values * BY_STEP).sum() / BY_STEP.sum(), rel=1e-13)


def test_a_weight_for_each_value_of_other_losses(library):
    y, target, weight = (RNG.uniform(0.1, 0.9, (4, 3)) for _ in range(3))
    value, backward = cr.MSELoss()(*map(library.asarray, (y, target)), sample_weight=weight)
    expected = (weight * (y - target) ** 2).sum() / weight.sum()
    assert float(value) == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(
        library.to_numpy(backward()), 2 * weight * (y - target) / weight.sum(), rtol=1e-12
    )


def test_weights_of_a_wrong_shape(library):
    y, target = library.asarray(LOGITS), library.asarray(LABELS)
    for shape, message in (
        ((BATCH, TIME + 1), r"weights of shape \(batch,\) or \(batch, 4\), found \(batch, 5\)"),
        ((BATCH, 1), r"found \(batch, 1\)"),
        ((BATCH, TIME, CLASSES), r"found \(batch, 4, 5\)"),
        ((TIME,), r"expected 3 sample weights, found shape \(4,\)"),
    ):
        with pytest.raises(cr.ShapeError, match=message):
            cr.CrossEntropyLoss()(y, target, sample_weight=library.asarray(np.ones(shape)))


def test_values_that_share_outputs_have_no_weights_of_their_own(library):
    class Halves(cr.Loss):
        def as_target(self, xp, y, target):
            return target

        def formula(self, xp, y, target):
            d = y[:, :2] - y[:, 2:]
            return d * d, lambda: xp.concat([2.0 * d, -2.0 * d], axis=1)

    y, target = library.asarray(RNG.normal(size=(3, 4))), library.asarray(np.zeros(3))
    Halves()(y, target, sample_weight=library.asarray(BY_SAMPLE))
    with pytest.raises(cr.ShapeError, match=r"Halves: .* shape \(batch,\), found \(batch, 2\)"):
        Halves()(y, target, sample_weight=library.asarray(np.ones((3, 2))))


def test_targets_of_a_wrong_shape(library):
    y = library.asarray(LOGITS)
    for target, message in (
        (LABELS[:, :3], r"labels of shape \(batch, 4\) or one-hot rows of shape \(batch, 4, 5\)"),
        (LABELS[:, 0], r"labels of shape \(batch, 4\) .* found \(batch,\)"),
    ):
        with pytest.raises(cr.ShapeError, match=message):
            cr.CrossEntropyLoss()(y, library.asarray(target))
    with pytest.raises(cr.DataError, match="labels of 5 classes from 0 to 4, found 5"):
        cr.CrossEntropyLoss()(y, library.asarray(np.where(LABELS[0, 0] == LABELS, 5, LABELS)))


@pytest.mark.parametrize("target", [LABELS, np.eye(CLASSES)[LABELS]], ids=["labels", "rows"])
def test_metrics_count_each_step(target, library):
    outputs, given = library.asarray(LOGITS), library.asarray(target)
    rows = [a.reshape(BATCH * TIME, *a.shape[2:]) for a in (LOGITS, target)]
    metrics = cr.metrics
    for metric in (metrics.accuracy, metrics.top_k_accuracy(2), metrics.f1):
        expected = metric(*rows)
        assert float(metric(outputs, given)) == pytest.approx(float(expected), rel=1e-13)
    found = library.to_numpy(metrics.confusion_matrix(outputs, given))
    np.testing.assert_array_equal(found, metrics.confusion_matrix(*rows))
    ignored = int(LABELS[0, 0])
    if target.ndim == 2:
        found = metrics.accuracy(outputs, given, ignore_index=ignored)
        right = (LOGITS.argmax(-1) == LABELS)[ignored != LABELS]
        assert float(found) == pytest.approx(right.mean(), rel=1e-13)


def tagged(samples):
    """Return tokens and labels: whether a token follows an odd token, or -1 in the padding."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 6, (samples, TIME))
    lengths = rng.integers(1, TIME + 1, samples)
    labels = np.where(np.arange(TIME) < lengths[:, None], tokens % 3, -1)
    return tokens, labels


def tagger(library, **options):
    layers = cr.Embedding(6, 5), cr.Linear(5, 3)
    return trainer_on(library, *layers, optimizer=cr.Adam(0.05), **options)


def test_a_tagger_learns(library):
    x, y = tagged(60)
    trainer = tagger(library, loss=cr.CrossEntropyLoss(ignore_index=-1))
    history = trainer.fit(x, y, epochs=15, batch_size=10, verbose=0)
    assert history.epochs[-1]["accuracy"] == 1.0
    assert trainer.evaluate(x, y)["accuracy"] == 1.0


def test_ignored_steps_equal_steps_with_weight_zero(library):
    x, y = tagged(30)
    present = (y >= 0).astype(float)
    histories = []
    for loss, labels, weight in (
        (cr.CrossEntropyLoss(ignore_index=-1), y, None),
        (cr.CrossEntropyLoss(), np.where(y < 0, 0, y), present),
    ):
        for micro_batches in (1, 3):
            trainer = tagger(library, loss=loss)
            history = trainer.fit(
                x, labels, sample_weight=weight, epochs=2, batch_size=12,
                micro_batches=micro_batches, verbose=0,
            )  # fmt: skip
            numbers = [row[name] for row in history.epochs for name in ("loss", "accuracy")]
            measured = trainer.evaluate(x, labels, sample_weight=weight)
            histories.append([*numbers, measured["loss"], measured["accuracy"]])
    for other in histories[1:]:
        np.testing.assert_allclose(other, histories[0], rtol=1e-10)


def test_wrong_weights_are_reported_before_the_first_step(library):
    x, y = tagged(30)
    trainer = tagger(library)
    with pytest.raises(cr.ShapeError, match=r"sample_weight: .* or \(batch, 4\)"):
        trainer.fit(x, abs(y), sample_weight=np.ones((30, TIME + 1)), epochs=1, verbose=0)
    assert trainer.optimizer.steps == 0
