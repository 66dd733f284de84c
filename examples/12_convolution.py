"""12. Convolution
===============

LeNet-5 and an MLP of the same size classify digits, first centred and then shifted.

A convolution applies the same small kernel at every place of an image. If a stroke moves by one
pixel, the kernel's outputs move with it. Max pooling then keeps the largest output in each square
of 2x2 pixels. The MLP has its own weights for each pixel, so it learns about each place separately.

Look at the right panel. Both networks learned from digits in the middle of the image. The further
the test digits are shifted, the more errors both networks make, but the MLP makes many more. The
left panel shows what LeNet-5 learned: the six kernels of its first layer, and below each kernel its
output for a digit. The outputs of the second layer are coarser and more specific.

``--images 60000 --epochs 6`` trains on all images, which takes a few minutes.
"""

import matplotlib.pyplot as plt
import numpy as np
from lesson import arguments

import chainrule as cr
from chainrule.plotting import plot_weights, save_or_show
from chainrule.plotting.figures import COLORS
from chainrule.plotting.grid import Grid

options = arguments(__doc__, images=20000, epochs=3, batch_size=128, lr=0.005, seed=0)


def data():
    """Load training and test images (28x28 numbers from 0 to 1) and their labels."""
    try:
        (x_train, y_train), (x_test, y_test) = cr.datasets.mnist()
        largest = 255
    except cr.datasets.DownloadError as error:
        from sklearn.datasets import load_digits

        print(f"{error}\nTraining on scikit-learn's handwritten digits instead.\n")
        x, y = load_digits(return_X_y=True)
        x = np.kron(x.reshape(-1, 8, 8), np.ones((2, 2)))  # twice as large, with a margin
        x = np.pad(x, ((0, 0), (6, 6), (6, 6)))
        x_train, y_train, x_test, y_test, largest = x[360:], y[360:], x[:360], y[:360], 16
    train, scale = slice(options.images), np.float32(1 / largest)
    return (x_train[train] * scale, y_train[train]), (x_test * scale, y_test)


def moved(images, pixels):
    """Return the images shifted to the right, or to the left if `pixels` is negative."""
    wide = np.pad(images, ((0, 0), (0, 0), (4, 4)))
    return wide[:, :, 4 - pixels : 32 - pixels]


def draw(images, columns, ax):
    """Draw the output of a layer for a digit, one image per channel."""
    grid = Grid(len(images), columns)
    for i, image in enumerate(images):
        grid.draw(ax, i, image, cmap="gray")
    grid.finish(ax)


lenet = [
    cr.Unflatten(1, (1, 28)),  # one channel: (batch, 1, 28, 28)
    cr.Conv2d(1, 6, 5, padding=2), cr.ReLU(), cr.MaxPool2d(2),  # (batch, 6, 14, 14)
    cr.Conv2d(6, 16, 5), cr.ReLU(), cr.MaxPool2d(2),  # (batch, 16, 5, 5)
    cr.Flatten(), cr.Linear(400, 120), cr.ReLU(),
    cr.Linear(120, 84), cr.ReLU(), cr.Linear(84, 10),
]  # fmt: skip
mlp = [cr.Flatten(), cr.Linear(784, 78), cr.ReLU(), cr.Linear(78, 10)]
networks = {
    name: cr.Sequential(*layers, backend=options.backend, seed=options.seed)
    for name, layers in (("LeNet-5", lenet), ("MLP", mlp))
}

(x_train, y_train), (x_test, y_test) = data()
steps = options.epochs * -(-len(x_train) // options.batch_size)
pixels = np.arange(-4, 5)
figure = plt.figure(figsize=(11, 4.8), layout="constrained")
left, right = figure.subfigures(1, 2, width_ratios=[5, 4])
curves = right.subplots()
for (name, model), color in zip(networks.items(), COLORS, strict=False):
    optimizer = cr.Adam(lr=cr.schedules.one_cycle(options.lr, steps))
    trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=optimizer)
    trainer.fit(
        x_train, y_train, epochs=options.epochs, batch_size=options.batch_size, verbose=0
    )  # fmt: skip
    accuracy = np.array([trainer.evaluate(moved(x_test, n), y_test)["accuracy"] for n in pixels])
    size = sum(parameter.size for parameter in model.parameters())
    print(f"{name}: {size} parameters, test accuracy {accuracy[4]:.4f}", flush=True)
    for n in range(1, 5):
        print(f"  moved by {n} pixels: {(accuracy[4 - n] + accuracy[4 + n]) / 2:.4f}")
    curves.plot(pixels, 100 * accuracy, "o-", color=color, label=name)
curves.set(title="Test accuracy (%)", xlabel="pixels by which test digits are moved to the right")
curves.set(ylim=(0, 102))
curves.legend(frameon=False, loc="lower center")

model, digit = networks["LeNet-5"], x_test[:1]
kernels, first, second = left.subplots(3, 1)
plot_weights(model[1], columns=6, ax=kernels)
draw(model[:3].predict(digit)[0], 6, first)
draw(model[:6].predict(digit)[0], 8, second)
kernels.set_title("Kernels of the first layer")
first.set_title("Their answers to a digit")
second.set_title("The answers of the second layer")
save_or_show(figure, options.plot)
