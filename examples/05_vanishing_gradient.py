"""5. Vanishing gradient
=====================

Vanishing gradients: why the first layers of a deep sigmoid network stop learning.

In the backward pass, each layer multiplies the gradient by the derivative of its activation. For a
sigmoid, the derivative is y (1 - y), which is at most 0.25. So each layer gets only a fraction of
the gradient of the layer above, and the first of seven layers gets almost no gradient. For ReLU,
the derivative is 1 wherever a neuron is active. Look at the gradient norms. With sigmoids, the
norms of different layers are orders of magnitude apart. With ReLU, the norms are close together.
The ReLU network learns to separate two circles, while the loss of the sigmoid network stays at
ln 2, the loss of random guessing.

The loss is binary cross-entropy, -(t log y + (1 - t) log(1 - y)). Once an output rounds to 1, the
naive formula computes 0 times log 0, which is NaN. `cr.BCELoss` avoids this product.
"""

import matplotlib.pyplot as plt
import numpy as np
from lesson import arguments

import chainrule as cr
from chainrule.plotting import plot_gradient_norms, save_or_show
from chainrule.plotting.figures import COLORS

options = arguments(__doc__, epochs=150, lr=0.1, seed=0)
x, inner = cr.datasets.circles(400, noise=0.1, seed=options.seed)
y = 1 - inner.reshape(-1, 1)  # class 1 is the outer circle


class BothLosses(cr.Callback):
    """Computes two losses on all data after each epoch: `cr.BCELoss` and the naive formula."""

    def __init__(self):
        self.careful, self.naive = [], []

    def on_epoch_end(self, trainer):
        output = trainer.model.predict(x)
        self.careful.append(float(trainer.loss(output, y)[0]))
        with np.errstate(divide="ignore", invalid="ignore"):
            values = -(y * np.log(output) + (1 - y) * np.log(1 - output))
        self.naive.append(np.mean(values))


figure, axes = plt.subplots(1, 3, figsize=(11, 4), layout="constrained")
for ax, color, activation in zip(axes, COLORS, ("sigmoid", "relu"), strict=False):
    model = cr.mlp(
        [2, 10, 10, 10, 10, 10, 10, 1], activation=activation, output="sigmoid",
        backend=options.backend, seed=options.seed,
    )  # fmt: skip
    start = model.backend.to_numpy(model[0].weight.value).copy()
    gradients, losses = cr.callbacks.GradientNorms(), BothLosses()
    trainer = cr.Trainer(model, loss=cr.BCELoss(), optimizer=cr.SGD(lr=options.lr))
    trainer.fit(
        x, y, epochs=options.epochs, batch_size=50, callbacks=[gradients, losses], verbose=0
    )  # fmt: skip

    moved = model.backend.to_numpy(model[0].weight.value) - start
    steps = trainer.history.step_losses
    means = {
        f"layer {i}": np.mean(np.reshape(norms, (options.epochs, -1)), axis=1)
        for i, norms in enumerate(gradients.norms.values(), start=1)
    }
    print(f"{activation} in the hidden layers:")
    print("  norms in epoch 1, first to last layer:", *(f"{v[0]:.1e}" for v in means.values()))
    print(f"  first layer's weights moved by {np.linalg.norm(moved) / np.linalg.norm(start):.2%}")
    print(f"  loss {losses.careful[-1]:.4g}, accuracy {trainer.evaluate(x, y)['accuracy']:.3f}")
    print(f"  NaN: {np.isnan(steps).sum()} of {len(steps)} steps with cr.BCELoss,", end=" ")
    print(f"{np.isnan(losses.naive).sum()} of {options.epochs} epochs by the naive formula")

    plot_gradient_norms(means, ax=ax)
    ax.set(title=f"Gradients, {activation} hidden layers", xlabel="epoch", ylim=(1e-6, 20))
    ax.legend(frameon=False, fontsize="small", ncols=3, loc="upper right")
    epochs = range(1, options.epochs + 1)
    axes[2].semilogy(epochs, losses.careful, color=color, linewidth=5, alpha=0.4, label=activation)
    axes[2].semilogy(epochs, losses.naive, "--", color=color, label=f"{activation}, naive formula")
axes[2].set(title="Loss; the naive formula ends in NaN", xlabel="epoch", ylabel="loss")
axes[2].legend(frameon=False, fontsize="small")
save_or_show(figure, options.plot)
