"""Invalid arguments and data are refused before the first step."""

import numpy as np
import pytest
from helpers import plain_trainer, three_classes, trainer_on

import chainrule as cr

X, Y = three_classes(90)

BAD = {
    "labels": (X, Y + 2, {}, cr.DataError, "labels of 3 classes from 0 to 2, found 4"),
    "negative": (X, Y - 1, {}, cr.DataError, "found -1"),
    "columns": (X[:, :3], Y, {}, cr.ShapeError, r"expected input of shape \(batch, 4\)"),
    "rows": (X, Y[:, None], {}, cr.ShapeError, r"labels of shape \(batch,\)"),
    "lengths": (X, Y[:50], {}, cr.ShapeError, "found 90 in x, 50 in y"),
    "NaN": (X * np.nan, Y, {}, cr.DataError, "^x: .*NaN, infinity .* in 90 of 90"),
    "empty": (X[:0], Y[:0], {}, cr.DataError, "^x: expected samples"),
    "objects": (np.full(X.shape, None), Y, {}, cr.DataError, "real numbers, found dtype object"),
    "batch 0": (X, Y, {"batch_size": 0}, ValueError, "batch_size to be at least 1, found 0"),
    "batch 91": (X, Y, {"batch_size": 91}, ValueError, "batch size from 1 .* found 91"),
    "epochs": (X, Y, {"epochs": 0}, ValueError, "epochs to be at least 1, found 0"),
    "epochs and a half": (X, Y, {"epochs": 1.5}, TypeError, "epochs to be a whole number, found 1"),
    "batch '3'": (X, Y, {"batch_size": "3"}, TypeError, "batch_size to be a whole number"),
    "parts": (X, Y, {"micro_batches": None}, TypeError, "micro_batches to be a whole number"),
    "no y": (
        X,
        None,
        {},
        TypeError,
        r"fit\(x\) without y: .*found ndarray: did you mean fit\(x, y\)",
    ),
    "no y, a list": (X.tolist(), None, {}, TypeError, r"batch 0: .* did you mean fit\(x, y\)"),
    "validation": (X, Y, {"validation_data": (X, Y[:3])}, cr.ShapeError, "in validation y"),
    "weights": (X, Y, {"sample_weight": -np.ones(90)}, cr.DataError, "found values from -1 to -1"),
    "no weights": (X, Y, {"sample_weight": np.zeros(90)}, cr.DataError, "not all 0"),
    "columns of weights": (
        X,
        Y,
        {"sample_weight": np.ones((90, 1))},
        cr.ShapeError,
        r"^sample_weight: .* sample weights of shape \(batch,\), found \(batch, 1\)$",
    ),
}


@pytest.mark.parametrize(("x", "y", "options", "error", "message"), BAD.values(), ids=BAD)
def test_bad_data_is_reported_before_the_first_step(x, y, options, error, message, library):
    trainer = plain_trainer(library)
    before = library.to_numpy(trainer.model.state.values).copy()
    with pytest.raises(error, match=message):
        trainer.fit(x, y, **{"verbose": 0, **options})
    np.testing.assert_array_equal(library.to_numpy(trainer.model.state.values), before)
    assert len(trainer.history) == 0


START = "CrossEntropyLoss: expected "
BLAMED = {
    "labels from 1": (X, Y + 1, {}, f"y: {START}labels of 3 .* 0 to 2, found 3: labels start at 0"),
    "a label too many": (X, Y % 2 * 3, {}, f"y: {START}labels of 3 classes from 0 to 2, found 3$"),
    "whole floats": (X, Y + 0.0, {}, rf"y: {START}integer labels, .* numbers: y\.astype\(int\)"),
    "float32": (X, Y.astype("f4"), {}, r"y: .*found floating-point numbers: y\.astype\(int\)"),
    "halves": (X, Y + 0.5, {}, f"y: {START}integer labels, found .* that are not whole"),
    "booleans": (X, Y > 0, {}, r"y: .*found booleans: y\.astype\(int\)"),
    "rows": (X, np.ones((90, 3)), {}, "y: expected one-hot rows that sum to 1"),
    "a column": (X, Y[:, None], {}, rf"y: {START}labels of shape \(batch,\)"),
    "numbers": (X, Y, {"loss": cr.MSELoss()}, r"y: MSELoss: expected targets of shape"),
    "columns of x": (
        X[:, :3],
        Y,
        {},
        r"x of shape \(90, 3\): layer '0', Linear\(4, 16\): expected",
    ),
    "one output": (X, Y, {"outputs": 1}, r"output of the model: .*two classes, found \(1, 1\)"),
    "logits": (
        X,
        np.eye(3)[Y],
        {"loss": cr.BCELoss()},
        "output of the model: BCELoss: expected probabilities",
    ),
}


