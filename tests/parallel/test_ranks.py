"""Train with ranks that are threads, and compare with a single process."""

import contextlib
import inspect
import re

import numpy as np
import pytest
import ranks
import threads

import chainrule as cr


def trained(together, backend="numpy", fit=ranks.fit, **options):
    trainer = cr.Trainer(ranks.model(backend), **ranks.arguments_of_trainer())
    fit(trainer, together, **{"epochs": 1, **options})
    return trainer


def expect_same(ours, theirs):
    ours, theirs = ranks.found(ours), ranks.found(theirs)
    assert ours.keys() == theirs.keys()
    for name in theirs:
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-10, err_msg=name)


@pytest.mark.parametrize(
    ("size", "micro_batches", "augment"), [(2, 1, "built-in"), (3, 2, "custom"), (4, 3, "none")]
)
def test_the_result_is_that_of_a_single_process(size, micro_batches, augment, library):
    options = {"augment": ranks.AUGMENTATIONS[augment], "micro_batches": micro_batches}
    whole = trained(None, library.backend, **options)
    for part in threads.run(size, lambda r: trained(r, library.backend, **options)):
        expect_same(part, whole)


def test_ranks_without_samples_take_part():
    options = {"batch_size": 4, "micro_batches": 2}  # each micro-batch has 2 samples for 4 ranks
    whole = trained(None, **options)
    for part in threads.run(4, lambda r: trained(r, **options)):
        expect_same(part, whole)


class Centred(cr.Layer):
    """Subtracts the mean of the whole batch from each feature."""

    def forward(self, x, *, training=False):
        xp, share = self.xp, self.state.share

        def centred(x):
            total, count = share.sums(xp.sum(x, axis=0), xp.full(x.shape[1], float(x.shape[0])))
            return x - total / count

        return centred(x), centred


def test_a_custom_layer_adds_up_over_all_ranks():
    x = np.random.default_rng(2).normal(size=(12, 5))

    def centred(together):
        model = cr.Sequential(cr.Linear(5, 4), Centred(), cr.Linear(4, 2), dtype="float64")
        trainer = cr.Trainer(model, loss=cr.MSELoss(), optimizer=cr.SGD(0.1))
        trainer.fit(x, x[:, :2], epochs=3, batch_size=3, parallel=together, verbose=0)
        return trainer.model.state.values

    whole = centred(None)
    for values in threads.run(4, centred):  # one of the four ranks has no sample
        np.testing.assert_allclose(values, whole, atol=1e-12)


def test_a_run_resumes_on_another_number_of_ranks(tmp_path):
    def interrupted(together):
        trainer = cr.Trainer(ranks.model(), **ranks.arguments_of_trainer())
        with pytest.raises(RuntimeError, match="halt"):
            ranks.fit(trainer, together, callbacks=[Halts(step=4)], epochs=1)
        trainer.listeners = []
        trainer.save(tmp_path / f"{together.rank}.safetensors")

    def resumed(together):
        path = tmp_path / "1.safetensors"
        trainer = cr.Trainer.resume(path, **ranks.arguments_of_trainer())
        ranks.fit(trainer, together, epochs=1, resume=True)
        return trainer

    whole = trained(None)
    assert threads.run(2, interrupted) == [None, None]
    for part in threads.run(3, resumed):
        expect_same(part, whole)


def test_callbacks_resume_on_another_number_of_ranks(tmp_path):
    def fit(together, *more, resume=None, folder=None):
        average = cr.callbacks.ExponentialMovingAverage(0.9)
        callbacks = [
            average,
            cr.callbacks.ReduceOnPlateau("val_loss", factor=0.5, patience=0, min_delta=0.3),
            cr.callbacks.EarlyStopping("val_loss", patience=2, min_delta=0.3),
            *([] if folder is None else [cr.callbacks.Checkpoint(folder, every_steps=3)]),
            *more,
        ]
        arguments = {**ranks.arguments_of_trainer(), "optimizer": cr.SGD(0.05, momentum=0.9)}
        if resume:
            trainer = cr.Trainer.resume(resume, **arguments)
        else:
            trainer = cr.Trainer(ranks.model(), **arguments)
        ranks.fit(trainer, together, callbacks=callbacks, resume=bool(resume), epochs=9)
        return {**ranks.found(trainer), "average": average.average.tolist()}

    def interrupted(together):
        with pytest.raises(RuntimeError, match="halt"):
            fit(together, Halts(step=25), folder=tmp_path)

    whole = fit(None)
    assert len(whole["lr"]) < 9  # training stopped early
    assert len({*whole["lr"]}) > 1  # the learning rate was reduced
    assert threads.run(2, interrupted) == [None, None]
    newest = cr.callbacks.latest_checkpoint(tmp_path)
    for part in threads.run(3, lambda r: fit(r, resume=newest, folder=tmp_path)):
        assert part.keys() == whole.keys()
        for name in whole:
            np.testing.assert_allclose(part[name], whole[name], atol=1e-10, err_msg=name)


