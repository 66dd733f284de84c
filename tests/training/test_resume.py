"""Training that is stopped, saved and resumed gives the results of an uninterrupted run."""

import contextlib
import copy
import json
import os
import signal
import threading

import helpers
import killing
import numpy as np
import pytest
from helpers import three_classes

import chainrule as cr
from chainrule.files.tensors import read_tensors, write_tensors
from chainrule.training.step import Step

X, Y = three_classes(70)
FIT = {"epochs": 4, "batch_size": 16, "verbose": 0}  # five steps per epoch, the last with 6 samples


def parts(options):
    optimizer = cr.SGD(cr.schedules.cosine(0.1, 20), momentum=0.9, weight_decay=1e-3, clip_norm=1.0)
    return {"loss": cr.CrossEntropyLoss(weight=[1, 2, 3]), "optimizer": optimizer, **options}


def scheduled_trainer(library, **options):
    return helpers.trainer_on(library, **parts(options))


def resumed(path, library, **options):
    return helpers.resumed(path, library, **parts(options))


class Counts(cr.Callback):
    """A callback whose state is a number and an array. It can raise an error or stop training."""

    def __init__(self, error_at=None, stop_at=None):
        self.error_at, self.stop_at = error_at, stop_at
        self.steps, self.sums = 0, None

    def on_fit_start(self, trainer):
        if not trainer.resuming:
            self.steps, self.sums = 0, np.zeros(2)

    def on_step_end(self, trainer):
        self.steps += 1
        self.sums = self.sums + np.asarray([1.0, self.steps])
        if self.steps == self.error_at:
            raise KeyboardInterrupt

    def on_epoch_end(self, trainer):
        if self.steps == self.stop_at:
            trainer.stop()

    def state(self):
        return {"steps": self.steps, "sums": self.sums}

    def load_state(self, state):
        self.steps, self.sums = state["steps"], state["sums"]


def assert_equal(ours, theirs, library):
    """Check that two trainers are equal in every bit, except for the measured seconds."""
    for one, other in (
        (ours.model.state.values, theirs.model.state.values),
        (ours.model.state.buffers, theirs.model.state.buffers),
        (ours.optimizer._vectors["velocity"], theirs.optimizer._vectors["velocity"]),
    ):
        np.testing.assert_array_equal(library.to_numpy(one), library.to_numpy(other))
    assert ours.history.step_losses == theirs.history.step_losses
    assert len(ours.history) == len(theirs.history)
    for row, other in zip(ours.history.epochs, theirs.history.epochs, strict=True):
        assert {**row, "seconds": 0} == {**other, "seconds": 0}
    assert ours.model.state.draws == theirs.model.state.draws
    assert ours.rng.bit_generator.state == theirs.rng.bit_generator.state


@pytest.mark.parametrize(
    "error_at",
    [8, *(pytest.param(step, marks=pytest.mark.not_on("strict")) for step in (1, 5, 20))],
)
@pytest.mark.parametrize("through", ["file", "memory"])
def test_it_resumes_as_if_it_had_never_stopped(through, error_at, library, tmp_path):
    data = {"validation_data": (X, Y), "sample_weight": np.linspace(0.5, 2.0, 70)}
    whole, counts = scheduled_trainer(library), Counts()
    whole.fit(X, Y, **data, **FIT, callbacks=[counts])
    stopped, listener = scheduled_trainer(library), Counts(error_at=error_at)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(X, Y, **data, **FIT, callbacks=[listener], resume=True)
    listener.error_at = None
    if through == "file":
        stopped.save(tmp_path / "stopped.safetensors")
        stopped, listener = resumed(tmp_path / "stopped.safetensors", library), Counts()
    stopped.fit(X, Y, **data, **FIT, callbacks=[listener], resume=True)
    assert_equal(stopped, whole, library)
    assert listener.steps == counts.steps == 20
    np.testing.assert_array_equal(listener.sums, counts.sums)


def test_between_calls_of_fit(library, tmp_path):
    whole, parts = scheduled_trainer(library), scheduled_trainer(library)
    whole.fit(X, Y, **FIT)
    whole.fit(X, Y, **FIT)
    parts.fit(X, Y, **FIT)
    parts.save(tmp_path / "one.safetensors")
    parts = resumed(tmp_path / "one.safetensors", library)
    parts.fit(X, Y, **FIT, resume=True)  # nothing to resume: all epochs were done
    assert len(parts.history) == 4
    parts.fit(X, Y, **FIT)
    assert_equal(parts, whole, library)


def test_a_stopped_run_stays_stopped(library, tmp_path):
    trainer = scheduled_trainer(library)
    trainer.fit(X, Y, **FIT, callbacks=[Counts(stop_at=10)])
    trainer.save(tmp_path / "stopped.safetensors")
    again = resumed(tmp_path / "stopped.safetensors", library)
    with pytest.warns(RuntimeWarning, match="ended this training run after epoch 2"):
        again.fit(X, Y, **FIT, callbacks=[Counts()], resume=True)
    assert len(again.history) == 2
    assert_equal(again, trainer, library)


