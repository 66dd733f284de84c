"""The training loop: there is one, and callbacks carry whatever else a training needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .backend import Array
from .callbacks import Callback, PrintEpochs, ProgressBar
from .data import Seed, minibatches, move
from .errors import DataError, DivergenceError
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
        if not isinstance(model, Sequential):
            raise TypeError(f"expected a Sequential, found {model!r}: cr.Sequential(layer) is one")
        if loss.reduction == "none":
            raise ValueError("expected a loss that is one number, found reduction='none'")
        self.model = model
        self.loss = loss
        self.optimizer: Optimizer = optimizer.bind(model)
        if metrics is None:
            metrics = default_metrics(loss)
        elif not isinstance(metrics, dict):
            metrics = {getattr(m, "__name__", type(m).__name__): m for m in metrics}
        self.metrics: dict[str, Metric] = metrics
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
            ``(samples,)``, finite and at least 0.
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
        backend, dtype = self.model.backend, self.model.state.dtype_name
        if epochs < 1:
            raise ValueError(f"expected at least 1 epoch, found {epochs}")
        if verbose not in (0, 1, 2):
            raise ValueError(f"expected verbose to be 0, 1 or 2, found {verbose!r}")
        data = (x, y) if sample_weight is None else (x, y, sample_weight)
        moved = move(backend, dict(zip(("x", "y", "sample_weight"), data, strict=False)), dtype)
        self._check(*moved)
        validation = None
        if validation_data is not None:
            names = ("validation x", "validation y", "validation sample_weight")
            validation = move(backend, dict(zip(names, validation_data, strict=False)), dtype)
            self._check(*validation)
        batches = minibatches(
            *moved,
            batch_size=min(128, moved[0].shape[0]) if batch_size is None else batch_size,
            seed=self.rng,
            shuffle=shuffle,
            drop_last=drop_last,
            backend=backend,
        )
        reporters: dict[int, list[Callback]] = {0: [], 1: [ProgressBar()], 2: [PrintEpochs()]}
        self._run(batches, validation, epochs, [*callbacks, *reporters[verbose]])
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
        first, self.epochs, self.steps_per_epoch = len(self.history), epochs, len(batches)
        self._stopped = False
        _call(callbacks, "on_fit_start", self)
        try:
            for self.epoch in range(1, epochs + 1):
                start = time.perf_counter()
                _call(callbacks, "on_epoch_start", self)
                values = xp.zeros(len(batches), dtype=self.model.state.dtype, device=backend.device)
                for i, batch in enumerate(batches):
                    values[i] = step(*batch)
                    for callback in callbacks:
                        callback.on_step_end(self)
                measured = self._measure(*validation) if validation else {}
                # The one transfer of the epoch.
                numbers = backend.to_numpy(xp.concat([values, *measured.values()]))
                losses, others = numbers[: len(batches)], numbers[len(batches) :]
                self.history.step_losses.extend(losses.tolist())
                self._check_loss(losses)
                row = {"epoch": first + self.epoch, "loss": self._mean(losses, batches.sizes)}
                row.update(zip((f"val_{k}" for k in measured), others.tolist(), strict=True))
                row["seconds"] = time.perf_counter() - start
                self.history.epochs.append(row)
                _call(callbacks, "on_epoch_end", self)
                if self._stopped:
                    break
        finally:
            _call(callbacks, "on_fit_end", self)

    def _step(self, x: Array, y: Array, weight: Array | None = None) -> Array:
        outputs, back_through_model = self.model.forward(x, training=True)
        value, back_through_loss = self.loss(outputs, y, sample_weight=weight)
        back_through_model(back_through_loss())
        self.optimizer.step()
        return value

    def evaluate(
        self, x: Any, y: Any, *, sample_weight: Any = None, batch_size: int = 1024
    ) -> dict[str, float]:
        """The loss and the metrics on some data, in inference mode.

        Parameters
        ----------
        x, y : array
            Inputs ``(samples, ...)`` and targets, of any library or lists.
        sample_weight : array, optional
            ``(samples,)``, for the loss.
        batch_size : int, optional
            How many outputs are computed at once; it does not change the result.

        Returns
        -------
        dict
            ``{"loss": ..., "accuracy": ...}`` and so on.
        """
        data = (x, y) if sample_weight is None else (x, y, sample_weight)
        named = dict(zip(("x", "y", "sample_weight"), data, strict=False))
        moved = move(self.model.backend, named, self.model.state.dtype_name)
        self._check(*moved)
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
        numbers.update((name, metric(outputs, y)) for name, metric in self.metrics.items())
        device = self.model.backend.device
        return {
            name: xp.reshape(xp.asarray(number, dtype=dtype, device=device), (1,))
            for name, number in numbers.items()
        }

    def _check(self, x: Array, y: Array, weight: Array | None = None) -> None:
        """Find mistakes in the data before the first step: shapes by a forward pass of one row."""
        xp = self.model.xp
        outputs = self.model.predict(x[:1, ...])
        self.loss._as_target(xp, outputs, y[:1, ...])
        self.loss.check_values(xp, y, outputs.shape[-1])
        if weight is not None:
            if weight.ndim != 1:
                raise DataError(
                    f"expected sample weights of shape (n,), found {tuple(weight.shape)}"
                )
            least, most = float(xp.min(weight)), float(xp.max(weight))
            if least < 0.0 or most == 0.0:
                raise DataError(f"expected weights of at least 0, not all 0, found {least:g}")

    def _mean(self, losses: np.ndarray, sizes: list[int]) -> float:
        if self.loss.reduction == "sum":
            return float(losses.sum(dtype=float))
        return float(np.average(losses.astype(float), weights=sizes))

    def _check_loss(self, losses: np.ndarray) -> None:
        bad = np.flatnonzero(~np.isfinite(losses))
        if len(bad):
            step = len(self.history.step_losses) - len(losses) + int(bad[0])
            raise DivergenceError(
                f"the loss became {losses[bad[0]]} at step {step} (step {bad[0]} of epoch "
                f"{len(self.history) + 1}): try a smaller learning rate, or clip_norm= in the "
                "optimizer"
            )


def _call(callbacks: list[Callback], moment: str, trainer: Trainer) -> None:
    for callback in callbacks:
        notify: Callable[[Trainer], None] = getattr(callback, moment)
        notify(trainer)
