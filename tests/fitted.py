"""A small data set with several targets, and a function that fits estimators to this data."""

import numpy as np

from chainrule.losses import Loss

rng = np.random.default_rng(0)
X = rng.normal(size=(130, 5))
WEIGHTS = 2.0 * rng.random(130)
TWO = (X[:, 0] + X[:, 1] ** 2 > 0.7).astype(int)
THREE = np.digitize(X[:, 0] + X[:, 1], [-0.5, 0.5])
LABELS = np.stack([TWO, THREE > 0, X[:, 4] > 0], axis=1).astype(int)
NUMBER = X[:, 0] * X[:, 1] + X[:, 2]
NUMBERS = np.stack([NUMBER, X[:, 3] ** 2], axis=1)
NAMES = np.asarray(["low", "middle", "high"], dtype=object)[THREE]
SMALL = {"hidden_layer_sizes": (7, 4), "max_iter": 15, "batch_size": 40, "random_state": 3}


def fitted(kind, y, x=X, weight=None, **options):
    """Fit an estimator of class `kind` to the data, by default with a small network."""
    return kind(**{**SMALL, **options}).fit(x, y, sample_weight=weight)


def parameters(model):
    return [np.asarray(a) for a in (*model.coefs_, *model.intercepts_)]


def assert_same_weights(a, b, **tolerance):
    for p, q in zip(parameters(a), parameters(b), strict=True):
        np.testing.assert_allclose(p, q, **{"rtol": 0, "atol": 1e-12, **tolerance})


class Brier(Loss):
    """The squared distance between predicted probabilities and targets."""

    def formula(self, xp, y, target):
        d = y - target
        return d * d, lambda: 2.0 * d
