"""Compare convolutions with hand-computed values and SciPy, and refuse invalid arguments."""

import re

import numpy as np
import pytest
from scipy.signal import correlate2d

import chainrule as cr


def bound(layer, library, **values):
    """Return the layer in float64 on this library, with these weights."""
    return layer.bind(library.backend, dtype="float64", values=values)


def arrays(library, *found):
    return [library.to_numpy(array).tolist() for array in found]


def test_one_dimension_by_hand(library):
    layer = bound(cr.Conv1d(1, 1, 3), library, weight=[[[1.0, 2.0, -1.0]]], bias=[10.0])
    y, backward = layer.forward(library.asarray([[[2.0, 1.0, 0.0, 3.0, 1.0]]]))
    dx = backward(library.asarray([[[1.0, -1.0, 2.0]]]))
    found = arrays(library, y, dx, layer.weight.grad, layer.bias.grad)
    assert found == [[[[14, 8, 15]]], [[[1, 1, -1, 5, -2]]], [[[1, 7, -1]]], [2]]


def test_two_channels_by_hand(library):
    """Two input channels, two kernels, two samples: the sums over channels and samples."""
    weight = [[[[1.0]], [[10.0]]], [[[0.0]], [[-1.0]]]]
    layer = bound(cr.Conv2d(2, 2, 1), library, weight=weight, bias=[0.5, 0.0])
    x = [[[[1.0, 2.0]], [[3.0, 4.0]]], [[[5.0, 6.0]], [[7.0, 8.0]]]]
    y, backward = layer.forward(library.asarray(x))
    assert arrays(library, y) == [
        [[[[31.5, 42.5]], [[-3, -4]]], [[[75.5, 86.5]], [[-7, -8]]]],
    ]
    dx = backward(library.asarray([[[[1.0, 0.0]], [[0.0, 0.0]]], [[[0.0, 0.0]], [[0.0, 2.0]]]]))
    assert arrays(library, dx, layer.weight.grad, layer.bias.grad) == [
        [[[[1, 0]], [[10, 0]]], [[[0, 0]], [[0, -2]]]],
        [[[[1]], [[3]]], [[[12]], [[16]]]],
        [1, 2],
    ]


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 4), (7, 6)])
def test_the_same_as_scipy(size, library):
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.normal(size=s) for s in ((2, 3, 7, 6), (4, 3, *size), (4,)))
    layer = bound(cr.Conv2d(3, 4, size), library, weight=weight, bias=bias)
    y, _ = layer.forward(library.asarray(x))
    for n, o in np.ndindex(2, 4):
        expected = bias[o] + sum(correlate2d(x[n, c], weight[o, c], "valid") for c in range(3))
        np.testing.assert_allclose(library.to_numpy(y[n, o, ...]), expected, rtol=1e-12)


OPTIONS = {
    "plain": {},
    "every option": {"stride": (2, 1), "padding": 2, "dilation": (1, 2), "groups": 2},
    "transposed": {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2},
}


@pytest.mark.parametrize("patch_elements", [1, 1000, 3000])
@pytest.mark.parametrize("name", OPTIONS)
def test_the_size_of_the_parts_does_not_matter(name, patch_elements, library, monkeypatch):
    kind = cr.ConvTranspose2d if name == "transposed" else cr.Conv2d
    rng, found = np.random.default_rng(0), []
    layer = bound(kind(4, 6, 3, **OPTIONS[name]), library)
    x = library.asarray(rng.normal(size=(5, 4, 7, 8)))
    dy = library.asarray(rng.normal(size=tuple(layer.forward(x)[0].shape)))
    for most in (10**9, patch_elements):
        monkeypatch.setattr(type(library.backend), "patch_elements", most)
        layer.zero_grad()
        y, backward = layer.forward(x)
        dx = backward(dy)
        found.append([library.to_numpy(a) for a in (y, dx, layer.state.grads)])
    for ours, expected in zip(*found, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-12)


