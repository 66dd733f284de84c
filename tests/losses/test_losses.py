"""Compare losses with hand-computed values, and refuse invalid arguments."""

import math

import numpy as np
import pytest

import chainrule as cr

Y = np.asarray([[1.0, -2.0], [0.5, 3.0]])
T = np.asarray([[0.0, 1.0], [0.5, -1.0]])  # y - t is 1, -3, 0, 4


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (cr.MSELoss(), (1 + 9 + 0 + 16) / 4),
        (cr.MSELoss(reduction="sum"), 26),
        (cr.L1Loss(), (1 + 3 + 0 + 4) / 4),
        (cr.HuberLoss(), (0.5 + 2.5 + 0 + 3.5) / 4),
        (cr.HuberLoss(delta=2.0), (0.5 + 4 + 0 + 6) / 4),
    ],
    ids=repr,
)
def test_regression(loss, expected, library):
    value, _ = loss(library.asarray(Y), library.asarray(T))
    assert float(value) == pytest.approx(expected)


def test_cross_entropy(library):
    y = library.asarray(np.log([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]]))
    labels = library.asarray([0, 2])
    value, backward = cr.CrossEntropyLoss()(y, labels)
    assert float(value) == pytest.approx(-(math.log(0.7) + math.log(0.4)) / 2)
    expected = np.asarray([[0.7 - 1, 0.2, 0.1], [0.3, 0.3, 0.4 - 1]]) / 2
    np.testing.assert_allclose(library.to_numpy(backward()), expected, rtol=1e-12)
    value, _ = cr.CrossEntropyLoss(weight=[1.0, 5.0, 3.0])(y, labels)
    assert float(value) == pytest.approx(-(math.log(0.7) + 3 * math.log(0.4)) / 4)
    value, _ = cr.CrossEntropyLoss(reduction="none")(y, labels)
    np.testing.assert_allclose(library.to_numpy(value), [-math.log(0.7), -math.log(0.4)])
    value, _ = cr.CrossEntropyLoss(label_smoothing=0.3)(y, labels)
    logs = np.log([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]])
    smoothed = -(0.8 * logs[0, 0] + 0.1 * logs[0, 1] + 0.1 * logs[0, 2])
    smoothed += -(0.1 * logs[1, 0] + 0.1 * logs[1, 1] + 0.8 * logs[1, 2])
    assert float(value) == pytest.approx(smoothed / 2)


@pytest.mark.parametrize("options", [{}, {"weight": [1, 5, 3]}, {"label_smoothing": 0.2}], ids=str)
def test_labels_and_one_hot_rows_give_the_same_loss(options, library):
    y = library.asarray(np.random.default_rng(0).normal(size=(6, 3)))
    labels = np.asarray([0, 1, 2, 2, 1, 1])
    loss = cr.CrossEntropyLoss(**options)
    value, backward = loss(y, library.asarray(labels))
    for rows in (np.eye(3)[labels], np.eye(3, dtype=np.int64)[labels]):
        value2, backward2 = loss(y, library.asarray(rows))
        assert float(value) == pytest.approx(float(value2), rel=1e-12)
        np.testing.assert_allclose(
            library.to_numpy(backward()), library.to_numpy(backward2()), rtol=1e-12, atol=1e-15
        )


@pytest.mark.parametrize("kind", ["uint8", "int32", "int64"])
def test_labels_of_any_integer_type(kind, library):
    y = library.asarray(np.eye(3, dtype="float32"))
    value, _ = cr.CrossEntropyLoss()(y, library.asarray(np.asarray([0, 1, 2], dtype=kind)))
    assert float(value) == pytest.approx(math.log(math.e + 2) - 1, rel=1e-6)


def test_more_classes_than_the_dtype_of_labels_can_count(library):
    y = np.random.default_rng(0).normal(size=(4, 300))
    narrow, wide = (
        cr.CrossEntropyLoss()(library.asarray(y), library.asarray(np.asarray([0, 44, 200, 255], t)))
        for t in ("uint8", "int64")
    )
    assert float(narrow[0]) == float(wide[0])


