"""The rungs of the ladder, from the highest published error to the lowest."""

from collections.abc import Callable
from dataclasses import dataclass

import chainrule as cr
from chainrule.data.augmentation import Augmentation


@dataclass(frozen=True)
class Rung:
    """A published result, and the settings that repeat it.

    The widths of the layers, the data and the regulariser are those of the paper. All rungs are
    trained with AdamW. The learning rate rises to `lr` in the first tenth of the steps, and then
    falls to 0.
    """

    name: str
    title: str
    paper: str
    year: int
    published: float  # test error in percent
    recipe: str  # the paper's recipe
    changes: str  # differences from the paper, apart from the optimizer and the learning rate
    layers: Callable[[], list[cr.Layer]]
    epochs: int
    lr: float = 1e-3
    batch_size: int = 128
    weight_decay: float = 0.0
    augment: Augmentation | None = None
    squared_error: bool = False

    def loss(self) -> cr.Loss:
        """Return the loss of the training run."""
        return cr.MSELoss() if self.squared_error else cr.CrossEntropyLoss()

    def optimizer(self, images: int) -> cr.Optimizer:
        """Return the optimizer for this number of training images."""
        steps = self.epochs * -(-images // self.batch_size)
        rate = cr.schedules.one_cycle(self.lr, steps, pct_start=0.1)
        return cr.AdamW(rate, weight_decay=self.weight_decay)

    def settings(self, images: int) -> dict:
        """Return everything that determines the result, for this number of training images."""
        return {
            "training_images": images,
            "layers": [repr(layer) for layer in self.layers()],
            "loss": repr(self.loss()),
            "optimizer": repr(self.optimizer(images)),
            "augment": repr(self.augment),
            "epochs": self.epochs,
            "batch_size": self.batch_size,
        }


def pixels():
    """Return the layer that scales the pixels to numbers from 0 to 1."""
    return cr.Rescaling(1 / 255)


def scaled_tanh():
    """Return the layers of the function 1.7159 tanh(2 x / 3), whose value at x = 1 is near 1."""
    return [cr.Rescaling(2 / 3), cr.Tanh(), cr.Rescaling(1.7159)]


def relu():
    """Return the layers of the function max(0, x)."""
    return [cr.ReLU()]


def mlp(*widths, units=relu, dropout=False, max_norm=None):
    """Return the layers of an MLP. Dropout drops 20 % of the pixels and half of the units."""
    layers, width = [pixels(), cr.Flatten()], 784
    if dropout:
        layers.append(cr.Dropout(0.2))
    for n in widths:
        layers += [cr.Linear(width, n, max_norm=max_norm), *units()]
        if dropout:
            layers.append(cr.Dropout(0.5))
        width = n
    return [*layers, cr.Linear(width, 10, max_norm=max_norm)]


def lenet5():
    """Return the layers of LeNet-5, with ReLU and max pooling."""
    return [
        pixels(), cr.Unflatten(1, (1, 28)),
        cr.Conv2d(1, 6, 5, padding=2), cr.ReLU(), cr.MaxPool2d(2),
        cr.Conv2d(6, 16, 5), cr.ReLU(), cr.MaxPool2d(2),
        cr.Flatten(), cr.Linear(400, 120), cr.ReLU(),
        cr.Linear(120, 84), cr.ReLU(), cr.Linear(84, 10),
    ]  # fmt: skip


def simard_convolution():
    """Return the layers of Simard's network: two convolutions with stride 2, then 100 units."""
    return [
        pixels(), cr.Unflatten(1, (1, 28)), cr.ZeroPad2d((0, 1, 0, 1)),  # 29 x 29 pixels
        cr.Conv2d(1, 5, 5, stride=2), cr.ReLU(),
        cr.Conv2d(5, 50, 5, stride=2), cr.ReLU(),
        cr.Flatten(), cr.Linear(1250, 100), cr.ReLU(), cr.Linear(100, 10),
    ]  # fmt: skip


LECUN = "LeCun et al.", 1998
SIMARD = "Simard et al.", 2003
SRIVASTAVA = "Srivastava et al.", 2014
SHEARED = cr.augmentation.RandomAffine(translate=2, scale=(0.9, 1.1), shear=10)
AFFINE = cr.augmentation.RandomAffine(degrees=15, scale=(0.85, 1.15), shear=10)
ELASTIC = cr.augmentation.RandomElastic(alpha=38, sigma=6)

LADDER = [
    Rung(
        "lecun-300", "300 units, squared error", *LECUN, 4.7,
        recipe="scaled tanh units, squared error, single samples, 20 passes",
        changes="none",
        layers=lambda: [*mlp(300, units=scaled_tanh), *scaled_tanh()],
        squared_error=True, epochs=20,
    ),
    Rung(
        "lecun-500-150", "500 and 150 units, squared error", *LECUN, 2.95,
        recipe="as above",
        changes="none",
        layers=lambda: [*mlp(500, 150, units=scaled_tanh), *scaled_tanh()],
        squared_error=True, epochs=20,
    ),
    Rung(
        "simard-800", "800 units, cross-entropy", *SIMARD, 1.6,
        recipe="cross-entropy, single samples",
        changes="ReLU",
        layers=lambda: mlp(800), epochs=20,
    ),
    Rung(
        "hinton-500-300", "500 and 300 units, weight decay", "Hinton, unpublished", 2005, 1.53,
        recipe="cross-entropy, weight decay",
        changes="ReLU",
        layers=lambda: mlp(500, 300), weight_decay=0.5, epochs=20,
    ),
    Rung(
        "dropout", "3 × 1024 units, dropout", *SRIVASTAVA, 1.25,
        recipe="ReLU, 20 % of the pixels and 50 % of the units dropped, SGD with momentum",
        changes="none",
        layers=lambda: mlp(1024, 1024, 1024, dropout=True), epochs=50,
    ),
    Rung(
        "simard-affine", "800 units, affine distortions", *SIMARD, 1.1,
        recipe="cross-entropy, training images shifted, scaled, rotated and sheared",
        changes="ReLU, new distortions in each epoch",
        layers=lambda: mlp(800), augment=AFFINE, epochs=60,
    ),
    Rung(
        "max-norm", "3 × 1024 units, dropout, max-norm", *SRIVASTAVA, 1.06,
        recipe="as for dropout, and the weights of each unit have at most length 2",
        changes="none",
        layers=lambda: mlp(1024, 1024, 1024, dropout=True, max_norm=2.0), epochs=50,
    ),
    Rung(
        "lenet-5", "LeNet-5", *LECUN, 0.95,
        recipe="scaled tanh units, average pooling, radial basis functions, 20 passes",
        changes="ReLU, max pooling, cross-entropy, all maps connected",
        layers=lenet5, epochs=12, lr=5e-3,
    ),
    Rung(
        "lenet-5-distorted", "LeNet-5, distortions", *LECUN, 0.8,
        recipe="ten times as many images: shifted, scaled, squeezed and sheared",
        changes="as above; new distortions in each epoch, none squeezed",
        layers=lenet5, augment=SHEARED, epochs=20, lr=5e-3,
    ),
    Rung(
        "simard-elastic", "800 units, elastic distortions", *SIMARD, 0.7,
        recipe="cross-entropy, elastic distortions with alpha 34 and sigma 4",
        changes="ReLU, new distortions in each epoch, alpha 38 and sigma 6",
        layers=lambda: mlp(800), augment=ELASTIC, epochs=100,
    ),
    Rung(
        "simard-conv-affine", "convolutions, affine distortions", *SIMARD, 0.6,
        recipe="5 and 50 maps, kernels of 5 × 5 with stride 2, 100 units",
        changes="ReLU, new distortions in each epoch",
        layers=simard_convolution, augment=AFFINE, epochs=40, lr=2e-3, batch_size=32,
    ),
    Rung(
        "simard-conv-elastic", "convolutions, elastic distortions", *SIMARD, 0.4,
        recipe="as above, with elastic distortions",
        changes="ReLU, new distortions in each epoch, alpha 38 and sigma 6",
        layers=simard_convolution, augment=ELASTIC, epochs=60, lr=2e-3, batch_size=32,
    ),
    Rung(
        "ciresan", "2500-2000-1500-1000-500, elastic", "Cireşan et al.", 2010, 0.35,
        recipe="scaled tanh units, elastic and affine distortions, 800 epochs on a GPU",
        changes="28 × 28 pixels, the same rotations for all digits; needs a GPU",
        layers=lambda: mlp(2500, 2000, 1500, 1000, 500, units=scaled_tanh),
        augment=cr.augmentation.Compose(
            cr.augmentation.RandomAffine(degrees=15, scale=(0.85, 1.15)),
            cr.augmentation.RandomElastic(alpha=37, sigma=5.5),
        ),
        epochs=800, lr=3e-4,
    ),
]  # fmt: skip
RUNGS = {rung.name: rung for rung in LADDER}