def test_a_part_has_a_limited_number_of_patch_elements(monkeypatch):
    layer = cr.Conv2d(4, 2, 2, groups=2).bind()
    x, sizes, unfold = np.ones((7, 4, 5, 4), "float32"), [], layer.backend.kernel
    # One sample has 16 * 12 patch elements. With 2 output channels, a part has 32 times as many.
    monkeypatch.setattr(type(layer.backend), "patch_elements", 13)

    def kernel(self, function):
        def counted(*arguments):
            sizes.append(arguments[0].shape[0])
            return unfold(function)(*arguments)

        return counted

    monkeypatch.setattr(type(layer.backend), "kernel", kernel)
    layer.forward(x)
    assert sizes == [2, 2, 2, 1]


def test_a_large_image_is_divided_into_rows(monkeypatch):
    layer = cr.Conv2d(1, 64, 3, padding=1).bind()
    x, sizes, unfold = np.ones((2, 1, 50, 40), "float32"), [], layer.backend.kernel
    # A row of windows has 40 * 9 patch elements, and a part may have 4000.
    monkeypatch.setattr(type(layer.backend), "patch_elements", 1000)

    def kernel(self, function):
        def counted(*arguments):
            sizes.append(arguments[1].count)
            return unfold(function)(*arguments)

        return counted

    monkeypatch.setattr(type(layer.backend), "kernel", kernel)
    layer.forward(x)
    assert sizes == 2 * [*[(11, 40)] * 4, (6, 40)]


@pytest.mark.parametrize("kind", [cr.Conv1d, cr.Conv2d, cr.ConvTranspose2d])
def test_a_first_layer_computes_no_input_gradient(kind, library, monkeypatch):
    products, matmul = [], type(library.backend).matmul

    def counted(self, a, b, out=None):
        if a.ndim == 3:  # CuPy's backend multiplies the matrices of a stack one by one
            products.append(a.shape)
        return matmul(self, a, b, out)

    monkeypatch.setattr(type(library.backend), "matmul", counted)
    model = cr.Sequential(kind(2, 3, 2), cr.ReLU(), backend=library.backend)
    shape = 2, 2, *(4 for _ in model[0].space)
    y, backward = model.forward(library.asarray(np.ones(shape, "float32")))
    products.clear()
    assert backward(y) is None
    assert len(products) == 1  # for the gradient of the weight
    assert backward(y, input_gradient=True).shape == shape
    assert len(products) == 3


@pytest.mark.parametrize("kind", [cr.Conv2d, cr.ConvTranspose2d])
def test_frozen_weights(kind, library):
    model = cr.Sequential(kind(2, 3, 2), kind(3, 2, 2), backend=library.backend)
    model[0].weight.trainable = False
    before = [library.to_numpy(p.value).copy() for p in model.parameters()]
    y, backward = model.forward(library.asarray(np.ones((2, 2, 4, 4), "float32")))
    backward(y)
    assert not library.to_numpy(model[0].weight.grad).any()
    cr.SGD(0.1).bind(model).step()
    pairs = zip(model.parameters(), before, strict=True)
    changed = [bool((library.to_numpy(p.value) != value).any()) for p, value in pairs]
    assert changed == [False, True, True, True]


def test_the_last_elements_of_a_remainder_get_no_gradient(library):
    layer = cr.Conv2d(1, 1, 2, stride=(2, 3)).bind(library.backend)
    y, backward = layer.forward(library.asarray(np.ones((1, 1, 5, 7), "float32")))
    dx = library.to_numpy(backward(library.backend.xp.ones(y.shape, dtype=y.dtype)))[0, 0]
    assert y.shape == (1, 1, 2, 2)
    outside = np.ones((5, 7), bool)
    outside[:4, [0, 1, 3, 4]] = False
    assert not dx[outside].any()
    assert dx[~outside].all()


