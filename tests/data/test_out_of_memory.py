"""Train on data that does not fit in memory: files, ready-made batches and micro-batches."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import plain_trainer, three_classes

import chainrule as cr
from chainrule.data import moving

pytestmark = pytest.mark.not_on("numpy-readonly")  # the arrays come from NumPy and from files

X, Y = three_classes(60)


def on_disk(folder, array):
    file = np.memmap(
        folder / f"{array.dtype.name}{array.ndim}", array.dtype, "w+", shape=array.shape
    )
    file[...] = array
    return np.memmap(file.filename, array.dtype, "r", shape=array.shape)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "uint8", "int16", ">f4", ">i2"])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.filterwarnings("ignore:the inputs of layer")
def test_a_file_trains_as_its_array(library, tmp_path, dtype, shuffle):
    x = ((20 * X) if np.dtype(dtype).kind in "ui" else X).astype(dtype)
    files = on_disk(tmp_path, x), on_disk(tmp_path, Y.astype("uint16"))
    histories = []
    for data in ((x, Y), files):
        trainer = plain_trainer(library)
        options = {"epochs": 3, "batch_size": 16, "shuffle": shuffle, "verbose": 0}
        histories.append(trainer.fit(*data, **options).step_losses)
        trainer.evaluate(*data)
    assert histories[0] == histories[1]


def test_large_integers_in_a_file_do_not_wrap(library, tmp_path):
    file = on_disk(tmp_path, np.asarray([2**64 - 1, 1], "uint64"))
    ((batch,),) = cr.minibatches(file, batch_size=2, shuffle=False, backend=library.backend)
    assert library.to_numpy(batch).tolist() == [2.0**64, 1.0]


def test_mistakes_in_a_file_are_found(library, tmp_path, monkeypatch):
    monkeypatch.setattr(moving, "CHECKED_AT_ONCE", 100)  # 100 bytes hold three rows
    bad = X.copy()
    bad[[7, 30, 31], 2] = np.nan
    with pytest.raises(cr.DataError, match="in 3 of 60 samples, first in sample 7"):
        plain_trainer(library).fit(on_disk(tmp_path, bad), Y, verbose=0)
    words = np.memmap(tmp_path / "words", "S4", "w+", shape=(60,))
    with pytest.raises(cr.DataError, match="expected an array of real numbers"):
        plain_trainer(library).fit(words, Y, verbose=0)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_storage_of_inputs(library, dtype):
    """Inputs of any dtype give the same losses as inputs in the dtype of the model."""
    x = X.astype(dtype)
    trainer, wide = plain_trainer(library, dtype="float32"), plain_trainer(library, dtype="float32")
    options = {"epochs": 3, "batch_size": 16, "verbose": 0}
    found = trainer.fit(x, Y, **options).step_losses
    assert found == wide.fit(x.astype("float32"), Y, **options).step_losses
    assert trainer.evaluate(x, Y) == wide.evaluate(x.astype("float32"), Y)


def test_float16_stays_so(library):
    batches = cr.minibatches(X.astype("float16"), batch_size=10, backend=library.backend)
    ((batch,), *_) = batches
    xp = library.backend.xp
    assert batch.dtype == getattr(xp, "float16", xp.float32)


def test_batches_that_come_ready_made(library):
    weights = np.linspace(0.1, 1.0, 60)
    parts = [slice(0, 16), slice(16, 32), slice(32, 60)]
    lists = [(X[rows], Y[rows], weights[rows]) for rows in parts]
    arrays, ready = plain_trainer(library), plain_trainer(library)
    options = {"epochs": 2, "verbose": 0}
    expected = []
    for _ in range(2):
        for x, y, w in lists:  # call fit for each batch
            arrays.fit(x, y, sample_weight=w, batch_size=len(x), shuffle=False, verbose=0)
            expected.append(arrays.history.step_losses[-1])
    history = ready.fit(lists, **options)
    assert history.step_losses == pytest.approx(expected, rel=1e-12)
    totals = np.asarray([w.sum() for _, _, w in lists])
    assert history["loss"][1] == pytest.approx(np.average(expected[3:], weights=totals), rel=1e-12)
    again = plain_trainer(library).fit(lambda rng: iter(lists), **options)
    assert again.step_losses == history.step_losses


def test_bad_batches(library):
    trainer = plain_trainer(library)
    good = (X[:8], Y[:8])
    for source, error, message in (
        (iter([good]), TypeError, "more than once.* found list_iterator"),
        (5, TypeError, "found int"),
        ([], cr.DataError, "at least one batch, found none"),
        ([good, X], TypeError, "batch 1: expected"),
        ([good, (X[:8], Y[:7])], cr.ShapeError, "found 8 in batch 1, x, 7 in batch 1, y"),
        ([(X[:8] * np.nan, Y[:8])], cr.DataError, "batch 0, x: expected finite"),
        ([(X[:8], Y[:8] + 3)], cr.DataError, "labels of 3 classes"),
        ([(X[:8, :3], Y[:8])], cr.ShapeError, r"expected input of shape \(batch, 4\)"),
    ):
        with pytest.raises(error, match=message):
            trainer.fit(source, verbose=0)
    with pytest.raises(ValueError, match="need x and y"):
        trainer.fit([good], batch_size=3, verbose=0)


@pytest.mark.parametrize("parts", [7, pytest.param(60, marks=pytest.mark.not_on("strict"))])
@pytest.mark.parametrize(
    "loss",
    [
        cr.CrossEntropyLoss(),
        cr.CrossEntropyLoss(weight=[1.0, 2.0, 0.5], label_smoothing=0.1),
        cr.CrossEntropyLoss(reduction="sum"),
        cr.MSELoss(),
    ],
    ids=repr,
)
@pytest.mark.parametrize("weighted", [True, False])
def test_micro_batches_make_the_same_step(library, loss, parts, weighted):
    y = X[:, :3] if isinstance(loss, cr.MSELoss) else Y
    weights = np.where(np.arange(60) < 5, 0.0, np.linspace(0.0, 3.0, 60)) if weighted else None
    histories, values = [], []
    for number in (1, parts):
        trainer = plain_trainer(library, loss=loss, optimizer=cr.Adam(0.01, clip_norm=0.5))
        history = trainer.fit(
            X, y, sample_weight=weights, epochs=3, batch_size=60, micro_batches=number, verbose=0
        )
        histories.append(history)
        values.append(library.to_numpy(trainer.model.state.values))
    np.testing.assert_allclose(values[1], values[0], rtol=1e-10, atol=1e-10)
    assert histories[1].step_losses == pytest.approx(histories[0].step_losses, rel=1e-10)
    assert histories[1]["loss"] == pytest.approx(histories[0]["loss"], rel=1e-10)


def test_a_batch_without_any_weight_changes_nothing(library):
    trainer = plain_trainer(library)
    before = library.to_numpy(trainer.model.state.values).copy()
    weights = np.zeros(60)
    batches = [(X, Y, weights)]
    trainer.fit(batches, micro_batches=3, verbose=0)
    np.testing.assert_array_equal(library.to_numpy(trainer.model.state.values), before)


def test_bad_parts(library):
    with pytest.raises(ValueError, match="micro_batches to be at least 1, found 0"):
        plain_trainer(library).fit(X, Y, micro_batches=0, verbose=0)


def test_a_sample_of_weight_two_is_the_sample_twice(library):
    weights = 1.0 + (np.arange(60) % 3 == 0)
    twice = np.repeat(np.arange(60), weights.astype(int))
    once, repeated = plain_trainer(library), plain_trainer(library)
    once.fit(X, Y, sample_weight=weights, epochs=5, batch_size=60, verbose=0)
    repeated.fit(X[twice], Y[twice], epochs=5, batch_size=len(twice), verbose=0)
    np.testing.assert_allclose(once.model.predict(X), repeated.model.predict(X), rtol=1e-10)


MEASURE = """
import sys, threading, time
from pathlib import Path
import numpy as np
import chainrule as cr

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

def watch():
    while True:
        peak[0] = max(peak[0], anonymous())
        time.sleep(0.005)

rows = int(sys.argv[2])
x = np.memmap(sys.argv[1], "float32", "r", shape=(rows, 1024))
y = np.arange(rows) % 10
trainer = cr.Trainer(
    cr.mlp([1024, 32, 10]), loss=cr.CrossEntropyLoss(), optimizer=cr.Adam()
)
peak = [0]
threading.Thread(target=watch, daemon=True).start()
trainer.fit(x, y, batch_size=1024, validation_data=(x[:50_000], y[:50_000]), verbose=0)
print(peak[0] // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no RssAnon outside of Linux")
@pytest.mark.parametrize("gigabytes", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_gigabytes_train_in_half_of_one(gigabytes, tmp_path):
    path, rows = tmp_path / "data", gigabytes * 250_000
    with path.open("wb") as file:
        file.truncate(4 * 1024 * rows)  # a sparse file of zeros takes no disk space
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, path, str(rows)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 500  # MB
