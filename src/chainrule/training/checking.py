"""Check that data fits a model and a loss, and move it to the device."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from ..backends import Backend
from ..checks import whole
from ..data import Batches, BatchStream
from ..data.moving import move, rows_at_once, to_device
from ..errors import DataError, ShapeError, blaming
from ..forms import each, first, named, rows, several, shape_of
from ..layers import Layer, Sequential
from ..losses import Loss
from ..losses.checking import check_weights
from ..types import Array, Arrays
from .ranks import Ranks, bounds_of
from .state import TrainingState


def move_checked(
    model: Sequential, loss: Loss, x: Any, y: Any, weight: Any = None, *, prefix: str = ""
) -> tuple[Array, ...]:
    """Move data to the device, and check it with a forward pass of one sample."""
    data = {f"{prefix}x": x, f"{prefix}y": y}
    if weight is not None:
        data[f"{prefix}sample_weight"] = weight
    xp, state = model.xp, model.state
    x, y, *weights = move(state.backend, data, state.dtype_name)
    weights = [xp.astype(to_device(state.backend, w), state.dtype) for w in weights]
    with blaming(f"{prefix}x of shape {shape_of(x)}"):
        one = model.predict(to_device(state.backend, rows(x, slice(1))))
    if model.takes_integers or several(x):
        with blaming(f"{prefix}x"):
            _check_integers(model, x)
    with blaming("output of the model"):
        loss.check_outputs(xp, one)
    with blaming(f"{prefix}y"):
        for part in _parts(state.backend, y):
            # `check` uses only the shape of the outputs, so the output of one sample is enough.
            repeated = partial(_repeated, xp, first(part).shape[0])
            loss.check(each(repeated, one), part)
    for weight in weights:
        if weight.ndim > 1:  # only the loss knows the shape of its values
            with blaming(f"{prefix}sample_weight"):
                loss(
                    one, to_device(state.backend, rows(y, slice(1))), sample_weight=weight[:1, ...]
                )
        check_weights(f"{prefix}sample_weight", xp, weight)
    return x, y, *weights


def _check_integers(model: Sequential, x: Arrays) -> None:
    """Check indices and lengths. The error names the first sample where they are out of range."""
    start = 0
    for part in _parts(model.backend, x):
        samples = first(part).shape[0]
        try:
            model.check_input(part)
        except DataError:
            for i in range(samples):
                with blaming(f"sample {start + i}"):
                    model.check_input(rows(part, slice(i, i + 1)))
            raise
        start += samples


def _parts(backend: Backend, data: Arrays) -> Iterator[Arrays]:
    """Yield all samples in parts that fit into memory, each moved to the device."""
    samples, step = first(data).shape[0], min(map(rows_at_once, named("data", data).values()))
    for start in range(0, samples, step):
        yield to_device(backend, rows(data, slice(start, min(start + step, samples))))


def _repeated(xp: Any, samples: int, one: Array) -> Array:
    return xp.broadcast_to(one, (samples, *one.shape[1:]))


def checked_batches(
    training: TrainingState,
    x: Any,
    y: Any,
    weight: Any,
    *,
    batch_size: int | None,
    shuffle: bool,
    drop_last: bool,
    micro_batches: int,
    ranks: Ranks,
) -> Batches | BatchStream:
    """Check the training data, and return the source of the batches (see `Trainer.fit`).

    If the ranks have their own data, these are the batches of this rank.
    """
    backend, dtype = training.model.backend, training.model.state.dtype_name
    if y is None:
        if (batch_size, weight, shuffle, drop_last) != (None, None, True, False):
            raise ValueError(
                "batch_size, sample_weight, shuffle and drop_last need x and y: ready-made "
                "batches already have a size, weights and an order"
            )
        return BatchStream(x, rng=training.rng, backend=backend, dtype=dtype)
    data = move_checked(training.model, training.loss, x, y, weight)
    samples = first(data[0]).shape[0]
    if ranks.own_data:
        batch_size = min(samples, _own_batch_size(ranks, 128 if batch_size is None else batch_size))
    batches = Batches(
        data,
        batch_size=min(128, samples) if batch_size is None else batch_size,
        rng=training.rng,
        shuffle=shuffle,
        drop_last=drop_last,
        backend=backend,
    )
    if not ranks.own_data:  # otherwise, the batch of this rank is only a part of the whole batch
        expect_batches(training.model, batches, micro_batches)
    return batches


def _own_batch_size(ranks: Ranks, batch_size: int) -> int:
    """Return how many samples of a batch belong to this rank."""
    start, stop = bounds_of(ranks, whole("batch_size", batch_size, least=ranks.size))
    return stop - start


def expect_validation_tuple(given: Any) -> None:
    """Raise a `TypeError` unless `validation_data` is a tuple of two or three elements."""
    if not isinstance(given, tuple) or len(given) not in (2, 3):
        several = isinstance(given, tuple)
        found = f"a tuple of {len(given)}" if several else type(given).__name__
        raise TypeError(
            f"expected validation_data to be a tuple (x, y) or (x, y, sample_weight), found {found}"
        )


def expect_batches(model: Sequential, batches: Batches, micro_batches: int) -> None:
    """Raise a `ShapeError` if a batch or a micro-batch is too small for a layer."""
    sizes = batches.sizes[0], batches.sizes[-1]
    first, last = (size // min(micro_batches, size) for size in sizes)
    try:
        try_batch(model, batches.arrays[0], min(first, last))
    except ShapeError as error:
        remedy = "drop_last=True leaves out the last batch, which is smaller"
        if first <= last:
            remedy = "fewer micro_batches or a " if micro_batches > 1 else "a "
            remedy = f"choose {remedy}larger batch_size"
        raise ShapeError(f"{error}; {remedy}" if batches.samples > 1 else str(error)) from None


def try_batch(model: Sequential, x: Array, samples: int) -> None:
    """Raise the `ShapeError` of a layer if a batch with this many samples is too small for it.

    `expect_batch` may raise an error for a batch that is large enough, because an image has many
    values for each feature. So try a forward pass, and then restore the state of the model.
    """
    try:
        for _, part in model._walk():
            if isinstance(part, Layer):
                part.expect_batch(samples)
    except ShapeError:
        state = model.state
        before, draws = state.snapshot("buffers"), state.draws
        try:
            model.forward(to_device(state.backend, x[:samples, ...]), training=True)
        finally:
            state.restore(before)
            state.draws = draws