def test_a_logit_of_minus_infinity(library):
    y = library.asarray(np.asarray([[1.0, -np.inf, 2.0], [0.0, 1.0, -np.inf]]))
    value, backward = cr.CrossEntropyLoss()(y, library.asarray([0, 1]))
    expected = (math.log(1 + math.e) + math.log(1 + math.exp(-1))) / 2
    assert float(value) == pytest.approx(expected)
    assert np.isfinite(library.to_numpy(backward())).all()


def test_logits_given_to_bce_loss(library):
    y, t = library.asarray([[3.0], [-2.0]]), library.asarray([[1.0], [0.0]])
    with pytest.raises(cr.DataError, match="for logits, use BCEWithLogitsLoss"):
        cr.BCELoss().check(y, t)


@pytest.mark.parametrize("reduction", ["mean", "batchmean", "none"])
def test_logits_given_to_kl_divergence(reduction, library):
    loss, t = cr.KLDivLoss(reduction=reduction), library.asarray([[0.25, 0.75]])
    with pytest.raises(
        cr.DataError, match=r"\(at most 0\), found 2; .* add LogSoftmax as the last"
    ):
        loss(library.asarray([[-1.0, 2.0]]), t)
    certain = library.asarray(np.asarray([[-30.0, 1e-7]], "float32"))  # 0 up to rounding
    assert np.isfinite(library.to_numpy(loss(certain, t)[0])).all()
    trainer = cr.Trainer(cr.mlp([1, 2], backend=library.backend), cr.KLDivLoss(), cr.SGD(0.1))
    trainer.model[0].bias.value[...] = 5.0
    with pytest.raises(cr.DataError, match="^output of the model: KLDivLoss: "):
        trainer.fit(np.zeros((4, 1)), np.full((4, 2), 0.5), verbose=0)


def test_a_hint_about_one_output_is_given_for_one_output_only(library):
    for shape, hint in (((4,), True), ((4, 1), True), ((4, 5, 1), False)):
        y, labels = library.asarray(np.zeros(shape)), library.asarray(np.zeros(shape[:1], int))
        for use in (cr.CrossEntropyLoss(), cr.metrics.accuracy):
            with pytest.raises(cr.ShapeError, match="at least two classes, found") as caught:
                use(y, labels)
            assert ("for one output" in str(caught.value)) == hint


def test_a_formula_must_return_values_for_each_sample():
    class Mean(cr.Loss):
        def formula(self, xp, y, target):
            return xp.mean((y - target) ** 2), lambda: 2 * (y - target) / y.size

    with pytest.raises(cr.ShapeError, match=r"expected values of shape \(4, ...\), found \(\)"):
        Mean()(np.zeros((4, 3)), np.zeros((4, 3)))


@pytest.mark.parametrize("kind", ["int64", "float32", "float64"])
def test_weights_of_any_type(kind, library):
    y = library.asarray(np.eye(3, dtype="float32"))
    for weight in (None, [1.0, 2.0, 3.0]):
        loss = cr.CrossEntropyLoss(weight=weight)
        weights = library.asarray(np.asarray([1, 2, 0], dtype=kind))
        value, backward = loss(y, library.asarray([0, 1, 2]), sample_weight=weights)
        assert value.dtype == backward().dtype == y.dtype
        with pytest.raises(cr.ShapeError, match=r"expected 3 sample weights, found shape \(2,\)"):
            loss(y, library.asarray([0, 1, 2]), sample_weight=library.asarray([1.0, 2.0]))


def test_binary_cross_entropy(library):
    p, t = np.asarray([[0.8], [0.3]]), library.asarray(np.asarray([[1.0], [0.0]]))
    expected = -(math.log(0.8) + math.log(0.7)) / 2
    value, _ = cr.BCELoss()(library.asarray(p), t)
    assert float(value) == pytest.approx(expected)
    value, _ = cr.BCEWithLogitsLoss()(library.asarray(np.log(p / (1 - p))), t)
    assert float(value) == pytest.approx(expected)


