"""scikit-learn's multilayer perceptrons, on a `Trainer`: `MLPClassifier` and `MLPRegressor`.

They take the place of those of `sklearn.neural_network`: the same names, meanings and attributes,
in pipelines, searches and files. What they take beyond them is said at `MLPClassifier`.
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
