"""Models and data that train badly, but without an error, give warnings."""

import warnings

import numpy as np
import pytest
from helpers import as_if_on_a_device, model_on, three_classes, trainer_on

import chainrule as cr
from chainrule import training

X, Y = three_classes(40)
ONES = np.ones((40, 1))
OPTIONS = {"batch_size": 20, "verbose": 0}

LAST = {
    "Softmax": ([cr.Softmax], cr.CrossEntropyLoss, Y),
    "LogSoftmax": ([cr.LogSoftmax], cr.CrossEntropyLoss, Y),
    "inner Softmax": ([lambda: cr.Sequential(cr.Tanh(), cr.Softmax())], cr.CrossEntropyLoss, Y),
    "Sigmoid": ([cr.Sigmoid], cr.BCEWithLogitsLoss, np.eye(3)[Y]),
    "Identity": ([cr.Softmax, cr.Identity], cr.CrossEntropyLoss, Y),
    "nested": (
        [cr.Softmax, lambda: cr.Sequential(cr.Flatten(), cr.Identity())],
        cr.CrossEntropyLoss,
        Y,
    ),
    "Dropout": ([cr.LogSoftmax, lambda: cr.Dropout(0.1)], cr.CrossEntropyLoss, Y),
}


@pytest.mark.parametrize(("layers", "loss", "y"), LAST.values(), ids=LAST)
def test_a_last_layer_that_the_loss_repeats(layers, loss, y, library):
    trainer = trainer_on(library, cr.Linear(4, 3), *(make() for make in layers), loss=loss())
    message = rf"^\w+\(\) at the end of the model repeats part of {loss.__name__}, .* Remove this"
    with pytest.warns(UserWarning, match=message) as caught:
        trainer.fit(X, y, **OPTIONS)
    assert [w.filename for w in caught] == [__file__]
    trainer.fit(X, y, **OPTIONS)  # this gives no second warning


def test_a_last_layer_that_the_loss_needs(library):
    for layer, loss, y in (
        (cr.Sigmoid(), cr.BCELoss(), np.eye(3)[Y]),
        (cr.Sigmoid(), cr.CrossEntropyLoss(), Y),
        (cr.LogSoftmax(), cr.KLDivLoss(), np.eye(3)[Y]),
        (cr.Softmax(), cr.MSELoss(), np.eye(3)[Y]),
        (cr.Sequential(cr.Softmax(), cr.Linear(3, 3)), cr.CrossEntropyLoss(), Y),
    ):
        trainer_on(library, cr.Linear(4, 3), layer, loss=loss).fit(X, y, **OPTIONS)
    trainer_on(library, cr.Identity(), loss=cr.MSELoss()).fit(X, X, **OPTIONS)


def test_a_wholly_frozen_model(library):
    trainer = trainer_on(library, cr.Linear(4, 3), cr.BatchNorm(3), loss=cr.CrossEntropyLoss())
    trainer.model.freeze()
    with pytest.warns(UserWarning, match="^all parameters are frozen, so training changes nothing"):
        trainer.fit(X, Y, **OPTIONS)
    trainer.fit(X, Y, **OPTIONS)
    trainer.advised = False
    trainer.model[1].unfreeze()
    trainer.fit(X, Y, **OPTIONS)


IMAGES = np.random.default_rng(0).integers(0, 256, (40, 2, 2), dtype=np.uint8)


@pytest.mark.parametrize("images", [IMAGES, IMAGES.tolist()], ids=["uint8", "list"])
def test_inputs_far_above_unit_scale(images, library):
    model = model_on(library, cr.Flatten(), cr.Sequential(cr.Linear(4, 3)))
    trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(1e-6))
    rms = np.sqrt(np.mean(IMAGES.astype(float) ** 2))
    message = rf"Linear\(4, 3\), have a root mean square of {rms:.3g}, so .*cr.Rescaling\(1 / 255\)"
    with pytest.warns(UserWarning, match=message) as caught:
        trainer.fit(images, Y, **OPTIONS)
    assert [w.filename for w in caught] == [__file__]
    trainer.fit(images, Y, **OPTIONS)