def test_divergence(library):
    t = np.asarray([[0.5, 0.5, 0.0]])
    q = np.asarray([[0.25, 0.25, 0.5]])
    y = library.asarray(np.log(q))
    for reduction, share in (("sum", 1), ("batchmean", 1), ("mean", 1 / 3)):
        value, _ = cr.KLDivLoss(reduction=reduction)(y, library.asarray(t))
        assert float(value) == pytest.approx(math.log(2) * share)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_outputs_stay_finite(dtype, library):
    y = np.asarray([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]], dtype=dtype)
    ones = np.asarray([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    for loss, outputs, target in (
        (cr.CrossEntropyLoss(), y, np.asarray([1, 0])),
        (cr.BCEWithLogitsLoss(), y, ones),
        (cr.BCELoss(), (y > 0).astype(dtype), ones),
    ):
        value, backward = loss(library.asarray(outputs), library.asarray(target))
        assert np.isfinite(float(value))
        assert float(value) > 10
        assert np.isfinite(library.to_numpy(backward())).all()


INF = np.inf
# Each row: loss, outputs and targets of one sample, expected values, and expected derivatives.
EXTREMES = {
    "BCEWithLogits": (
        cr.BCEWithLogitsLoss, [-INF, INF, -INF, INF], [0, 1, 1, 0], [0, 0, INF, INF], [0, 0, -1, 1],
    ),
    "BCEWithLogits, weighted": (
        lambda **o: cr.BCEWithLogitsLoss(pos_weight=[2, 2, 3], weight=[1, 0.5, 0], **o),
        [-INF, -INF, INF], [0, 1, 0], [0, INF, 0], [0, -1, 0],
    ),
    "BCEWithLogits, no digits lost": (
        cr.BCEWithLogitsLoss, [-30, 30], [0, 1], [9.357623e-14] * 2, [9.357623e-14, -9.357623e-14],
    ),
    "BCE": (cr.BCELoss, [0, 1], [0, 1], [0, 0], [0, 0]),
    "KLDiv": (
        cr.KLDivLoss, [math.log(0.25), -INF, -INF], [0.5, 0, 0.5],
        [0.5 * math.log(2), 0, INF], [-0.5, 0, -0.5],
    ),
    "MSE, weighted": (
        lambda **o: cr.MSELoss(weight=[1, 0], **o), [1, INF], [0, 0], [1, 0], [2, 0],
    ),
    "L1": (cr.L1Loss, [INF, -INF, 1e30], [0, 0, 0], [INF, INF, 1e30], [1, -1, 1]),
    "Huber": (cr.HuberLoss, [INF, -INF, 1e30], [0, 0, 0], [INF, INF, 1e30], [1, -1, 1]),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("make", "y", "t", "values", "slopes"), EXTREMES.values(), ids=EXTREMES)
def test_infinite_outputs(make, y, t, values, slopes, dtype, library):
    y, t = (library.asarray(np.asarray([row], dtype)) for row in (y, t))
    found, backward = make(reduction="none")(y, t)
    np.testing.assert_allclose(library.to_numpy(found), [values], rtol=1e-6)
    np.testing.assert_allclose(library.to_numpy(backward()), [slopes], rtol=1e-6)


@pytest.mark.parametrize("form", ["labels", "rows"])
@pytest.mark.parametrize(
    ("options", "value"),
    [({}, INF), ({"label_smoothing": 0.3}, INF), ({"weight": [0, 1, 1]}, 0.0)],
    ids=["plain", "smoothed", "weighted"],
)
def test_a_target_class_with_a_logit_of_minus_infinity(options, value, form, library):
    y = np.asarray([[-INF, 0.0, 0.0], [0.0, -INF, 0.0]])
    target = np.asarray([0, 2]) if form == "labels" else np.eye(3)[[0, 2]]
    loss = cr.CrossEntropyLoss(reduction="none", **options)
    found, backward = loss(library.asarray(y), library.asarray(target))
    found, gradient = library.to_numpy(found), library.to_numpy(backward())
    assert found[0] == value
    assert found[1] == (INF if "label_smoothing" in options else pytest.approx(math.log(2)))
    q = (0.7 * np.eye(3)[[0, 2]] + 0.1) if "label_smoothing" in options else np.eye(3)[[0, 2]]
    q = q * options.get("weight", 1.0)
    p = np.asarray([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5]]) * q.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(gradient, p - q, atol=1e-12)


@pytest.mark.parametrize("bad", [INF, -INF, np.nan])
@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (cr.MSELoss(), np.zeros((3, 2))),
        (cr.HuberLoss(), np.zeros((3, 2))),
        (cr.BCEWithLogitsLoss(), np.asarray([[0, 1], [1, 1], [0, 0]])),
        (cr.KLDivLoss(), np.full((3, 2), 0.5)),
        (cr.CrossEntropyLoss(), np.asarray([0, 1, 1])),
        (cr.CrossEntropyLoss(weight=[0.5, 2]), np.asarray([0, 1, 1])),
    ],
    ids=["MSE", "Huber", "BCEWithLogits", "KLDiv", "CrossEntropy", "CrossEntropy, weighted"],
)
# The softmax of infinity gives this warning.
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_sample_of_weight_0_counts_as_absent(loss, target, bad, library):
    y = -abs(np.random.default_rng(0).normal(size=(3, 2)))
    value, backward = loss(library.asarray(y[:2]), library.asarray(target[:2]))
    y[2, 0] = bad
    weight = library.asarray([1.0, 1.0, 0.0])
    found, backward3 = loss(library.asarray(y), library.asarray(target), sample_weight=weight)
    assert float(found) == pytest.approx(float(value), rel=1e-12)
    expected = [*library.to_numpy(backward()), [0.0, 0.0]]
    np.testing.assert_allclose(library.to_numpy(backward3()), expected, rtol=1e-12)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_class_of_weight_0_counts_as_absent(library):
    y = library.asarray([[0.0, 1.0], [np.nan, np.nan]])
    value, backward = cr.CrossEntropyLoss(weight=[1, 0])(y, library.asarray([0, 1]))
    assert float(value) == pytest.approx(math.log(1 + math.e))
    assert not library.to_numpy(backward())[1, :].any()


