"""3. Hidden layers
================

Hidden layers that are one neuron wide: a chain of 1 to 9 neurons learns y = 3 x + 2.

Without activations, a chain of neurons still computes a straight line: m is the product of all
weights. So depth does not change what the chain can express, but depth changes how the chain
learns. Look for two things. First, on a logarithmic axis, the error of the single neuron falls
along a straight line, because the error shrinks by the same factor in each epoch. Second, the error
of a deeper chain falls faster, because a step changes every factor of the product. But the gradient
of each weight contains the product of all other weights, which start at 0.5. So a long chain learns
very slowly at first, and a longer chain stays slow for longer. Half the learning rate needs twice
as many epochs.
"""

import matplotlib.pyplot as plt
import numpy as np
from lesson import arguments

import chainrule as cr
from chainrule.plotting import plot_sweep, save_or_show

options = arguments(__doc__)
epochs = 1200
x = np.linspace(-1, 1, 20).reshape(-1, 1)
y = 3 * x + 2

figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for rate, ax in zip((0.01, 0.005), axes, strict=True):
    rows = []
    for hidden in (0, 1, 2, 4, 6, 8):
        model = cr.mlp(
            [1] * (hidden + 2), activation="none", init=cr.initializers.constant(0.5),
            backend=options.backend, dtype="float64",
        )  # fmt: skip
        trainer = cr.Trainer(model, loss=cr.MSELoss(), optimizer=cr.SGD(lr=rate))
        history = trainer.fit(x, y, epochs=epochs, batch_size=20, verbose=0)
        errors = np.array(history["loss"])
        (b,), (m_plus_b,) = model.predict([[0.0], [1.0]])
        print(
            f"rate {rate}, hidden layers {hidden}: error {errors[99]:.1e} in epoch 100, "
            f"below 0.001 after {np.sum(errors > 1e-3)}, m {m_plus_b - b:.3f}, b {b:.3f}"
        )
        rows += [
            {"epochs": epoch, "model error": errors[epoch - 1], "hidden layers": hidden}
            for epoch in range(1, epochs + 1, 30)
        ]
    plot_sweep(rows, x="epochs", y="model error", by="hidden layers", ax=ax)
    ax.set(yscale="log", ylim=(1e-8, 30), title=f"Learning rate {rate}")
save_or_show(figure, options.plot)
