"""Draw the effect of some layers on their inputs."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import TwoSlopeNorm

import chainrule as cr
from chainrule.plotting.figures import COLORS

IMAGE = np.array([[1.0, 3, 2, 0], [4, 6, 1, 2], [0, 2, 8, 5], [1, 1, 3, 4]])
DY = np.array([[1.0, 2], [3, 4]])
LENGTHS = (5, 2, 4)
WIDTH, DEPTH = 256, 30


def both_ways(layer, x, dy=None):
    """Return the output of a layer in training and, if `dy` is given, the gradient `dx`."""
    model = cr.Sequential(layer, dtype="float64", seed=1)
    y, backward = model.forward(x, training=True)
    return y, None if dy is None else backward(dy, input_gradient=True)


def scales(variance):
    """Return the root mean square of each layer's output in a deep ReLU network.

    In a layer with n inputs, the variance of the weights is ``variance / n``.
    """
    init = cr.initializers.normal((variance / WIDTH) ** 0.5)
    x = np.random.default_rng(0).normal(size=(100, WIDTH))
    found = []
    for seed in range(DEPTH):
        layer = cr.Sequential(cr.Linear(WIDTH, WIDTH, init=init), dtype="float64", seed=seed)
        x = layer.predict(x)
        found.append(float(np.sqrt(np.mean(x * x))))
        x = np.maximum(x, 0)
    return found


def draw_initial_weights():
    """Draw the scale of the outputs, layer by layer, for three variances of the weights."""
    figure, ax = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
    for variance, style, color in (
        (4, "s-", COLORS[1]),
        (2, "o-", COLORS[0]),
        (1, "^-", COLORS[2]),
    ):
        label = f"Var[W] = {variance} / n" + (", the default" if variance == 2 else "")
        ax.semilogy(range(1, DEPTH + 1), scales(variance), style, color=color, label=label)
    ax.set(xlabel="layer", ylabel="root mean square of the outputs")
    ax.legend(frameon=False)
    return figure


def table(ax, numbers, title, *, fmt="{:g}", lengths=None):
    """Draw a matrix with its numbers. Cells beyond the length of a row are padding.

    The colours show the size and the sign of the numbers.
    """
    largest = float(np.max(np.abs(numbers))) or 1.0
    norm = TwoSlopeNorm(0, -largest, largest)
    ax.imshow(numbers, cmap="RdBu_r", norm=norm, alpha=0.6)
    for (row, column), number in np.ndenumerate(numbers):
        if lengths is not None and column >= lengths[row]:
            ax.add_patch(plt.Rectangle((column - 0.5, row - 0.5), 1, 1, color="0.85"))
            ax.text(column, row, "padding", ha="center", va="center", color="0.4")
        else:
            ax.text(column, row, fmt.format(number), ha="center", va="center")
    ax.set(title=title, xticks=[], yticks=[])


def draw_pooling():
    """Draw an image, its maxima and means, and the pixels that get the gradients."""
    figure, axes = plt.subplots(1, 6, figsize=(11, 2.5), layout="constrained")
    (high, dhigh), (mean, dmean) = (
        both_ways(layer, IMAGE[None, None], DY[None, None])
        for layer in (cr.MaxPool2d(2), cr.AvgPool2d(2))
    )
    table(axes[0], IMAGE, "x")
    table(axes[1], high[0, 0], "MaxPool2d(2)")
    table(axes[2], mean[0, 0], "AvgPool2d(2)")
    table(axes[3], DY, "dy")
    table(axes[4], dhigh[0, 0], "dx of MaxPool2d")
    table(axes[5], dmean[0, 0], "dx of AvgPool2d")
    for ax in (*axes[:1], *axes[4:]):  # the borders of the windows
        ax.axhline(1.5, color="black", linewidth=1)
        ax.axvline(1.5, color="black", linewidth=1)
    return figure


def dropped(p, steps):
    """Return the outputs of a dropout layer for the same input in several steps."""
    x = np.linspace(0.2, 2, 10)
    model = cr.Sequential(cr.Dropout(p), dtype="float64", seed=1)
    rows = []
    for _ in range(steps):
        rows.append(model.forward(x[None], training=True)[0][0])
        model.state.begin_step()  # each step has its own mask
        model.state.end_step()
    return x, np.array(rows)


def draw_dropout():
    """Draw the input of a dropout layer, its outputs in some steps, and their mean."""
    x, outputs = dropped(0.5, 2000)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
    table(
        left, np.vstack([x, outputs[:5]]), "The input, and the output in five steps", fmt="{:.1f}"
    )
    left.set_yticks(range(6), ["input", *(f"step {i}" for i in range(1, 6))])
    right.plot(x, x, color="0.6", label="input (and output in inference)")
    mean, spread = outputs.mean(axis=0), outputs.std(axis=0)
    style = {"fmt": "o", "color": COLORS[0], "capsize": 3}
    right.errorbar(x, mean, spread, label="mean and standard deviation over 2,000 steps", **style)
    right.set(title="Dropout(0.5) keeps the mean", xlabel="element of the input", ylabel="output")
    right.set_ylim(-0.5, 5.5)
    right.legend(frameon=False, loc="upper left")
    return figure


def batch():
    """Return a batch of two features with different means and scales."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=80)
    return np.column_stack([4 + 0.5 * first, -2 + 3 * rng.normal(size=80) + 1.5 * first])


def draw_normalization():
    """Draw a batch, and the same batch after `BatchNorm`."""
    x = batch()
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.8), layout="constrained")
    after = both_ways(cr.BatchNorm(2), x)[0]
    for ax, points, title, color in (
        (axes[0], x, "A batch", COLORS[1]),
        (axes[1], after, "After BatchNorm", COLORS[0]),
    ):
        ax.axhline(0, color="0.8", linewidth=0.8)
        ax.axvline(0, color="0.8", linewidth=0.8)
        ax.plot(*points.T, "o", color=color, markersize=4)
        mean, deviation = points.mean(axis=0), points.std(axis=0)
        ax.errorbar(*mean, *deviation[::-1], color="black", capsize=4, label="mean ± deviation")
        ax.set(title=title, xlabel="feature 1", ylabel="feature 2", xlim=(-9, 9), ylim=(-12, 12))
    axes[0].legend(frameon=False)
    return figure


def padded():
    """Return the outputs of a recurrent layer for padded sequences, and their means over time."""
    x = np.random.default_rng(0).normal(size=(len(LENGTHS), max(LENGTHS), 1))
    model = cr.Sequential(cr.RNN(1, 1), dtype="float64", seed=0)
    lengths = np.array(LENGTHS)
    h = model.predict((x, lengths))
    h = h[0] if isinstance(h, tuple) else h
    pooled = cr.Sequential(cr.PoolOverTime("mean"), dtype="float64").predict((h, lengths))
    return h[..., 0], pooled


def draw_padding():
    """Draw a padded batch, and the mean over the steps that are not padding."""
    h, pooled = padded()
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(8, 2.6), width_ratios=[4, 1], layout="constrained"
    )
    table(left, h, "Outputs of the recurrent layer", fmt="{:.2f}", lengths=LENGTHS)
    left.set_yticks(range(3), [f"length {length}" for length in LENGTHS])
    left.set_xlabel("time")
    table(right, pooled, "Mean over time", fmt="{:.2f}")
    return figure
