"""MNIST
=====

An MLP or LeNet-5 learns to read handwritten digits, on the CPU or on a GPU.

``python examples/mnist.py --backend numpy`` prints one line per epoch and the test accuracy.
``--model lenet`` trains a convolutional network, which makes half as many errors.
"""

import argparse
import time
from pathlib import Path

import numpy as np

import chainrule as cr

OPTIMIZERS = {
    "sgd": cr.SGD,
    "rmsprop": cr.RMSprop,
    "adagrad": cr.Adagrad,
    "adam": cr.Adam,
    "adamw": cr.AdamW,
}
AUGMENTATIONS = {
    "none": None,
    "shift": cr.augmentation.RandomShift(2),
    "affine": cr.augmentation.RandomAffine(degrees=15, scale=(0.85, 1.15), shear=10),
    "elastic": cr.augmentation.RandomElastic(alpha=38, sigma=6),
}
CLOTHES = [
    "T-shirt", "trousers", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "boot",
]  # fmt: skip


def data(name):
    """Return training and test data (uint8 images, labels), the largest pixel value, and a name."""
    try:
        if name == "mnist":
            return *cr.datasets.mnist(), 255, "MNIST"
        if name == "fashion":
            return *cr.datasets.fashion_mnist(), 255, "Fashion-MNIST"
    except cr.datasets.DownloadError as error:
        print(f"{error}\nTraining on scikit-learn's handwritten digits instead.\n")
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images, labels = images.reshape(-1, 8, 8).astype(np.uint8), labels.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(images))
    test, train = order[:360], order[360:]
    return (images[train], labels[train]), (images[test], labels[test]), 16, "digits"


def mlp(width, hidden, dropout):
    """Return the layers of an MLP for images of `width` pixels."""
    layers = [cr.Flatten()]
    for n in hidden:
        layers += [cr.Linear(width, n), cr.ReLU(), cr.Dropout(dropout)]
        width = n
    return [*layers, cr.Linear(width, 10)]


def lenet(dropout):
    """Return the layers of LeNet-5 (Y. LeCun et al., 1998), with ReLU and max pooling."""
    return [
        cr.Unflatten(1, (1, 28)),  # one channel
        cr.Conv2d(1, 6, 5, padding=2), cr.ReLU(), cr.MaxPool2d(2),
        cr.Conv2d(6, 16, 5), cr.ReLU(), cr.MaxPool2d(2),
        cr.Flatten(), cr.Dropout(dropout), cr.Linear(400, 120), cr.ReLU(),
        cr.Linear(120, 84), cr.ReLU(), cr.Linear(84, 10),
    ]  # fmt: skip


def picture(path, history, images, outputs, labels, names):
    """Draw the loss curves, and a grid of test images that includes the first errors."""
    from matplotlib.figure import Figure

    from chainrule.plotting import plot_history, plot_predictions, save_or_show

    predicted = outputs.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)[:8]
    right = np.flatnonzero(predicted == labels)[: 32 - len(wrong)]
    shown = np.random.default_rng(0).permutation(np.concatenate([wrong, right]))
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[2, 3])
    plot_history(history, ax=left)
    drawn = plot_predictions(images[shown], predicted[shown], labels[shown], names=names, ax=right)
    others = len(shown) - len(wrong)
    drawn[0].axes.set_title(f"the first {len(wrong)} errors, shown on purpose, and {others} others")
    save_or_show(figure, path)
    print(f"picture in {path}")


def main():
    """Train, evaluate, draw and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[3])
    parser.add_argument("--backend", default="numpy", help="numpy, cupy or torch")
    parser.add_argument("--model", choices=["mlp", "lenet"], default="mlp")
    parser.add_argument(
        "--hidden", type=int, nargs="+", help="widths of the MLP's hidden layers (default: 256)"
    )
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=5e-3, help="largest learning rate")
    parser.add_argument(
        "--schedule", choices=["one_cycle", "cosine", "constant"], default="one_cycle"
    )
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument(
        "--augment", choices=AUGMENTATIONS, default="none", help="random change of the images"
    )
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default="adam")
    parser.add_argument(
        "--compile",
        choices=["off", "auto"],
        default="off",
        help="auto: launch each step as a whole on a GPU",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dataset", choices=["mnist", "fashion", "digits"], default="mnist")
    parser.add_argument("--plot", metavar="FILE", help="write a picture of curves and predictions")
    parser.add_argument("--save", metavar="FILE", help="write the model (safetensors)")
    options = parser.parse_args()
    for path in filter(None, (options.plot, options.save)):
        if not Path(path).absolute().parent.is_dir():
            parser.error(f"the folder for {path} does not exist")

    (x_train, y_train), (x_test, y_test), brightest, name = data(options.dataset)
    if options.model == "mlp":
        layers = mlp(x_train[0].size, options.hidden or [256], options.dropout)
    elif options.hidden:
        parser.error("--hidden is for --model mlp: the layers of LeNet-5 have fixed widths")
    elif x_train[0].shape == (28, 28):
        layers = lenet(options.dropout)
    else:
        parser.error("LeNet-5 expects images of 28x28 pixels, and the digits have 8x8")
    model = cr.Sequential(
        cr.Rescaling(1 / brightest), *layers, backend=options.backend, seed=options.seed
    )  # fmt: skip
    steps = options.epochs * -(-len(x_train) // options.batch_size)
    lr = options.lr
    if options.schedule != "constant":
        lr = getattr(cr.schedules, options.schedule)(lr, steps)
    trainer = cr.Trainer(
        model, loss=cr.CrossEntropyLoss(), optimizer=OPTIMIZERS[options.optimizer](lr=lr),
        compile=options.compile,
    )  # fmt: skip
    print(f"{name}, {len(x_train)} images; {model.summary(x_train.shape[1:])}\n")

    start = time.perf_counter()
    history = trainer.fit(
        x_train, y_train, epochs=options.epochs, batch_size=options.batch_size,
        validation_data=(x_test, y_test), augment=AUGMENTATIONS[options.augment], verbose=2,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    accuracy = trainer.evaluate(x_test, y_test)["accuracy"]

    if options.save:
        model.save(options.save)
        print(f"model in {options.save}")
    if options.plot:
        names = CLOTHES if name == "Fashion-MNIST" else None
        picture(options.plot, history, x_test, model.predict(x_test), y_test, names)
    print(f"test accuracy {accuracy:.4f} in {seconds:.1f} s on {options.backend}")


if __name__ == "__main__":
    main()