class Halts(cr.Callback):
    """Raises an error after a step, on every rank."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, trainer):
        if trainer.optimizer.steps == self.step:
            raise RuntimeError("halt")


def test_different_models_are_found_before_the_first_step():
    def different(together):
        model = cr.mlp([36, 4], dtype="float64", seed=together.rank)
        trainer = cr.Trainer(model, **ranks.arguments_of_trainer())
        trainer.fit(np.zeros((9, 36)), np.zeros(9, int), parallel=together, verbose=0)

    first, second = threads.run(2, different)
    assert "expected all ranks to have the same checksum of weights, found" in str(first)
    assert str(first) == str(second)


def test_ranks_that_drift_apart_are_found_before_a_checkpoint_is_written(tmp_path):
    class Drifts(cr.Callback):
        def on_step_end(self, trainer):
            trainer.model.state.values[0] += 1e-12

    def drifting(together):
        callbacks = [cr.callbacks.Checkpoint(tmp_path)]
        return trained(together, callbacks=[*callbacks, *[Drifts()] * together.rank])

    for error in threads.run(2, drifting):
        assert isinstance(error, RuntimeError)
        assert "same checksum of weights" in str(error)
    start = "step-00000000.safetensors"
    assert [path.name for path in tmp_path.glob("*.safetensors")] == [start]


class Stops(cr.Callback):
    """Stops the training run when the method with this name is called."""

    def __init__(self, moment):
        setattr(self, moment, lambda trainer: trainer.stop())


@pytest.mark.parametrize(
    ("moment", "last", "epochs"),
    [("on_epoch_end", False, 1), ("on_epoch_end", True, 1), ("on_fit_start", False, 0)],
)
def test_a_rank_that_stops_stops_all(moment, last, epochs):
    def stopping(together):
        stops = Stops(moment)
        stops.last = last
        return trained(together, epochs=3, callbacks=[stops] if together.rank == 1 else [])

    assert [trainer.epochs_done for trainer in threads.run(2, stopping)] == [epochs, epochs]


def test_a_stop_on_another_rank_is_in_the_checkpoint(tmp_path):
    def stopping(together):
        callbacks = [cr.callbacks.Checkpoint(tmp_path), *[Stops("on_epoch_end")] * together.rank]
        return trained(together, epochs=3, callbacks=callbacks).stopped

    assert threads.run(2, stopping) == [True, True]
    newest = cr.callbacks.latest_checkpoint(tmp_path)
    assert cr.Trainer.resume(newest, **ranks.arguments_of_trainer()).stopped


def test_a_divergence_that_only_one_rank_finds_is_not_one_of_all():
    class Diverges(cr.Identity):
        def forward(self, x, *, training=False):
            if training and self.diverges:
                raise cr.DivergenceError("in this layer")
            return super().forward(x, training=training)

    shared_errors = []

    def diverging(together):
        layer = Diverges()
        layer.diverges = together.rank == 1
        trainer = cr.Trainer(cr.Sequential(cr.Linear(5, 2), layer), cr.MSELoss(), cr.SGD(0.1))
        try:
            trainer.fit(X, X[:, :2], parallel=together, verbose=0)
        finally:
            shared_errors.append(together.error_on_all)

    _, error = threads.run(2, diverging)
    assert isinstance(error, cr.DivergenceError)
    assert shared_errors == [None, None]


def test_a_gradient_that_is_not_finite_ends_all_ranks():
    class Shift(cr.Layer):
        def __init__(self):
            self.shift = cr.Parameter((5,))

        def forward(self, x, *, training=False):
            def backward(dy):
                self.shift.add_grad(self.xp.full(5, np.inf))
                return dy

            return x + self.shift.value, backward

    def diverging(together):
        model = cr.Sequential(Shift(), cr.Linear(5, 2), dtype="float64")
        trainer = cr.Trainer(model, cr.MSELoss(), cr.SGD(0.1))
        trainer.fit(X, X[:, :2], parallel=together, verbose=0)

    first, second = threads.run(2, diverging)
    assert isinstance(first, cr.DivergenceError)
    assert str(first) == str(second)


def test_weights_that_become_nan_on_one_rank_after_the_last_step_end_all():
    class Spoils(cr.Callback):
        def on_epoch_end(self, trainer):
            trainer.model.state.values[0] = np.nan

    errors = threads.run(2, lambda r: trained(r, callbacks=[Spoils()] * r.rank))
    for error in errors:
        assert isinstance(error, cr.DivergenceError), errors
        assert "after the last step (10)" in str(error)


def test_nan_on_one_rank_ends_all_after_the_same_step():
    def breaking(together):
        callbacks = [ranks.Fails("nan", 3)] if together.rank == 1 else []
        return trained(together, callbacks=callbacks)

    first, second = threads.run(2, breaking)
    assert isinstance(first, cr.DivergenceError)
    assert "the loss became nan at step 3" in str(first)
    assert str(first) == str(second)


def test_only_rank_0_writes(tmp_path, capsys):
    folder = tmp_path / "checkpoints"

    def writing(together):
        path = tmp_path / f"{together.rank}.csv"
        callbacks = [cr.callbacks.CSVLogger(path), cr.callbacks.Checkpoint(folder)]
        return trained(together, callbacks=callbacks, verbose=2)

    threads.run(2, writing)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.csv", "checkpoints"]
    assert capsys.readouterr().out.count("epoch 1/1") == 1


def test_every_callback_with_a_file_is_called_on_rank_0_only():
    from chainrule.plotting import Animation

    kinds = [getattr(cr.callbacks, name) for name in cr.callbacks.__all__]
    kinds = [k for k in (*kinds, Animation) if isinstance(k, type) and issubclass(k, cr.Callback)]
    with_file = {kind for kind in kinds if "Target(" in inspect.getsource(kind)}
    assert {cr.callbacks.CSVLogger, cr.callbacks.Checkpoint, Animation} <= with_file
    assert [kind for kind in with_file if not kind.writes] == []


def test_a_communicator_or_a_class_is_not_enough():
    class Communicator:
        size, Allreduce = 2, None

    with pytest.raises(TypeError, match=r"expected parallel=cr.parallel.Ranks\(\), found .*\(comm"):
        trained(Communicator())
    with pytest.raises(TypeError, match=r"expected parallel=cr.parallel.Ranks\(\), found"):
        trained(cr.parallel.Ranks)


@pytest.mark.parametrize("kind", ["arrays", "batches", "batches of unknown number"])
def test_unequal_parts_of_the_data_are_weighted_right(kind):
    """With one step per epoch, own data is like the same data in one batch."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(12, 5)), rng.normal(size=(12, 2))
    ends = [0, 7, 11, 12]

    def linear():
        model = cr.Sequential(cr.Linear(5, 4), cr.BatchNorm(4), cr.Linear(4, 2), dtype="float64")
        return cr.Trainer(model, loss=cr.MSELoss(), optimizer=cr.SGD(0.1))

    def own(together):
        here = slice(*ends[together.rank :][:2])
        trainer, arguments = linear(), (x[here], y[here])
        if kind != "arrays":
            batches = [arguments] if kind == "batches" else lambda rng: iter([arguments])
            trainer.fit(batches, epochs=5, parallel=together, verbose=0)
        else:
            trainer.fit(*arguments, epochs=5, batch_size=21, parallel=together, verbose=0)
        return trainer

    whole = linear()
    whole.fit(x, y, epochs=5, batch_size=12, shuffle=False, verbose=0)
    for part in threads.run(3, own, own_data=True):
        np.testing.assert_allclose(part.history["loss"], whole.history["loss"], atol=1e-12)


