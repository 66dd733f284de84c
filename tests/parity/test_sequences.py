"""Embeddings, pooling over time and losses of sequences, compared with PyTorch and onnxruntime."""

import numpy as np
import pytest
import safetensors.torch
import torch
from onnx_files import session

import chainrule as cr

nn = torch.nn
torch.set_num_threads(1)  # otherwise, PyTorch's threads and NumPy's threads wait for each other


def close(ours, theirs):
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("padding", [None, 0, 6])
@pytest.mark.parametrize("shape", [(4,), (4, 5), (2, 3, 4)], ids=str)
def test_embedding(padding, shape):
    theirs = nn.Embedding(7, 3, padding_idx=padding).double()
    ours = cr.from_torch(theirs)
    assert repr(ours[0]) == repr(
        cr.Embedding(7, 3, **({} if padding is None else {"padding_idx": padding}))
    )
    rng = np.random.default_rng(0)
    optimizer = cr.SGD(0.1, momentum=0.9, weight_decay=0.01).bind(ours)
    optimizer_torch = torch.optim.SGD(theirs.parameters(), 0.1, momentum=0.9, weight_decay=0.01)
    for _ in range(3):
        x, dy = rng.integers(0, 7, shape), rng.normal(size=(*shape, 3))
        y_torch = theirs(torch.tensor(x))
        optimizer_torch.zero_grad()
        y_torch.backward(torch.tensor(dy))
        y, backward = ours.forward(x, training=True)
        backward(dy)
        close(y, y_torch)
        close(ours[0].weight.grad, theirs.weight.grad)
        optimizer.step()
        optimizer_torch.step()
        close(ours[0].weight.value, theirs.weight)


def test_initial_weights_have_pytorchs_distribution():
    for padding in (None, 3):
        values = cr.Embedding(500, 40, padding_idx=padding).weight.value
        assert not (padding and values[padding].any())
        drawn = np.delete(values, 3, axis=0)
        assert abs(drawn.mean()) < 0.02
        assert abs(drawn.std() - 1.0) < 0.02


def test_files_load_on_both_sides(tmp_path):
    path = tmp_path / "model.safetensors"
    torch.manual_seed(0)
    net = nn.Sequential(nn.Embedding(7, 3, padding_idx=0), nn.Flatten(), nn.Linear(12, 2)).double()
    model = cr.from_torch(net)
    x = np.random.default_rng(0).integers(0, 7, (5, 4))
    np.testing.assert_allclose(model.predict(x), net(torch.tensor(x)).detach(), rtol=1e-12)
    cr.SGD(0.1).bind(model)
    for parameter in model.parameters():
        parameter.value[...] *= 1.5
    model.save(path)
    net.load_state_dict(safetensors.torch.load_file(path), strict=True)
    np.testing.assert_allclose(
        cr.load(path, dtype="float64").predict(x), net(torch.tensor(x)).detach(), rtol=1e-12
    )


def test_softmax_after_an_embedding_applies_to_the_last_axis():
    net = nn.Sequential(nn.Embedding(7, 3), nn.Linear(3, 3), nn.Softmax(dim=1))
    with pytest.raises(TypeError, match="expected dim=-1"):
        cr.from_torch(net)


def pooled_by_torch(mode, x, lengths):
    """Pool each sequence by itself."""
    of_one = {
        "mean": lambda a: a.mean(dim=0),
        "max": lambda a: a.max(dim=0).values,
        "last": lambda a: a[-1],
    }
    return torch.stack([of_one[mode](a[:n]) for a, n in zip(x, lengths, strict=True)])


@pytest.mark.parametrize("mode", ["mean", "max", "last"])
@pytest.mark.parametrize("given", [False, True], ids=["full length", "lengths"])
def test_pooling_over_time(mode, given):
    rng = np.random.default_rng(0)
    for batch, time, features in rng.integers(1, 9, (30, 3)).tolist():
        x, dy = rng.normal(size=(batch, time, features)), rng.normal(size=(batch, features))
        lengths = rng.integers(1, time + 1, batch) if given else np.full(batch, time)
        x_torch = torch.tensor(x, requires_grad=True)
        y_torch = pooled_by_torch(mode, x_torch, lengths)
        y_torch.backward(torch.tensor(dy))
        layer = cr.PoolOverTime(mode).bind(dtype="float64")
        y, backward = layer.forward((x, lengths) if given else x)
        close(y, y_torch)
        close(backward(dy)[0] if given else backward(dy), x_torch.grad)


