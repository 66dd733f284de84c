"""scikit-learn's multilayer perceptrons, on a `Trainer`: `MLPClassifier` and `MLPRegressor`.

They replace the classes of the same names in `sklearn.neural_network`. Parameters and attributes
have the same meaning, and the classes work in pipelines, searches and pickles. `MLPClassifier`
documents the additional parameters.
"""

from ..errors import to_install

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"chainrule.estimators needs scikit-learn: {to_install('sklearn')}"
    ) from error

from .classifier import MLPClassifier
from .regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
