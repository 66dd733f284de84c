"""7. Circles, moons, blobs, spirals
=================================

Circles, moons, blobs and spirals have only two features, so a plot shows everything.

A quarter of the points are used only for testing. The plots show these test points, and the regions
that the network assigns to each class. For two classes, the network has one output, the logit of
class 1. For more classes, it has one output per class.

Look at the spirals. The angle between neighbouring arms is 0.57 radians. If the noise rotates a
point by more than 0.28 radians (half of this angle), the point lies nearer to another arm, and no
rule can tell which arm the point belongs to. With noise 0.1, such points are rare. With noise 0.2,
an angle of 0.28 radians is only 1.4 standard deviations, so even the best possible rule is right
for only about 92 % of all points. The last panel shows the best rule, which knows the formula of
the arms. The network does not have this knowledge, but comes close to the best rule. Most points
that the network gets wrong look like points of another class, so a larger network would not help.

The network and the rule are compared on the same 1500 test points. With so few points, the network
or the rule can be ahead by chance. The printed standard error shows how much an accuracy
varies by chance.
"""

import matplotlib.pyplot as plt
import numpy as np
from lesson import arguments
from sklearn.neural_network import MLPClassifier

import chainrule as cr
from chainrule.plotting import plot_decision_boundary, save_or_show

options = arguments(__doc__, epochs=100, batch_size=64, lr=0.01, seed=1)


class NearestArm:
    """The best rule for the spirals: choose the arm with the nearest angle."""

    def predict(self, x):
        radius, angle = np.hypot(x[:, :1], x[:, 1:]), np.arctan2(x[:, :1], x[:, 1:])
        return np.cos(angle - 4 * (radius + np.arange(6)))


def train(x, y):
    """Train two hidden layers of width 64. For two classes, `y` is a column of zeros and ones."""
    binary = y.ndim == 2
    outputs = 1 if binary else int(y.max()) + 1
    model = cr.mlp([2, 64, 64, outputs], backend=options.backend, seed=options.seed)
    loss = cr.BCEWithLogitsLoss() if binary else cr.CrossEntropyLoss()
    steps = options.epochs * -(-len(x) // options.batch_size)
    optimizer = cr.Adam(lr=cr.schedules.cosine(options.lr, steps))
    trainer = cr.Trainer(model, loss=loss, optimizer=optimizer)
    trainer.fit(x, y, epochs=options.epochs, batch_size=options.batch_size, verbose=0)
    return trainer


problems = {
    "circles": cr.datasets.circles(seed=options.seed),
    "moons": cr.datasets.moons(seed=options.seed),
    "blobs": cr.datasets.blobs(seed=options.seed),
    "spirals, noise 0.1": cr.datasets.spirals(noise=0.1, seed=options.seed),
    "spirals, noise 0.2": cr.datasets.spirals(noise=0.2, seed=options.seed),
}
figure, axes = plt.subplots(2, 3, figsize=(11, 7.2), layout="constrained")
print("test accuracy of chainrule and of scikit-learn's MLPClassifier:")
for (name, (x, y)), ax in zip(problems.items(), axes.flat, strict=False):
    order = np.random.default_rng(options.seed).permutation(len(x))
    test, rest = order[: len(x) // 4], order[len(x) // 4 :]
    targets = y.reshape(-1, 1) if y.max() == 1 else y
    trainer = train(x[rest], targets[rest])
    accuracy = trainer.evaluate(x[test], targets[test])["accuracy"]
    other = MLPClassifier((64, 64), max_iter=1000, random_state=options.seed)
    theirs = other.fit(x[rest], y[rest]).score(x[test], y[test])
    print(f"{name}: {accuracy:.4f} and {theirs:.4f}")
    plot_decision_boundary(trainer.model, x[test], y[test], ax=ax)
    ax.set_title(f"{name}: {accuracy:.1%} right")


def right(x, y):
    """Return the proportion of points that the rule classifies correctly."""
    return np.mean(NearestArm().predict(x).argmax(axis=1) == y)


average = right(*cr.datasets.spirals(600_000, noise=0.2, seed=options.seed + 1))
rule = right(x[test], y[test])
print(f"spirals, noise 0.2, on the same {len(test)} test points:")
print(f"  network {accuracy:.4f}, the rule that knows the arms {rule:.4f}")
print(f"  standard error of either: {np.sqrt(average * (1 - average) / len(test)):.4f}")
print(f"the rule on 600,000 points: {average:.4f}")
plot_decision_boundary(NearestArm(), x[test], y[test], ax=axes[1, 2])
axes[1, 2].set_title(f"the rule itself: {rule:.1%} right")
save_or_show(figure, options.plot)
