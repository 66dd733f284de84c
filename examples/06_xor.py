"""6. XOR
======

Two hidden neurons learn XOR, and learn faster if the product of the inputs is a third input.

XOR is 1 at the two points where exactly one of x and y is 1. No straight line separates these two
points from the other two, so one neuron cannot learn XOR. Two hidden sigmoids can bend the plane
far enough, but from some initial weights, training gets stuck. With x y as a third input, no
bending is needed, because XOR is x + y - 2 x y.

Look at the curves, one for each seed. With the third input, every curve falls early. Without the
third input, the curves stay flat for longer, and some never leave a plateau. On the plateau, two or
three of the four points have the same output, between 0 and 1.
"""

import matplotlib.pyplot as plt
import numpy as np
from lesson import arguments
from matplotlib.figure import Figure

import chainrule as cr
from chainrule.plotting import Animation, plot_decision_boundary, plot_surface, save_or_show
from chainrule.plotting.figures import COLORS, MARKERS

options = arguments(__doc__, seeds=20, epochs=2000, lr=1.0, animate="")
x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
y = np.array([[0.0], [1.0], [1.0], [0.0]])


class WithProduct(cr.Layer):
    """A layer that maps (x, y) to (x, y, x y)."""

    def forward(self, x, *, training=False):
        first, second = x[:, :1], x[:, 1:]

        def backward(dy):
            dfirst, dsecond, dproduct = dy[:, :1], dy[:, 1:2], dy[:, 2:]
            return self.xp.concat([dfirst + dproduct * second, dsecond + dproduct * first], axis=1)

        return self.xp.concat([first, second, first * second], axis=1), backward


class StopWhenLearned(cr.Callback):
    """Stops training at a mean squared error of 0.01. Each output is then off by at most 0.2."""

    def on_epoch_end(self, trainer):
        if trainer.history.epochs[-1]["loss"] < 0.01:
            trainer.stop()


def train(inputs, seed, *callbacks):
    """Train two hidden neurons and an output neuron on one point at a time."""
    uniform = cr.initializers.uniform(-1, 1)
    model = cr.Sequential(
        WithProduct() if inputs == 3 else cr.Identity(),
        cr.Linear(inputs, 2, init=uniform, bias_init=uniform), cr.Sigmoid(),
        cr.Linear(2, 1, init=uniform, bias_init=uniform), cr.Sigmoid(),
        backend=options.backend, seed=seed,
    )  # fmt: skip
    trainer = cr.Trainer(model, loss=cr.MSELoss(), optimizer=cr.SGD(lr=options.lr))
    callbacks = [*callbacks, StopWhenLearned()]
    trainer.fit(x, y, epochs=options.epochs, batch_size=1, callbacks=callbacks, verbose=0)
    return trainer


def draw_surface(ax, trainer):
    """Draw the output over the plane, and the four points at their target heights."""
    plot_surface(trainer.model, ax=ax)
    for wanted in (0, 1):
        points = x[y[:, 0] == wanted].T
        style = {"color": COLORS[wanted], "marker": MARKERS[wanted], "edgecolor": "black"}
        ax.scatter(*points, wanted, s=60, depthshade=False, **style)
    ax.set(title=f"Output after {len(trainer.history)} epochs", zlim=(0, 1))
    ax.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    ax.set_box_aspect(None, zoom=0.9)  # make room for the third label


def draw_frame(figure, trainer):
    """Draw one frame of the animation."""
    draw_surface(figure.add_subplot(projection="3d"), trainer)


cr.gradcheck(WithProduct(), shape=(4, 2))
if options.animate:
    film = Figure(figsize=(5, 4))
    train(3, 0, Animation(film, draw_frame, options.animate, every=4))

figure = plt.figure(figsize=(11, 3.8), layout="constrained")
places = figure.add_gridspec(1, 3, width_ratios=[5, 4.5, 6])
curves, answers = figure.add_subplot(places[0]), figure.add_subplot(places[1])
surface = figure.add_subplot(places[2], projection="3d")
medians = {}
for inputs, name, color in (2, "x and y", COLORS[6]), (3, "x, y and x y", COLORS[2]):
    trainers = [train(inputs, seed) for seed in range(options.seeds)]
    learned = sum(trainer.history["loss"][-1] < 0.01 for trainer in trainers)
    # The median covers all seeds: a run that never learned counts with all its epochs.
    medians[inputs] = np.median([len(trainer.history) for trainer in trainers])
    print(f"{name}: {learned} of {options.seeds} seeds learned, median {medians[inputs]:g} epochs")
    for trainer in trainers:
        epochs, losses = trainer.history["epoch"], trainer.history["loss"]
        (line,) = curves.plot(epochs, losses, color=color, linewidth=0.8)
    line.set_label(name)
print(f"with x y it learns {medians[2] / medians[3]:.1f} times as fast")
for point, output in zip(x, trainers[0].model.predict(x), strict=True):
    print(f"{point[0]:.0f} xor {point[1]:.0f}: {output[0]:.2f}")

curves.set(xscale="log", title="One curve for each seed", xlabel="epoch")
curves.set(ylabel="mean squared error")
curves.legend(frameon=False)
for points in plot_decision_boundary(trainers[0].model, x, y, ax=answers)[1:]:
    points.set_sizes([80])
answers.set(title="Answer: 0 (circles) or 1 (squares)", xlabel="x", ylabel="y")
draw_surface(surface, trainers[0])
save_or_show(figure, options.plot)
