"""The training loop: there is one, and callbacks carry whatever else a training needs."""

from __future__ import annotations

import contextlib
import operator
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from .backend import Array
from .callbacks import Callback, PrintEpochs, ProgressBar
from .data import Seed, minibatches, move
from .errors import DataError, DivergenceError, ShapeError
from .history import History
from .layers.sequential import Sequential
from .losses import Loss
from .metrics import Metric, default_metrics
from .optimizers import Optimizer


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

    Attributes
    ----------
    history : History
        Of all epochs so far; further calls of `fit` continue it.
    """

    def __init__(
        self,
        model: Sequential,
        *,
        loss: Loss,
        optimizer: Optimizer,
        metrics: dict[str, Metric] | Iterable[Metric] | None = None,
        seed: Seed | None = None,
    ) -> None:
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
        self.metrics = default_metrics(loss) if metrics is None else _named(metrics)
        self.rng = np.random.default_rng(model.state.seed if seed is None else seed)
        self.history = History()
        self.epoch = self.epochs = self.steps_per_epoch = 0
        self._stopped = False

    def stop(self) -> None:
        """End the training after the current epoch."""
        self._stopped = True

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        epochs: int = 1,
        batch_size: int | None = None,
        validation_data: tuple[Any, ...] | None = None,
        sample_weight: Any = None,
        shuffle: bool = True,
        drop_last: bool = False,
        callbacks: Iterable[Callback] = (),
        verbose: int = 1,
    ) -> History:
        """Train for some epochs.

        Data is checked and moved to the device once; numbers leave the device once an epoch.

        Parameters
        ----------
        x, y : array
            Inputs ``(samples, ...)`` and targets, of any library or lists.
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
        callbacks : iterable of Callback, optional
            What listens.
        verbose : {0, 1, 2}, optional
            Silent, a progress bar, or a line an epoch.

        Returns
        -------
        History
            Of this and all earlier calls, ``self.history``.

        Raises
        ------
        DataError, ShapeError, ValueError
            If the data cannot be meant, before the first step; see `minibatches`.
        DivergenceError
            At the end of an epoch in which the loss became NaN or infinite.
        """
        epochs = operator.index(epochs)
        if epochs < 1:
            raise ValueError(f"expected at least 1 epoch, found {epochs}")
        if verbose not in (0, 1, 2):
            raise ValueError(f"expected verbose to be 0, 1 or 2, found {verbose!r}")
        reporters: dict[int, list[Callback]] = {0: [], 1: [ProgressBar()], 2: [PrintEpochs()]}
        listeners = [*callbacks, *reporters[verbose]]
        for listener in listeners:
            if not isinstance(listener, Callback):
                raise TypeError(f"expected callbacks, found {listener!r}")
        data = self._moved("", x, y, sample_weight)
        validation = None
        if validation_data is not None:
            if not isinstance(validation_data, tuple) or len(validation_data) not in (2, 3):
                raise TypeError("expected validation_data=(x, y) or (x, y, sample_weight)")
            validation = self._moved("validation ", *validation_data)
        batches = minibatches(
            *data,
            batch_size=min(128, data[0].shape[0]) if batch_size is None else batch_size,
            seed=self.rng,
            shuffle=shuffle,
            drop_last=drop_last,
            backend=self.model.backend,
            checked=True,
        )
        self._run(batches, validation, epochs, listeners)
        return self.history

    def _run(
        self,
        batches: minibatches,
        validation: tuple[Array, ...] | None,
        epochs: int,
        callbacks: list[Callback],
    ) -> None:
        backend, xp = self.model.backend, self.model.xp
        step = backend.compile(self._step)
        # Losses and the weights of their means, a row each, stay on the device for an epoch.
        shape = (2, len(batches))
        self.epochs, self.steps_per_epoch = len(self.history) + epochs, len(batches)
        self._stopped = False
        with contextlib.ExitStack() as ends:  # each that has started is told, whatever happens
            for callback in callbacks:
                callback.on_fit_start(self)
                ends.callback(callback.on_fit_end, self)
            while len(self.history) < self.epochs and not self._stopped:
                self.epoch = len(self.history) + 1
                start = time.perf_counter()
                for callback in callbacks:
                    callback.on_epoch_start(self)
                table = xp.zeros(shape, dtype=self.model.state.dtype, device=backend.device)
                for i, batch in enumerate(batches):
                    table[0, i], table[1, i] = step(*batch)
                    for callback in callbacks:
                        callback.on_step_end(self)
                measured = self._measure(*validation) if validation else {}
                # The one transfer of the epoch.
                flat = xp.concat([xp.reshape(table, (-1,)), *measured.values()])
                numbers = backend.to_numpy(flat).astype(float)
                losses, weights = numbers[: 2 * len(batches)].reshape(shape)
                self._note(losses, weights)
                others = numbers[2 * len(batches) :].tolist()
                row = self.history.epochs[-1]
                row.update(zip((f"val_{name}" for name in measured), others, strict=True))
                row["seconds"] = time.perf_counter() - start
                for callback in callbacks:
                    callback.on_epoch_end(self)

    def _step(self, x: Array, y: Array, weight: Array | None = None) -> tuple[Array, Any]:
        """One step of training; its loss, and what the mean of an epoch weighs it by."""
        outputs, back_through_model = self.model.forward(x, training=True)
        value, back_through_loss = self.loss(outputs, y, sample_weight=weight)
        back_through_model(back_through_loss())
        self.optimizer.step()
        return value, self.loss.total_weight(self.model.xp, outputs, y, weight)

    def _note(self, losses: np.ndarray, weights: np.ndarray) -> None:
        """Write an epoch into the history, if its losses are numbers."""
        self.history.step_losses.extend(losses.tolist())
        bad = np.flatnonzero(~np.isfinite(losses))
        if len(bad):
            step = len(self.history.step_losses) - len(losses) + int(bad[0])
            raise DivergenceError(
                f"the loss became {losses[bad[0]]} at step {step} (step {bad[0]} of epoch "
                f"{self.epoch}): try a smaller learning rate, or clip_norm= in the optimizer"
            )
        total = (
            losses.sum()
            if self.loss.reduction == "sum"
            else losses @ weights / (weights.sum() or 1.0)
        )
        self.history.epochs.append({"epoch": self.epoch, "loss": float(total)})

    def evaluate(
        self, x: Any, y: Any, *, sample_weight: Any = None, batch_size: int = 1024
    ) -> dict[str, float]:
        """The loss and the metrics on some data, in inference mode.

        Parameters
        ----------
        x, y : array
            Inputs ``(samples, ...)`` and targets, of any library or lists.
        sample_weight : array, optional
            ``(samples,)``, for the loss; metrics count every sample alike.
        batch_size : int, optional
            How many outputs are computed at once; it does not change the result.

        Returns
        -------
        dict
            ``{"loss": ..., "accuracy": ...}`` and so on.
        """
        moved = self._moved("", x, y, sample_weight)
        measured = self._measure(*moved, batch_size=batch_size)
        numbers = self.model.backend.to_numpy(self.model.xp.concat([*measured.values()]))
        return dict(zip(measured, numbers.tolist(), strict=True))

    def _measure(
        self, x: Array, y: Array, weight: Array | None = None, *, batch_size: int = 1024
    ) -> dict[str, Array]:
        """The loss and the metrics over all of the data at once, as arrays of shape ``(1,)``."""
        xp, dtype = self.model.xp, self.model.state.dtype
        outputs = self.model.predict(x, batch_size=batch_size)
        numbers = {"loss": self.loss(outputs, y, sample_weight=weight)[0]}
        for name, metric in self.metrics.items():
            numbers[name] = metric(outputs, y)
            if getattr(numbers[name], "ndim", 0) != 0:
                raise ShapeError(f"metric {name!r}: expected one number, found {numbers[name]!r}")
        device = self.model.backend.device
        return {
            name: xp.reshape(xp.asarray(number, dtype=dtype, device=device), (1,))
            for name, number in numbers.items()
        }

    def _moved(self, prefix: str, x: Any, y: Any, weight: Any = None) -> tuple[Array, ...]:
        """The data on the device, its mistakes found: shapes by a forward pass of one sample."""
        named = {f"{prefix}x": x, f"{prefix}y": y}
        if weight is not None:
            named[f"{prefix}sample_weight"] = weight
        xp, state = self.model.xp, self.model.state
        x, y, *weights = move(state.backend, named, state.dtype_name)
        weights = [xp.astype(w, state.dtype) for w in weights]
        try:
            one = self.model.predict(x[:1, ...])
            self.loss.check(xp.broadcast_to(one, (x.shape[0], *one.shape[1:])), y)
        except (ShapeError, DataError) as error:
            raise type(error)(f"{prefix}x of shape {tuple(x.shape)}: {error}") from error
        for weight in weights:
            if weight.ndim != 1:
                found = tuple(weight.shape)
                raise ShapeError(f"{prefix}sample_weight: expected shape (n,), found {found}")
            least, most = float(xp.min(weight)), float(xp.max(weight))
            if least < 0.0 or most == 0.0:
                raise DataError(
                    f"{prefix}sample_weight: expected weights of at least 0, not all of them 0, "
                    f"found values from {least:g} to {most:g}"
                )
        return x, y, *weights


def _named(metrics: dict[str, Metric] | Iterable[Metric]) -> dict[str, Metric]:
    """Metrics by name, each of its own name and callable."""
    if not isinstance(metrics, dict):
        pairs = [(getattr(m, "__name__", type(m).__name__), m) for m in metrics]
        metrics = dict(pairs)
        if len(metrics) < len(pairs):
            raise ValueError("expected metrics of different names: give them as a dict")
    for name, metric in metrics.items():
        if not callable(metric):
            raise TypeError(f"expected metrics that are functions, found {name!r}: {metric!r}")
        if name == "loss":
            raise ValueError("a metric cannot be called 'loss': that is the loss itself")
    return metrics
