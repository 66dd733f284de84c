"""Frozen parameters stay frozen in copies and files."""

import json

import numpy as np
import pytest
from table import Residual, Scale

import chainrule as cr
from chainrule.files.tensors import read_tensors, write_tensors


def frozen(model):
    return [name for name, p in model.named_parameters().items() if not p.trainable]


@pytest.fixture
def model():
    model = cr.Sequential(cr.Linear(3, 3), Residual(Scale(3)), cr.BatchNorm(3), cr.Linear(3, 2))
    model[0].weight.trainable = False
    model[1].freeze()
    return model


FROZEN = ["0.weight", "1.inner.gain"]
OWN = {"Residual": Residual, "Scale": Scale}


def test_a_copy_is_frozen_too(model):
    assert frozen(cr.Sequential(*(layer.copy() for layer in model))) == FROZEN
    assert frozen(model.copy()) == FROZEN


def test_a_file_keeps_frozen_parameters(model, tmp_path):
    path = tmp_path / "model"
    model.save(path)
    loaded = cr.load(path, layers=OWN)
    assert frozen(loaded) == FROZEN
    model.unfreeze()
    model.load_weights(path)
    assert frozen(model) == []
    model.save(path)
    assert json.loads(read_tensors(path)[1]["architecture"])["frozen"] == []
    assert frozen(cr.load(path, layers=OWN)) == []


class Begins(cr.Linear):
    """A layer that freezes itself when it is made."""

    def __init__(self):
        super().__init__(2, 2)
        self.freeze()


def test_what_its_constructor_freezes_can_be_unfrozen(tmp_path):
    model = cr.Sequential(Begins())
    model.unfreeze()
    model.save(tmp_path / "model")
    assert frozen(cr.load(tmp_path / "model", layers={"Begins": Begins})) == []


def test_a_frozen_batch_norm_is_a_fixed_function_after_a_file(tmp_path):
    model = cr.Sequential(cr.BatchNorm(3))
    model[0].freeze()
    model.save(tmp_path / "model")
    x = np.random.default_rng(0).normal(size=(4, 3))
    y, _ = cr.load(tmp_path / "model").forward(x, training=True)
    np.testing.assert_array_equal(y, model.predict(x))


def test_a_training_file_keeps_frozen_parameters(model, tmp_path):
    path, options = tmp_path / "training", {"loss": cr.MSELoss(), "optimizer": cr.Adam()}
    trainer = cr.Trainer(model, **options)
    x = np.random.default_rng(0).normal(size=(8, 3))
    trainer.fit(x, x[:, :2], verbose=0)
    trainer.save(path)
    assert frozen(cr.load(path, layers=OWN)) == FROZEN
    again = cr.Trainer.resume(path, loss=cr.MSELoss(), optimizer=cr.Adam(), layers=OWN)
    assert frozen(again.model) == FROZEN


def test_a_parameter_that_is_shared_is_frozen_once(tmp_path):
    layer = cr.Linear(3, 3)
    model = cr.Sequential(layer, cr.Sequential(layer))
    model.freeze()
    model.save(tmp_path / "model")
    assert frozen(cr.load(tmp_path / "model")) == ["0.weight", "0.bias"]


@pytest.mark.parametrize(
    "names",
    [["none"], ["2.running_mean"], [0], [["0.weight"]], [{}], "0.weight", {"0.weight": 1}, 1, None],
    ids=str,
)
def test_files_with_invalid_names_are_refused(names, model, tmp_path):
    path = tmp_path / "model"
    model.save(path)
    tensors, metadata = read_tensors(path)
    architecture = {**json.loads(metadata["architecture"]), "frozen": names}
    write_tensors(path, tensors, {**metadata, "architecture": json.dumps(architecture)})
    with pytest.raises(cr.FileFormatError, match="model: expected names of frozen parameters, fou"):
        cr.load(path, layers=OWN)
