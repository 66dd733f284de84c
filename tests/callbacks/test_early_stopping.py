"""`EarlyStopping` stops training at the right time and leaves the right weights."""

import math

import numpy as np
import pytest
from helpers import FIT, Breaks, Recorder, X, Y, resumed, score, trainer_on, vectors

from chainrule.callbacks import (
    EarlyStopping,
)


@pytest.mark.parametrize(
    ("options", "values", "best_epoch", "epochs"),
    [
        ({"mode": "min"}, [3, 2, 1, 1, 2, 0], 3, 5),
        ({"mode": "max"}, [1, 2, 1, 3, 2, 1, 9], 4, 6),
        ({"patience": 1}, [1, 2, 0], 1, 2),
        ({"patience": 3}, [1, 2, 0, 1, 1, 1, 1], 3, 6),
        ({"min_delta": 0.5}, [3, 2.6, 2.4, 2.1, 2.0], 3, 5),
        ({"mode": "max", "min_delta": 1}, [0, 1, 1.5, 2.4, 2.5, 5], 3, 5),
        ({}, [math.nan, 2, math.nan, math.nan, 1], 2, 4),
        ({}, [math.nan, math.nan, 1], None, 2),
        ({}, [math.inf, 1, math.inf, -math.inf, 1, 1, 0], 4, 6),
        ({"patience": 9}, [3, 2, 4], 2, 3),
    ],
)
def test_early_stopping(options, values, best_epoch, epochs, library):
    stop, recorder = (
        EarlyStopping("score", **{"patience": 2, "mode": "min", **options}),
        Recorder(library),
    )
    trainer = trainer_on(library)
    listeners = [score(*values), stop, recorder]
    trainer.fit(X, Y, epochs=len(values), callbacks=listeners, **FIT)
    assert len(trainer.history) == epochs
    assert stop.best_epoch == best_epoch
    assert stop.best == (None if best_epoch is None else values[best_epoch - 1])
    expected = recorder.vectors[best_epoch or epochs]
    for found, best in zip(vectors(trainer, library), expected, strict=True):
        np.testing.assert_array_equal(found, best)


def test_the_last_weights_can_be_kept(library):
    stop, recorder = (
        EarlyStopping("score", mode="min", patience=1, restore_best=False),
        Recorder(library),
    )
    trainer = trainer_on(library)
    trainer.fit(X, Y, epochs=5, callbacks=[score(1, 2), stop, recorder], **FIT)
    np.testing.assert_array_equal(vectors(trainer, library)[0], recorder.vectors[2][0])
    watched = {"monitor": "score", "mode": "min"}
    assert stop.state() == {**watched, "best": 1, "best_epoch": 1, "wait": 1}


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_the_best_weights_are_restored_after_an_error(error, library):
    stop, recorder = EarlyStopping("score", mode="min", patience=2), Recorder(library)
    trainer, listeners = trainer_on(library), [score(1, 2, 3), stop, recorder]
    with pytest.raises(error):
        trainer.fit(X, Y, epochs=9, callbacks=[*listeners, Breaks(step=10, error=error)], **FIT)
    for found, best in zip(vectors(trainer, library), recorder.vectors[1], strict=True):
        np.testing.assert_array_equal(found, best)


@pytest.mark.parametrize("through", ["memory", "file"])
def test_resuming_starts_from_the_last_weights(through, library, tmp_path):
    whole, parts = trainer_on(library), trainer_on(library)
    values, breaks = score(1, 2, 3, 4, 5, 6), Breaks(step=10)
    kinds = EarlyStopping("score", mode="min", patience=9), breaks
    whole.fit(
        X, Y, epochs=6, callbacks=[values, EarlyStopping("score", mode="min", patience=9)], **FIT
    )
    with pytest.raises(KeyboardInterrupt):
        parts.fit(X, Y, epochs=6, callbacks=[values, *kinds], **FIT)
    if through == "file":
        parts.save(tmp_path / "stopped.safetensors")
        parts = resumed(tmp_path / "stopped.safetensors", library)
        kinds = EarlyStopping("score", mode="min", patience=9), breaks
    breaks.step = None
    parts.fit(X, Y, epochs=6, callbacks=[values, *kinds], resume=True, **FIT)
    assert parts.history.step_losses == whole.history.step_losses
    for found, best in zip(vectors(parts, library), vectors(whole, library), strict=True):
        np.testing.assert_array_equal(found, best)