@pytest.mark.parametrize(("size", "dilation"), [(2, 1), (4, 1), (2, 3), ((3, 2), (2, 5))])
def test_padding_same(size, dilation, library):
    """The output has the size of the input. If the padding is odd, the end gets one more zero."""
    rng = np.random.default_rng(0)
    layer = cr.Conv2d(1, 1, size, padding="same", dilation=dilation)
    weight, x = rng.normal(size=layer.weight.shape), rng.normal(size=(2, 1, 6, 5))
    y, _ = bound(layer, library, weight=weight).forward(library.asarray(x))
    before = [d * (k - 1) // 2 for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    expected = np.zeros(x.shape)
    for place in np.ndindex(*x.shape[2:]):
        for element in np.ndindex(*layer.kernel_size):
            i, j = np.asarray(place) + np.multiply(element, layer.dilation) - before
            if 0 <= i < 6 and 0 <= j < 5:
                expected[:, 0, *place] += weight[0, 0, *element] * x[:, 0, i, j]
    np.testing.assert_allclose(library.to_numpy(y), expected, rtol=1e-12, atol=1e-12)


def test_valid_is_no_padding():
    assert cr.Conv2d(1, 1, 3, padding="valid").padding == ((0, 0), (0, 0))


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        (cr.Conv2d(2, 1, 3), (1, 2, 2, 4), "a height of at least 3, found 2 in an input of shape"),
        (cr.Conv2d(2, 1, (1, 3), padding=1), (1, 2, 9, 0), "(batch, 2, height, width), found"),
        (cr.Conv2d(2, 1, 2, dilation=9), (1, 2, 10, 9), "a width of at least 10, found 9"),
        (cr.Conv2d(2, 1, 5, padding=1), (1, 2, 2, 9), "a height of at least 3, found 2"),
        (cr.Conv1d(2, 1, 4), (1, 2, 3), "a length of at least 4, found 3"),
        (cr.Conv2d(2, 1, 3), (1, 3, 5, 5), "(batch, 2, height, width), found (1, 3, 5, 5)"),
        (cr.Conv2d(2, 1, 3), (2, 5, 5), "(batch, 2, height, width), found (2, 5, 5)"),
        (cr.Conv1d(2, 1, 3), (1, 2, 5, 5), "(batch, 2, length), found (1, 2, 5, 5)"),
        (cr.Conv2d(2, 1, 3), (0, 2, 5, 5), "(batch, 2, height, width), found (0, 2, 5, 5)"),
        (cr.ConvTranspose2d(2, 1, 3), (1, 1, 5, 5), "(batch, 2, height, width), found (1, 1,"),
        (
            cr.ConvTranspose2d(2, 1, 1, padding=1),
            (1, 2, 5, 2),
            "padding that leaves part of the output, found padding that removes 2 elements of a "
            "width of 2, for an input of shape (1, 2, 5, 2)",
        ),
    ],
)
def test_inputs_that_do_not_fit(layer, shape, words):
    model = cr.Sequential(cr.Identity(), layer.copy())
    with pytest.raises(cr.ShapeError, match=rf"layer '1', .*: expected .*{re.escape(words)}"):
        model.forward(np.ones(shape, "float32"))


