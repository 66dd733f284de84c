"""Losses, the paths of optimizers on a loss landscape, and a network that overfits."""

import matplotlib.pyplot as plt
import numpy as np

import chainrule as cr
from chainrule.plotting import plot_history
from chainrule.plotting.figures import COLORS, MARKERS

LOSSES = {
    "MSELoss": (cr.MSELoss(reduction="none"), np.linspace(-3, 3, 301), 0.0),
    "L1Loss": (cr.L1Loss(reduction="none"), np.linspace(-3, 3, 301), 0.0),
    "HuberLoss": (cr.HuberLoss(reduction="none"), np.linspace(-3, 3, 301), 0.0),
    "BCEWithLogitsLoss, t = 1": (
        cr.BCEWithLogitsLoss(reduction="none"), np.linspace(-6, 6, 301), 1.0,
    ),
}  # fmt: skip
OPTIMIZERS = {
    "SGD(lr=0.02)": cr.SGD(lr=0.02),
    "SGD(lr=0.02, momentum=0.9)": cr.SGD(lr=0.02, momentum=0.9),
    "Adagrad(lr=1)": cr.Adagrad(lr=1.0),
    "RMSprop(lr=0.05)": cr.RMSprop(lr=0.05),
    "Adam(lr=0.2)": cr.Adam(lr=0.2),
}
START, STEPS = (-4.0, 1.5), 60
STEEPNESS = np.array([1.0, 40.0])  # the second direction is 40 times as steep as the first


def loss_curve(loss, outputs, target):
    """Return the values and the slopes of a loss for each output."""
    y = outputs[:, None]
    values, backward = loss(y, np.full_like(y, target))
    return values[:, 0], backward(np.ones_like(values))[:, 0]


def draw_losses():
    """Draw four losses and their slopes."""
    figure, axes = plt.subplots(1, len(LOSSES), figsize=(11, 3), layout="constrained")
    for ax, (name, (loss, outputs, target)) in zip(axes, LOSSES.items(), strict=True):
        values, slopes = loss_curve(loss, outputs, target)
        ax.axhline(0, color="0.8", linewidth=0.8)
        ax.plot(outputs, values, color=COLORS[0], label="value")
        ax.plot(outputs, slopes, "--", color=COLORS[1], label="slope")
        ax.set(title=name, xlabel="output y", ylim=(-3, 5))
    axes[0].legend(frameon=False)
    return figure


def valley(points):
    """Return the loss at points of the plane: a long valley that is steep on its sides."""
    return 0.5 * np.sum(STEEPNESS * np.asarray(points) ** 2, axis=-1)


class Point(cr.Layer):
    """A layer whose output is its parameter, so that training moves a point of the plane."""

    def __init__(self):
        self.place = cr.Parameter((2,), init=cr.initializers.given(np.array(START)))

    def forward(self, x, *, training=False):
        place = self.place

        def backward(dy):
            place.add_grad(self.xp.sum(dy, axis=0))
            return self.xp.zeros_like(x)

        return x + place.value, backward


def path(optimizer):
    """Return the points that an optimizer visits in the valley."""
    model = cr.Sequential(Point(), dtype="float64")
    optimizer = optimizer.copy().bind(model)
    points = [np.array(START)]
    for _ in range(STEPS):
        y, back_through_model = model.forward(np.zeros((1, 2)), training=True)
        back_through_model(STEEPNESS * y)
        optimizer.step()
        points.append(model[0].place.value.copy())
    return np.array(points)


def draw_landscape():
    """Draw the valley and the paths of five optimizers."""
    figure, (plane, losses) = plt.subplots(
        1, 2, figsize=(11, 4), width_ratios=[1.6, 1], layout="constrained"
    )
    x, y = np.meshgrid(np.linspace(-4.5, 2.5, 300), np.linspace(-2, 2, 300))
    levels = np.geomspace(0.05, 80, 12)
    plane.contour(x, y, valley(np.stack([x, y], axis=-1)), levels, colors="0.8", linewidths=0.8)
    for (name, optimizer), color, marker in zip(OPTIMIZERS.items(), COLORS, MARKERS, strict=False):
        points = path(optimizer)
        style = {"color": color, "marker": marker, "markersize": 4, "linewidth": 1.2}
        plane.plot(*points.T, label=name, markevery=3, **style)
        losses.semilogy(valley(points), label=name, markevery=6, **style)
    plane.plot(0, 0, "*", color="black", markersize=14)
    plane.set(title="Loss landscape and paths", xlabel="first parameter", ylabel="second parameter")
    plane.set(xlim=(-4.5, 2.5), ylim=(-2, 2))
    losses.set(title="Loss", xlabel="step", ylim=(1e-4, 100))
    plane.legend(frameon=False, fontsize="small", loc="lower right")
    return figure


def overfitting():
    """Return the history of the network that overfits in docs/howto/training.md."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 20))
    y = (x[:, 0] + x[:, 1] ** 2 + 0.5 * rng.normal(size=1000) > 1).astype(int)
    trainer = cr.Trainer(
        cr.mlp([20, 64, 2]), loss=cr.CrossEntropyLoss(), optimizer=cr.Adam(lr=0.003)
    )
    validation = x[300:600], y[300:600]
    return trainer.fit(
        x[:300], y[:300], epochs=60, batch_size=20, validation_data=validation, verbose=0
    )


def draw_overfitting():
    """Draw the training loss and the validation loss, and mark the best epoch."""
    figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
    history = overfitting()
    plot_history(history, ax=ax)
    best = int(np.argmin(history["val_loss"])) + 1
    ax.axvline(best, color="0.6", linewidth=0.8)
    ax.annotate(f" epoch {best}: the best weights", (best, 0.25), color="0.4")
    return figure
