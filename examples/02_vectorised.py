"""Many values at once: a step on n samples in the place of n steps on one.

The gradient of a mean is the mean of the gradients. So n samples, each of 25 inputs, can be the
rows of one matrix, and one product of matrices does the work of a slow loop.

How long should it then train, and at which rate? There are only 30 samples, they are noisy, and
only 3 of the inputs matter. Look for three things in the curves. With a small rate it is still
learning at the end. A larger one over-trains: the error on the training data falls on, but from
some epoch on the test error rises, because the neuron learns the noise by heart. The largest
bounces: each step throws it across the minimum to the other side, and it never comes to rest.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from lesson import arguments

import chainrule as cr
from chainrule.plotting import plot_sweep, save_or_show

options = arguments(__doc__, epochs=1000, batch_size=10, seed=0)
RATES = {0.0003: "still learning", 0.01: "over-trains", 0.1: "over-trains", 0.25: "bounces"}

rng = np.random.default_rng(options.seed)
true_w, true_b = np.zeros((1, 25)), 5.0
true_w[0, :3] = 3, -2, 1


def draw(samples):
    """Inputs of variance 1, and targets with noise of variance 4."""
    x = rng.normal(size=(samples, 25))
    return x, x @ true_w.T + true_b + rng.normal(0, 2, size=(samples, 1))


def neuron():
    """A neuron with 25 inputs, whose weights start at zero."""
    linear = cr.Linear(25, 1, init=cr.initializers.zeros())
    return cr.Sequential(linear, backend=options.backend, dtype="float64", seed=options.seed)


(x_train, y_train), (x_test, y_test) = draw(30), draw(1000)
model, loss = neuron(), cr.MSELoss()
x, y = model.backend.asarray(x_test), model.backend.asarray(y_test)


def gradient(x, y):
    """The gradient of the loss by the weights, on the host."""
    model.zero_grad()
    output, back_through_model = model.forward(x, training=True)
    _, back_through_loss = loss(output, y)
    back_through_model(back_through_loss())
    return model.backend.to_numpy(model[0].weight.grad)


start = time.perf_counter()
singles = [gradient(x[i : i + 1, ...], y[i : i + 1, ...]) for i in range(1000)]
middle = time.perf_counter()
at_once = gradient(x, y)
end = time.perf_counter()
w, b = (model.backend.to_numpy(p.value) for p in model.parameters())
by_hand = 2 / 1000 * (x_test @ w.T + b - y_test).T @ x_test
print(f"at once and one at a time: difference {np.max(np.abs(at_once - np.mean(singles, 0))):.1e}")
print(f"at once and by hand: difference {np.max(np.abs(at_once - by_hand)):.1e}")
print(f"1000 samples: {middle - start:.4f} s one at a time, {end - middle:.6f} s at once")

rows = []
for rate, what in RATES.items():
    trainer = cr.Trainer(neuron(), loss=loss, optimizer=cr.SGD(lr=rate))
    history = trainer.fit(
        x_train, y_train, epochs=options.epochs, batch_size=options.batch_size,
        validation_data=(x_test, y_test), verbose=0,
    )  # fmt: skip
    test = np.array(history["val_loss"])
    best = test.argmin()
    moves = 100 * np.mean(np.abs(np.diff(test[-100:])) / test[-100:-1])
    print(f"rate {rate}, {what}: test error {test[best]:.2f} at best, in epoch {best + 1},", end="")
    print(f" {test[-1]:.2f} at the end, where an epoch moves it by {moves:.2f} %")
    print(f"  training error {history['loss'][best]:.2f}, at the end {history['loss'][-1]:.2f}")
    for epoch in np.unique(np.geomspace(1, options.epochs, 50).astype(int)):
        row = {"epochs": epoch, "rate": f"{rate}, {what}", "test error": test[epoch - 1]}
        rows.append({**row, "training error": history["loss"][epoch - 1]})

figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for ax, error in zip(axes, ("training error", "test error"), strict=True):
    plot_sweep(rows, x="epochs", y=error, by="rate", ax=ax)
    ax.set(xscale="log", yscale="log", title=f"{error.capitalize()}, by learning rate")
axes[0].get_legend().remove()  # the same as that of the other
save_or_show(figure, options.plot)
