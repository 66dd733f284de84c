"""A mistake in a custom layer, or a name from another library, raises an error with the remedy."""

import copy
import pickle

import numpy as np
import pytest

import chainrule as cr


class Own(cr.Layer):
    """A layer whose `forward` calls the given function."""

    def __init__(self, function):
        self.function = function

    def forward(self, x, *, training=False):
        return self.function(x)


RETURNED = {
    "no pair": (lambda x: x, "expected forward to return an array and a function, found"),
    "no function": (lambda x: (x, x), "expected forward to return an array and a function, found"),
    "no array": (lambda x: (3.0, lambda dy: dy), "expected the output to be an array, found 3.0"),
    "no gradient": (
        lambda x: (x, lambda dy: None),
        "expected the gradient to be an array, found None",
    ),
    "a pair": (
        lambda x: (x, lambda dy: (dy, x)),
        r"expected the gradient to be an array, found \(<?(tensor|Tensor|.*rray)",
    ),
}


@pytest.mark.parametrize(("function", "message"), RETURNED.values(), ids=RETURNED)
def test_wrong_return_values_of_a_custom_layer(function, message, library):
    model = cr.Sequential(cr.Linear(3, 3), Own(function), backend=library.backend)
    x = library.asarray(np.ones((2, 3), "float32"))
    with pytest.raises(TypeError, match=rf"^layer '1', Own\(.*\): {message}"):
        model.forward(x, training=True)[1](x)
    with pytest.raises(TypeError, match=message):
        cr.gradcheck(Own(function), shape=(2, 3), backend=library.backend)


class Weighted(cr.Layer):
    def __init__(self, use):
        self.use, self.weight = use, cr.Parameter((3,))

    def forward(self, x, *, training=False):
        return self.use(x, self.weight), lambda dy: dy


FORGOTTEN = {
    "number": lambda x, w: 2.0 * w,
    "matmul": lambda x, w: w @ x,
    "minus": lambda x, w: w - 1.0,
    "power": lambda x, w: w**2,
    "negative": lambda x, w: -w,
    "element": lambda x, w: w[0],
}


@pytest.mark.parametrize("use", FORGOTTEN.values(), ids=FORGOTTEN)
def test_a_forgotten_value(use, library):
    model = cr.Sequential(Weighted(use), backend=library.backend)
    with pytest.raises(TypeError, match=r"^Parameter\(\(3,\)\) is not an array: use its .value"):
        model.predict(np.ones((2, 3)))


def test_numpy_functions_refuse_a_parameter():
    x, stored = np.ones(3), (cr.Parameter((3,)), cr.Buffer((3,)))
    for part in stored:
        for use in (np.asarray, np.sum, lambda w: x * w, lambda w: w * x, lambda w: np.dot(x, w)):
            with pytest.raises(TypeError, match="is not an array: use its .value"):
                use(part)


@pytest.mark.parametrize("shape", [3, None, np.ones(3), "ab", (2.0,)], ids=repr)
def test_shapes_that_are_not_tuples(shape):
    for kind in (cr.Parameter, cr.Buffer):
        with pytest.raises(TypeError, match=r"expected the shape of a .*, such as \(3,\), found"):
            kind(shape)


def test_names_of_other_libraries():
    model = cr.Sequential(cr.Linear(3, 2))
    for layer in (model, model[0]):
        for name, hint in (
            ("state_dict", r"model\.save\(path\)"),
            ("load_state_dict", r"model\.load_weights\(path\)"),
            ("eval", r"model\.predict\(x\)"),
            ("train", r"training=True"),
            ("to", "backend="),
            ("cuda", "backend='torch' and device='cuda'"),
            ("cpu", "backend="),
            ("double", "dtype='float64'"),
            ("add", r"cr\.Sequential\(\*layers\)"),
            ("get_weights", r"model\.named_parameters\(\)"),
            ("modules", "for layer in model"),
            ("requires_grad_", r"layer\.freeze\(\)"),
            ("fit", r"cr\.Trainer\("),
        ):
            with pytest.raises(AttributeError, match=rf"has no '{name}': .*{hint}"):
                getattr(layer, name)
            assert not hasattr(layer, name)
        with pytest.raises(TypeError, match=r"cannot be called: model\.predict\(x\)"):
            layer(np.ones((1, 3)))
        with pytest.raises(AttributeError, match="object has no attribute 'no_such_name'"):
            _ = layer.no_such_name
    assert repr(pickle.loads(pickle.dumps(model))) == repr(copy.deepcopy(model)) == repr(model)


def test_errors_within_a_property_are_kept():
    def init(rng, shape):
        return rng.no_such_name

    with pytest.raises(AttributeError, match="'numpy.random._generator.Generator'.*'no_such_name'"):
        _ = cr.Sequential(cr.Linear(3, 2, init=init)).xp