@pytest.mark.parametrize(("x", "y", "options", "message"), BLAMED.values(), ids=BLAMED)
def test_errors_name_the_data_at_fault(x, y, options, message, library):
    trainer = plain_trainer(library, dtype="float32", **options)
    with pytest.raises(ValueError, match=f"^{message}"):
        trainer.fit(x, y, verbose=0)
    with pytest.raises(ValueError, match=f"^{message}"):
        trainer.evaluate(x, y)
    if not options:  # the default loss and model accept X and Y
        with pytest.raises(ValueError, match=f"^validation {message}"):
            trainer.fit(X, Y, validation_data=(x, y), verbose=0)
    assert trainer.optimizer.steps == 0


WEIGHTS = {
    "negative": ([1.0, -1.0], "of at least 0 .* from -1 to 1"),
    "NaN": ([1.0, np.nan], "expected finite numbers"),
    "infinite": ([1.0, np.inf], "expected finite numbers"),
    "of an infinite sum": ([1e38, 1e38], "range of .*float32, found .* that sum to inf"),
    "too small": ([1e-45, 1e-45], "range of .*float32, found .* from 1.4013e-45 to"),
}


@pytest.mark.parametrize(("weights", "message"), WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.filterwarnings("ignore:overflow encountered in reduce")
def test_bad_weights_are_reported_wherever_they_enter(weights, message, library):
    trainer = plain_trainer(library, dtype="float32")
    x, y, weight = X[:10], Y[:10], np.asarray(weights * 5)
    for name, use in (
        ("sample_weight", lambda: trainer.fit(x, y, sample_weight=weight, verbose=0)),
        ("sample_weight", lambda: trainer.evaluate(x, y, sample_weight=weight)),
        (
            "validation sample_weight",
            lambda: trainer.fit(x, y, validation_data=(x, y, weight), verbose=0),
        ),
        ("batch 0, sample_weight", lambda: trainer.fit([(x, y, weight)], verbose=0)),
    ):
        with pytest.raises(cr.DataError, match=f"^{name}: .*{message}"):
            use()
    assert trainer.optimizer.steps == 0


def test_bad_trainers():
    with pytest.raises(TypeError, match=r"found Linear.*: cr.Sequential\(layer\) turns a layer"):
        cr.Trainer(cr.Linear(2, 2), loss=cr.MSELoss(), optimizer=cr.SGD(0.1))
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'loss'"):
        cr.Trainer(cr.mlp([4, 3]), optimizer=cr.SGD(0.1))
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'optimizer'"):
        cr.Trainer(cr.mlp([4, 3]), loss=cr.MSELoss())
    model = cr.Sequential(cr.Linear(4, 3))
    for bad, message in (
        ({"loss": cr.MSELoss}, r"expected a Loss such as .*, found .*: did you mean MSELoss\(\)"),
        ({"loss": "mse"}, r"expected a Loss such as .*CrossEntropyLoss\(\), found 'mse'$"),
        ({"optimizer": "adam"}, r"expected an Optimizer .*cr\.Adam\(\), found 'adam'$"),
        ({"optimizer": cr.Adam}, r"expected an Optimizer .*: did you mean Adam\(\)"),
        ({"metrics": cr.metrics.accuracy}, "expected a list or a dict of metrics, found <function"),
        ({"metrics": cr.metrics.binary_accuracy(0.0)}, "expected a list or a dict of metrics"),
        ({"metrics": "accuracy"}, "expected a list or a dict of metrics, found 'accuracy'"),
        (
            {"metrics": [cr.metrics.top_k_accuracy]},
            r"functions, .* mean top_k_accuracy\(\)",
        ),
        ({"metrics": ["accuracy"]}, "expected metrics that are functions"),
        ({"metrics": {"loss": max}}, "cannot have the name 'loss'"),
        ({"metrics": [lambda y, t: y, lambda y, t: t]}, "metrics with different names"),
    ):
        options = {"loss": cr.CrossEntropyLoss(), "optimizer": cr.SGD(0.1), **bad}
        with pytest.raises((TypeError, ValueError), match=message):
            cr.Trainer(model, **options)
    trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(0.1))
    for data, found in ((X, "ndarray"), ([X, Y], "list"), (3, "int"), ((X,), "a tuple of 1")):
        with pytest.raises(TypeError, match=rf"validation_data .*\(x, y\) .*found {found}$"):
            trainer.fit(X, Y, verbose=0, validation_data=data)
    for name, hint in (
        ("validation_split", r"train_test_split, and pass validation_data=\(x_val, y_val\)$"),
        ("class_weight", r"the loss, as in cr.CrossEntropyLoss\(weight="),
        ("lr", "the optimizer, as in"),
        ("num_epochs", r"did you mean 'epochs'\?$"),
        ("foo", "epochs, batch_size, .*, parallel$"),
    ):
        with pytest.raises(TypeError, match=f"fit has no argument '{name}': .*{hint}"):
            trainer.fit(X, Y, **{name: 0.2})
    for callbacks, message in (
        ([cr.Callback], r"expected callbacks, found .*: did you mean Callback\(\)"),
        (cr.Callback, "expected a list of callbacks, found <class"),
        (cr.callbacks.EarlyStopping(), "expected a list of callbacks, found .*EarlyStopping"),
        (None, "expected a list of callbacks, found None"),
    ):
        with pytest.raises(TypeError, match=message):
            trainer.fit(X, Y, verbose=0, callbacks=callbacks)
    trainer.metrics["odd"] = lambda outputs, targets: outputs
    with pytest.raises(cr.ShapeError, match="metric 'odd': expected one number"):
        trainer.evaluate(X, Y)
    with pytest.raises(ValueError, match="reduction='none'"):
        cr.Trainer(cr.Sequential(), loss=cr.MSELoss(reduction="none"), optimizer=cr.SGD(0.1))