def test_the_file_contains_a_model(library, tmp_path):
    trainer = scheduled_trainer(library)
    trainer.model[0].freeze()
    trainer.fit(X, Y, **FIT)
    trainer.save(tmp_path / "training.safetensors")
    model = cr.load(tmp_path / "training.safetensors", backend=library.backend)
    np.testing.assert_array_equal(model.predict(X), trainer.model.predict(X))
    other = scheduled_trainer(library).model
    other.load_weights(tmp_path / "training.safetensors")
    np.testing.assert_array_equal(other.predict(X), trainer.model.predict(X))
    again = resumed(tmp_path / "training.safetensors", library)
    assert [p.trainable for p in again.model.parameters()] == [False] * 2 + [True] * 4


def test_numbers_that_a_callback_changed_are_kept(library, tmp_path):
    trainer = scheduled_trainer(library, optimizer=cr.Adam(lr=0.1, betas=(0.8, 0.9)))
    trainer.fit(X, Y, **FIT)
    trainer.optimizer.lr = 0.025
    trainer.save(tmp_path / "training.safetensors")
    path, given = tmp_path / "training.safetensors", cr.Adam(lr=0.1, betas=(0.8, 0.9))
    for optimizer, words in (
        (given, None),
        (cr.Adam(lr=1.0), r"not with the options passed now: lr=1.0, betas=\(0.9, 0.999\)"),
    ):
        told = pytest.warns(RuntimeWarning, match=words) if words else contextlib.nullcontext()
        with told:
            again = resumed(path, library, optimizer=optimizer)
    assert (again.optimizer.lr, again.optimizer.betas) == (0.025, (0.8, 0.9))
    assert again.optimizer.steps == 20


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
@pytest.mark.not_on("strict")  # the generators are NumPy's on every library
def test_every_generator_of_numpy(kind, library, tmp_path):
    def seed():
        return np.random.Generator(getattr(np.random, kind)(7))

    whole, parts = scheduled_trainer(library, seed=seed()), scheduled_trainer(library, seed=seed())
    whole.fit(X, Y, **FIT)
    with pytest.raises(KeyboardInterrupt):
        parts.fit(X, Y, **FIT, callbacks=[Counts(error_at=7)])
    parts.listeners.clear()
    parts.save(tmp_path / "training.safetensors")
    parts = resumed(tmp_path / "training.safetensors", library)
    parts.fit(X, Y, **FIT, resume=True)
    np.testing.assert_array_equal(parts.model.predict(X), whole.model.predict(X))


@pytest.mark.parametrize(
    ("kind", "place"), [("MT19937", 625), ("MT19937", -1), ("Philox", 5), ("Philox", -1)]
)
def test_a_generator_beyond_its_memory(kind, place, library, tmp_path):
    """A file with an invalid generator position is refused. NumPy would read out of bounds."""
    trainer, path = scheduled_trainer(library), tmp_path / "training.safetensors"
    trainer.rng = np.random.Generator(getattr(np.random, kind)(7))
    trainer.save(path)
    tensors, metadata = read_tensors(path)
    training = json.loads(metadata["training"])
    inside = {"MT19937": training["rng"]["state"], "Philox": training["rng"]}[kind]
    inside["pos" if kind == "MT19937" else "buffer_pos"] = place
    write_tensors(path, tensors, {**metadata, "training": json.dumps(training)})
    with pytest.raises(cr.FileFormatError, match=f"expected a position of {kind} from 0 to"):
        resumed(path, library)


def test_a_run_that_could_not_be_resumed_is_not_saved(library, tmp_path):
    class OwnBits(np.random.PCG64):
        pass

    path, trainer = tmp_path / "training.safetensors", scheduled_trainer(library)
    trainer.save(path)
    before = path.read_bytes()
    trainer.rng = np.random.Generator(OwnBits(1))
    with pytest.raises(ValueError, match="a bit generator of NumPy, found 'OwnBits'"):
        trainer.save(path)
    trainer = resumed(path, library)
    trainer.optimizer._vectors["velocity"][3] = np.inf
    with pytest.raises(cr.DivergenceError, match="'optimizer/velocity' holds NaN or infinity"):
        trainer.save(path)
    assert path.read_bytes() == before
    tensors, metadata = read_tensors(path)
    tensors["training/optimizer/velocity"][3] = np.nan
    write_tensors(path, tensors, metadata)
    with pytest.raises(cr.FileFormatError, match="expected finite numbers in 'velocity'"):
        resumed(path, library)


