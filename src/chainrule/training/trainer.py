"""The `Trainer`: train, evaluate, save and resume."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Never, Self

import numpy as np

from ..backends.base import BackendLike
from ..backends.conversion import on_host
from ..callbacks import Callback, PrintEpochs, ProgressBar
from ..callbacks.base import list_of_callbacks
from ..checks import instance, one_of, whole
from ..data.augmentation import Augmentation
from ..data.augmentation.base import expect_augmentation
from ..history import History
from ..layers import Layer, Sequential
from ..losses import Loss
from ..metrics import Metric, default_metrics
from ..optimizers import Optimizer
from ..types import Seed
from .advice import advise
from .checking import checked_batches, expect_validation_tuple, move_checked
from .compiled import compiled_steps
from .evaluation import measure, named_metrics, read_numbers, try_metrics
from .hints import unknown_argument
from .interruption import postponed_interruption
from .loop import Run
from .ranks import OneRank, Ranks, expect_ranks
from .repeated import RepeatedSteps, repeated_steps
from .resume import begin, read_training, save_training
from .sample_means import SampleMeans
from .shared import EndTogether, shared
from .state import TrainingState
from .step import Penalty, Step


class Trainer(TrainingState):
    """Train and evaluate a model.

    Parameters
    ----------
    model : Sequential
        The model to train.
    loss : Loss
        The loss to minimise. Its reduction must be "mean", "batchmean" or "sum".
    optimizer : Optimizer
        The optimizer. The trainer binds the optimizer to the model.
    metrics : dict or list of callables, optional
        Functions of outputs and targets, which are reported along with the loss. The name of a
        metric is its key in the dict, or the name of the function. The default is the accuracy for
        classification losses, and no metrics for other losses.
    seed : int or numpy.random.Generator, optional
        Seed for the order of the batches. By default, the seed of the model.
    compile : {"off", "auto"}, optional
        With "auto", a GPU runs each step as one CUDA graph if possible, with the same results. On
        NumPy with the ``fast`` extra, the steps of a small network are compiled, if there are at
        least 2000 steps. The results then differ by rounding. In both cases, the Python code of
        custom layers runs only in the first steps, and a warning states the reason if a step
        cannot be repeated or compiled.
    **unknown
        Any other argument raises an error with a hint.

    Attributes
    ----------
    history : History
        The record of all epochs so far. Every call of `fit` adds to this record.
    epoch, epochs : int
        The current epoch, counted from 1, and the last epoch of this call of `fit`.
    steps_per_epoch : int
        The number of steps in an epoch, or 0 if the number of ready-made batches is unknown.
    resuming : bool
        Whether this call of `fit` resumes an earlier call.
    consistent : bool
        Whether the last step and all its callbacks are complete.

    Notes
    -----
    **Equal seeds give equal models.** The default seed is 0. So every ``cr.mlp([4, 8, 3])`` starts
    with the same weights, is trained with the same batches, and ends with the same weights. Give
    each member of an ensemble its own seed: ``cr.mlp([4, 8, 3], seed=i)``.

    `evaluate` and the ``val_...`` columns of the history report all metrics. Some metrics are means
    over samples: accuracy, top-k accuracy and mean absolute error. These metrics are also computed
    during training, from the outputs of each step before the step updates the weights. The training
    metric of an epoch is the mean over all steps, weighted by the sample weights. **So training
    accuracy is measured with dropout active**, with the batch statistics of normalisation layers,
    and while the weights still improve. It can therefore be below ``val_accuracy``, even without
    underfitting. For a direct comparison, use ``trainer.evaluate(x, y)``. A custom metric is also
    computed during training if it has a function ``per_sample(xp, outputs, targets)`` that returns
    a number for each sample.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(500, 2))
    >>> y = (x[:, 0] > x[:, 1]).astype(int)
    >>> model = cr.mlp([2, 16, 2])
    >>> trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.Adam(lr=0.01))
    >>> history = trainer.fit(
    ...     x[:400], y[:400], epochs=20, validation_data=(x[400:], y[400:]), verbose=0
    ... )
    >>> history["loss"][0] > history["loss"][-1]
    True
    >>> trainer.evaluate(x[400:], y[400:])["accuracy"] > 0.9
    True
    >>> model.predict([[2.0, -2.0]]).argmax(axis=1)
    array([1])
    """

    penalty: Penalty | None = None
    """A penalty to add to the summed loss of each step. Subclasses can set this attribute."""

    def __init__(
        self,
        model: Sequential,
        loss: Loss,
        optimizer: Optimizer,
        *,
        metrics: dict[str, Metric] | Iterable[Metric] | None = None,
        seed: Seed | None = None,
        compile: str = "off",
        **unknown: Never,
    ) -> None:
        for name in unknown:
            raise unknown_argument(name, Trainer, self.fit)
        compile = one_of("off", "auto")("compile", compile)
        hint = ": cr.Sequential(layer) turns a layer into a model"
        hint = hint if isinstance(model, Layer) else ""
        model = instance(Sequential, model, "a Sequential as the model", hint)
        loss = instance(Loss, loss, "a Loss such as loss=cr.CrossEntropyLoss()")
        optimizer = instance(Optimizer, optimizer, "an Optimizer such as optimizer=cr.Adam()")
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
        """Write everything that is needed to resume training, even in the middle of an epoch.

        The file holds the model, the state of the optimizer, the random state of batches and
        dropout, the history, the states of the callbacks and the position in the epoch.
        `chainrule.load` can read the model from this file. An existing file is replaced once the
        new file is complete, so it is unchanged after an error.

        Raises
        ------
        RuntimeError
            If the last step was interrupted while the optimizer was updating the weights.
        DivergenceError
            If a parameter, a buffer or a state vector of the optimizer holds NaN or infinity.
        TypeError, ValueError
            If the model cannot be saved (see `Sequential.save`).
        OSError
            If the file cannot be written.
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
        """Load a saved trainer, to continue with ``fit(..., resume=True)``.

        With the NumPy backend on the same machine, with the same versions and the same number of
        threads, the result is bitwise identical to the result of an uninterrupted training run.

        Parameters
        ----------
        path : str or Path
            The file.
        loss, metrics, compile
            The same arguments as for the saved trainer (see `Trainer`).
        optimizer : Optimizer
            A new optimizer of the same class. Its schedules are used. All other hyperparameters are
            replaced by the values in the file.
        backend, device, layers : optional
            The same options as for `chainrule.load`.

        Returns
        -------
        Trainer
            The trainer, with the saved state.

        Raises
        ------
        FileFormatError
            If the file is damaged, or holds only a model.
        ValueError
            If the optimizer is not of the same class as the saved optimizer.

        Warns
        -----
        RuntimeWarning
            If the versions, the machine or the number of threads differ from those with which the
            file was written. Also if hyperparameters of the new optimizer differ from those in the
            file. The values in the file are then used.
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
        parallel: Ranks | None = None,
        **unknown: Never,
    ) -> History:
        """Train for some epochs.

        Arrays are checked and moved to the device once, before the first step. The data of files
        and ready-made batches is moved one batch at a time. Losses and metrics are copied
        to the host once per epoch. The first Ctrl-C ends the training run after the current step. A
        second Ctrl-C ends the run at once.

        The trainer's seed, 0 by default, determines the order of the batches. Two models with the
        same seed that are trained in the same way end up with the same weights.

        Parameters
        ----------
        x, y : array, or tuple or dict of arrays
            Inputs ``(samples, ...)`` and targets: lists, data frames or arrays of any library.
            Several inputs, or several targets of a custom loss, form a tuple or a dict. The data of
            a `numpy.memmap` stays on disk. Without `y`, `x` is a source of ready-made batches (see
            `chainrule.data.BatchStream`).
        epochs : int, optional
            The number of passes through the data.
        batch_size : int, optional
            The number of samples per step. By default, 128, or all samples if there are fewer.
        validation_data : tuple of array, optional
            ``(x, y)`` or ``(x, y, sample_weight)``. The model is evaluated on this data after each
            epoch.
        sample_weight : array, optional
            ``(samples,)``, finite weights of at least 0. The loss of a step is the weighted mean
            over the samples of the batch. If the loss has several values per sample, such as one
            for each step of a sequence, there may be a weight for each value instead.
        shuffle, drop_last : bool, optional
            See `minibatches`.
        augment : callable, optional
            A function that returns changed inputs for each step, such as those in
            `chainrule.augmentation`. It takes the inputs, which it must not modify, and a random
            generator for this step. The new inputs have the same form and number of samples.
        micro_batches : int, optional
            The number of parts into which each batch is split. The parts are processed one after
            another, which needs less memory. The result is the same up to rounding, with two
            exceptions: `BatchNorm` computes its statistics for each part, and `Dropout` draws
            different masks.
        terminate_on_nan : bool, optional
            Whether to raise `DivergenceError` when the loss or a gradient becomes NaN or infinite.
            If False, steps whose gradient is not finite are skipped, except on a GPU.
        callbacks : iterable of Callback, optional
            The callbacks (see `chainrule.callbacks`).
        verbose : {0, 1, 2}, optional
            0 prints nothing, 1 shows a progress bar, and 2 prints one line per epoch.
        resume : bool, optional
            Continue the last call of `fit` after an interruption, even in the middle of an epoch.
            `epochs` then includes the completed epochs of the interrupted call. With the same data
            and arguments, the result is the same as without the interruption. If there was no
            earlier call, training starts from the beginning. Pass the same callbacks, or new
            callbacks of the same classes, which take over the states of the earlier callbacks.
        parallel : chainrule.parallel.Ranks, optional
            The processes that train the model together. Each process calls `fit` with the same
            arguments. The result is the same as with a single process, up to rounding.
        **unknown
            Unknown arguments raise an error with a hint.

        Returns
        -------
        History
            The record of all calls so far, ``self.history``.

        Raises
        ------
        DataError, ShapeError, ValueError
            If the data is invalid, as for `minibatches`. Arrays are checked before the first step.
        TypeError
            If an argument is unknown or has the wrong type.
        RuntimeError
            If `resume` is True, but the optimizer was interrupted in the middle of a step.
        DivergenceError
            If the loss or a gradient becomes NaN or infinite. The error is raised at this step or,
            on a GPU, at the end of the epoch. The model is left as it was before this step. The
            error is also raised if the very last step makes a weight NaN or infinite. In that case,
            the step is not undone.

        Warns
        -----
        UserWarning
            If the last layer repeats part of the loss, such as a `Softmax` before
            `CrossEntropyLoss` or a `Sigmoid` before `BCEWithLogitsLoss`. Also if the first trained
            `Linear` or convolution receives NaN, infinity, or inputs with a root mean square above
            30. Also if all parameters are frozen. Each trainer issues these warnings once.
        RuntimeWarning
            If ``compile="auto"`` cannot repeat or compile the step, if the steps of a resumed
            training run were compiled before the interruption and no longer are, or the reverse, or
            if there is nothing to resume because a callback has ended the training run.
        """
        for name in unknown:
            raise unknown_argument(name, self.fit, Trainer)
        ranks: Ranks = OneRank() if parallel is None else expect_ranks(parallel)
        with contextlib.ExitStack() as ends:
            ends.enter_context(ranks.guard())
            epochs = whole("epochs", epochs, least=1)
            if verbose not in (0, 1, 2):
                raise ValueError(f"expected verbose to be 0, 1 or 2, found {verbose!r}")
            if augment is not None:
                expect_augmentation(augment)
            micro_batches = whole("micro_batches", micro_batches, least=1)
            listeners = list_of_callbacks(callbacks)
            batches: Any = checked_batches(
                self,
                x,
                y,
                sample_weight,
                batch_size=batch_size,
                shuffle=shuffle,
                drop_last=drop_last,
                micro_batches=micro_batches,
                ranks=ranks,
            )
            validation = None
            if validation_data is not None:
                expect_validation_tuple(validation_data)
                validation = move_checked(
                    self.model, self.loss, *validation_data, prefix="validation "
                )
                try_metrics(self.model, self.loss, self.metrics, validation)
            if not (self.advised or self.of_estimator or ranks.rank > 0):
                self.advised = True
                advise(self.model, self.loss, batches)

            begin(self, listeners, resume=resume)
            measured = [] if validation is None else [f"val_{m}" for m in ("loss", *self.metrics)]
            means = SampleMeans(self.metrics)
            self.columns = ["epoch", "loss", *means.names, *measured, *self._rates(), "seconds"]
            self.epochs, self.steps_per_epoch = self.began + epochs, len(batches)
            step = Step(
                self.model,
                self.loss,
                self.optimizer,
                means=means,
                penalty=self.penalty,
                augment=augment,
                micro_batches=micro_batches,
                loss_on_host=on_host(self.model.state.values),
                terminate_on_nan=terminate_on_nan,
            )
            reporters: dict[int, list[Callback]] = {0: [], 1: [ProgressBar()], 2: [PrintEpochs()]}
            listeners = sorted([*listeners, *reporters[verbose]], key=lambda c: c.last)
            listeners = [c for c in listeners if ranks.rank == 0 or not c.writes]
            interruption = ends.enter_context(postponed_interruption(ranks))
            if ranks.size > 1:
                step, batches = shared(step, batches, ranks, self, validation, interruption)
                # Agree before the last callbacks, which save the decision, and after them.
                together = EndTogether(ranks, interruption)
                listeners = [*sorted([*listeners, together], key=lambda c: c.last), together]
            repeated = self._repeated(step, batches, listeners)
            if repeated is not None:
                ends.callback(repeated.close)
            for listener in listeners:  # call on_fit_end for each callback that started
                listener.on_fit_start(self)
                ends.callback(listener.on_fit_end, self)
            Run(self, batches, step, repeated, validation, listeners, ranks).train(interruption)
        return self.history

    def _repeated(
        self, step: Step, batches: Any, listeners: list[Callback]
    ) -> RepeatedSteps | None:
        """Return the steps for ``compile="auto"``, or None if each step runs in Python."""
        repeated, before = None, self.compiled
        self.compiled = None
        if self.compile == "auto" and self.model.backend.repeats:
            repeated = repeated_steps(step, batches)
        elif self.compile == "auto":
            repeated = compiled_steps(
                step,
                batches,
                steps=(self.epochs - self.began) * self.steps_per_epoch,
                one_by_one=any(listener.after_each_step for listener in listeners),
                before=before,
            )
            self.compiled = repeated is not None
        if self.resuming and bool(self.compiled) != bool(before):
            were, are = ("compiled", "run in Python") if before else ("run in Python", "compiled")
            warnings.warn(
                f"the steps were {were} before the interruption, and are now {are}: the results "
                "may differ in the last bits from those of an uninterrupted training run",
                RuntimeWarning,
                stacklevel=3,
            )
        return repeated

    def evaluate(
        self, x: Any, y: Any, *, sample_weight: Any = None, batch_size: int = 1024
    ) -> dict[str, float]:
        """Compute the loss and the metrics on the given data, in inference mode.

        Parameters
        ----------
        x, y : array, or tuple or dict of arrays
            Inputs ``(samples, ...)`` and targets, as in `fit`.
        sample_weight : array, optional
            As in `fit`. The loss and the metrics that are means over samples (accuracy, top-k
            accuracy, mean absolute error) become weighted means, as in `fit`. All other metrics
            count all samples equally.
        batch_size : int, optional
            The number of samples in each forward pass. This number does not affect the result.

        Returns
        -------
        dict
            A dict from names to the loss and the metrics: ``{"loss": ..., "accuracy": ...}``.
        """
        data = move_checked(self.model, self.loss, x, y, sample_weight)
        measured = measure(self.model, self.loss, self.metrics, data, batch_size=batch_size)
        numbers = read_numbers(self.model.state, [*measured.values()])
        return dict(zip(measured, numbers, strict=True))