def test_an_epoch_lasts_until_each_rank_has_used_its_data():
    def own(together):
        return trained(together, fit=ranks.fit_own_data, epochs=2)

    first, second = threads.run(2, own, own_data=True)
    steps = -(-147 // 11)  # rank 0 has 146 samples, and 11 of the 23 samples of a batch
    assert first.optimizer.steps == second.optimizer.steps == 2 * steps
    assert first.steps_per_epoch == steps
    np.testing.assert_array_equal(first.model.state.values, second.model.state.values)


def test_own_data_resumes_exactly_on_the_same_ranks(tmp_path):
    def interrupted(together):
        trainer = cr.Trainer(ranks.model(), **ranks.arguments_of_trainer())
        with pytest.raises(RuntimeError, match="halt"):
            ranks.fit_own_data(trainer, together, callbacks=[Halts(step=12)], epochs=1)
        trainer.listeners = []
        trainer.save(tmp_path / f"{together.rank}.safetensors")

    def resumed(together):
        path = tmp_path / "0.safetensors"
        trainer = cr.Trainer.resume(path, **ranks.arguments_of_trainer())
        ranks.fit_own_data(trainer, together, epochs=1, resume=True)
        return trainer

    whole = threads.run(2, lambda r: trained(r, fit=ranks.fit_own_data), own_data=True)
    assert threads.run(2, interrupted, own_data=True) == [None, None]
    for part in threads.run(2, resumed, own_data=True):
        expect_same(part, whole[0])
    refused = threads.run(3, resumed, own_data=True)
    assert any("expected the same batches to resume" in str(error) for error in refused)


def normalising(dtype="float64"):
    model = cr.Sequential(cr.BatchNorm(5), cr.Linear(5, 2), dtype=dtype)
    return cr.Trainer(model, loss=cr.MSELoss(), optimizer=cr.SGD(0.1))


def test_micro_batches_of_own_data_are_not_empty():
    """The last step has two micro-batches for one sample of each rank."""
    x = np.random.default_rng(3).normal(size=(13, 5))

    def own(together):
        trainer, options = normalising(), {"batch_size": 8, "micro_batches": 2, "verbose": 0}
        trainer.fit(x, x[:, :2], parallel=together, **options)
        return trainer.model.state.buffers

    first, second = threads.run(2, own, own_data=True)
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, second)