@pytest.mark.parametrize(
    "layers",
    [
        (cr.Unflatten(1, (1, 2)), cr.Conv2d(1, 3, 2), cr.Flatten()),
        (cr.GRU(2, 3, output="last"), cr.Linear(3, 3)),
    ],
    ids=["Conv2d", "GRU"],
)
def test_images_far_above_unit_scale_before_other_layers(layers, library):
    model = model_on(library, *(layer.copy() for layer in layers))
    trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(1e-6))
    with pytest.warns(UserWarning, match=r"(Conv2d|GRU)\(.*\), have a root mean square of"):
        trainer.fit(IMAGES, Y, **OPTIONS)


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize("offset", [0.0, 1e300])
def test_inputs_that_a_layer_makes_infinite(offset, library):
    layers = cr.Rescaling(1e300, offset), cr.Rescaling(-1e300), cr.Rescaling(1.0, 1e300)
    trainer = trainer_on(library, *layers, cr.Linear(4, 3))
    with (
        pytest.warns(UserWarning, match=r"inputs of layer '3', .*contain NaN or infinity"),
        pytest.raises(cr.DivergenceError, match="first appeared in the output of layer '1'"),
    ):
        trainer.fit(X, Y, **OPTIONS)


def test_inputs_from_a_file_are_checked_too(tmp_path):
    np.save(tmp_path / "x.npy", 100.0 * X)
    trainer = cr.Trainer(cr.mlp([4, 3]), loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(1e-6))
    with pytest.warns(UserWarning, match="have a root mean square"):
        trainer.fit(np.load(tmp_path / "x.npy", mmap_mode="r"), Y, **OPTIONS)


@pytest.mark.parametrize(
    "make",
    [
        lambda: [cr.Rescaling(1 / 255), cr.Flatten(), cr.Linear(4, 3)],
        lambda: [cr.Flatten(), cr.BatchNorm(4), cr.Linear(4, 3)],
        lambda: [cr.Flatten(), cr.Sequential(cr.LayerNorm(4)), cr.Linear(4, 3)],
        lambda: [cr.Flatten(), frozen(cr.BatchNorm(4)), cr.Linear(4, 3)],
        lambda: [cr.GroupNorm(1, 2), cr.Flatten(), cr.Linear(4, 3)],
        lambda: [cr.Flatten(), cr.Tanh(), cr.Linear(4, 3)],
        lambda: [cr.Flatten(), Scaled(), cr.Linear(4, 3)],
        lambda: [cr.Flatten(), frozen(cr.Linear(4, 3)), Scaled()],
        lambda: [cr.Flatten(), cr.Linear(4, 3), cr.Sequential(cr.BatchNorm(3))],
    ],
    ids=[
        "Rescaling",
        "BatchNorm",
        "LayerNorm",
        "frozen",
        "GroupNorm",
        "Tanh",
        "custom",
        "frozen Linear",
        "BatchNorm after",
    ],
)
def test_large_inputs_that_a_layer_scales(make, library):
    model = model_on(library, *make())
    trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(1e-6))
    trainer.fit(IMAGES, Y, **OPTIONS)


class Scaled(cr.Layer):
    """A custom layer with a parameter. No advice is given about its inputs."""

    def __init__(self):
        self.gain = cr.Parameter((1,))

    def forward(self, x, *, training=False):
        return x * self.gain.value, lambda dy: dy * self.gain.value


def frozen(layer):
    layer.freeze()
    return layer


def test_inputs_that_may_be_as_they_are(library, monkeypatch):
    zeros, far = np.zeros((40, 4)), np.full((40, 4), 29.0)
    for x in (X, 1e-6 * X, zeros, far):
        trainer_on(library, cr.Linear(4, 3)).fit(x, Y, **OPTIONS)
    # There is no advice on ready-made batches or on data in device memory.
    trainer_on(library, cr.Linear(4, 3), lr=1e-9).fit([(100.0 * X, Y)], verbose=0)
    as_if_on_a_device(monkeypatch)
    monkeypatch.setattr(training.advice, "on_host", lambda x: False)
    trainer_on(library, cr.Linear(4, 3), lr=1e-9).fit(100.0 * X, Y, **OPTIONS)


def test_only_the_first_rows_are_checked(library):
    x = np.concatenate([X] * 30)
    x[1000:] = 1000.0
    trainer_on(library, cr.Linear(4, 3), lr=1e-9).fit(x, np.tile(Y, 30), **OPTIONS)


def test_an_estimator_does_not_warn():
    estimators = pytest.importorskip("chainrule.estimators")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter(
            "ignore", pytest.importorskip("sklearn").exceptions.ConvergenceWarning
        )
        estimators.MLPClassifier((4,), max_iter=2).fit(100.0 * X, Y)
