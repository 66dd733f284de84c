"""14. Augmentation
================

Augmentation: new training images at no cost, if the changes keep the meaning of the images.

An MLP learns from only 1,000 digits. Before each training step, the digits are changed at random,
so the network hardly ever sees the same image twice. The labels do not change.

On the left, each row shows one augmentation of the same digit, with the background in grey. Compare
the test errors on the right. Small distortions turn a digit into the same digit in another
handwriting, and the network learns more from the same images. Flips turn a digit into something
that is not a digit, and the network makes more errors. An augmentation tells the network which
differences do not matter.

Source: P. Simard et al., "Best practices for convolutional neural networks applied to visual
document analysis", 2003.
"""

import matplotlib.pyplot as plt
import numpy as np
from lesson import arguments

import chainrule as cr
from chainrule.plotting import save_or_show
from chainrule.plotting.figures import COLORS
from chainrule.plotting.grid import Grid

options = arguments(__doc__, images=1000, epochs=60, batch_size=50, lr=0.003, seed=0)


def data():
    """Load training and test images (28x28 bytes) and their labels."""
    try:
        return cr.datasets.mnist()
    except cr.datasets.DownloadError as error:
        from sklearn.datasets import load_digits

        print(f"{error}\nTraining on scikit-learn's handwritten digits instead.\n")
        x, y = load_digits(return_X_y=True)
        x = np.kron(15 * x.reshape(-1, 8, 8), np.ones((2, 2)))  # twice as large, with a margin
        x = np.pad(x, ((0, 0), (6, 6), (6, 6))).astype(np.uint8)
        return (x[360:], y[360:]), (x[:360], y[:360])


random = cr.augmentation
affine = random.RandomAffine(degrees=15, translate=2, scale=(0.85, 1.15), shear=10)
elastic = random.RandomElastic(alpha=36, sigma=5)
augmentations = {
    "nothing": random.Compose(),
    "RandomFlip": random.RandomFlip(),
    "RandomShift": random.RandomShift(2),
    "RandomCrop": random.RandomCrop(28, padding=4),
    "RandomAffine": affine,
    "RandomElastic": elastic,
    "Compose": random.Compose(affine, elastic),
}

(x_train, y_train), (x_test, y_test) = data()
x_train, y_train = x_train[: options.images], y_train[: options.images]
steps = options.epochs * -(-len(x_train) // options.batch_size)
errors = {}
for name, augment in augmentations.items():
    model = cr.Sequential(
        cr.Flatten(), cr.Rescaling(1 / 255), cr.Linear(784, 256), cr.ReLU(), cr.Linear(256, 10),
        backend=options.backend, seed=options.seed,
    )  # fmt: skip
    optimizer = cr.Adam(lr=cr.schedules.one_cycle(options.lr, steps))
    trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=optimizer)
    trainer.fit(
        x_train, y_train, epochs=options.epochs, batch_size=options.batch_size, augment=augment,
        verbose=0,
    )  # fmt: skip
    errors[name] = 100 * (1 - trainer.evaluate(x_test, y_test)["accuracy"])
    print(f"{name}: {errors[name]:.2f} % errors", flush=True)

figure, (left, right) = plt.subplots(
    1, 2, figsize=(11, 5.0), layout="constrained", width_ratios=[2, 1]
)
digit = x_train[np.flatnonzero(y_train == 2)[:1]]
grid = Grid(9 * len(augmentations), 9)
for row, (name, augment) in enumerate(augmentations.items()):
    for column in range(9):
        (image,) = augment(digit, np.random.default_rng(column))
        grid.draw(left, 9 * row + column, image, cmap="gray_r", vmin=-30, vmax=255)
    left.text(-0.3, grid.corner(9 * row)[1] + 0.5, name, ha="right", va="center")
grid.finish(left)
left.set_title("The same digit, changed nine times")
places = np.arange(len(errors))
bars = right.barh(places, errors.values(), color=COLORS[0])
right.bar_label(bars, fmt=" %.1f")
right.set(title="Test errors (%)", yticks=places, ylim=(len(errors) - 0.5, -0.5))
right.set(yticklabels=errors, xlim=(0, 1.2 * max(errors.values())))
save_or_show(figure, options.plot)
