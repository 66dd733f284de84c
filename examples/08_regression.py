"""8. Regression
=============

Regression with an L1 loss: a 1-512-256-512-1 network fits a curve to noisy points.

The L1 loss is the mean of ``|y - target|``. A distant point does not pull the curve harder than a
near point does, so the curve follows the median of the noise, not the mean. Two networks start from
the same weights. One has ReLU, and the other has ReLU6, which is constant above 6.

Look for three things. First, the network with ReLU6 fits the points sooner: a ReLU bends the curve
once, and a ReLU6 bends it twice. Second, the losses of both networks end near the dashed line,
which is the loss of the true curve and shows the size of the noise. Third, the losses never settle.
The L1 loss is as steep near zero as anywhere else, so gradients and steps do not shrink with
the error.
"""

import matplotlib.pyplot as plt
import numpy as np
from lesson import arguments

import chainrule as cr
from chainrule.plotting import save_or_show
from chainrule.plotting.figures import COLORS

options = arguments(__doc__, epochs=1000, batch_size=50, lr=0.001, seed=42)
rng = np.random.default_rng(options.seed)


def truth(x):
    """Return the true curve, which the networks have to find."""
    return np.sin(x / 2)


def network(activation):
    """Return a 1-512-256-512-1 network with uniform weights and biases up to 1 / sqrt(inputs)."""
    layers = []
    for n, m in (1, 512), (512, 256), (256, 512), (512, 1):
        # If all biases started at zero, every bend of the first layer would be at x = 0.
        uniform = cr.initializers.uniform(-(n**-0.5), n**-0.5)
        layers += [cr.Linear(n, m, init=uniform, bias_init=uniform), activation()]
    return cr.Sequential(*layers[:-1], backend=options.backend, seed=options.seed)


x = rng.uniform(-8, 8, (400, 1))
y = truth(x) + rng.laplace(0, 0.1, x.shape)
x_train, y_train, x_test, y_test = x[:200], y[:200], x[200:], y[200:]
noise = np.mean(np.abs(y_test - truth(x_test)))

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
left.plot(x_train, y_train, "o", color="0.6", markersize=3, label="training data")
grid = np.linspace(-8, 8, 400).reshape(-1, 1)
for activation, color in (cr.ReLU, COLORS[1]), (cr.ReLU6, COLORS[0]):
    name, model = activation.__name__, network(activation)
    trainer = cr.Trainer(model, loss=cr.L1Loss(), optimizer=cr.SGD(lr=options.lr))
    history = trainer.fit(
        x_train, y_train, epochs=options.epochs, batch_size=options.batch_size,
        validation_data=(x_test, y_test), verbose=0,
    )  # fmt: skip
    for row in history.epochs[99::100]:
        print(f"{name} epoch {row['epoch']}: train {row['loss']:.4g} test {row['val_loss']:.4g}")
    left.plot(grid, model.predict(grid), color=color, label=name)
    shown = slice(9, None, 10)
    for column, style, what in ("loss", ":", "training"), ("val_loss", "-", "test"):
        losses = history[column][shown]
        right.plot(history["epoch"][shown], losses, style, color=color, label=f"{name}, {what}")
print(f"the noise alone: {noise:.4g}")

left.plot(grid, truth(grid), "--", color="black", label="truth")
left.set(title="What was learned", xlabel="x", ylabel="y")
left.legend(frameon=False, fontsize="small")
right.axhline(noise, linestyle="--", color="black", label="noise alone")
right.set(title="Loss", xlabel="epoch", ylabel="mean absolute error", ylim=(0, None))
right.legend(frameon=False, fontsize="small")
save_or_show(figure, options.plot)
