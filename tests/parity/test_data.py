"""Use tensors as data, and load files of weights that PyTorch wrote."""

import numpy as np
import pytest
import safetensors.torch
import torch

import chainrule as cr
from chainrule.metrics import mean_absolute_error

torch.set_num_threads(1)  # otherwise, PyTorch's threads and NumPy's threads wait for each other
X = torch.tensor(np.random.default_rng(0).normal(size=(8, 3)), dtype=torch.float32)
Y = torch.arange(8) % 2
BACKENDS = ("numpy", "torch", "array_api_strict")

TENSORS = {
    "float64": X.double(),
    "float16": X.half(),
    "bfloat16": X.bfloat16(),
    "int32": (10 * X).int(),
    "uint8": (10 * X).abs().byte(),
    "uint16": (10 * X).abs().to(torch.uint16),
    "uint64": (10 * X).abs().to(torch.uint64),
    "bool": X > 0,
    "transposed": X.T.contiguous().T,
    "expanded": X[:1].expand(8, 3),
    "every other": torch.repeat_interleave(X, 2, dim=1)[:, ::2],
    "with autograd": X.clone().requires_grad_(),
    "a parameter": torch.nn.Parameter(X.clone()),
    "negated": (1j * X).conj().imag,
    "in a list": list(X.clone().requires_grad_()),
    "bfloat16 in a list": list(X.bfloat16()),
}


def backend(name):
    if name == "array_api_strict":
        return cr.get_backend(pytest.importorskip(name))
    return cr.get_backend(name)


def trainer(name, loss=None, outputs=2):
    model = cr.mlp([3, 5, outputs], activation="tanh", backend=backend(name), seed=0)
    return cr.Trainer(model, loss=loss or cr.CrossEntropyLoss(), optimizer=cr.SGD(0.01))


def as_numpy(x):
    """Return a tensor's values as float32, converted by PyTorch itself."""
    x = torch.stack(x) if isinstance(x, list) else x
    return x.detach().resolve_neg().float().numpy()


@pytest.mark.parametrize("x", TENSORS.values(), ids=TENSORS)
@pytest.mark.parametrize("name", BACKENDS)
def test_tensors_are_converted_as_by_pytorch(name, x):
    expected, here = as_numpy(x), backend(name)
    found, plain = trainer(name), trainer(name)
    found.fit(x, Y, validation_data=(x, Y), batch_size=3, verbose=0)
    plain.fit(expected, Y.numpy(), validation_data=(expected, Y.numpy()), batch_size=3, verbose=0)
    assert found.history.step_losses == plain.history.step_losses
    assert found.history["val_loss"] == plain.history["val_loss"]
    np.testing.assert_array_equal(
        np.asarray(found.model.predict(x)), np.asarray(plain.model.predict(expected))
    )
    stream, direct = trainer(name), trainer(name)
    stream.fit([(x, Y)], verbose=0)
    direct.fit([(expected, Y.numpy())], verbose=0)
    assert stream.history.step_losses == direct.history.step_losses
    outputs = here.asarray(expected)
    assert float(cr.MSELoss()(outputs, x)[0]) == 0.0
    assert float(mean_absolute_error(outputs, x)) == 0.0
    model = cr.Sequential(cr.Linear(3, 8, bias=False))
    model.bind(here, values={"0.weight": x})
    np.testing.assert_array_equal(here.to_numpy(model[0].weight.value), expected)


@pytest.mark.parametrize("name", BACKENDS)
def test_inputs_in_float8(name):
    x = X.to(torch.float8_e4m3fn)
    found, plain = trainer(name), trainer(name)
    found.fit(x, Y, verbose=0)
    plain.fit(x.float(), Y, verbose=0)
    assert found.history.step_losses == plain.history.step_losses


REFUSED = {
    "complex": (X + 0j, "real numbers, found dtype .*complex64"),
    "conjugated": ((X + 0j).conj(), "real numbers, found dtype .*complex64|conjugate bit"),
    "sparse": (X.to_sparse(), "dense tensor .*, found a sparse_coo tensor|layout other than"),
    "on no device": (X.to("meta"), "found a tensor on device 'meta'|type meta"),
}


