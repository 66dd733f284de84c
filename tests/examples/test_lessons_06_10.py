"""Lessons 6 to 10 run as scripts and print the correct numbers."""

import re
from statistics import NormalDist

import numpy as np
import pytest
from running import lesson, mnist_is_here, numbers

pytest.importorskip("matplotlib")

pytestmark = pytest.mark.lessons


def check_xor(out, seeds, needed):
    what = rf"(\d+) of {seeds} seeds learned, median (.+) epochs"
    learned, epochs = numbers(f"x, y and x y: {what}", out)
    assert learned >= needed
    assert 20 < epochs < 300
    for point, answer in {"0 xor 0": 0, "0 xor 1": 1, "1 xor 0": 1, "1 xor 1": 0}.items():
        assert abs(numbers(f"{point}: (.+)", out)[0] - answer) < 0.2
    return epochs


def test_xor(tmp_path):
    film = tmp_path / "xor.gif"
    out = lesson("06_xor.py", tmp_path, "--animate", film)
    epochs = check_xor(out, seeds=20, needed=19)
    learned, slower = numbers(r"x and y: (\d+) of 20 seeds learned, median (.+) epochs", out)
    assert 8 <= learned <= 18
    assert numbers("with x y it learns (.+) times as fast", out)[0] > 2
    assert slower > 2 * epochs

    from PIL import Image

    with Image.open(film) as frames:
        assert frames.n_frames > 20
        first = np.asarray(frames.convert("RGB"), dtype=float)
        frames.seek(frames.n_frames - 1)
        assert np.abs(np.asarray(frames.convert("RGB")) - first).mean() > 1


def test_xor_on_other_backends(tmp_path, other_backend):
    options = ("--seeds", 2, "--epochs", 400, "--backend", other_backend)
    check_xor(lesson("06_xor.py", tmp_path, *options), seeds=2, needed=2)


def test_circles_moons_blobs_spirals(tmp_path):
    out = lesson("07_circles_moons_blobs_spirals.py", tmp_path)
    names = ("circles", "moons", "blobs", "spirals, noise 0.1", "spirals, noise 0.2")
    accuracy = {name: numbers(rf"{name}: (.+) and (.+)", out) for name in names}
    for ours, theirs in accuracy.values():
        assert ours >= 0.97 * theirs
    assert accuracy["circles"][0] > 0.96
    assert accuracy["moons"][0] > 0.96
    assert accuracy["blobs"][0] > 0.9
    assert accuracy["spirals, noise 0.1"][0] >= 0.99

    # Arm 3 is arm 0 rotated by 12 radians, 0.57 radians short of two full turns.
    formula = NormalDist().cdf((4 * np.pi - 12) / 2 / 0.2)
    (average,) = numbers(r"the rule on 600,000 points: (.+)", out)
    assert average == pytest.approx(formula, abs=0.02)
    network, rule = numbers("  network (.+), the rule that knows the arms (.+)", out)
    (error,) = numbers("  standard error of either: (.+)", out)
    assert network == accuracy["spirals, noise 0.2"][0]
    assert error == pytest.approx((average * (1 - average) / 1500) ** 0.5, abs=1e-4)
    assert rule == pytest.approx(average, abs=3 * error)
    assert rule - 0.02 < network < rule + 2 * error


def test_moons_on_other_backends(tmp_path, other_backend):
    options = ("--epochs", 12, "--batch-size", 32, "--backend", other_backend)
    out = lesson("07_circles_moons_blobs_spirals.py", tmp_path, *options)
    ours, theirs = numbers("moons: (.+) and (.+)", out)
    assert ours >= 0.97 * theirs


def check_regression(out, epochs):
    losses = {}
    for name in ("ReLU", "ReLU6"):
        rows = re.findall(rf"^{name} epoch (\d+): train (.+) test (.+)$", out, re.MULTILINE)
        assert [int(row[0]) for row in rows] == list(range(100, epochs + 1, 100))
        losses[name] = np.array([[float(number) for number in row[1:]] for row in rows])
        assert (losses[name][-1] < 0.7 * losses[name][0]).all()
    assert losses["ReLU6"][1, 1] < 0.8 * losses["ReLU"][1, 1]  # losses at epoch 200
    return losses


def test_regression(tmp_path):
    out = lesson("08_regression.py", tmp_path)
    losses = check_regression(out, 1000)
    (noise,) = numbers("the noise alone: (.+)", out)
    assert noise == pytest.approx(0.1, abs=0.02)
    for name in losses:
        assert (losses[name][-1] < 1.5 * noise).all()


def test_regression_on_other_backends(tmp_path, other_backend):
    options = ("--epochs", 200, "--backend", other_backend)
    check_regression(lesson("08_regression.py", tmp_path, *options), 200)


def check_by_hand(out, accuracy):
    assert numbers("largest difference of a loss: (.+)", out)[0] < 1e-9
    assert numbers("largest difference of a weight: (.+)", out)[0] < 1e-9
    by_hand = numbers("iteration 500: loss .+, test accuracy (.+)", out)
    assert by_hand == numbers("test accuracy of the layers: (.+)", out)
    assert by_hand[0] > accuracy
    predictions, labels = (
        re.search(rf"^{word} +([\d ]+)$", out, re.MULTILINE)[1].split()
        for word in ("predictions", "labels")
    )
    assert len(predictions) == len(labels) == 32
    assert sum(p == q for p, q in zip(predictions, labels, strict=True)) >= 22


def test_digits_by_hand(tmp_path, backend_name):
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "XDG_CACHE_HOME": str(tmp_path)}
    nowhere["CHAINRULE_DATA"] = str(tmp_path)
    out = lesson("09_mnist_by_hand.py", tmp_path, "--backend", backend_name, **nowhere)
    assert "Training on scikit-learn's handwritten digits instead" in out
    check_by_hand(out, accuracy=0.85)


@pytest.mark.skipif(not mnist_is_here(), reason="CHAINRULE_DATA does not point at MNIST")
def test_mnist_by_hand(tmp_path):
    check_by_hand(lesson("09_mnist_by_hand.py", tmp_path), accuracy=0.8)


def test_table(tmp_path, backend_name):
    out = lesson("10_tabular.py", tmp_path, "--backend", backend_name)
    shop, temperature, price = numbers(r"missing: shop (\d+), temperature (\d+), price (\d+)", out)
    assert 150 < shop < 250
    assert 330 < temperature < 470
    assert 330 < price < 470
    ratios = {"bread": 1.2, "ice cream": 2.0, "soup": 1.5}  # effects of an offer in the data
    for product, ratio in ratios.items():
        without, with_offer = numbers(f"  {product}: (.+) and (.+)", out)
        assert with_offer / without == pytest.approx(ratio, rel=0.1)
    names = ("always the mean", "least squares", "network", "chance alone")
    mean, linear, network, chance = (numbers(f"  {name}: (.+)", out)[0] for name in names)
    assert linear < 0.7 * mean
    assert network < 0.55 * linear
    assert chance < network < 1.8 * chance
