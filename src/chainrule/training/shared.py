"""Training steps that several ranks share: each rank takes a part of every batch.

Before the optimizer's step, the ranks add up the gradients, the losses and the weights of their
parts. So each rank makes the step that a single process would make with the whole batch.
"""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ..backends.conversion import to_numpy
from ..callbacks import Callback
from ..data import Batches, BatchStream
from ..data.augmentation.base import takes_parts
from ..errors import DataError, DivergenceError
from ..forms import each, first, named, rows
from ..model_state import ModelState, WholeBatch
from ..types import Array, Arrays
from .interruption import Interruption
from .ranks import Ranks, bounds_of, expect_equal
from .state import TrainingState
from .step import Step, accumulate, bounds, expect_same_form

_COMPARED = 64  # the ranks compare about this many samples, evenly spaced over the data
_COMPARED_IN_BATCH = 4
_IF_OWN = ": if each rank has its own data, write parallel=cr.parallel.Ranks(own_data=True)"


@dataclass
class PartOfBatch:
    """The samples of a batch, or of a micro-batch, that this rank trains on.

    A rank without samples takes one sample of the batch with weight 0, because the rank must take
    part in all sums. This sample changes no sum and no gradient.

    Attributes
    ----------
    ranks : Ranks
        The connection to the other ranks.
    rows : slice
        The rows of the batch.
    start : int
        The number of samples of the micro-batch on earlier ranks.
    total : int
        The number of samples of the micro-batch on all ranks.
    empty : bool
        Whether the rank has no samples. `rows` is then the sample with weight 0.
    """

    ranks: Ranks
    rows: slice
    start: int
    total: int
    empty: bool

    def of_batch(self, values: int) -> int:
        """Return the number of values in the whole batch (see `chainrule.model_state.Share`)."""
        samples: int = self.rows.stop - self.rows.start
        return values * self.total // samples

    def moments(
        self, samples: Any, centred: Array, first: Array, mean: Array, variance: Array
    ) -> tuple[Any, Array, Array]:
        """Return the statistics of the whole batch (see `chainrule.model_state.Share`).

        Source of the formula: T. Chan et al., "Updating formulae and a pairwise algorithm for
        computing sample variances", 1979.
        """
        xp, features = array_namespace(mean), mean.shape[0]
        count = xp.zeros_like(mean[:1]) + (0.0 if self.empty else float(samples))
        own = xp.concat([count, first, mean, variance])
        table = xp.stack([xp.zeros_like(own)] * self.ranks.size)
        table[self.ranks.rank, ...] = own
        self.ranks.add_up(table)
        samples = xp.sum(table[:, 0])
        share = table[:, :1] / samples
        firsts, means, variances = (
            table[:, start : start + features] for start in range(1, own.shape[0], features)
        )
        origin = firsts[0, ...]
        deviation = means + (firsts - origin)  # sums of small numbers are more accurate
        shift = xp.sum(share * deviation, axis=0)
        deviation -= shift
        centred += deviation[self.ranks.rank, ...]
        variance = xp.sum(share * (variances + deviation * deviation), axis=0)
        return samples, origin + shift, variance

    def sums(self, *vectors: Array) -> tuple[Array, ...]:
        """Return the sums of vectors of equal length over all ranks that have samples."""
        xp = array_namespace(vectors[0])
        table = xp.stack(vectors)
        if self.empty:
            table = xp.zeros_like(table)
        self.ranks.add_up(table)
        return tuple(table[i, ...] for i in range(len(vectors)))


class OwnBatches:
    """The batches of a rank that has its own data. A step takes one batch of each rank.

    An epoch ends when no rank has a batch left. Until then, a rank without a batch repeats one
    sample (see `PartOfBatch`).

    Parameters
    ----------
    batches : Batches or BatchStream
        The batches of this rank.
    ranks : Ranks
        The connection to the other ranks.

    Attributes
    ----------
    counts : list of int
        The number of samples of each rank in this step. A rank without a batch has 0.
    """

    def __init__(self, batches: Batches | BatchStream, ranks: Ranks) -> None:
        self.batches = batches
        self.ranks = ranks
        self.rng = batches.rng
        self.counts: list[int] = []
        self.description = {"on each rank": ranks.gather(batches.description)}
        self._lengths = ranks.gather(len(batches))

    def __len__(self) -> int:
        return max(self._lengths) if all(self._lengths) else 0  # 0 means unknown

    def starting_at(self, step: int) -> Iterator[tuple[Arrays, ...]]:
        """Yield the batches of one pass, starting at batch `step`. Discard all earlier batches."""
        rank = self.ranks.rank
        self.batches.rng = np.random.default_rng([int(self.rng.integers(2**32)), rank])
        batches = self.batches.starting_at(0)
        for i in itertools.count():
            batch = next(batches, None)
            self.counts = self.ranks.gather(0 if batch is None else first(batch[0]).shape[0])
            if not any(self.counts):
                return
            if batch is not None:
                one = tuple(rows(array, slice(1)) for array in batch)
            elif i == 0:
                raise DataError(f"expected a batch on each rank, found none on rank {rank}")
            if i >= step:
                yield one if batch is None else batch