@pytest.mark.parametrize(
    "loss", [cr.MSELoss(), cr.L1Loss(), cr.HuberLoss(), cr.BCEWithLogitsLoss()], ids=repr
)
def test_targets_are_not_broadcast(loss, library):
    y = library.asarray(np.zeros((4, 1)))
    with pytest.raises(cr.ShapeError, match=r"expected targets of shape \(batch, 1\).*\(batch,\)"):
        loss(y, library.asarray(np.zeros(4)))


def test_shapes_of_cross_entropy(library):
    loss, y = cr.CrossEntropyLoss(), library.asarray(np.zeros((4, 3)))
    with pytest.raises(cr.ShapeError, match=r"labels of shape \(batch,\) .*found \(batch, 1\)"):
        loss(y, library.asarray(np.zeros((4, 1), dtype=int)))
    with pytest.raises(cr.ShapeError, match=r"expected labels .*\(4, 3\), found \(5,\)"):
        loss(y, library.asarray(np.zeros(5, dtype=int)))
    with pytest.raises(cr.ShapeError, match="BCEWithLogitsLoss"):
        loss(library.asarray(np.zeros((4, 1))), library.asarray(np.zeros(4, dtype=int)))
    with pytest.raises(
        cr.DataError, match="expected integer labels, found floating-point numbers: y.ast"
    ):
        loss(y, library.asarray(np.zeros(4)))


@pytest.mark.parametrize(
    ("loss", "target", "message"),
    [
        (cr.CrossEntropyLoss(), [0, 3], r"labels of 3 classes from 0 to 2, found 3"),
        (cr.CrossEntropyLoss(), [-1, 0], r"labels of 3 classes from 0 to 2, found -1"),
        (cr.CrossEntropyLoss(), [[0, 1, 1], [1, 0, 0]], "rows that sum to 1, found .* from 1 by 1"),
        (cr.CrossEntropyLoss(), [[2.0, -1, 0], [1, 0, 0]], "from 0 to inf, found -1"),
        (cr.BCELoss(), [[0, 1, 2], [0, 0, 0]], "from 0 to 1, found 2"),
        (cr.BCEWithLogitsLoss(), [[0, 1, -1], [0, 0, 0]], "from 0 to 1, found -1"),
        (cr.KLDivLoss(), [[0, 1, -1.0], [0, 0, 0]], "from 0 to inf, found -1"),
        (cr.BCELoss(), [[0, 1, np.nan], [0, 0, 0]], "from 0 to 1, found nan"),
    ],
)
def test_targets_out_of_range_are_refused(loss, target, message, library):
    y, target = library.asarray(np.full((2, 3), 0.5)), library.asarray(target)
    with pytest.raises(cr.DataError, match=message):
        loss.check(y, target)
    if library.name != "cupy":  # in host memory, every call checks the targets
        with pytest.raises(cr.DataError, match=message):
            loss(y, target)