def test_a_batch_of_one_sample_is_refused():
    x = np.ones((1, 5))

    def single(together):
        normalising().fit([(x, x[:, :2])], parallel=together, verbose=0)

    errors = map(str, threads.run(2, single))
    assert any("expected at least 2 values of each feature" in error for error in errors)


def test_statistics_of_numbers_with_a_large_mean_are_accurate():
    x = (1e4 + np.random.default_rng(4).normal(size=(30, 5))).astype("float32")

    def statistics(together):
        trainer = normalising("float32")
        trainer.fit(x, x[:, :2], batch_size=30, parallel=together, verbose=0)
        return trainer.model.layers[0].running_var.value

    exact = 0.9 + 0.1 * x.astype("float64").var(axis=0, ddof=1)
    for variance in threads.run(3, statistics):
        np.testing.assert_allclose(variance, exact, rtol=1e-6)


X = np.random.default_rng(5).normal(size=(12, 5))


def differing(together, kind):
    """Train with one argument that differs between the ranks."""
    other = together.rank == 1
    x, options = (X + 1.0 if other and kind == "data" else X), {"batch_size": 6}
    trainer = normalising()
    if kind == "no validation" and not other:
        options["validation_data"] = X, X[:, :2]
    if kind == "validation":
        options["validation_data"] = X + other, X[:, :2]
    if kind == "learning rate":
        trainer.optimizer.lr = 0.1 + other
    if kind == "micro-batches":
        options["micro_batches"] = 1 + other
    if kind == "layers":
        trainer = cr.Trainer(
            cr.Sequential(cr.Dropout(0.1 + 0.1 * other), cr.Linear(5, 2), dtype="float64"),
            loss=cr.MSELoss(), optimizer=cr.SGD(0.1),
        )  # fmt: skip
    if kind == "augmentation" and other:
        options["augment"] = lambda x, rng: x + 1.0
    if kind == "last sample":
        x = X.copy()
        x[-1] += other
    if kind == "frozen":
        trainer.model.layers[1].weight.trainable = not other
    if kind in ("batches", "length"):
        batches = [(x, x[:, :2])] * (1 + (other and kind == "length"))
        batches += [(x[other:], x[other:, :2])] * (kind == "batches")
        return trainer.fit(batches, parallel=together, verbose=0)
    return trainer.fit(x, x[:, :2], parallel=together, verbose=0, **options)


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("no validation", "validation data, found shapes .* on rank 0, nothing on rank 1"),
        ("validation", "validation data"),
        ("learning rate", r"optimizer, found SGD\(.*0\.1.* on rank 0, SGD\(.*1\.1"),
        ("micro-batches", "number of micro-batches, found 1 on rank 0, 2 on rank 1"),
        ("frozen", "trainable parameters"),
        ("layers", r"model, found Sequential\(\n.*Dropout\(0.1\)"),
        ("augmentation", "augmentation, found None on rank 0, <function"),
        ("last sample", "training data"),
        ("data", r"training data, .*: if each rank has its own data, write .*own_data=True"),
        ("batches", "batch, found .*own_data=True"),
        ("length", "batch, found nothing on rank 0, shapes"),
    ],
)
def test_arguments_that_differ_between_ranks_are_found(kind, named):
    for error in threads.run(2, lambda together: differing(together, kind)):
        assert isinstance(error, RuntimeError)
        assert re.search(f"expected all ranks to have the same {named}", str(error)), str(error)


