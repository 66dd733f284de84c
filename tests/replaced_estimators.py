"""A pytest plugin that makes scikit-learn's own tests import chainrule's multilayer perceptrons.

``pytest -p replaced_estimators .../sklearn/neural_network/tests/test_mlp.py``
"""

from types import SimpleNamespace

EXCEPTIONS = {
    "test_gradient": "calls the private method _loss_grad_lbfgs with lists of work arrays; "
    "tests/estimators/test_objective.py checks the gradient of the same function",
}


def pytest_configure(config):
    """Replace the classes in this hook, because collecting doctests also imports this file."""
    from sklearn import neural_network

    from chainrule.estimators import MLPClassifier, MLPRegressor

    neural_network.MLPClassifier, neural_network.MLPRegressor = MLPClassifier, MLPRegressor
    # Two tests read the learning rate of the private attribute `_optimizer`. Give these tests the
    # trainer's rate.
    MLPClassifier._optimizer = property(
        lambda self: SimpleNamespace(learning_rate=self.trainer_.optimizer.lr)
    )


def pytest_collection_modifyitems(config, items):
    left_out = [item for item in items if item.originalname in EXCEPTIONS]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