def test_invalid_options_are_refused():
    with pytest.raises(ValueError, match=r"reduction to be one of .*found 'average'"):
        cr.MSELoss(reduction="average")
    loss = cr.KLDivLoss(reduction="batchmean")
    with pytest.raises(ValueError, match=r"reduction to be one of .*found 'average'"):
        loss.reduction = "average"
    assert loss.reduction == "batchmean"
    with pytest.raises(ValueError, match="expected delta to be finite and above 0"):
        cr.HuberLoss(delta=0.0)
    with pytest.raises(ValueError, match="label_smoothing"):
        cr.CrossEntropyLoss(label_smoothing=1.5)
    with pytest.raises(ValueError, match="finite weights of at least 0"):
        cr.CrossEntropyLoss(weight=[1, -1])
    with pytest.raises(ValueError, match="not all 0"):
        cr.CrossEntropyLoss(weight=[0, 0])
    with pytest.raises(cr.ShapeError, match=r"one weight per output, found 2 .*\(2, 3\)"):
        cr.CrossEntropyLoss(weight=[1, 1])(np.zeros((2, 3)), np.asarray([0, 1]))
    with pytest.raises(cr.ShapeError, match="sample weights"):
        cr.MSELoss()(np.zeros((2, 3)), np.zeros((2, 3)), sample_weight=np.ones(3))
    with pytest.raises(cr.DataError, match="at least one sample"):
        cr.MSELoss()(np.zeros((0, 3)), np.zeros((0, 3)))


def test_outputs_may_be_lists_and_frames():
    logits, labels = np.asarray([[2.0, 0.0], [0.0, 1.0]]), [0, 1]
    expected, back = cr.CrossEntropyLoss()(logits, labels)
    pandas = pytest.importorskip("pandas")
    for outputs in (logits.tolist(), logits.astype(int).tolist(), pandas.DataFrame(logits)):
        value, backward = cr.CrossEntropyLoss()(outputs, labels)
        assert value == expected
        np.testing.assert_array_equal(backward(), back())
        cr.CrossEntropyLoss().check(outputs, labels)


@pytest.mark.parametrize(
    ("weights", "found"),
    [([1, -1], "-1 to 1"), ([1, np.nan], "nan to nan"), ([1, np.inf], "1 to inf")],
)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_invalid_sample_weights_are_refused(weights, found, reduction, library):
    if library.name == "cupy":
        pytest.skip("values on a device are not checked")
    y, loss = library.asarray(np.zeros((2, 3))), cr.MSELoss(reduction=reduction)
    with pytest.raises(cr.DataError, match=f"weights of at least 0 with a sum .*from {found}"):
        loss(y, y, sample_weight=library.asarray(weights))


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_finite_weights_with_an_infinite_sum(library):
    if library.name == "cupy":
        pytest.skip("values on a device are not checked")
    xp = library.backend.xp
    y, target = library.asarray(np.zeros((64, 2)), dtype=xp.float32), library.asarray([0, 1] * 32)
    weights = library.asarray(np.full(64, 1e38))
    for loss, options in (
        (cr.CrossEntropyLoss(), {"sample_weight": weights}),
        (cr.CrossEntropyLoss(weight=[1e38, 1e38]), {}),
    ):
        with pytest.raises(cr.DataError, match=r"weights .*sum .*float32, found .*inf"):
            loss(y, target, **options)
    with pytest.raises(cr.DataError, match="weights within the range of .*float32, found"):
        cr.CrossEntropyLoss(weight=[1e39, 1.0])(y, target)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("weight", [None, 1.0, 1e30])