def test_masks_booleans_and_classes_without_weight(library):
    trainer = plain_trainer(library, loss=cr.CrossEntropyLoss(weight=[0.0, 0.0, 1.0]))
    history = trainer.fit(X[:10], np.zeros(10, "uint16"), epochs=1, verbose=0)
    assert history["loss"] == [0.0]
    trainer.fit(X, np.eye(3, dtype=int)[Y], sample_weight=X[:, 0] > 0, epochs=1, verbose=0)
    with pytest.raises(cr.DataError, match="masked"):
        trainer.fit(np.ma.masked_less(X, 0.0), Y, verbose=0)


@pytest.mark.parametrize(
    ("metric", "error", "words"),
    [
        (
            cr.metrics.top_k_accuracy(5),
            cr.ShapeError,
            "top_5_accuracy: expected more than 5 classes",
        ),
        (cr.metrics.r2, cr.ShapeError, "r2: expected targets of shape"),
        (
            lambda outputs, targets: [0.5],
            TypeError,
            r"metric 'm': expected one number, found \[0.5\]",
        ),
        (lambda outputs, targets: None, TypeError, "metric 'm': expected one number, found None"),
        (lambda outputs, targets: 1.0 + 2.0j, TypeError, "metric 'm': expected one number"),
        (lambda outputs, targets: outputs[:, 0], cr.ShapeError, "metric 'm': expected one number"),
        (lambda outputs, targets: 1 / 0, ZeroDivisionError, "division"),
        (
            lambda outputs, targets: np.ma.masked,
            cr.DataError,
            "metric 'm': expected an array without masked elements",
        ),
        (
            lambda outputs, targets: np.datetime64("2020"),
            cr.DataError,
            "metric 'm': expected an array of real numbers, found dtype datetime64",
        ),
        (
            lambda outputs, targets: np.timedelta64(1, "s"),
            cr.DataError,
            "metric 'm': expected an array of real numbers, found dtype timedelta64",
        ),
    ],
    ids=["top_k", "r2", "list", "None", "complex", "array", "raises", "masked", "date", "duration"],
)
def test_a_metric_that_does_not_fit_is_reported_before_the_first_step(
    metric, error, words, library
):
    trainer = plain_trainer(library, metrics={"m": metric})
    with pytest.raises(error, match=words) as caught:
        trainer.fit(X, Y, validation_data=(X, Y), verbose=0)
    assert "'m'" in "".join([str(caught.value), *getattr(caught.value, "__notes__", ())])
    assert trainer.optimizer.steps == 0


def test_a_metric_may_need_all_of_the_data(library):
    """A metric that needs all classes is not tried on only a few samples of sorted data."""

    def needs_all_classes(outputs, targets):
        if len(np.unique(library.to_numpy(targets))) < 3:
            raise ValueError("expected all classes")
        return 1.0

    order = np.argsort(np.tile(Y, 3), kind="stable")
    x, y = np.tile(X, (3, 1))[order], np.tile(Y, 3)[order]
    trainer = plain_trainer(library, metrics={"m": needs_all_classes})
    assert trainer.fit(x, y, validation_data=(x, y), verbose=0)["val_m"] == [1.0]