CLASS_WEIGHT = [1.0, 3.0, 0.5, 2.0]


@pytest.mark.parametrize("shape", [(6, 4), (3, 5, 4), (2, 3, 5, 4)], ids=str)
@pytest.mark.parametrize(
    "options",
    [{}, {"weight": CLASS_WEIGHT}, {"label_smoothing": 0.1}, {"ignore_index": 2},
     {"ignore_index": 2, "weight": CLASS_WEIGHT}],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy(shape, options, reduction):
    rng = np.random.default_rng(0)
    y, labels = rng.normal(size=shape), rng.integers(0, 4, shape[:-1])
    value, backward = cr.CrossEntropyLoss(reduction=reduction, **options)(y, labels)
    y_torch = torch.tensor(y, requires_grad=True)
    theirs = dict(options)
    if "weight" in theirs:
        theirs["weight"] = torch.tensor(CLASS_WEIGHT, dtype=torch.float64)
    loss = nn.CrossEntropyLoss(reduction=reduction, **theirs)
    expected = loss(torch.movedim(y_torch, -1, 1), torch.tensor(labels))
    dvalue = rng.normal(size=tuple(expected.shape))
    expected.backward(torch.tensor(dvalue))
    close(value, expected)
    close(backward(dvalue), y_torch.grad)


@pytest.mark.parametrize("shape", [(3, 5, 4), (2, 3, 5, 4)], ids=str)
def test_cross_entropy_of_rows(shape):
    rng = np.random.default_rng(0)
    y, rows = rng.normal(size=shape), rng.dirichlet(np.ones(4), shape[:-1])
    for smoothing in (0.0, 0.1):
        value, backward = cr.CrossEntropyLoss(label_smoothing=smoothing)(y, rows)
        y_torch, target = torch.tensor(y, requires_grad=True), torch.tensor(rows)
        loss = nn.CrossEntropyLoss(label_smoothing=smoothing)
        expected = loss(torch.movedim(y_torch, -1, 1), torch.movedim(target, -1, 1))
        expected.backward()
        close(value, expected)
        close(backward(), y_torch.grad)


@pytest.mark.parametrize("mode", ["mean", "max", "last"])
def test_onnx_with_lengths(mode, tmp_path):
    model = cr.Sequential(
        cr.Embedding(9, 4), cr.Linear(4, 3), cr.PoolOverTime(mode), cr.Linear(3, 2)
    )
    embedded = cr.Sequential(cr.Embedding(9, 4), cr.PoolOverTime(mode), cr.Linear(4, 2))
    rng = np.random.default_rng(0)
    cr.to_onnx(model, tmp_path / "one.onnx", input_shape=(6,))
    cr.to_onnx(embedded, tmp_path / "two.onnx", input_shape=((6,), ()))
    one, two = session(tmp_path / "one.onnx"), session(tmp_path / "two.onnx")
    for batch in (1, 2, 7):
        x, lengths = rng.integers(0, 9, (batch, 6)), rng.integers(1, 7, batch)
        found = one.run(None, {"input": x})[0]
        np.testing.assert_allclose(found, model.predict(x), rtol=1e-5, atol=1e-6)
        found = two.run(None, {"input_0": x, "input_1": lengths})[0]
        np.testing.assert_allclose(found, embedded.predict((x, lengths)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_onnx_with_other_integers(dtype, tmp_path):
    model, x = cr.Sequential(cr.Embedding(9, 4)), np.asarray([[1, 8, 0]], dtype)
    cr.to_onnx(model, tmp_path / "model.onnx", input_shape=(3,), input_dtype=dtype)
    found = session(tmp_path / "model.onnx").run(None, {"input": x})[0]
    np.testing.assert_array_equal(found, model.predict(x))
