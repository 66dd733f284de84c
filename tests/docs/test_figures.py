"""The numbers in the figures of the pages are right."""

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")

import chainrule as cr
from docs.figures import FIGURES, activations, layers, training
from docs.figures.__main__ import main

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", FIGURES)
def test_the_figure_is_drawn_and_shown_on_a_page(name, tmp_path):
    main([name, "--folder", str(tmp_path)])
    assert (tmp_path / f"{name}.png").stat().st_size > 5000
    assert (DOCS / "images" / f"{name}.png").exists()
    pages = "".join(page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md"))
    assert len(re.findall(rf"\(\.\./images/{name}\.png\)", pages)) == 1


@pytest.mark.parametrize("layer", activations.RECTIFIERS + activations.SIGMOIDS, ids=repr)
def test_slopes_are_differences_of_values(layer):
    x, h = np.linspace(-3.95, 7.95, 120), 1e-6
    (above, _), (below, _) = (activations.curve(layer, x + step) for step in (h, -h))
    np.testing.assert_allclose(activations.curve(layer, x)[1], (above - below) / (2 * h), atol=1e-5)


def test_softmax():
    powers = np.exp(4 * np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(activations.softmax(4.0), powers / powers.sum())


def test_the_scale_of_deep_networks():
    shrinking, steady, growing = (np.array(layers.scales(variance)) for variance in (1, 2, 4))
    assert np.all((steady > 0.3) & (steady < 4))
    assert shrinking[-1] / shrinking[0] == pytest.approx(2.0**-14.5, rel=1)
    assert growing[-1] / growing[0] == pytest.approx(2.0**14.5, rel=1)


def test_pooling():
    windows = layers.IMAGE.reshape(2, 2, 2, 2).swapaxes(1, 2).reshape(2, 2, 4)
    pooled = {cr.MaxPool2d: windows.max(axis=-1), cr.AvgPool2d: windows.mean(axis=-1)}
    for kind, expected in pooled.items():
        y, dx = layers.both_ways(kind(2), layers.IMAGE[None, None], layers.DY[None, None])
        np.testing.assert_array_equal(y[0, 0], expected)
        sums = dx[0, 0].reshape(2, 2, 2, 2).sum(axis=(1, 3))
        np.testing.assert_array_equal(sums, layers.DY)


def test_dropout_keeps_the_mean():
    x, outputs = layers.dropped(0.5, 2000)
    assert np.all((outputs == 0) | (outputs == 2 * x))
    assert len(np.unique(outputs[:5] == 0, axis=0)) == 5  # each step has its own mask
    np.testing.assert_allclose(outputs.mean(axis=0), x, rtol=0.1)
    np.testing.assert_allclose(outputs.std(axis=0), x, rtol=0.05)


def test_the_normalised_batch():
    y, _ = layers.both_ways(cr.BatchNorm(2), layers.batch())
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(y.std(axis=0), 1, atol=1e-4)


def test_means_leave_out_padding():
    h, means = layers.padded()
    expected = [row[:length].mean() for row, length in zip(h, layers.LENGTHS, strict=True)]
    np.testing.assert_allclose(means[:, 0], expected)


@pytest.mark.parametrize("name", training.LOSSES)
def test_slopes_of_losses_are_differences(name):
    loss, outputs, target = training.LOSSES[name]
    outputs, h = outputs[np.abs(np.abs(outputs) % 1) > 1e-3], 1e-6  # without the corners
    above, below = (training.loss_curve(loss, outputs + step, target)[0] for step in (h, -h))
    slopes = training.loss_curve(loss, outputs, target)[1]
    np.testing.assert_allclose(slopes, (above - below) / (2 * h), atol=1e-5)


def test_paths_in_the_landscape():
    paths = {name: training.path(optimizer) for name, optimizer in training.OPTIMIZERS.items()}
    steps = np.arange(training.STEPS + 1)[:, None]
    plain = training.START * (1 - 0.02 * training.STEEPNESS) ** steps  # in closed form
    np.testing.assert_allclose(paths["SGD(lr=0.02)"], plain, atol=1e-12)
    final = {name: training.valley(path[-1]) for name, path in paths.items()}
    assert final["SGD(lr=0.02, momentum=0.9)"] < 0.1 * final["SGD(lr=0.02)"]
    assert max(final.values()) == final["SGD(lr=0.02)"]


def test_the_network_that_overfits():
    """The figure has the numbers that the page on training says."""
    losses = training.overfitting()["val_loss"]
    page = (DOCS / "howto" / "training.md").read_text(encoding="utf-8")
    best = int(np.argmin(losses))
    assert f"lowest after {best + 1} epochs ({losses[best]:.2f})" in page
    assert f"After 60 epochs it is {losses[-1]:.2f}" in page