def test_batches_that_come_ready_made(library, tmp_path):
    def drawn(rng):
        for _ in range(5):
            rows = rng.permutation(70)[:16]
            yield X[rows], Y[rows]

    options = {"epochs": 3, "verbose": 0}
    for source in (drawn, [(X[:30], Y[:30]), (X[30:], Y[30:])]):
        whole, parts = scheduled_trainer(library), scheduled_trainer(library)
        whole.fit(source, **options)
        with pytest.raises(KeyboardInterrupt):
            parts.fit(source, **options, callbacks=[Counts(error_at=3)])
        parts.listeners.clear()
        parts.save(tmp_path / "training.safetensors")
        parts = resumed(tmp_path / "training.safetensors", library)
        parts.fit(source, **options, resume=True)
        assert_equal(parts, whole, library)


def test_different_data_cannot_be_resumed(library):
    trainer = scheduled_trainer(library)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, Y, **FIT, callbacks=[Counts(error_at=7)])
    with pytest.raises(ValueError, match="interrupted after 2 steps with .*'samples': 70.*found"):
        trainer.fit(X[:60], Y[:60], **FIT, callbacks=[Counts()], resume=True)
    trainer.fit(X, Y, **FIT, callbacks=[Counts()], resume=True)


def test_a_file_or_parts_that_do_not_fit(library, tmp_path):
    path = tmp_path / "training.safetensors"
    trainer = scheduled_trainer(library)
    trainer.fit(X, Y, **FIT, callbacks=[Counts()])
    trainer.save(path)
    for other in (cr.Adam(), cr.SGD(0.1, momentum=0.9), cr.SGD(cr.schedules.cosine(0.1, 20))):
        with pytest.raises(ValueError, match=r"the same optimizer as before \('SGD' with"):
            resumed(path, library, optimizer=other)
    again = resumed(path, library)
    with pytest.raises(ValueError, match=r"expected Counts among the callbacks \(.*, found"):
        again.fit(X, Y, **FIT, callbacks=[cr.Callback()], resume=True)
    trainer.model.save(path)
    with pytest.raises(cr.FileFormatError, match="expected a training run, found a model"):
        resumed(path, library)


def test_another_machine_is_reported(library, tmp_path, monkeypatch):
    trainer = scheduled_trainer(library)
    trainer.save(tmp_path / "training.safetensors")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "17")
    with pytest.warns(RuntimeWarning, match="OPENBLAS_NUM_THREADS was .* and is now 17"):
        resumed(tmp_path / "training.safetensors", library)


def test_a_failed_save_loses_nothing(library, tmp_path):
    path = tmp_path / "training.safetensors"
    trainer = scheduled_trainer(library)
    trainer.save(path)
    before = path.read_bytes()
    broken = Counts()
    broken.state = lambda: {"what": object()}
    trainer.listeners = [broken]
    with pytest.raises(TypeError):
        trainer.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_ctrl_c_waits_for_the_step(library, ctrl_c, monkeypatch):
    """After Ctrl-C, the current step is completed, and training resumes exactly."""
    whole, trainer = scheduled_trainer(library), scheduled_trainer(library)
    whole.fit(X, Y, **FIT)
    step, calls = Step.__call__, []

    def interrupted(*arguments):
        calls.append(len(calls))
        if len(calls) == 7:
            os.kill(os.getpid(), signal.SIGINT)
        return step(*arguments)

    monkeypatch.setattr(Step, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, Y, **FIT)
    assert trainer.optimizer.steps == len(calls) == 7
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    trainer.fit(X, Y, **FIT, resume=True)
    assert_equal(trainer, whole, library)


def test_it_trains_in_other_threads_too(library):
    trainer = scheduled_trainer(library)
    thread = threading.Thread(target=trainer.fit, args=(X, Y), kwargs=FIT)
    thread.start()
    thread.join()
    assert len(trainer.history) == 4


def test_the_files_json_is_plain(library, tmp_path):
    """Any JSON parser can read the metadata of a file."""
    from safetensors import safe_open

    trainer = scheduled_trainer(library)
    trainer.fit(X, Y, **FIT, callbacks=[Counts()])
    trainer.save(tmp_path / "training.safetensors")
    with safe_open(tmp_path / "training.safetensors", "numpy") as file:
        training = json.loads(file.metadata()["training"])
        assert "training/optimizer/velocity" in file.keys()  # noqa: SIM118
    assert training["optimizer"]["steps"] == 20
    assert training["versions"]["numpy"] == np.__version__


def test_copies_continue_alike(library):
    trainer = scheduled_trainer(library)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, Y, **FIT, callbacks=[Counts(error_at=7)])
    twin = copy.deepcopy(trainer)
    for one in (trainer, twin):
        one.fit(X, Y, **FIT, callbacks=[Counts()], resume=True)
    assert_equal(trainer, twin, library)


@pytest.mark.parametrize("count", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_killed_and_resumed(count):
    """Killed runs resume exactly. ``python tests/killing.py --count 200`` tests more kills."""
    found = killing.check(count)
    assert found["kills"] >= count
