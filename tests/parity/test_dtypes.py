"""Compare metrics and losses for outputs of every dtype with scikit-learn and PyTorch."""

import numpy as np
import pytest
import torch

import chainrule as cr
from chainrule import metrics

pytest.importorskip("sklearn")
from sklearn import metrics as theirs

nn, rng = torch.nn, np.random.default_rng(0)
SAMPLES = 5000
DTYPES = [
    torch.bool, torch.int8, torch.uint8, torch.int16, torch.uint16, torch.uint32, torch.int64,
    torch.uint64, torch.float16, torch.bfloat16, torch.float32, torch.float64,
]  # fmt: skip
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
LABELS = rng.integers(0, 4, SAMPLES)
SCORES = torch.tensor(rng.permuted(np.tile(np.arange(4), (SAMPLES, 1)), axis=1))
ONE = torch.tensor(rng.integers(0, 2, SAMPLES))
ZERO_ONE = rng.integers(0, 2, SAMPLES)
AVERAGES = ["macro", "micro", "weighted"]


@every_dtype
def test_counts(dtype):
    outputs = SCORES.to(dtype)
    predicted = outputs.double().numpy().argmax(axis=1)
    for y in (outputs, outputs.double().numpy()):
        assert float(metrics.accuracy(y, LABELS)) == pytest.approx(
            theirs.accuracy_score(LABELS, predicted), rel=1e-7
        )
        found = np.asarray(metrics.confusion_matrix(y, LABELS))
        np.testing.assert_array_equal(found, theirs.confusion_matrix(LABELS, predicted))
        for name in ("precision", "recall", "f1"):
            for average in AVERAGES:
                score = getattr(theirs, f"{name}_score")
                expected = score(LABELS, predicted, average=average, zero_division=0)
                found = float(getattr(metrics, name)(y, LABELS, average=average))
                assert found == pytest.approx(expected, rel=1e-6)
    one = ONE.to(dtype)
    found = float(metrics.f1(one, ZERO_ONE, threshold=0.5))
    assert found == pytest.approx(theirs.f1_score(ZERO_ONE, ONE.numpy()), rel=1e-6)


@every_dtype
def test_targets(dtype):
    target, y = ONE.to(dtype), torch.tensor(rng.normal(size=SAMPLES))
    predicted = y.numpy() > 0.0
    for outputs in (y, y.numpy(), y.float()):
        for metric, reference in (
            (metrics.binary_accuracy(0.0), theirs.accuracy_score),
            (metrics.f1, theirs.f1_score),
        ):
            expected = reference(ONE.numpy(), predicted)
            assert float(metric(outputs, target)) == pytest.approx(expected, rel=1e-6)
        value = float(cr.BCEWithLogitsLoss()(outputs, target)[0])
        expected = float(nn.functional.binary_cross_entropy_with_logits(y, ONE.double()))
        assert value == pytest.approx(expected, rel=1e-6)


def test_the_largest_k():
    outputs = torch.tensor(rng.normal(size=(SAMPLES, 4)))
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        y = outputs.to(dtype)
        expected = theirs.top_k_accuracy_score(LABELS, y.double().numpy(), k=1)
        assert float(metrics.top_k_accuracy(1)(y, LABELS)) == pytest.approx(expected, abs=2e-3)


@every_dtype
def test_errors(dtype):
    t = rng.normal(size=SAMPLES) * 30 + 60
    y = torch.tensor(t + 3).to(dtype)
    for outputs in (y, y.float().numpy() if dtype == torch.bfloat16 else y.numpy()):
        host = y.double().numpy()
        for ours, reference in (
            (metrics.r2, theirs.r2_score),
            (metrics.mean_absolute_error, theirs.mean_absolute_error),
        ):
            assert float(ours(outputs, t)) == pytest.approx(reference(t, host), rel=1e-6)


@every_dtype
@pytest.mark.parametrize("name", ["MSELoss", "L1Loss", "HuberLoss", "BCEWithLogitsLoss"])
def test_losses(name, dtype):
    y = torch.tensor(rng.integers(0, 2, (50, 3))).to(dtype)
    t, weight = torch.tensor(rng.random((50, 3))), torch.tensor(rng.random(50))
    leaf = y.double().clone().requires_grad_(True)
    values = getattr(nn, name)(reduction="none")(leaf, t)
    expected = (values * weight[:, None]).sum() / weight.sum() / 3
    expected.backward()
    value, back = getattr(cr, name)()(y, t, sample_weight=weight)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    assert float(value) == pytest.approx(float(expected.detach()), rel=tolerance)
    np.testing.assert_allclose(back().numpy(), leaf.grad.numpy(), rtol=tolerance, atol=1e-7)


@every_dtype
def test_cross_entropy(dtype):
    y, t = SCORES[:50].to(dtype), torch.tensor(LABELS[:50])
    expected = nn.functional.cross_entropy(y.double(), t)
    assert float(cr.CrossEntropyLoss()(y, t)[0]) == pytest.approx(float(expected), rel=1e-6)
    rows = torch.softmax(torch.tensor(rng.normal(size=(50, 4))), dim=1)
    for kind in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        q = rows.to(kind)
        expected = nn.functional.cross_entropy(y.double(), q.double())
        assert float(cr.CrossEntropyLoss()(y, q)[0]) == pytest.approx(float(expected), rel=1e-6)
