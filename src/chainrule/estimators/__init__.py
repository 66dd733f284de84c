"""Multilayer perceptrons for scikit-learn: `MLPClassifier` and `MLPRegressor`.

These classes can replace the classes of the same names in `sklearn.neural_network`. Parameters and
attributes have the same meaning. Estimators work in pipelines and searches, and can be pickled.
`MLPClassifier` documents the additional parameters.
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


def __dir__() -> list[str]:
    return __all__
