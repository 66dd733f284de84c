"""Checks of what the readers do with a damaged file."""

import gzip

import numpy as np

import chainrule as cr
from chainrule.datasets import read_idx
from mutation.sources import idx, optimizer, stored


def check_idx(path, data):
    """Check that the file is refused, or that the array has exactly the bytes of the file."""
    array = read_idx(path)
    code = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}[array.dtype.str[1:]]
    if array.nbytes < 2**22:
        content = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        assert idx(array, code) == content, "an array that differs from the file's"


def check_load(path, kind, model):
    """Check that the file is refused or gives `model`.

    A damaged file of kind ``signed`` has a valid digest, so loading it may return a different
    model.
    """
    loaded = cr.load(path)
    assert np.isfinite(loaded.state.values).all(), "numbers that are not finite"
    assert kind != "foreign", "a model from a file without a model"
    if kind == "model":
        assert repr(loaded) == repr(model), "a different architecture"
        assert weights(loaded) == weights(model), "other weights"


def check_load_weights(path, kind, model):
    """Check that the model gets exactly the file's weights, or stays unchanged on an error."""
    target = model.copy().bind(dtype=model.state.dtype_name)
    target.state.values[...] = target.state.buffers[...] = 7.0
    before = weights(target)
    try:
        target.load_weights(path)
    except BaseException:
        assert weights(target) == before, "a refused file changed the model"
        raise
    assert np.isfinite(target.state.values).all(), "numbers that are not finite"
    if kind == "model":
        assert weights(target) == weights(model), "other weights"
    elif kind == "foreign":
        compare_with_safetensors(path, target)


def compare_with_safetensors(path, target):
    """Check that the safetensors package reads the same numbers from the file."""
    try:
        import safetensors.numpy
    except ImportError:
        return
    tensors = safetensors.numpy.load_file(path)
    parts = stored(target)
    assert tensors.keys() == parts.keys(), "names that differ from the file's"
    for name, part in parts.items():
        assert (part.value == tensors[name].astype(target.state.dtype)).all(), "different numbers"


def check_resume(path, kind, model, saved):
    """Check that the file is refused or resumes `saved`.

    A damaged file of kind ``signed`` has a valid digest, so it may resume a different trainer.
    """
    loss, rule = cr.MSELoss(), optimizer()
    try:
        resumed = cr.Trainer.resume(path, loss=loss, optimizer=rule)
    except ValueError as error:
        if kind == "signed" and "expected the same optimizer as before" in str(error):
            raise cr.FileFormatError(str(error)) from error  # this error is documented
        raise
    if kind == "model":
        assert model is saved.model, "a trainer from a file without training state"
        assert weights(resumed.model) == weights(model), "other weights"
        velocity = "velocity"
        assert (rule._vectors[velocity] == saved.optimizer._vectors[velocity]).all(), (
            "another state"
        )
        assert resumed.rng.bit_generator.state == saved.rng.bit_generator.state, "another order"
        assert resumed.history.epochs == saved.history.epochs, "another history"


def weights(model):
    return model.state.dtype_name, model.state.values.tobytes(), model.state.buffers.tobytes()


def read(mutated, sources, path):
    """Return ``loaded`` or ``refused`` for each reader, and raise any other exception."""
    kind, _, data, which = mutated
    path.write_bytes(data)
    if kind in ("idx", "gzip"):
        readers = {"read_idx": lambda: check_idx(path, data)}
    else:
        model = sources.model_of[kind][which]
        readers = {
            "load": lambda: check_load(path, kind, model),
            "load_weights": lambda: check_load_weights(path, kind, model),
        }
        if kind == "signed" or model is sources.trainer.model:
            readers["resume"] = lambda: check_resume(path, kind, model, sources.trainer)
    outcomes = {}
    for name, reader in readers.items():
        try:
            reader()
        except cr.FileFormatError as error:
            str(error).encode()  # the message must be printable
            outcomes[name] = "refused"
        else:
            outcomes[name] = "loaded"
    return outcomes