def test_one_element_is_enough():
    """The largest kernel, dilation and padding that still fit."""
    for layer, size in (
        (cr.Conv2d(1, 1, 5, padding=1), 3),
        (cr.Conv2d(1, 1, 2, dilation=9), 10),
        (cr.Conv2d(1, 1, 3, padding=5), 1),
        (cr.Conv2d(1, 1, 2, stride=50), 7),
    ):
        y, backward = layer.forward(np.ones((1, 1, size, size), "float32"))
        assert y.shape[2:] == ((9, 9) if size == 1 else (1, 1))
        assert backward(y).shape == (1, 1, size, size)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: cr.Conv2d(3, 4, 2, groups=2), "multiples of groups, found 3, 4 and 2"),
        (lambda: cr.Conv2d(4, 3, 2, groups=2), "multiples of groups, found 4, 3 and 2"),
        (lambda: cr.Conv2d(1, 1, 2, groups=0), "expected groups to be at least 1, found 0"),
        (lambda: cr.Conv2d(0, 1, 2), "expected in_channels to be at least 1, found 0"),
        (lambda: cr.Conv2d(1, 1, 0), "expected kernel_size to be at least 1, found 0"),
        (lambda: cr.Conv2d(1, 1, (2, 2, 2)), "expected kernel_size to be a number or 2 numbers"),
        (lambda: cr.Conv1d(1, 1, (2, 2)), "expected kernel_size to be one number, found (2, 2)"),
        (lambda: cr.Conv2d(1, 1, 2, stride=0), "expected stride to be at least 1, found 0"),
        (lambda: cr.Conv2d(1, 1, 2, padding=-1), "expected padding to be at least 0, found -1"),
        (lambda: cr.Conv2d(1, 1, 2, padding="full"), "'same', 'valid' or numbers, found 'full'"),
        (lambda: cr.Conv2d(1, 1, 2, dilation=(1, 0)), "expected dilation to be at least 1"),
        (
            lambda: cr.Conv2d(1, 1, 2, stride=(1, 2), padding="same"),
            "expected a stride of 1 for padding='same', found (1, 2)",
        ),
        (
            lambda: cr.ConvTranspose2d(1, 1, 2, stride=2, output_padding=2),
            "expected output_padding to be less than max(stride, dilation), found (2, 2)",
        ),
    ],
)
def test_arguments_that_are_refused(make, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        make()


def test_a_transposed_convolution_is_the_adjoint(library):
    """The inner products of Conv2d(x) with z, and of x with ConvTranspose2d(z), are equal."""
    rng = np.random.default_rng(0)
    options = {"stride": (2, 3), "padding": (0, 1), "dilation": (2, 1), "groups": 2, "bias": False}
    weight = rng.normal(size=(6, 2, 3, 2))
    down = bound(cr.Conv2d(4, 6, (3, 2), **options), library, weight=weight)
    up = bound(
        cr.ConvTranspose2d(6, 4, (3, 2), output_padding=(1, 2), **options), library, weight=weight
    )
    x = rng.normal(size=(2, 4, 8, 11))
    y = library.to_numpy(down.forward(library.asarray(x))[0])
    z = rng.normal(size=y.shape)
    back = library.to_numpy(up.forward(library.asarray(z))[0])
    assert back.shape == x.shape
    assert np.vdot(y, z) == pytest.approx(np.vdot(x, back), rel=1e-12)


def test_the_scale_of_initial_weights():
    layer = cr.Conv2d(32, 64, (3, 5), groups=2).bind()
    assert layer.weight.value.std() == pytest.approx(np.sqrt(2 / (16 * 15)), rel=0.02)
    layer = cr.Conv1d(32, 64, 5, init=cr.initializers.glorot_uniform()).bind()
    limit = np.sqrt(6 / (5 * (32 + 64)))
    assert 0.99 * limit < np.abs(layer.weight.value).max() <= limit


def test_max_norm_limits_each_kernel():
    layer = cr.Conv2d(2, 3, 2, max_norm=0.5)
    layer.bind(values={"weight": np.full((3, 2, 2, 2), 9.0)})
    model = cr.Sequential(layer.copy())
    optimizer = cr.SGD(0.1).bind(model)
    y, backward = model.forward(np.ones((1, 2, 3, 3), "float32"))
    backward(y)
    optimizer.step()
    norms = np.linalg.norm(model[0].weight.value.reshape(3, -1), axis=1)
    np.testing.assert_allclose(norms, 0.5, rtol=1e-6)


@pytest.mark.parametrize("name", ["in_channels", "kernel_size", "stride", "padding", "groups"])
def test_arguments_that_determine_shapes_cannot_be_changed(name):
    """After such a change, the layer would no longer match the file of the model."""
    layer = cr.Conv2d(1, 2, 3)
    before = getattr(layer, name)
    with pytest.raises(AttributeError, match=rf"{name} cannot be changed: create a new Conv2d"):
        setattr(layer, name, 2)
    assert getattr(layer, name) == before
