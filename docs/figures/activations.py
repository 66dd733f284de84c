"""Activations and their slopes, and the softmax of a few numbers."""

import matplotlib.pyplot as plt
import numpy as np

import chainrule as cr
from chainrule.plotting.figures import COLORS

RECTIFIERS = (
    cr.ReLU(), cr.LeakyReLU(0.1), cr.ReLU6(), cr.ELU(), cr.GELU(), cr.SiLU(), cr.Softplus(),
)  # fmt: skip
SIGMOIDS = (cr.Sigmoid(), cr.Tanh())
LOGITS = np.array([[1.0, 2.0, 3.0]])
SCALES = (0.5, 1.0, 4.0)


def curve(layer, x):
    """Return the values and the slopes of an activation at the points `x`."""
    model = cr.Sequential(layer.copy(), dtype="float64")
    y, backward = model.forward(x[:, None])
    return y[:, 0], backward(np.ones_like(y), input_gradient=True)[:, 0]


def draw_curves(layers, size, ends):
    """Draw each activation in a panel, and its slope as a dashed line."""
    rows = 1 if len(layers) < 4 else 2
    figure, axes = plt.subplots(rows, -(-len(layers) // rows), figsize=size, layout="constrained")
    x = np.linspace(*ends, 600)
    for ax, layer in zip(axes.flat, layers, strict=False):
        y, slope = curve(layer, x)
        ax.axhline(0, color="0.8", linewidth=0.8)
        ax.axvline(0, color="0.8", linewidth=0.8)
        ax.plot(x, y, color=COLORS[0], label="value")
        ax.plot(x, slope, "--", color=COLORS[1], label="slope")
        ax.set(title=repr(layer), xlabel="x")
    axes.flat[0].legend(frameon=False)
    for ax in axes.flat[len(layers) :]:
        ax.set_axis_off()
    return figure


def draw_rectifiers():
    """Draw the rectifiers and their slopes."""
    figure = draw_curves(RECTIFIERS, (10, 5), (-4, 8))
    for ax in figure.axes:
        ax.set(ylim=(-1.2, 6.5))
    return figure


def draw_sigmoids():
    """Draw the sigmoids and their slopes."""
    return draw_curves(SIGMOIDS, (8, 3.2), (-6, 6))


def softmax(scale):
    """Return the softmax of the logits, multiplied by a scale."""
    model = cr.Sequential(cr.Softmax(), dtype="float64")
    return model.predict(scale * LOGITS)[0]


def draw_softmax():
    """Draw the softmax of three logits at three scales."""
    figure, axes = plt.subplots(1, len(SCALES), figsize=(8, 2.8), sharey=True, layout="constrained")
    for ax, scale in zip(axes, SCALES, strict=True):
        names = [f"{logit:g}" for logit in scale * LOGITS[0]]
        bars = ax.bar(names, softmax(scale), color=COLORS[0])
        ax.bar_label(bars, fmt="%.3f")
        ax.set(title=f"scale {scale:g}", xlabel="logit", ylim=(0, 1.1))
    axes[0].set_ylabel("probability")
    return figure