def test_schedules_may_be_functions():
    def scheduled(together):
        model = cr.Sequential(cr.Linear(5, 2), dtype="float64")
        trainer = cr.Trainer(model, loss=cr.MSELoss(), optimizer=cr.SGD(lambda step: 0.1))
        trainer.fit([(X, X[:, :2])], parallel=together, verbose=0)
        return trainer.optimizer.steps

    assert threads.run(2, scheduled) == [1, 1]


def test_an_error_in_the_arguments_of_one_rank_ends_all():
    class Alone(threads.ThreadRanks):
        ended = None

        @contextlib.contextmanager
        def guard(self):
            try:
                yield
            except BaseException as error:
                self.ended = error
                raise

    alone = Alone(0, 2, None)
    for options in ({"epochs": 0}, {"validation_data": ()}):
        with pytest.raises((TypeError, ValueError)) as found:
            normalising().fit(X, X[:, :2], parallel=alone, **options)
        assert alone.ended is found.value


@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")
@pytest.mark.parametrize("counts", [(2, 1), (0, 2)])
def test_the_cause_of_nan_is_found_on_a_rank_with_few_samples(counts):
    """A second batch has `counts` samples, and NaN in the weights."""

    def breaking(together):
        count = counts[together.rank]
        batches = [(X, X[:, :2]), (X[:count], X[:count, :2])][: 2 if count else 1]
        trainer = normalising()
        trainer.fit(batches, parallel=together, callbacks=[Explodes()], verbose=0)

    errors = threads.run(2, breaking, own_data=True)
    for error in errors:
        assert isinstance(error, cr.DivergenceError), errors
        assert "Linear" in str(error)


class Explodes(cr.Callback):
    """Makes the outputs infinite, with weights that are finite."""

    def on_step_end(self, trainer):
        trainer.model.layers[1].weight.value[...] = 1e308


def test_an_augmentation_with_its_own_call_is_applied_to_the_whole_batch():
    class Brighter(cr.augmentation.RandomFlip):
        def __call__(self, images, rng):
            return super().__call__(images, rng) + rng.normal(size=images.shape)

    whole = trained(None, augment=Brighter())
    for part in threads.run(2, lambda r: trained(r, augment=Brighter())):
        expect_same(part, whole)


def test_an_augmentation_of_a_part_keeps_the_number_of_samples():
    class Shorter:
        takes_parts = True

        def __call__(self, x, rng):
            return x

        def on_part(self, x, rng, samples, part):
            return x[1:]

    errors = map(str, threads.run(2, lambda r: trained(r, augment=Shorter())))
    assert any("samples as in the inputs, found an array of shape" in error for error in errors)