@pytest.mark.parametrize(
    ("samples", "batch_size", "micro_batches"), [(9, 4, 1), (9, 9, 5), (10, 4, 2), (1, 1, 1)]
)
def test_a_batch_that_is_too_small_is_reported_before_the_first_step(
    samples, batch_size, micro_batches, library
):
    layers = cr.Linear(4, 5), cr.BatchNorm(5), cr.Linear(5, 3)
    trainer = cr.Trainer(
        cr.Sequential(*layers, backend=library.backend),
        loss=cr.CrossEntropyLoss(),
        optimizer=cr.SGD(0.1),
    )
    options = {"batch_size": batch_size, "micro_batches": micro_batches, "verbose": 0}
    with pytest.raises(
        cr.ShapeError, match=r"BatchNorm\(5\): expected at least 2 values of each feature"
    ):
        trainer.fit(X[:samples], Y[:samples], **options)
    assert trainer.optimizer.steps == 0
    layers[1].freeze()  # a frozen layer uses its running statistics
    trainer.fit(X[:samples], Y[:samples], **options)


BATCHES = {
    "one value": ((1, 1), 1, False),
    "four values": ((2, 2), 1, True),
    "two samples": ((1, 1), 2, True),
}


@pytest.mark.parametrize(("size", "batch_size", "fits"), BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("first", [cr.Conv2d(2, 3, 1), cr.Identity()], ids=["Conv2d", "Identity"])
def test_a_batch_of_images_is_tried_before_the_first_step(first, size, batch_size, fits, library):
    """One image is enough for a BatchNorm over axis 1, if the image has several positions."""
    channels = 2 if isinstance(first, cr.Identity) else 3
    layers = first.copy(), cr.BatchNorm(channels), cr.Dropout(0.5), cr.Flatten()
    features = channels * size[0] * size[1]
    trainer = trainer_on(library, *layers, cr.Linear(features, 3))
    state = trainer.model.state
    before = library.to_numpy(state.buffers).copy()
    x, y = np.random.default_rng(0).normal(size=(4, 2, *size)), [0, 1, 2, 0]
    started = []

    def start(trainer):
        np.testing.assert_array_equal(library.to_numpy(state.buffers), before)
        assert state.draws == 0
        started.append(True)

    options = {"batch_size": batch_size, "verbose": 0}
    options["callbacks"] = [cr.callbacks.LambdaCallback(on_fit_start=start)]
    if fits:
        trainer.fit(x, y, **options)
        assert started
        return
    with pytest.raises(
        cr.ShapeError, match=r"layer '1', BatchNorm.* found 1; choose a larger batch_size"
    ):
        trainer.fit(x, y, **options)
    assert not started


def test_images_that_become_rows_before_a_batch_norm(library):
    layers = cr.Conv2d(1, 2, 2), cr.Flatten(), cr.Linear(8, 4), cr.BatchNorm(4)
    trainer = trainer_on(library, *layers)
    x, y = np.ones((5, 1, 3, 3)), [0, 1, 2, 3, 0]
    with pytest.raises(cr.ShapeError, match=r"layer '3', BatchNorm.* found 1; drop_last=True"):
        trainer.fit(x, y, batch_size=2, verbose=0)
    assert trainer.optimizer.steps == 0
    trainer.fit(x, y, batch_size=2, drop_last=True, verbose=0)


def test_a_metric_cannot_change_what_others_see(library):
    """A metric never changes the user's targets. With NumPy, changing the targets is an error."""

    def writes(outputs, targets):
        targets[...] = 0
        return 0.5

    y = np.array(Y)
    trainer = plain_trainer(library, metrics={"m": writes})
    if library.name.startswith("numpy"):
        with pytest.raises(ValueError, match="^metric 'm': writes to its arguments"):
            trainer.evaluate(X, y)
    else:
        assert trainer.evaluate(X, y)["m"] == 0.5
    np.testing.assert_array_equal(y, Y)


class Narrow(cr.Layer):
    def forward(self, x, *, training=False):
        return self.xp.tanh(x), lambda dy: self.xp.sum(dy, axis=1, keepdims=True)


def test_a_gradient_of_another_shape_is_reported_with_its_layer(library):
    layers = cr.Linear(4, 5), Narrow(), cr.Linear(5, 3)
    trainer = cr.Trainer(
        cr.Sequential(*layers, backend=library.backend),
        loss=cr.CrossEntropyLoss(),
        optimizer=cr.SGD(0.1),
    )
    with pytest.raises(
        cr.ShapeError,
        match=r"'1', Narrow\(\): expected a gradient of shape \(9, 5\).*found \(9, 1\)",
    ):
        trainer.fit(X[:9], Y[:9], verbose=0)