class SameBatches:
    """Ready-made batches that must be the same on all ranks, which compare each batch.

    Parameters
    ----------
    batches : BatchStream
        The batches.
    ranks : Ranks
        The connection to the other ranks.
    """

    def __init__(self, batches: BatchStream, ranks: Ranks) -> None:
        self.batches = batches
        self.ranks = ranks
        self.description = batches.description

    def __len__(self) -> int:
        return len(self.batches)

    def starting_at(self, step: int) -> Iterator[tuple[Arrays, ...]]:
        """Yield the batches of one pass, starting at batch `step`. Discard all earlier batches."""
        batches = self.batches.starting_at(step)
        while True:
            batch = next(batches, None)
            expect_equal(self.ranks, {"batch": _summary(batch, _COMPARED_IN_BATCH)}, _IF_OWN)
            if batch is None:
                return
            yield batch


class EndTogether(Callback):
    """Ends the training run on all ranks if it is to end on one of them.

    Parameters
    ----------
    ranks : Ranks
        The connection to the other ranks.
    interruption : Interruption
        The request to end the training run.
    """

    def __init__(self, ranks: Ranks, interruption: Interruption) -> None:
        self.ranks, self.interruption = ranks, interruption

    def on_fit_start(self, trainer: TrainingState) -> None:
        self._agree(trainer)

    def on_epoch_end(self, trainer: TrainingState) -> None:
        self._agree(trainer)

    def _agree(self, trainer: TrainingState) -> None:
        requests = self.ranks.gather([trainer.stopped, self.interruption.asked])
        trainer.stopped, self.interruption.due = map(any, zip(*requests, strict=True))


@dataclass(frozen=True)
class SharedStep(Step):
    """A training step on this rank's part of a batch, with the same result on all ranks.

    Parameters
    ----------
    ranks : Ranks
        The connection to the other ranks.
    interruption : Interruption
        The request to end the training run, which the ranks share.
    own : OwnBatches or None
        The batches of this rank if the rank has its own data. Otherwise, all ranks receive the
        whole batch.
    vector : array
        The gradients of the model, followed by the other numbers that the ranks add up.
    """

    ranks: Ranks
    interruption: Interruption
    own: OwnBatches | None
    vector: Array

    def loss_and_gradient(
        self, x: Array, y: Array, sample_weight: Array | None = None
    ) -> tuple[Any, ...]:
        parts = self._parts(x, y, sample_weight)
        samples = first(x).shape[0] if self.own is None else sum(self.own.counts)
        try:
            loss, *others = accumulate(
                self.model, self.loss, parts, samples, self.penalty, self.means, self._add_up
            )
        finally:
            self.model.state.share = WholeBatch()
        return self._checked(loss, x, y), *self._on_host(others)

    def update(self) -> None:
        try:
            self.optimizer.step()
        except DivergenceError as error:
            self.ranks.on_all(error)  # because all ranks have the same gradient
            raise

    def _generator(self, *more: int) -> np.random.Generator:
        """Return the generator for the augmentation: one for all ranks, or one for each rank."""
        return super()._generator(*more, *(() if self.own is None else (self.ranks.rank,)))

    def _parts(self, x: Array, y: Array, sample_weight: Array | None) -> Iterator[tuple[Any, ...]]:
        """Yield this rank's part of each micro-batch. Meanwhile, the part is the model's share."""
        state, parts = self.model.state, [*self._places(first(x).shape[0])]
        for part, inputs in zip(parts, self._inputs(x, parts), strict=True):
            weight = None if sample_weight is None else sample_weight[part.rows, ...]
            if part.empty:
                shape = (1,) if weight is None else weight.shape
                xp, device = self.model.xp, state.backend.device
                weight = xp.zeros(shape, dtype=state.dtype, device=device)
            before = state.snapshot("grads") if part.empty else {}
            state.share = part
            yield inputs, rows(y, part.rows), weight
            state.restore(before)  # a sample with weight 0 has no gradient

    def _places(self, samples: int) -> Iterator[PartOfBatch]:
        """Yield this rank's part of each micro-batch of a batch with this many samples."""
        ranks = self.ranks
        if self.own is not None:
            counts = self.own.counts
            micro_batches = min(self.micro_batches, max(counts))  # so that none is empty
            for parts in zip(*(bounds(n, micro_batches) for n in counts), strict=True):
                start, stop = parts[ranks.rank]
                lengths = [after - before for before, after in parts]
                here = slice(start, max(stop, start + 1))
                earlier, total = sum(lengths[: ranks.rank]), sum(lengths)
                yield PartOfBatch(ranks, here, earlier, total, start == stop)
            return
        for start, stop in bounds(samples, min(self.micro_batches, samples)):
            before, after = bounds_of(ranks, stop - start)
            here = slice(start + before, start + max(after, before + 1))
            yield PartOfBatch(ranks, here, before, stop - start, before == after)

    def _inputs(self, x: Arrays, parts: list[PartOfBatch]) -> list[Arrays]:
        """Return the inputs of each part, after augmentation.

        An augmentation that takes parts changes only the samples of this rank. Otherwise, each rank
        changes the whole batch.
        """
        if self.own is not None or not takes_parts(self.augment):
            x = self.augmented(x)
            return [rows(x, part.rows) for part in parts]
        augment: Any = self.augment
        places = [np.arange(part.rows.start, part.rows.stop) for part in parts]
        own = [rows(x, part.rows) for part in parts]
        joined = each(lambda *arrays: self.model.xp.concat(arrays, axis=0), *own)
        samples, place = first(x).shape[0], np.concatenate(places)
        changed = augment.on_part(joined, self._generator(), samples, place)
        expect_same_form(changed, joined)
        ends = [0, *np.cumsum([len(place) for place in places]).tolist()]
        return [changed[start:stop, ...] for start, stop in itertools.pairwise(ends)]

    def _add_up(self, numbers: list[Any]) -> list[Any]:
        """Add up the gradients, `numbers` and the requests to end the run over all ranks."""
        state, xp, asked = self.model.state, self.model.xp, float(self.interruption.asked)
        size, device = state.values.shape[0], state.backend.device
        state.begin_step()  # sets the gradients that this batch has not reached to zero
        more = [xp.asarray(n, dtype=state.dtype, device=device) for n in (*numbers, asked)]
        self.vector[size:] = xp.stack(more)
        self.ranks.add_up(self.vector)
        sums = xp.asarray(self.vector[size:], copy=True)  # the next step overwrites the vector
        self.interruption.due = bool(sums[len(numbers)] > 0)
        return [sums[i] for i in range(len(numbers))]