def test_a_finite_mean_of_values_with_an_infinite_sum(weight, library):
    x, t = np.ones((8, 2), "float32"), np.zeros((8, 2), "float32")
    given = {"sample_weight": library.asarray(np.full(8, weight, "float32"))} if weight else {}
    for loss, error, mean in ((cr.L1Loss(), 2e38, 2e38), (cr.MSELoss(), 1.5e19, 2.25e38)):
        y = library.asarray(x * np.float32(error))
        value, backward = loss(y, library.asarray(t), **given)
        assert value.dtype == y.dtype
        assert float(value) == pytest.approx(mean, rel=1e-6)
        assert np.isfinite(library.to_numpy(backward())).all()


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize(
    "options",
    [{}, {"micro_batches": 4}, {"sample_weight": [1e30] * 8}],
    ids=["whole", "in parts", "large weights"],
)
def test_training_on_values_with_an_infinite_sum(options, library):
    model = cr.Sequential(
        cr.Linear(1, 1, init=cr.initializers.constant(2e38)), backend=library.backend
    )
    metrics = [cr.metrics.mean_absolute_error]
    trainer = cr.Trainer(model, loss=cr.L1Loss(), optimizer=cr.SGD(0.1), metrics=metrics)
    x, y = np.ones((8, 1), "float32"), np.zeros((8, 1), "float32")
    validation_data = (x, y, *([options["sample_weight"]] if "sample_weight" in options else []))
    history = trainer.fit(x, y, verbose=0, validation_data=validation_data, **options)
    for name in ("loss", "mean_absolute_error", "val_loss", "val_mean_absolute_error"):
        assert history[name] == [pytest.approx(2e38, rel=1e-6)]


def test_weights_whose_sum_has_no_inverse(library):
    """Weights whose sum is 1e-44 are an error on the CPU, and give a loss of 0 on a GPU."""
    y = library.asarray(np.ones((4, 2)), dtype=library.backend.xp.float32)
    weights, loss = library.asarray(np.full(4, 1e-45)), cr.MSELoss()
    if library.name != "cupy":
        with pytest.raises(cr.DataError, match="a sum within the range of .*float32"):
            loss(y, 0.0 * y, sample_weight=weights)
    loss_sum, total_weight, backward = loss.sums(y, 0.0 * y, sample_weight=weights)
    scale = loss.scale(total_weight)
    assert float(loss_sum * scale) == 0.0
    np.testing.assert_array_equal(library.to_numpy(backward(scale)), 0.0)


def test_words_are_refused_as_targets():
    with pytest.raises(cr.DataError, match="real numbers, found dtype <U3"):
        cr.MSELoss()(np.zeros(2), np.asarray(["cat", "dog"]))


class Custom(cr.Loss):
    """A loss with a given formula."""

    def formula(self, xp, y, target):
        return self._formula(y - target)


FORMULAS = {
    "the gradient": (lambda d: (d * d, 2.0 * d), TypeError, "expected formula to return an array"),
    "no pair": (lambda d: d * d, TypeError, "expected formula to return an array"),
    "a number": (lambda d: (3.0, lambda: d), TypeError, "expected an array as values, found 3.0"),
    "None": (lambda d: (d * d, lambda: None), TypeError, "expected an array as gradient, found N"),
    "a column": (
        lambda d: (d * d, lambda: d[:, :1]),
        cr.ShapeError,
        r"expected gradient of shape \(4, 2\), found \(4, 1\)",
    ),
}


@pytest.mark.parametrize(("formula", "error", "message"), FORMULAS.values(), ids=FORMULAS)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_custom_formula_that_returns_the_wrong_thing(formula, error, message, reduction, library):
    loss = Custom(reduction=reduction)
    loss._formula = formula
    y = library.asarray(np.ones((4, 2), "float32"))
    with pytest.raises(error, match=rf"^Custom\(reduction='{reduction}'\): {message}"):
        loss(y, y)[1]()
