"""The base class of both estimators, which implements fitting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from ..errors import DataError, ShapeError
from ..layers import Sequential
from ..losses.checking import check_weights
from ..metrics import Metric
from ..training import Trainer
from ..types import Array
from . import lbfgs, steps
from .convergence import Record
from .inputs import backend_for, outputs, precision_for, read, read_inputs, taken, to_host
from .nested import OptimizerParameters
from .network import draw_seed, make_model, make_optimizer
from .objective import Penalty
from .overflow import cause_of_overflow, check_finite
from .parameters import Network, check_parameters, check_validation_data
from .task import Task
from .undo import training_undone_by_errors, undone_by_errors
from .weights import ShownWeights


def has_steps(estimator: Any) -> bool:
    """Return True if the solver trains on batches. Otherwise, raise an `AttributeError`."""
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit needs a solver that trains on batches, such as 'adam'")
    return True


class MultilayerPerceptron(Task, OptimizerParameters, ShownWeights):
    """Base class of the classifier and the regressor, which override the methods of `Task`.

    Attributes
    ----------
    model_ : Sequential
        The trained model.
    trainer_ : Trainer
        The trainer. With ``solver="lbfgs"``, this attribute does not exist. To continue training
        later, pickle the estimator. Files that the trainer writes do not contain the penalty.
    """

    _network: Network
    """The settings of the current network."""

    _record: Record
    """The results of training so far."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation_data: Any = None) -> Self:
        """Train until the loss or the score stops improving, or for `max_iter` epochs.

        Parameters
        ----------
        X : array-like or sparse matrix
            ``(samples, features)``.
        y : array-like
            ``(samples,)``, or ``(samples, outputs)``.
        sample_weight : array-like, optional
            Nonnegative weights, ``(samples,)``. The loss of a batch is the weighted mean over its
            samples. Samples with weight 0 are left out, but a classifier still learns their
            classes.
        validation_data : tuple of array-like, optional
            Validation data ``(X, y)`` or ``(X, y, sample_weight)``. After each epoch, the loss and
            the score on this data are added to the history of `trainer_`, as ``val_loss`` and
            ``val_score``. With `early_stopping`, this data is used instead of part of the training
            data. Without `early_stopping`, validation data does not affect training. The solver
            "lbfgs" does not support validation data. A pipeline passes validation data to the
            estimator without transforming it.

        Returns
        -------
        self
            The trained estimator.

        Raises
        ------
        ValueError
            If parameters or data are invalid, or if the loss or a weight became NaN or infinite.
            The estimator then stays as it was before the call.
        TypeError
            If `validation_data` is not a tuple with two or three elements.

        Warns
        -----
        ConvergenceWarning
            If training reached `max_iter` before convergence, or if "lbfgs" stopped for another
            reason while the gradient was larger than `tol`.
        """
        return self._fit(X, y, sample_weight, validation_data, incremental=False)

    @available_if(has_steps)  # type: ignore[untyped-decorator, unused-ignore]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one more epoch.

        `loss_curve_` contains the losses of all calls. The history of `trainer_` contains only the
        last call.

        Parameters
        ----------
        X, y, sample_weight
            See `fit`.

        Returns
        -------
        self
            The estimator.

        Raises
        ------
        ValueError
            See `fit`. The estimator then stays as it was before the call.
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Any:
        """Predict the targets of samples.

        Parameters
        ----------
        X : array-like or sparse matrix
            ``(samples, features)``.

        Returns
        -------
        array
            ``(samples,)``, or ``(samples, outputs)`` for several targets. The result is an array of
            the same library as `X`. Labels that are not numbers are returned in a NumPy array.
        """
        return self._decided(self._outputs(X))

    def _take_parameters(self, arguments: Mapping[str, Any]) -> None:
        for name in self._get_param_names():
            setattr(self, name, arguments[name])

    def _outputs(self, X: Any) -> Array:
        check_is_fitted(self)
        return outputs(self._model(), read_inputs(self, X))

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        validation_data: Any = None,
        *,
        incremental: bool,
    ) -> Self:
        parameters = self.get_params(deep=False)
        check_parameters(parameters, self._losses)
        check_validation_data(validation_data, self.solver)
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True: set it to False")
        network = Network.of(parameters)
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        if not first and hasattr(self, "model_"):
            self._network.expect(network)
        with undone_by_errors(self):
            X, y = read(self, X, y, numeric=self._numeric, reset=first)
            labels = y if self._numeric else to_host(y)
            self._learn_targets(labels, first=first, incremental=incremental)
            X, y, weight = self._weighted(X, y, labels, sample_weight, training=True)
            random = check_random_state(self.random_state)
            if first or not hasattr(self, "model_"):
                self._make_model(X, random, network, first=first)
            model = self._model()
            self._penalty.alpha = float(self.alpha)
            if weight is not None:
                in_dtype = model.backend.asarray(weight, dtype=model.state.dtype)
                check_weights("sample_weight", model.xp, in_dtype)
            data = X, self._targets(y, model.state.dtype_name), weight
            held_out = None if validation_data is None else self._held_out(validation_data, model)
            trainer = getattr(self, "trainer_", None)
            left_out = 0
            with training_undone_by_errors(model, trainer, self._record.loss_curve_):
                if self.solver == "lbfgs":
                    penalty = self._penalty if self.alpha else None
                    trained = lbfgs.fit(model, self._loss, penalty, data, parameters)
                    self.loss_, self.n_iter_ = trained
                else:
                    left_out = self._train(
                        data, y, held_out, random, parameters, incremental=incremental
                    )
                check_finite(
                    model,
                    loss=0.0 if self.early_stopping else getattr(self, "loss_", 0.0),
                    left_out=left_out,
                    incremental=incremental,
                    cause=cause_of_overflow(self.alpha, weight),
                )
        return self

    def _held_out(self, given: tuple[Any, ...], model: Sequential) -> tuple[steps.Data, Array]:
        """Return validation data in the form that the loss requires, and the original targets."""
        try:
            X, y = read(self, *given[:2], numeric=self._numeric, reset=False)
            labels = y if self._numeric else to_host(y)
            self._compare_targets(labels)
            weight = given[2] if len(given) > 2 else None
            X, y, weight = self._weighted(X, y, labels, weight, training=False)
            if self.early_stopping and X.shape[0] < 2:
                raise ValueError("expected at least 2 samples with a weight above 0, found 1")
            return (X, self._targets(y, model.state.dtype_name), weight), y
        except (DataError, ShapeError, ValueError, TypeError) as error:
            raise type(error)(f"validation_data: {error}") from error

    def _train(
        self,
        data: tuple[Any, ...],
        y: Array,
        held_out: tuple[steps.Data, Array] | None,
        random: np.random.RandomState,
        parameters: dict[str, Any],
        *,
        incremental: bool,
    ) -> int:
        """Train on batches and record the results. `y` contains the original targets.

        Return the number of steps that were skipped because the gradient was not finite.
        """
        validation, metrics = None, {}
        if held_out is None and self.early_stopping:
            data, part, rows = steps.split(
                data, self.validation_fraction, random, strata=self._strata(data[1])
            )
            held_out = part, taken(y, rows)
        if held_out is not None:
            validation, labels = held_out
            metrics["score"] = self._score_on(labels, validation[2])
        seed = draw_seed(random)
        if not incremental or not hasattr(self, "trainer_"):
            self.trainer_ = Trainer(
                self.model_,
                loss=self._loss,
                optimizer=make_optimizer(parameters),
                seed=seed,
            )
            self.trainer_.of_estimator = True
        self.trainer_.metrics = metrics
        self.trainer_.penalty = self._penalty if self.alpha else None
        early = self.early_stopping
        self._record = self._record.one_more() if incremental else self._record.anew(early)
        left_out = steps.train(
            self.trainer_, data, validation, self._record, parameters, incremental=incremental
        )
        self.__dict__.update(self._record.attributes())
        return left_out

    def _score_on(self, y: Array, weight: Array | None) -> Metric:
        """Return a metric that computes the score on these samples."""
        labels, importance = to_host(y), to_host(weight)

        def score(outputs: Array, _: Array) -> float:
            return float(self._scored(labels, to_host(self._decided(outputs)), importance))

        return score

    def _make_model(
        self, X: Array, random: np.random.RandomState, network: Network, *, first: bool
    ) -> None:
        self._network = network
        self._loss, self._output = self._choose_loss()
        by_hand = () if first else (self.coefs_, self.intercepts_)
        self.model_ = make_model(
            network,
            int(X.shape[1]),
            self.n_outputs_,
            last=self._output.layer() if self._output.layer else None,
            random=random,
            dtype=precision_for(X, network.precision),
            backend=backend_for(X, network.backend, network.device),
        )
        self._penalty = Penalty(self.model_, self.alpha)
        self._record = Record.new(early_stopping=self.early_stopping)
        self.out_activation_ = self._output.activation
        self.n_layers_ = len(network.hidden_layer_sizes) + 2
        self.n_iter_ = self.t_ = 0
        self.__dict__.pop("trainer_", None)
        self._show_weights()
        if by_hand:
            self.coefs_, self.intercepts_ = by_hand

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