@pytest.mark.parametrize(("x", "message"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("name", BACKENDS)
def test_tensors_without_real_numbers_are_named(name, x, message):
    numbers = trainer(name, cr.MSELoss(), outputs=3)
    for what, use in (
        ("x", lambda: trainer(name).fit(x, Y, verbose=0)),
        ("y", lambda: numbers.fit(X, x, verbose=0)),
        ("validation x", lambda: trainer(name).fit(X, Y, validation_data=(x, Y), verbose=0)),
        ("sample_weight", lambda: trainer(name).evaluate(X, Y, sample_weight=x)),
        ("batch 0, x", lambda: trainer(name).fit([(x, Y)], verbose=0)),
        ("expected", lambda: numbers.model.predict(x)),
    ):
        with pytest.raises(cr.DataError, match=f"^{what}.*({message})"):
            use()


def test_large_unsigned_integers_do_not_wrap():
    x = torch.from_numpy(np.asarray([2**64 - 1, 3], "uint64"))
    ((found,),) = cr.minibatches(x, batch_size=2, shuffle=False, backend="torch")
    assert found.tolist() == [2.0**64, 3.0]


ARRAYS = {
    "big-endian": lambda x: x.astype(">f4"),
    "backwards": lambda x: x[::-1],
    "flipped": lambda x: np.flip(x, 1),
    "long double": lambda x: x.astype("longdouble"),
    "read-only": lambda x: np.broadcast_to(x, x.shape),
    "unsigned long long": lambda x: np.abs(10 * x).astype("ulonglong"),
}


@pytest.mark.parametrize("make", ARRAYS.values(), ids=ARRAYS)
def test_arrays_that_pytorch_refuses(make):
    x = make(X.numpy())
    expected = torch.tensor(np.ascontiguousarray(x, dtype="float32"))
    found, plain = trainer("torch"), trainer("torch")
    found.fit(x, Y.numpy(), verbose=0)
    plain.fit(expected, Y, verbose=0)
    assert found.history.step_losses == plain.history.step_losses
    np.testing.assert_array_equal(found.model.predict(x), plain.model.predict(expected).numpy())


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("name", BACKENDS)
def test_training_and_predictions_leave_tensors_alone(name, shuffle):
    x, y = X.clone(), Y.clone()
    model = cr.Sequential(cr.Identity(), backend=backend(name))
    model.predict(x)[...] = 0.0
    trainer(name).fit(x, y, shuffle=shuffle, augment=lambda images, _: images.__imul__(0.5))
    assert torch.equal(x, X)
    assert torch.equal(y, Y)


def test_a_model_shares_no_weights_with_its_module():
    module = torch.nn.Linear(3, 2).double()
    before = module.weight.detach().clone()
    cr.from_torch(module, backend="torch").state.values[...] = 0.0
    assert torch.equal(module.weight, before)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", BACKENDS)
def test_weights_in_any_dtype_of_pytorch(name, dtype, tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)).to(dtype)
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(module.state_dict(), path)
    model = cr.Sequential(cr.Linear(3, 4), cr.Linear(4, 2), backend=backend(name))
    model.load_weights(path)
    for key, tensor in module.state_dict().items():
        found = model.backend.to_numpy(model.named_parameters()[key].value)
        np.testing.assert_array_equal(found, tensor.float().numpy())
    ours, theirs = model.predict(X.numpy()), module.float()(X).detach().numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_weights_that_are_not_floating_point_numbers(tmp_path):
    model, path = cr.Sequential(cr.Linear(2, 1, bias=False)), tmp_path / "weights.safetensors"
    for dtype, message in (
        (torch.int64, "expected floating-point numbers, found int64"),
        (torch.float8_e5m2, "holds tensors of type 'F8_E5M2', which NumPy lacks"),
    ):
        safetensors.torch.save_file({"0.weight": torch.ones((1, 2)).to(dtype)}, path)
        with pytest.raises(cr.FileFormatError, match=message):
            model.load_weights(path)
    torch.save({"0.weight": torch.ones((1, 2))}, path)
    with pytest.raises(cr.FileFormatError, match=r"by torch.save, .*safetensors.torch.save_file"):
        model.load_weights(path)
    torch.save({"0.weight": torch.ones(1)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(cr.FileFormatError, match="a pickle, as written by older versions of torch"):
        model.load_weights(path)