Source = Batches | BatchStream | SameBatches | OwnBatches


def shared(
    step: Step,
    batches: Batches | BatchStream,
    ranks: Ranks,
    training: TrainingState,
    validation: tuple[Arrays, ...] | None,
    interruption: Interruption,
) -> tuple[Step, Source]:
    """Return the step and the batches for several ranks.

    Raises
    ------
    RuntimeError
        On all ranks, unless they begin with the same state, the same arguments, and the same kind
        of batches.
    """
    own = OwnBatches(batches, ranks) if ranks.own_data else None
    state = training.model.state
    source: Source = batches if own is None else own
    if isinstance(source, BatchStream):
        source = SameBatches(source, ranks)
    expect_equal(
        ranks,
        {
            **_checksums(state),
            "optimizer steps": training.optimizer.steps,
            "epochs": [training.epochs_done, training.epochs],
            "steps in this epoch": training.steps_done,
            "number of random masks": state.draws,
            "random state": str(training.rng.bit_generator.state),
            "batches": str(source.description),
            "model": _without_addresses(training.model),
            "optimizer": _without_addresses(training.optimizer),
            "loss": _without_addresses(step.loss),
            "metrics": list(training.metrics),
            "augmentation": _without_addresses(step.augment),
            "number of micro-batches": step.micro_batches,
            "terminate_on_nan": step.terminate_on_nan,
            "trainable parameters": [p.trainable for p in state.parameters],
            "validation data": _summary(validation),
        },
    )
    if isinstance(source, Batches):
        expect_equal(ranks, {"training data": _summary(source.arrays)}, _IF_OWN)
    # The loss, the weight, the sums of the metrics and the request to end the run.
    vector = state.lengthen_gradients(3 + len(step.means))
    return SharedStep(
        **vars(step), ranks=ranks, interruption=interruption, own=own, vector=vector
    ), source


def expect_equal_weights(ranks: Ranks, state: ModelState) -> None:
    """Raise a `RuntimeError` on all ranks unless their weights are equal."""
    expect_equal(ranks, _checksums(state))


def _checksums(state: ModelState) -> dict[str, Any]:
    vectors = {"weights": state.values, "running statistics": state.buffers}
    to_numpy = state.backend.to_numpy
    return {f"checksum of {name}": zlib.crc32(to_numpy(v).data) for name, v in vectors.items()}


def _summary(data: tuple[Arrays, ...] | None, compared: int = _COMPARED) -> str:
    """Return the shapes of the arrays and a checksum of some samples, or "nothing"."""
    if data is None:
        return "nothing"
    arrays = [array for arrays in data for array in named("", arrays).values()]
    shapes = ", ".join(str(tuple(array.shape)) for array in arrays)
    spaced = (array[:: max(1, array.shape[0] // compared), ...] for array in arrays)
    checksum = zlib.crc32(b"".join(to_numpy(samples).tobytes() for samples in spaced))
    return f"shapes {shapes} with checksum {checksum}"


def _without_addresses(thing: Any) -> str:
    """Return the ``repr`` without the addresses of functions, which differ between processes."""
    return re.sub(" at 0x[0-9a-f]+", "", repr(thing))
