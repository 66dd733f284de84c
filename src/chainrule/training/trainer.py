"""The `Trainer`: train, evaluate, save and resume."""

from __future__ import annotations

import contextlib
import difflib
import warnings
from collections.abc import Iterable, Mapping
from inspect import signature
from pathlib import Path
from typing import Any, Never, Self, TypeVar

import numpy as np

from ..backends.base import BackendLike
from ..backends.conversion import on_host
from ..callbacks import Callback, PrintEpochs, ProgressBar
from ..callbacks.base import list_of_callbacks
from ..checks import whole
from ..data import Batches, BatchStream
from ..data.augmentation import Augmentation
from ..errors import BackendError, what_is_meant
from ..history import History
from ..layers import Layer, Sequential
from ..losses import Loss
from ..metrics import Metric, default_metrics
from ..optimizers import Optimizer
from ..types import Seed
from .advice import about_last_layer, about_scale
from .checking import expect_batches, move_checked
from .evaluation import measure, named_metrics, read_numbers, try_metrics
from .interruption import Interruption
from .loop import Run
from .repeated import RepeatedSteps
from .resume import callback_states, hand_back, read_training, save_training
from .sample_means import SampleMeans
from .state import TrainingState
from .step import Penalty, Step

_Kind = TypeVar("_Kind")
_HINTS = {
    "validation_split": "split the data, for instance by sklearn.model_selection.train_test_split, "
    "and give validation_data=(x_val, y_val)",
    "class_weight": "give the weights to the loss, as in cr.CrossEntropyLoss(weight=[1.0, 5.0])",
    "learning_rate": "give it to the optimizer, as in cr.Adam(lr=1e-3)",
    "lr": "give it to the optimizer, as in cr.Adam(lr=1e-3)",
}


