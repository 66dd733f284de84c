"""The estimators pass scikit-learn's estimator checks."""

import pytest

pytest.importorskip("sklearn", "1.9")  # older scikit-learn versions need an older version of SciPy
from sklearn.utils.estimator_checks import parametrize_with_checks

from chainrule.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# scikit-learn checks its own MLPs with fewer than the default 200 iterations, too.
@parametrize_with_checks([MLPClassifier(max_iter=50), MLPRegressor(max_iter=50)])
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks(estimator, check):
    check(estimator)
