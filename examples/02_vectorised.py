"""2. Vectorised
=============

Many samples at once: one gradient for n samples instead of n gradients for one sample each.

The gradient of a mean is the mean of the gradients. So we can write n samples with 25 inputs each
as the rows of a matrix, and replace a slow loop with one matrix product.

How long should we train, and at which learning rate? There are only 30 samples. The samples are
noisy, and only 3 of the inputs matter. Look for three things in the curves. With a small rate, the
neuron is still learning at the end. With a larger rate, the neuron overfits: the training error
keeps falling, but at some point the test error starts to rise, because the neuron memorises the
noise. With the largest rate, the weights bounce: each step jumps across the minimum to the other
side, and the error never settles.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from lesson import arguments

import chainrule as cr
from chainrule.plotting import plot_sweep, save_or_show

options = arguments(__doc__, epochs=1000, batch_size=10, seed=0)
RATES = {0.0003: "still learning", 0.01: "overfits", 0.1: "overfits", 0.25: "bounces"}

rng = np.random.default_rng(options.seed)
true_w, true_b = np.zeros((1, 25)), 5.0
true_w[0, :3] = 3, -2, 1


def draw(samples):
    """Draw inputs with variance 1, and targets whose noise has variance 4."""
    x = rng.normal(size=(samples, 25))
    return x, x @ true_w.T + true_b + rng.normal(0, 2, size=(samples, 1))


def neuron():
    """Return a neuron with 25 inputs, whose weights start at zero."""
    linear = cr.Linear(25, 1, init=cr.initializers.zeros())
    return cr.Sequential(linear, backend=options.backend, dtype="float64", seed=options.seed)


(x_train, y_train), (x_test, y_test) = draw(30), draw(1000)
model, loss = neuron(), cr.MSELoss()
x, y = model.backend.asarray(x_test), model.backend.asarray(y_test)


def gradient(x, y):
    """Return the gradient of the loss with respect to the weights, as a NumPy array."""
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
    ax.set_yticks([2, 5, 10, 20, 50, 100], ["2", "5", "10", "20", "50", "100"])
    ax.set_yticks([], minor=True)
axes[0].get_legend().remove()  # both panels have the same legend
save_or_show(figure, options.plot)
