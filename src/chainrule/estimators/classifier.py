"""Multilayer perceptrons that predict classes or labels."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from array_api_compat import array_namespace
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from ..backends.conversion import like
from ..formulas import log_softmax
from ..losses import Loss
from ..types import Array
from .base import MultilayerPerceptron, has_steps
from .inputs import codes_of, expect_present, few, targets_on_host, to_host
from .objective import BinaryLogLoss, LogLoss
from .output import Output
from .sample_weights import balanced, sample_weights, times_class_weight, with_weight
from .undo import undone_by_errors


class MLPClassifier(ClassifierMixin, MultilayerPerceptron):  # type: ignore[misc]
    """A multilayer perceptron that predicts classes, or several labels per sample.

    This class can replace scikit-learn's `MLPClassifier`. With the same `random_state`, both
    implementations start with the same weights. For two classes, they also hold out the same
    validation data. For more than two classes, only chainrule's validation data is stratified. On
    the same batches, both implementations compute the same results up to rounding. The order of the
    batches differs.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, optional
        The widths of the hidden layers.
    activation : str or sequence of str, optional
        The activation of the hidden layers: one name for all layers, or a list with one name per
        layer. The names are "identity", "logistic", "tanh", "relu", and all other names that
        `chainrule.mlp` accepts, such as "gelu".
    solver : {"adam", "sgd", "lbfgs"}, optional
        The training algorithm. "adam" and "sgd" train on batches. "lbfgs" is a quasi-Newton method
        that uses all of the data in every iteration.
    alpha : float, optional
        Strength of the L2 penalty ``alpha / 2 * sum(weight^2)``. The penalty is divided by the
        number of samples in the batch. With sample weights, the penalty is divided by the sum of
        the weights.
    batch_size : int or "auto", optional
        Number of samples per step. "auto" is 200, or the number of samples if that is smaller.
    learning_rate : {"constant", "invscaling", "adaptive"}, optional
        The schedule for "sgd". "constant" keeps the rate constant. "invscaling" uses
        ``learning_rate_init / (t + 1)^power_t`` after t samples. "adaptive" divides the rate by 5
        whenever training would otherwise stop, until the rate reaches 1e-6.
    learning_rate_init : float, optional
        The initial rate for "adam" and "sgd".
    power_t : float, optional
        The exponent of "invscaling" (see `learning_rate`).
    max_iter : int, optional
        The maximum number of epochs. For "lbfgs", the maximum number of iterations.
    shuffle : bool, optional
        Whether to shuffle the samples before each epoch.
    random_state : int, numpy.random.RandomState or None, optional
        The seed or generator for initial weights, validation data, batches and dropout.
    tol : float, optional
        The smallest change of the loss or score that counts as an improvement. "lbfgs" stops when
        no element of the gradient exceeds `tol` in absolute value.
    verbose : bool or int, optional
        Whether to print a line for each epoch.
    warm_start : bool, optional
        Whether `fit` continues with the current weights. Every call tracks its own best loss or
        score, and trains until this best value stops improving. The settings of the network (sizes,
        activations, dropout, batch_norm, loss, precision, backend, device) must stay the same, as
        for `partial_fit`. scikit-learn's MLPClassifier allows a different activation in the next
        call.
    momentum, nesterovs_momentum : float and bool, optional
        Options for "sgd" (see `chainrule.SGD`).
    early_stopping : bool, optional
        Whether to stop when the score on validation data stops improving, and to restore the
        weights with the best score. Otherwise, training stops when the loss stops improving. The
        validation data is the argument ``validation_data`` of `fit`. Without this argument, part of
        the training data is held out. The split is stratified: the classes have the same
        proportions in both parts. If stratification is impossible, for example because a class has
        only one sample, the split ignores the classes. (With two classes and no sample weights, an
        error is raised instead, as in scikit-learn.) `early_stopping` has no effect with "lbfgs".
    validation_fraction : float, optional
        The fraction of the samples to hold out as validation data. Samples with weight 0 do not
        count. With sample weights, at least two samples are held out.
    beta_1, beta_2, epsilon : float, optional
        Options for "adam" (see ``betas`` and ``eps`` in `chainrule.Adam`).
    n_iter_no_change : int, optional
        Training stops after more than this many consecutive epochs without improvement.
    max_fun : int, optional
        Maximum number of evaluations of the loss by "lbfgs".
    loss : "log_loss" or Loss, optional
        The loss to minimise. `CrossEntropyLoss` and `BCEWithLogitsLoss` receive logits, `KLDivLoss`
        receives log-probabilities, and other losses receive probabilities. For `CrossEntropyLoss`,
        targets are class indices. For other losses, targets are indicators: 1 for the class of the
        sample and 0 for the other classes.
    class_weight : dict, "balanced" or None, optional
        The weight of each class. Classes that are not in the dict have weight 1. With "balanced",
        all classes have the same total weight, including the sample weights. For several labels,
        pass "balanced" or a list with one dict per label. The class weights of the training data
        also apply to validation data.
    dropout : float or sequence of float, optional
        The probability that an output of a hidden layer is set to zero in training: one number for
        all layers, or a list with one number per layer.
    batch_norm : bool, optional
        Whether to add batch normalisation before each activation.
    optimizer : Optimizer or None, optional
        A chainrule optimizer to use instead of the optimizer of the solver. Each fit uses a new
        copy of the optimizer, and the parameters of the solver have no effect. The hyperparameters
        of the optimizer can be set as parameters of the estimator:
        ``GridSearchCV(model, {"optimizer__lr": [1e-3, 1e-2]})``.
    callbacks : list of Callback or None, optional
        Callbacks to run during training (see `chainrule.callbacks`). With validation data, the
        history contains ``val_loss`` and ``val_score``. Each call of `fit` writes its own files,
        even within a search. If a `Checkpoint`'s ``folder`` already contains checkpoints, the
        callback writes to ``folder-2`` and so on. If a `CSVLogger`'s file already exists, the
        logger writes to a file such as ``log-2.csv``. The attribute ``callbacks[0].folder`` holds
        the folder that was used.
    precision : {"auto", "float32", "float64"}, optional
        The dtype of the model. "auto" is float32 for float32 data, and float64 for other data.
    backend : str or Backend, optional
        The backend (see `chainrule.get_backend`). "auto" is the library of the data.
    device : optional
        The device, in the notation of the backend's library.

    Attributes
    ----------
    classes_ : ndarray
        The classes or, for several labels, the indices of the labels.
    coefs_, intercepts_ : list of array
        Weights ``(in, out)`` and biases ``(out,)`` of each layer, as views into the model.
    loss_ : float
        The final loss, including the penalty. For "adam" and "sgd", this is the mean over the
        samples of the last epoch.
    loss_curve_ : list of float
        The loss of each epoch. If `fit` continued an earlier call, the epochs of the earlier call
        are included.
    best_loss_ : float or None
        The lowest loss in the last call of `fit`. With `early_stopping`, None.
    validation_scores_, best_validation_score_
        The validation accuracy after each epoch, including the epochs of earlier calls, and the
        highest accuracy of the last call. Without `early_stopping`, both are None.
    n_iter_, t_ : int
        The number of epochs in the last call, and the total number of samples seen.
    n_layers_, n_outputs_ : int
        The number of layers, including the input layer, and the number of outputs.
    out_activation_ : str
        The activation after the last layer: "softmax" or "logistic".
    n_features_in_, feature_names_in_
        The number of features and, for a data frame, their names.
    model_ : Sequential
        The trained model.
    trainer_ : Trainer
        The trainer, which holds the history. With "lbfgs", there is no trainer. Files that the
        trainer writes can be loaded as a model, but training cannot resume from them, because they
        do not contain the penalty and the solver's optimizer. To continue training later, pickle
        the estimator.

    Notes
    -----
    Inputs can be sparse matrices. Each batch of a sparse matrix is converted to a dense array when
    needed. Inputs, targets and weights can also be arrays of another library. Such arrays stay on
    their device, and predictions are arrays of the same library. Labels are also copied to host
    memory, where the classes are determined and scores are computed. Weights are copied as well, to
    balance classes and to drop samples with weight 0.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from chainrule.estimators import MLPClassifier
    >>> x, y = load_digits(return_X_y=True)
    >>> model = MLPClassifier((50, 20), activation=["relu", "tanh"], dropout=0.1, random_state=0)
    >>> model.fit(x[:1000], y[:1000]).score(x[1000:], y[1000:]) > 0.9
    True
    """

    _losses = ("log_loss",)

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        loss: Any = "log_loss",
        class_weight: Any = None,
        dropout: Any = 0.0,
        batch_norm: bool = False,
        optimizer: Any = None,
        callbacks: Any = None,
        precision: str = "auto",
        backend: Any = "auto",
        device: Any = None,
    ) -> None:
        self._take_parameters(locals())

    @available_if(has_steps)  # type: ignore[untyped-decorator, unused-ignore]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train for one more epoch.

        Parameters
        ----------
        X, y, sample_weight
            See `fit`.
        classes : array-like, optional
            All classes that will occur in any call. Required in the first call.

        Returns
        -------
        self
            The estimator.
        """
        if isinstance(self.class_weight, str) and self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all of the data, but partial_fit has only a batch: "
                "pass a dict of weights instead"
            )
        with undone_by_errors(self):
            if not hasattr(self, "classes_"):
                if classes is None:
                    raise ValueError("classes must be passed on the first call to partial_fit.")
                expect_present("classes", classes)
                self._learn_classes(y, classes)
            elif classes is not None:
                found = unique_labels(to_host(classes))
                if not np.array_equal(found, self.classes_):
                    raise ValueError(
                        f"expected classes {few(self.classes_)} as before, found {few(found)}"
                    )
            return self._fit(X, y, sample_weight, incremental=True)

    def predict_proba(self, X: Any) -> Any:
        """Predict the probability of each class, or of each label if a sample can have several.

        Parameters
        ----------
        X : array-like or sparse matrix
            ``(samples, features)``.

        Returns
        -------
        array
            ``(samples, classes)``, with columns in the order of `classes_`, as an array of the same
            library as `X`.
        """
        outputs = self._outputs_by_class(X)
        if len(self.classes_) == 1:
            return array_namespace(outputs).ones_like(outputs[:, :1])
        if self._one_against_rest():
            return array_namespace(outputs).exp(self._log_shares(outputs))
        return self._output.predictions(outputs)

    def predict_log_proba(self, X: Any) -> Any:
        """Predict the logarithm of each probability, accurate even for very unlikely classes."""
        outputs = self._outputs_by_class(X)
        if len(self.classes_) == 1:
            return array_namespace(outputs).zeros_like(outputs[:, :1])
        if self._one_against_rest():
            return self._log_shares(outputs)
        log_p = self._output.log_predictions(outputs)
        if not self._multilabel:
            return log_p
        # If the probabilities of two labels both round to 1, their logarithms must also be equal.
        xp, p = array_namespace(outputs), self._output.predictions(outputs)
        return xp.where(p > 0.5, xp.log(xp.maximum(p, 0.5)), log_p)

    def _outputs_by_class(self, X: Any) -> Array:
        """Return one output per class or label. A single output becomes the output of class 1."""
        outputs = self._outputs(X)
        if outputs.shape[1] > 1:
            return outputs
        return array_namespace(outputs).concat([self._output.opposite(outputs), outputs], axis=1)

    def _one_against_rest(self) -> bool:
        """Return whether the outputs are independent probabilities, which do not sum to 1."""
        return self.out_activation_ == "logistic" and not self._multilabel and self.n_outputs_ > 1

    def _log_shares(self, outputs: Array) -> Array:
        """Return the logarithms of the class probabilities, after normalisation to a sum of 1."""
        return log_softmax(array_namespace(outputs), self._output.log_predictions(outputs))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy. A sample with several labels is correct if all its labels are.

        Parameters
        ----------
        X, y, sample_weight
            See `fit`.

        Returns
        -------
        float
            The accuracy.
        """
        y = targets_on_host(y)
        weight = to_host(sample_weights(sample_weight, np.shape(y)[0]))
        return self._scored(y, to_host(self.predict(X)), weight)

    def _learn_targets(self, labels: Array, *, first: bool, incremental: bool) -> None:
        check_classification_targets(labels)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._learn_classes(labels, labels)
        else:
            self._compare_classes(unique_labels(labels))

    def _compare_targets(self, labels: Array) -> None:
        check_classification_targets(labels)
        several = type_of_target(labels) == "multilabel-indicator"
        if several != self._multilabel:
            kinds = {False: "one class per sample", True: "an indicator matrix of labels"}
            raise ValueError(
                f"expected y to be {kinds[self._multilabel]} (as in the training data), found "
                f"{kinds[several]}"
            )
        self._expect_known(unique_labels(labels))

    def _weighted(
        self, X: Array, y: Array, labels: Array, weight: Any, *, training: bool
    ) -> tuple[Array, Array, Array | None]:
        X, y, labels, weight = with_weight(sample_weights(weight, y.shape[0]), X, y, labels)
        if self.class_weight is not None:
            classes = np.arange(2) if self._multilabel else self.classes_
            if training:  # keep the class weights for the validation data
                self._class_weight = self.class_weight
                if isinstance(self.class_weight, str) and self.class_weight == "balanced":
                    self._class_weight = balanced(labels, weight)
            weight = times_class_weight(weight, self._class_weight, labels, classes)
            X, y, weight = with_weight(weight, X, y)
        return X, y, weight

    def _learn_classes(self, y: Any, classes: Any) -> None:
        kind = type_of_target(to_host(y), input_name="y")
        if kind == "multiclass-multioutput":
            raise ValueError("expected one class per sample, or labels as an indicator matrix")
        self._multilabel = kind == "multilabel-indicator"
        self.classes_ = unique_labels(to_host(classes))

    def _compare_classes(self, found: np.ndarray) -> None:
        """Raise a `ValueError` if the labels do not fit the classes of earlier calls."""
        if self.warm_start and set(found) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {few(self.classes_)}, `y` has {few(found)}"
            )
        self._expect_known(found)

    def _expect_known(self, found: np.ndarray) -> None:
        unknown = found[~np.isin(found, self.classes_)]
        if len(unknown):
            raise ValueError(f"expected classes among {few(self.classes_)}, found {few(unknown)}")

    def _choose_loss(self) -> tuple[Loss, Output]:
        several = len(self.classes_) > 2 and not self._multilabel
        loss: Loss = LogLoss() if several else BinaryLogLoss()
        if not isinstance(self.loss, str):
            loss = self.loss
        output = Output.of(loss, otherwise="softmax" if several else "logistic")
        if self._multilabel and output.activation == "softmax":
            raise ValueError(f"{loss!r} expects one class per sample, found several labels")
        alone = output.activation == "logistic" and len(self.classes_) <= 2
        least = 2 if output.activation == "softmax" else 1  # a softmax needs at least two logits
        several_outputs = max(least, len(self.classes_))
        self.n_outputs_ = 1 if alone and not self._multilabel else several_outputs
        return loss, output

    def _targets(self, y: Array, dtype: str) -> Array:
        """Return class indices for a loss on logits, or indicators of classes or labels."""
        xp = array_namespace(y)
        if self._multilabel:
            return xp.astype(y, xp.bool)
        codes = codes_of(y, self.classes_)
        if self.n_outputs_ == 1:
            return codes[:, None] == len(self.classes_) - 1  # the second class, or the only class
        if self._loss.outputs == "logits":
            return codes
        return codes[:, None] == xp.arange(self.n_outputs_, dtype=codes.dtype, device=y.device)

    def _strata(self, targets: Array) -> Array | None:
        return None if self._multilabel else targets

    def _decided(self, outputs: Array) -> Array:
        xp = array_namespace(outputs)
        if self._multilabel:
            return xp.astype(self._output.predictions(outputs) > 0.5, xp.int64)
        if outputs.shape[1] > 1:
            codes = xp.argmax(outputs, axis=1)
        else:
            codes = xp.astype(self._output.predictions(outputs)[:, 0] > 0.5, xp.int64)
        if len(self.classes_) == 1:
            codes = xp.zeros_like(codes)
        if self.classes_.dtype.kind not in "biuf":
            return self.classes_[to_host(codes)]
        return xp.take(like(outputs, self.classes_), codes, axis=0)

    def _scored(self, y: Any, predicted: Any, sample_weight: Any) -> float:
        return float(accuracy_score(y, predicted, sample_weight=sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