class Trainer(TrainingState):
    """Train and evaluate a model.

    Parameters
    ----------
    model : Sequential
        The model to train.
    loss : Loss
        The loss to minimise, reduced to one number.
    optimizer : Optimizer
        The optimizer; it is bound to the model.
    metrics : dict or list of callables, optional
        Functions of outputs and targets, to report along with the loss. A metric is named by its
        key in the dict, or by the name of the function. By default accuracy for a classification
        loss, and no metrics otherwise.
    seed : int or numpy.random.Generator, optional
        Seed for the order of the batches; by default the seed of the model.
    compile : {"off", "auto"}, optional
        With "auto", a GPU runs each step as a whole (a CUDA graph) if possible, with the same
        results. The Python code of custom layers then runs only in the first steps. If it is not
        possible, a warning gives the reason.

    Attributes
    ----------
    history : History
        The record of all epochs so far; further calls of `fit` continue it.
    epoch, epochs : int
        The current epoch, counted from 1, and the last one of this call of `fit`.
    steps_per_epoch : int
        The number of steps in an epoch; 0 if batches come ready-made and their number is unknown.
    resuming : bool
        Whether the call of `fit` continues an interrupted one.
    consistent : bool
        Whether the last step and all callbacks after it are complete.

    Notes
    -----
    **Equal seeds give equal models.** The default seed is 0, so every ``cr.mlp([4, 8, 3])`` starts
    from the same weights, sees the same batches and ends up the same. Give each member of an
    ensemble its own: ``cr.mlp([4, 8, 3], seed=i)``.

    `evaluate` and the ``val_...`` columns of the history report all metrics. Those that are means
    over samples (accuracy, top-k accuracy, mean absolute error) are also computed from the outputs
    of each training step, before the step updates the weights, and averaged over the epoch using
    the sample weights. **Training accuracy is thus measured with dropout active**, with the
    statistics of each batch, and while the weights improve: it can be below ``val_accuracy``
    without any underfitting. For a direct comparison use ``trainer.evaluate(x, y)``. A custom
    metric is also computed in training if it has a function ``per_sample(xp, outputs, targets)``
    that returns a number for each sample.
    """

    penalty: Penalty | None = None
    """A term to add to the summed loss of each step; subclasses can set it."""

    def __init__(
        self,
        model: Sequential,
        *,
        loss: Loss | None = None,
        optimizer: Optimizer | None = None,
        metrics: dict[str, Metric] | Iterable[Metric] | None = None,
        seed: Seed | None = None,
        compile: str = "off",
    ) -> None:
        if compile not in ("off", "auto"):
            raise ValueError(f"expected compile to be 'off' or 'auto', found {compile!r}")
        model = _expect("a Sequential as the model", Sequential, model)
        loss = _expect("a Loss such as loss=cr.CrossEntropyLoss()", Loss, loss)
        optimizer = _expect("an Optimizer such as optimizer=cr.Adam()", Optimizer, optimizer)
        if loss.reduction == "none":
            raise ValueError("expected a loss that is one number, found reduction='none'")
        super().__init__(
            model,
            loss,
            optimizer.bind(model),
            default_metrics(loss) if metrics is None else named_metrics(metrics),
            np.random.default_rng(model.state.seed if seed is None else seed),
        )
        self.compile = compile

    def save(self, path: str | Path) -> None:
        """Write everything that the training needs to continue, even in the middle of an epoch.

        The file holds the model (`chainrule.load` reads it), the optimizer's vectors, step and
        numbers, the random state of batches and dropout, the history, the states of the callbacks
        and the position in the epoch. It is replaced as a whole or not at all.

        Raises
        ------
        RuntimeError
            If the last step was interrupted while the optimizer moved the weights.
        DivergenceError
            If a parameter, a buffer or a vector of the optimizer holds NaN or infinity.
        TypeError, ValueError
            If the saved file could not be loaded again, see `Sequential.save`.
        OSError
            If the file cannot be written.

        In each of these cases an existing file stays unchanged.
        """
        self.expect_whole_steps()
        save_training(self, path)

    @classmethod
    def resume(
        cls,
        path: str | Path,
        *,
        loss: Loss,
        optimizer: Optimizer,
        metrics: dict[str, Metric] | Iterable[Metric] | None = None,
        compile: str = "off",
        backend: BackendLike = "numpy",
        device: Any = None,
        layers: Mapping[str, type[Layer]] | None = None,
    ) -> Self:
        """Load a trainer that `save` wrote, to continue with ``fit(..., resume=True)``.

        With the NumPy backend on the same machine, and with the same versions and number of
        threads, the result is bitwise identical to that of an uninterrupted training.

        Parameters
        ----------
        path : str or Path
            The file.
        loss, metrics, compile
            The same as before, see `Trainer`.
        optimizer : Optimizer
            A new optimizer of the same kind. Its numbers are replaced by those in the file; its
            schedules are kept.
        backend, device, layers : optional
            See `chainrule.load`.

        Returns
        -------
        Trainer
            The trainer in the state in which it was saved.

        Raises
        ------
        FileFormatError
            If the file is damaged, or holds a model without a training.
        ValueError
            If the optimizer is of another kind.

        Warns
        -----
        RuntimeWarning
            If versions, the machine or the number of threads differ from those in the file. Also
            if the new optimizer's numbers differ from those in the file, which are used instead.
        """
        saved = read_training(path, backend=backend, device=device, layers=layers)
        trainer = cls(saved.model, loss=loss, optimizer=optimizer, metrics=metrics, compile=compile)
        saved.restore(trainer)
        return trainer

    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int = 1,
        batch_size: int | None = None,
        validation_data: tuple[Any, ...] | None = None,
        sample_weight: Any = None,
        shuffle: bool = True,
        drop_last: bool = False,
        augment: Augmentation | None = None,
        micro_batches: int = 1,
        terminate_on_nan: bool = True,
        callbacks: Iterable[Callback] = (),
        verbose: int = 1,
        resume: bool = False,
        **unknown: Never,
    ) -> History:
        """Train for some epochs.

        Arrays are checked and moved to the device once (files and ready-made batches step by step).
        Losses and metrics are read from the device once per epoch. The first Ctrl-C ends the
        training after the current step; a second Ctrl-C ends it at once.

        The trainer's seed, 0 by default, determines the order of the batches. Two models with the
        same seed that are trained in the same way end up with the same weights, see `Trainer`.

        Parameters
        ----------
        x, y : array
            Inputs ``(samples, ...)`` and targets: arrays of any library, lists or frames; a
            `numpy.memmap` stays on disk. Without `y`, `x` yields ready-made batches, see
            `chainrule.data.BatchStream`.
        epochs : int, optional
            The number of passes through the data.
        batch_size : int, optional
            Samples per step; by default 128, or all of them if there are fewer.
        validation_data : tuple of array, optional
            ``(x, y)`` or ``(x, y, sample_weight)`` to evaluate after each epoch.
        sample_weight : array, optional
            ``(samples,)``, finite and not negative. Each step divides its loss by the sum of the
            weights in its batch.
        shuffle, drop_last : bool, optional
            See `minibatches`.
        augment : callable, optional
            A function that changes the inputs of each step, such as
            `chainrule.augmentation.RandomShift`. It takes the inputs and a generator for this step,
            and returns a new array.
        micro_batches : int, optional
            Split each batch into this many parts and process them one after another, which needs
            less memory. The step is the same up to rounding, except with two layers: `BatchNorm`
            computes its statistics for each part, and `Dropout` draws different masks.
        terminate_on_nan : bool, optional
            Raise `DivergenceError` when the loss or a gradient becomes NaN or infinite. If false, a
            step whose gradient is not finite is skipped (but not on a GPU).
        callbacks : iterable of Callback, optional
            Callbacks, see `chainrule.callbacks`.
        verbose : {0, 1, 2}, optional
            Silent, a progress bar, or one line per epoch.
        resume : bool, optional
            Continue the last call of `fit` after an interruption, even in the middle of an epoch;
            `epochs` includes the epochs already done. With the same data and arguments, the result
            is the same as without the interruption. Without an earlier call, training starts from
            the beginning. Pass the same callbacks, or equal new ones: new callbacks take over the
            state of the earlier ones.
        **unknown
            Any other argument is an error, with a hint.

        Returns
        -------
        History
            The record of this and all earlier calls, ``self.history``.

        Raises
        ------
        DataError, ShapeError, ValueError
            If the data is invalid, before the first step; see `minibatches`.
        TypeError
            If an argument is of the wrong type or unknown.
        RuntimeError
            If `resume` is true, but the optimizer was interrupted in the middle of a step.
        DivergenceError
            If the loss or a gradient becomes NaN or infinite. The error is raised at that step (on
            a GPU, at the end of the epoch) and leaves the model in its state before that step. Also
            raised if the very last step makes a weight NaN or infinite; that step is not undone.

        Warns
        -----
        UserWarning
            Once per trainer: if the last layer repeats what the loss does itself (a `Softmax`
            before `CrossEntropyLoss`, a `Sigmoid` before `BCEWithLogitsLoss`), or if the first
            trained `Linear` receives inputs whose root mean square is above 30.
        RuntimeWarning
            If ``compile="auto"`` is not possible, or on resuming a training that a callback ended.
        """
        for name in unknown:
            raise TypeError(_unknown_argument(name))
        epochs = whole("epochs", epochs, least=1)
        if verbose not in (0, 1, 2):
            raise ValueError(f"expected verbose to be 0, 1 or 2, found {verbose!r}")
        micro_batches = whole("micro_batches", micro_batches, least=1)
        listeners = list_of_callbacks(callbacks)
        batches = self._batches(x, y, sample_weight, batch_size, shuffle, drop_last)
        validation = None
        if validation_data is not None:
            if not isinstance(validation_data, tuple) or len(validation_data) not in (2, 3):
                found = type(validation_data).__name__
                if isinstance(validation_data, tuple):
                    found = f"a tuple of {len(validation_data)}"
                raise TypeError(
                    "expected validation_data=(x_val, y_val) or (x_val, y_val, sample_weight), a "
                    f"tuple, found {found}"
                )
            validation = move_checked(self.model, self.loss, *validation_data, prefix="validation ")
            try_metrics(self.model, self.loss, self.metrics, validation)
        if isinstance(batches, Batches):
            expect_batches(self.model, batches, micro_batches)
        self._advise(batches)

        self._begin(listeners, resume)
        measured = [] if validation is None else [f"val_{m}" for m in ("loss", *self.metrics)]
        means = SampleMeans(self.metrics)
        self.columns = ["epoch", "loss", *means.names, *measured, *self._rates(), "seconds"]
        self.epochs, self.steps_per_epoch = self.began + epochs, len(batches)
        loss_on_host = on_host(self.model.state.values)  # can be read without waiting
        step = Step(
            self.model,
            self.loss,
            self.optimizer,
            means=means,
            penalty=self.penalty,
            augment=augment,
            micro_batches=micro_batches,
            loss_on_host=loss_on_host,
            terminate_on_nan=terminate_on_nan,
        )
        reporters: dict[int, list[Callback]] = {0: [], 1: [ProgressBar()], 2: [PrintEpochs()]}
        listeners = sorted([*listeners, *reporters[verbose]], key=lambda c: c.last)

        with Interruption() as interruption, contextlib.ExitStack() as ends:
            repeated = self._repeated(step, batches)
            if repeated is not None:
                ends.callback(repeated.close)
            for listener in listeners:  # each one that starts is also ended
                listener.on_fit_start(self)
                ends.callback(listener.on_fit_end, self)
            run = Run(
                self,
                batches,
                step,
                repeated=repeated,
                validation=validation,
                check_at_epoch_end=terminate_on_nan and not loss_on_host,
                listeners=listeners,
            )
            run.train(interruption)
        return self.history

    def _advise(self, batches: Batches | BatchStream) -> None:
        """Warn once, but never in an estimator, if the model or the data will train badly."""
        if self.advised or self.own_files:
            return
        self.advised = True
        found = [about_last_layer(self.model, self.loss)]
        if isinstance(batches, Batches):
            found.append(about_scale(self.model, batches.arrays[0]))
        for message in filter(None, found):
            warnings.warn(message, UserWarning, stacklevel=3)

    def _batches(
        self, x: Any, y: Any, weight: Any, batch_size: int | None, shuffle: bool, drop_last: bool
    ) -> Batches | BatchStream:
        """Check the data and return the source of the batches."""
        backend, dtype = self.model.backend, self.model.state.dtype_name
        if y is None:
            if (batch_size, weight, shuffle, drop_last) != (None, None, True, False):
                raise ValueError(
                    "batch_size, sample_weight, shuffle and drop_last need x and y: ready-made "
                    "batches have their size, weights and order already"
                )
            return BatchStream(x, rng=self.rng, backend=backend, dtype=dtype)
        data = move_checked(self.model, self.loss, x, y, weight)
        return Batches(
            data,
            batch_size=min(128, data[0].shape[0]) if batch_size is None else batch_size,
            rng=self.rng,
            shuffle=shuffle,
            drop_last=drop_last,
            backend=backend,
        )

    def _repeated(self, step: Step, batches: Batches | BatchStream) -> RepeatedSteps | None:
        """The repeated steps of ``compile="auto"``, if the device can repeat steps."""
        if self.compile == "off" or not self.model.backend.repeats:
            return None
        if not isinstance(batches, Batches) or batches.on_disk:
            obstacle = "ready-made batches and files move to the device one at a time"
        elif step.augment is not None:
            obstacle = "augmentation is drawn on the host"
        else:
            try:
                return RepeatedSteps(step, batches)
            except BackendError as error:
                obstacle = str(error)
        message = f"compile='auto' has no effect; steps are launched one by one: {obstacle}"
        warnings.warn(message, RuntimeWarning, stacklevel=3)
        return None

    def _begin(self, listeners: list[Callback], resume: bool) -> None:
        """Begin a call of `fit`, or continue the previous one."""
        self.resuming = resume and self.began >= 0
        if self.resuming:
            if self.stopped:
                warnings.warn(
                    f"a callback ended this training after epoch {self.epochs_done}, so it is not "
                    "resumed; call fit without resume=True to train further",
                    RuntimeWarning,
                    stacklevel=3,
                )
            self.expect_whole_steps()
            if self.callback_states is not None:  # from a file
                hand_back(self.callback_states, listeners)
            else:
                old, new = self.listeners, [one for one in listeners if one not in self.listeners]
                hand_back(callback_states(one for one in old if one not in listeners), new)
        else:
            self.began, self.progress, self.stopped = self.epochs_done, None, False
            self.half_done = self.optimizer.moving = False
        self.callback_states, self.listeners = None, listeners

    def evaluate(
        self, x: Any, y: Any, *, sample_weight: Any = None, batch_size: int = 1024
    ) -> dict[str, float]:
        """Measure the loss and the metrics on some data, in inference mode.

        Parameters
        ----------
        x, y : array
            Inputs ``(samples, ...)`` and targets: arrays of any library, lists or frames.
        sample_weight : array, optional
            ``(samples,)``, for the loss; metrics count all samples equally.
        batch_size : int, optional
            The number of outputs computed at once; it does not change the result.

        Returns
        -------
        dict
            ``{"loss": ..., "accuracy": ...}`` and so on.
        """
        data = move_checked(self.model, self.loss, x, y, sample_weight)
        measured = measure(self.model, self.loss, self.metrics, data, batch_size=batch_size)
        numbers = read_numbers(self.model.state, [*measured.values()])
        return dict(zip(measured, numbers, strict=True))


def _expect(what: str, kind: type[_Kind], thing: Any) -> _Kind:
    """Return `thing`; raise an error if it is not of this kind."""
    if isinstance(thing, kind):
        return thing
    hint = what_is_meant(thing)
    if kind is Sequential and isinstance(thing, Layer):
        hint = ": cr.Sequential(layer) turns a layer into a model"
    raise TypeError(f"expected {what}, found {thing!r:.200}{hint}")


def _unknown_argument(name: str) -> str:
    """Return the error message for an argument that `fit` does not have, with a hint."""
    names = [n for n, p in signature(Trainer.fit).parameters.items() if p.kind is p.KEYWORD_ONLY]
    close = difflib.get_close_matches(name, names, n=1)
    hint = _HINTS.get(name) or (f"did you mean {close[0]!r}?" if close else ", ".join(names))
    return f"fit has no argument {name!r}: {hint}"
