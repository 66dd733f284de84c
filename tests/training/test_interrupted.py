"""An interrupted training run resumes in the same process."""

import numpy as np
import pytest
from helpers import Breaks, three_classes, trainer_on

import chainrule as cr

X, Y = three_classes(70)


def assert_equal(ours, theirs, library):
    for vector in ("values", "buffers"):
        found, expected = (getattr(t.model.state, vector) for t in (ours, theirs))
        np.testing.assert_array_equal(*map(library.to_numpy, (found, expected)))


class Cut(cr.SGD):
    """An optimizer that raises KeyboardInterrupt once, in or just after step 5."""

    def __init__(self, *, inside):
        super().__init__(0.05, momentum=0.9)
        self._inside, self._left = inside, 1

    def step(self):
        if self.steps == 4 and self._left and self._inside:
            self._left, update = 0, self._update

            def interrupted(*arguments):
                self._update = update
                update(*arguments)
                raise KeyboardInterrupt

            self._update = interrupted
        super().step()
        if self.steps == 5 and self._left:
            self._left = 0
            raise KeyboardInterrupt


@pytest.mark.parametrize("inside", [True, False])
def test_a_half_done_step_cannot_be_resumed(inside, library, tmp_path):
    trainer = trainer_on(library, optimizer=Cut(inside=inside))
    options = {"epochs": 2, "batch_size": 20, "verbose": 0}
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, Y, **options)
    for call in (
        lambda: trainer.fit(X, Y, **options, resume=True),
        lambda: trainer.save(tmp_path / "training"),
    ):
        with pytest.raises(RuntimeError, match="interrupted in step .: resume from the last"):
            call()
    assert not (tmp_path / "training").exists()
    trainer.fit(X, Y, **options)  # start again with the current weights
    trainer.save(tmp_path / "training")


def test_a_step_that_fails_before_the_optimizer_moves_can_be_resumed(library):
    """After an error in the loss, training resumes from the previous step."""
    trainer, whole = trainer_on(library), trainer_on(library)
    options = {"epochs": 2, "batch_size": 20, "verbose": 0}
    sums, left = trainer.loss.sums, [3]

    def failing(*arguments, **others):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return sums(*arguments, **others)

    trainer.loss.sums = failing
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, Y, **options)
    del trainer.loss.sums
    trainer.fit(X, Y, **options, resume=True)
    whole.fit(X, Y, **options)
    assert_equal(trainer, whole, library)


class Fails(cr.Callback):
    def on_step_end(self, trainer):
        if trainer.optimizer.steps == 3:
            raise ZeroDivisionError


OPTIONS = {"epochs": 2, "batch_size": 20, "verbose": 0}


@pytest.mark.parametrize("failing_first", [True, False])
def test_a_failing_callback_does_not_hide_the_step_from_others(failing_first, library):
    trainer, whole = trainer_on(library), trainer_on(library)
    averages = [cr.callbacks.ExponentialMovingAverage(0.5) for _ in range(2)]
    callbacks = [Fails(), averages[0]] if failing_first else [averages[0], Fails()]
    with pytest.raises(ZeroDivisionError):
        trainer.fit(X, Y, **OPTIONS, callbacks=callbacks)
    trainer.fit(X, Y, **OPTIONS, callbacks=[averages[0]], resume=True)
    whole.fit(X, Y, **OPTIONS, callbacks=[averages[1]])
    assert_equal(trainer, whole, library)
    np.testing.assert_array_equal(*(library.to_numpy(a.average) for a in averages))


def test_equal_new_callbacks_take_over(library):
    """New callbacks continue where interrupted callbacks stopped, as in a rerun notebook cell."""

    def callbacks():
        stop = cr.callbacks.EarlyStopping("loss", patience=9)
        return [stop, cr.callbacks.ExponentialMovingAverage(0.5)]

    trainer, whole = trainer_on(library), trainer_on(library)
    options = {**OPTIONS, "epochs": 4}
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, Y, **options, callbacks=[*callbacks(), Breaks(step=10)])
    found, expected = callbacks(), callbacks()
    trainer.fit(X, Y, **options, callbacks=found, resume=True)
    whole.fit(X, Y, **options, callbacks=expected)
    assert_equal(trainer, whole, library)
    assert trainer.history["loss"] == whole.history["loss"]
    assert (found[0].best, found[0].best_epoch) == (expected[0].best, expected[0].best_epoch)
    averages = (library.to_numpy(of[1].average) for of in (found, expected))
    np.testing.assert_array_equal(*averages)
    with pytest.raises(ValueError, match="expected EarlyStopping among the callbacks"):
        trainer.fit(X, Y, **options, resume=True)


class FullDisk(cr.Callback):
    def on_fit_start(self, trainer):
        raise OSError("no space left")


def test_a_start_that_fails_loses_no_state(library, tmp_path):
    """If fit fails before its first step, the next call still restores callback states."""
    trainer, average = trainer_on(library), cr.callbacks.ExponentialMovingAverage(0.5)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, Y, **OPTIONS, callbacks=[average, Breaks(step=5)])
    trainer.save(tmp_path / "training")
    parts = {"loss": cr.CrossEntropyLoss(), "optimizer": cr.SGD(0.05, momentum=0.9)}
    read = cr.Trainer.resume(tmp_path / "training", **parts, backend=library.backend)
    for first in (FullDisk(), None):
        found = cr.callbacks.ExponentialMovingAverage(0.5)
        try:
            read.fit(X, Y, **OPTIONS, callbacks=[found, *([first] if first else [])], resume=True)
        except OSError:
            assert first is not None
    trainer.fit(X, Y, **OPTIONS, callbacks=[average], resume=True)
    np.testing.assert_array_equal(*(library.to_numpy(a.average) for a in (found, average)))
