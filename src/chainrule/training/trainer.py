"""The training loop: there is one, and callbacks carry whatever else a training needs."""

from __future__ import annotations

import contextlib
import itertools
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from ..backends.base import BackendLike
from ..backends.conversion import on_host
from ..callbacks import Callback, PrintEpochs, ProgressBar
from ..checks import whole
from ..data import BatchStream, minibatches
from ..data.augmentation import Augmentation
from ..data.moving import in_memory
from ..errors import BackendError, DataError, DivergenceError, ShapeError
from ..history import History
from ..layers import Layer, Sequential
from ..losses import Loss
from ..metrics import Metric, default_metrics
from ..optimizers import Optimizer
from ..types import Array, Seed
from .checking import move_checked
from .divergence import Snapshot, culprit
from .evaluation import named_metrics
from .interruption import Interruption
from .repeated import PreparedSteps
from .resume import Progress, hand_back, resume_training, save_training
from .step import NotFinite, Step


class Trainer:
    """Trains and evaluates a model.

    Parameters
    ----------
    model : Sequential
        What to train.
    loss : Loss
        What to minimise, with reduction to one number.
    optimizer : Optimizer
        How; it is bound to the model.
    metrics : dict or list of callables, optional
        What `evaluate` reports beside the loss: functions of outputs and targets, under their names
        or those given. By default accuracy where the loss is one of classification.
    seed : int or numpy.random.Generator, optional
        Of the order of the batches; the model's seed if not given.
    compile : {"off", "auto"}, optional
        With "auto" a GPU is handed a whole step at once (a CUDA graph) where that can be, and
        computes the same; where it cannot, a warning says why. What a layer of one's own does in
        Python is then done for the first steps only.

    Attributes
    ----------
    history : History
        Of all epochs so far; further calls of `fit` continue it.
    epoch, epochs : int
        The epoch that is under way, counted from 1, and the one that the training is to end with.
    steps_per_epoch : int
        0 where batches come ready-made and their number is not known.
    resuming : bool
        Whether the call of `fit` goes on with an interrupted one.
    consistent : bool
        Whether the last step, with all callbacks after it, was done to its end.
    """

    def __init__(
        self,
        model: Sequential,
        *,
        loss: Loss,
        optimizer: Optimizer,
        metrics: dict[str, Metric] | Iterable[Metric] | None = None,
        seed: Seed | None = None,
        compile: str = "off",
    ) -> None:
        if compile not in ("off", "auto"):
            raise ValueError(f"expected compile to be 'off' or 'auto', found {compile!r}")
        for thing, kind, hint in (
            (model, Sequential, "cr.Sequential(layer) makes one of a layer"),
            (loss, Loss, "such as cr.CrossEntropyLoss()"),
            (optimizer, Optimizer, "such as cr.Adam()"),
        ):
            if not isinstance(thing, kind):
                raise TypeError(f"expected a {kind.__name__}, found {thing!r}: {hint}")
        if loss.reduction == "none":
            raise ValueError("expected a loss that is one number, found reduction='none'")
        self.model = model
        self.loss = loss
        self.optimizer = optimizer.bind(model)
        self.metrics = default_metrics(loss) if metrics is None else named_metrics(metrics)
        self.rng = np.random.default_rng(model.state.seed if seed is None else seed)
        self.history = History()
        self.epoch = self.epochs = self.steps_per_epoch = 0
        self.resuming = self.stopped = False
        self.consistent = True
        self.began = -1  # after which epoch the last call of `fit` began, if there was one
        self.progress: Progress | None = None
        self.compile = compile
        self.listeners: list[Callback] = []
        self.callback_states: list[dict[str, Any]] | None = None

    step_kind: ClassVar[type[Step]] = Step
    """What makes a step, for a subclass to change."""

    def save(self, path: str | Path) -> None:
        """Write all that the training needs to go on: a model's file with more in it.

        Weights, running statistics, the optimizer's vectors, step and numbers, the random state of
        batches and dropout, the history, the callbacks' states, and where in an epoch it is. The
        file is replaced as a whole or not at all. `chainrule.load` reads the model from it.

        Raises
        ------
        TypeError
            If an argument of a layer cannot be written, see `Sequential.save`.
        OSError
            If the file cannot be written; an older one is then left as it was.
        """
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
        """The trainer that `save` wrote, to go on with ``fit(..., resume=True)``.

        On NumPy, on one machine with the same versions and threads, the result is then bit for bit
        that of a training which was never interrupted.

        Parameters
        ----------
        path : str or Path
            The file.
        loss, metrics, compile
            As they were, see `Trainer`.
        optimizer : Optimizer
            A new one of the same kind; its numbers are those in the file, its schedules are kept.
        backend, device, layers : optional
            See `chainrule.load`.

        Returns
        -------
        Trainer
            As it was when it was saved.

        Raises
        ------
        FileFormatError
            If the file is damaged, or holds a model without a training.
        ValueError
            If the optimizer is of another kind.

        Warns
        -----
        RuntimeWarning
            If versions, the machine or the number of threads differ from those of the file.
        """
        where = {"backend": backend, "device": device, "layers": layers}
        options = {"loss": loss, "optimizer": optimizer, "metrics": metrics, "compile": compile}
        trainer: Self = resume_training(cls, path, where, options)
        return trainer

    def stop(self) -> None:
        """End the training after the current epoch."""
        self.stopped = True

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
    ) -> History:
        """Train for some epochs.

        Arrays are checked and moved to the device once (files and ready-made batches step by step);
        numbers leave the device once an epoch. A first Ctrl-C ends the training after the step that
        is under way, a second one at once.

        Parameters
        ----------
        x, y : array
            Inputs ``(samples, ...)`` and targets: arrays of any library, lists, frames; a
            `numpy.memmap` stays on disk. Without `y`, `x` gives ready-made batches, see
            `chainrule.data.BatchStream`.
        epochs : int, optional
            How many times to go through the data.
        batch_size : int, optional
            Samples a step; 128, or all where there are fewer, if not given.
        validation_data : tuple of array, optional
            ``(x, y)`` or ``(x, y, sample_weight)`` to evaluate after each epoch.
        sample_weight : array, optional
            ``(samples,)``, finite and at least 0. A step divides by the sum of its own batch.
        shuffle, drop_last : bool, optional
            See `minibatches`.
        augment : callable, optional
            Changes the inputs of each step, such as `chainrule.augmentation.RandomShift`; it is
            handed a generator of its own for the step, and returns a new array.
        micro_batches : int, optional
            In how many parts a batch goes through the model, one after another, for a step that is
            the same to rounding in less memory (but for `BatchNorm`, whose statistics are those of
            a part, and `Dropout`, whose masks are other ones).
        terminate_on_nan : bool, optional
            Whether to end with an error when the loss is no number any more.
        callbacks : iterable of Callback, optional
            What listens.
        verbose : {0, 1, 2}, optional
            Silent, a progress bar, or a line an epoch.
        resume : bool, optional
            Whether to go on with the last call of `fit`, which was interrupted, in the middle of an
            epoch too: `epochs` then counts those that it has done. With the same data and arguments
            the result is that of a call that was not interrupted; without an earlier call this is a
            first one.

        Returns
        -------
        History
            Of this and all earlier calls, ``self.history``.

        Raises
        ------
        DataError, ShapeError, ValueError
            If the data cannot be meant, before the first step; see `minibatches`.
        DivergenceError
            If the loss became NaN or infinite: at that step, or on a GPU at the end of its epoch.
            The model is then as it was before that step.
        """
        epochs = whole("epochs", epochs, least=1)
        if verbose not in (0, 1, 2):
            raise ValueError(f"expected verbose to be 0, 1 or 2, found {verbose!r}")
        micro_batches = whole("micro_batches", micro_batches, least=1)
        listeners = list(callbacks)
        for listener in listeners:
            if not isinstance(listener, Callback):
                raise TypeError(f"expected callbacks, found {listener!r}")
        batches = self._batches(x, y, sample_weight, batch_size, shuffle, drop_last)
        validation = None
        if validation_data is not None:
            if not isinstance(validation_data, tuple) or len(validation_data) not in (2, 3):
                raise TypeError("expected validation_data=(x, y) or (x, y, sample_weight)")
            validation = move_checked(self.model, self.loss, *validation_data, prefix="validation ")

        self._begin(listeners, resume)
        self.epochs, self.steps_per_epoch = self.began + epochs, len(batches)
        readable = on_host(self.model.state.values)  # without waiting for a device
        self._look_back = terminate_on_nan and not readable
        self._step = self.step_kind(
            self,
            augment=augment,
            micro_batches=micro_batches,
            readable=readable,
            terminate_on_nan=terminate_on_nan,
        )
        self._prepared = self._prepare(batches)
        reporters: dict[int, list[Callback]] = {0: [], 1: [ProgressBar()], 2: [PrintEpochs()]}
        listeners = sorted([*listeners, *reporters[verbose]], key=lambda c: c.last)
        with Interruption() as interruption, contextlib.ExitStack() as ends:
            ends.callback(self._forget_prepared)
            for listener in listeners:  # each that has started is told the end, whatever happens
                listener.on_fit_start(self)
                ends.callback(listener.on_fit_end, self)
            while len(self.history) < self.epochs and not self.stopped:
                self._train_epoch(batches, validation, listeners, interruption)
        return self.history

    def _batches(
        self, x: Any, y: Any, weight: Any, batch_size: int | None, shuffle: bool, drop_last: bool
    ) -> minibatches | BatchStream:
        """Where the batches come from."""
        backend, dtype = self.model.backend, self.model.state.dtype_name
        if y is None:
            if (batch_size, weight, shuffle, drop_last) != (None, None, True, False):
                raise ValueError("batch_size, sample_weight, shuffle and drop_last go with x and y")
            return BatchStream(x, rng=self.rng, backend=backend, dtype=dtype)
        data = move_checked(self.model, self.loss, x, y, weight)
        return minibatches(
            *data,
            batch_size=min(128, data[0].shape[0]) if batch_size is None else batch_size,
            seed=self.rng,
            shuffle=shuffle,
            drop_last=drop_last,
            backend=backend,
            checked=True,
        )

    def _prepare(self, batches: minibatches | BatchStream) -> PreparedSteps | None:
        """What makes the steps with ``compile="auto"``, on a device that can repeat them."""
        if self.compile == "off" or not self.model.backend.repeats:
            return None
        if not isinstance(batches, minibatches) or batches.on_disk:
            obstacle = "ready-made batches and files are moved to it one at a time"
        elif self._step.augment is not None:
            obstacle = "augmentation is drawn on the host"
        else:
            try:
                return PreparedSteps(self._step, batches)
            except BackendError as error:
                obstacle = str(error)
        message = f"compile='auto': each step is launched by itself, for {obstacle}"
        warnings.warn(message, RuntimeWarning, stacklevel=3)
        return None

    def _forget_prepared(self) -> None:
        """Let go of what holds on to the data and to the device's memory."""
        if self._prepared is not None:
            self._prepared.close()
            self._prepared = None

    def _begin(self, listeners: list[Callback], resume: bool) -> None:
        """Begin a call of `fit`, or go on with the one before."""
        self.resuming = resume and self.began >= 0
        if self.resuming:
            if self.stopped:
                warnings.warn(
                    f"a callback ended this training after epoch {len(self.history)}: it does not "
                    "go on. Without resume=True, fit trains further",
                    RuntimeWarning,
                    stacklevel=3,
                )
            hand_back(self.callback_states, listeners)
        else:
            self.began, self.progress, self.stopped = len(self.history), None, False
        self.callback_states, self.listeners = None, listeners

    def _train_epoch(
        self,
        batches: minibatches | BatchStream,
        validation: tuple[Array, ...] | None,
        listeners: list[Callback],
        interruption: Interruption,
    ) -> None:
        """Go through the data once, or through what is left of it."""
        self.epoch, start = len(self.history) + 1, time.perf_counter()
        for listener in listeners:
            listener.on_epoch_start(self)
        if self.progress is None:
            self.progress = Progress(self.rng.bit_generator.state, batches.description)
        done = self.progress
        done.return_to_start(self.rng, batches.description)
        source = self._prepared or batches
        first, snapshot = len(done.losses), Snapshot.of(self) if self._look_back else None
        self._take_steps(source.starting_at(first), done, listeners, interruption)
        measured = self._measure(*validation) if validation else {}
        losses, weights, others = self._read(done.losses, done.weights, [*measured.values()])
        if snapshot is not None and not np.isfinite(losses).all():
            snapshot.restore(self)
            raise self._find(batches.starting_at(first), done, losses, first)
        mean = losses @ weights / (weights.sum() or 1.0)
        total = losses.sum() if self.loss.reduction == "sum" else mean
        row = {"epoch": self.epoch, "loss": float(total)}
        row.update(zip((f"val_{name}" for name in measured), others.tolist(), strict=True))
        self.history.epochs.append({**row, "seconds": time.perf_counter() - start})
        self.history.step_losses.extend(losses.tolist())
        self.progress, self.consistent = None, False
        for listener in listeners:
            listener.on_epoch_end(self)
        self.consistent = True
        interruption.check()

    def _take_steps(
        self,
        batches: Iterator[tuple[Array, ...]],
        done: Progress,
        listeners: list[Callback],
        interruption: Interruption,
    ) -> None:
        self.model.zero_grad()  # of a step that was broken off
        step = self._prepared or self._step
        for batch in batches:
            self.consistent = False
            try:
                value, weight = step(*batch)
            except NotFinite as found:
                raise self._diverged(found.value, found.x) from None
            done.losses.append(value)
            done.weights.append(weight)
            for listener in listeners:
                listener.on_step_end(self)
            self.consistent = True
            interruption.check()
        if not done.losses:
            raise DataError("expected at least one batch, found none")

    def _find(
        self,
        batches: Iterator[tuple[Array, ...]],
        done: Progress,
        losses: np.ndarray,
        first: int,
    ) -> DivergenceError:
        """Do the steps before the first bad one once more, and tell of that one."""
        bad = int(np.flatnonzero(~np.isfinite(losses))[0])
        for batch in itertools.islice(batches, bad - first):
            self._step(*batch)
        done.losses, done.weights = done.losses[:bad], done.weights[:bad]
        return self._diverged(float(losses[bad]), self._step.augmented(next(batches)[0]))

    def _diverged(self, value: float, x: Array) -> DivergenceError:
        """What to tell of the loss of a step that was not done, for it is no number."""
        of_epoch = 0 if self.progress is None else len(self.progress.losses)
        return DivergenceError(
            f"the loss became {value} at step {self.optimizer.steps} (step {of_epoch} of epoch "
            f"{self.epoch}), first in {culprit(self, x)}: try a smaller learning rate, or "
            "clip_norm= in the optimizer"
        )

    def _read(self, *groups: list[Any]) -> list[np.ndarray]:
        """Numbers from the device, in one transfer."""
        xp, state = self.model.xp, self.model.state
        device = state.backend.device
        numbers = np.asarray([n if isinstance(n, float) else 0.0 for g in groups for n in g])
        arrays = [a for g in groups for a in g if not isinstance(a, float)]
        if arrays:
            stacked = xp.stack([xp.asarray(a, dtype=state.dtype, device=device) for a in arrays])
            there = [not isinstance(n, float) for g in groups for n in g]
            numbers[there] = state.backend.to_numpy(stacked)
        return np.split(numbers, np.cumsum([len(g) for g in groups])[:-1])

    def evaluate(
        self, x: Any, y: Any, *, sample_weight: Any = None, batch_size: int = 1024
    ) -> dict[str, float]:
        """The loss and the metrics on some data, in inference mode.

        Parameters
        ----------
        x, y : array
            Inputs ``(samples, ...)`` and targets: arrays of any library, lists, frames.
        sample_weight : array, optional
            ``(samples,)``, for the loss; metrics count every sample alike.
        batch_size : int, optional
            How many outputs are computed at once; it does not change the result.

        Returns
        -------
        dict
            ``{"loss": ..., "accuracy": ...}`` and so on.
        """
        moved = move_checked(self.model, self.loss, x, y, sample_weight)
        measured = self._measure(*moved, batch_size=batch_size)
        (numbers,) = self._read([*measured.values()])
        return dict(zip(measured, numbers.tolist(), strict=True))

    def _measure(
        self, x: Array, y: Array, weight: Array | None = None, *, batch_size: int = 1024
    ) -> dict[str, Any]:
        """The loss and the metrics over all of the data at once, still on the device."""
        backend = self.model.backend
        outputs = backend.asarray(self.model.predict(x, batch_size=batch_size))
        y = in_memory(backend, y)
        numbers = {"loss": self.loss(outputs, y, sample_weight=weight)[0]}
        for name, metric in self.metrics.items():
            numbers[name] = metric(outputs, y)
            if getattr(numbers[name], "ndim", 0) != 0:
                raise ShapeError(f"metric {name!r}: expected one number, found {numbers[name]!r}")
        return numbers
