"""Check indexing, repr and prediction of models."""

from contextlib import nullcontext

import numpy as np
import pytest
from table import LAYERS, Residual, input_of

import chainrule as cr


def image_model(library, **options):
    layers = cr.Flatten(), cr.Rescaling(1 / 255), cr.Linear(4, 8), cr.ReLU(), cr.Linear(8, 3)
    return cr.Sequential(*layers, backend=library.backend, **options)


def test_collection():
    model = cr.Sequential(cr.Linear(2, 3), cr.ReLU())
    assert len(model) == 2
    assert isinstance(model[0], cr.Linear)
    assert model[-1] is list(model)[1]


def test_text():
    model = cr.Sequential(
        cr.Linear(2, 3, bias=False), cr.Sequential(cr.LeakyReLU(0.1)), Residual(cr.Linear(3, 3))
    )
    assert repr(model) == (
        "Sequential(\n  0: Linear(2, 3, False)\n  1: Sequential(\n    0: LeakyReLU(0.1)\n  )\n"
        "  2: Residual(Linear(3, 3))\n)"
    )
    summary = model.summary()
    assert "Residual(Linear(3, 3))" in summary
    assert summary.endswith("total 18 parameters, 18 trainable")
    model[2].freeze()
    assert model.summary().endswith("total 18 parameters, 6 trainable")
    with pytest.raises(ValueError, match="summary needs input_shape="):
        cr.Sequential(cr.ReLU()).summary()
    with pytest.raises(ValueError, match="summary needs input_shape="):  # of any height and width
        cr.Sequential(cr.Conv2d(1, 2, 3), cr.Flatten(), cr.Linear(8, 2)).summary()
    assert "(batch, 4)" in cr.Sequential(cr.Flatten()).summary((2, 2))


@pytest.mark.parametrize("make", [make for make, _ in LAYERS.values()], ids=LAYERS)
def test_every_repr_names_its_class(make):
    assert repr(make()).startswith(type(make()).__name__ + "(")


def test_things_that_are_not_layers():
    with pytest.raises(TypeError, match=r"expected layers, found .*ReLU.*: did you mean ReLU\(\)"):
        cr.Sequential(cr.Linear(2, 2), cr.ReLU)
    with pytest.raises(TypeError, match="expected layers, found 'relu'"):
        cr.Sequential("relu")
    with pytest.raises(TypeError, match=r"did you mean Sequential\(\*layers\)\?"):
        cr.Sequential([cr.ReLU()])
    with pytest.raises(ValueError, match="expected approximate to be one of .*, found 'erf'"):
        cr.GELU(approximate="erf")
    with pytest.raises(ValueError, match="expected scale to be finite"):
        cr.Rescaling(float("nan"))


def test_a_wrong_input_names_the_layer(library):
    model = image_model(library)
    with pytest.raises(
        cr.ShapeError, match=r"layer '2', Linear\(4, 8\): .*\(batch, 4\), found \(1, 5\)"
    ):
        model.forward(library.asarray(np.zeros((1, 5), "float32")))
    with pytest.raises(TypeError, match=r"expected an array of backend .*asarray"):
        model.forward([[1.0, 2.0, 3.0, 4.0]])
    with pytest.raises(NotImplementedError, match="Layer has no forward"):
        cr.Layer().forward(np.ones(1))


def test_a_forward_that_forgets_backward():
    class Square(cr.Layer):
        def forward(self, x, *, training=False):
            return x * x

    model = cr.Sequential(Square())
    for call in (model.forward, model.predict):
        with pytest.raises(
            TypeError, match=r"Square\(\): expected forward to return an array and a function"
        ):
            call(np.ones((2, 3), "float32"))


@pytest.mark.parametrize("make", [make for make, _ in LAYERS.values()], ids=LAYERS)
def test_extreme_inputs(make, library):
    shape = next(shape for other, shape in LAYERS.values() if other is make)
    model = cr.Sequential(make(), backend=library.backend)
    x = np.resize(np.asarray([-1e4, 1e4, -100.0, 100.0, 0.0], "float32"), shape)
    if model.takes_integers:
        x = input_of(model, shape)
    y, backward = model.forward(library.asarray(x), training=True)
    dx = backward(library.asarray(np.ones(y.shape, "float32")), input_gradient=True)
    for array in (y, dx) if dx is not None else (y,):
        assert np.isfinite(library.to_numpy(array)).all()


def test_predict(library):
    model = image_model(library)
    images = np.random.default_rng(0).integers(0, 256, (10, 2, 2), dtype=np.uint8)
    expected = library.to_numpy(model.forward(library.asarray(images))[0])
    for batch_size in (1, 3, 10, 100):
        found = model.predict(images, batch_size=batch_size)
        assert isinstance(found, np.ndarray)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(model.predict(images.tolist()), expected, rtol=1e-5)
    native = model.predict(library.asarray(images))
    assert isinstance(native, library.backend.array_type)


def test_predict_returns_the_kind_of_array_it_was_given(library):
    model = cr.Sequential(cr.Linear(4, 3))
    x = library.asarray(np.ones((2, 4), "float32"))
    assert isinstance(model.predict(x), library.backend.array_type)


@pytest.mark.parametrize("dtype", ["float64", "float16", "int64", "bool"])
def test_inputs_of_any_number_type(dtype):
    model = cr.Sequential(cr.Linear(4, 3))
    assert model.predict(np.ones((2, 4), dtype=dtype)).dtype == np.float32


def test_bad_predictions(library):
    model = image_model(library)
    with pytest.raises(cr.DataError, match="at least one sample"):
        model.predict(np.zeros((0, 4)))
    with pytest.raises(ValueError, match="batch_size to be at least 1, found 0"):
        model.predict(np.zeros((3, 4)), batch_size=0)
    with pytest.raises(TypeError, match="batch_size to be a whole number, found '3'"):
        model.predict(np.zeros((3, 4)), batch_size="3")
    with pytest.raises(cr.DataError, match="real numbers"):
        model.predict([["a", "b"]])


@pytest.mark.filterwarnings("ignore:invalid value encountered in matmul")
def test_inputs_that_overflow_the_models_dtype():
    model, x = cr.Sequential(cr.Linear(4, 3)), np.full((2, 4), -1e39)
    for use in (model.predict, model.forward):
        with pytest.raises(cr.DataError, match=r"within the range of float32, found .* 1e\+39"):
            use(x)
    x[...] = np.inf  # float32 can hold infinity, but not 1e39
    x[1, :] = 1.0
    assert np.isfinite(model.predict(x)).all(axis=1).tolist() == [False, True]


def test_an_inner_model_that_is_used_first_stays_inner():
    inner = cr.Sequential(cr.Linear(2, 2))
    cr.Sequential(inner, cr.Linear(2, 1))
    y, back = inner.forward(np.ones((1, 2), "float32"))
    assert back(y).shape == (1, 2)


def test_an_inner_model_in_a_list_that_is_filled_later_is_inner():
    class Holder(cr.Layer):
        def __init__(self):
            self.layers = []
            self.layers.append(cr.Sequential(cr.Linear(2, 2)))

        def forward(self, x, *, training=False):
            return self.layers[0].forward(x, training=training)

    y, back = cr.Sequential(Holder()).forward(np.ones((1, 2), "float32"))
    assert back(y, input_gradient=True).shape == (1, 2)


# Arrays that belong to the caller.


class Weight(cr.Layer):
    """A layer that returns its parameter itself, not a copy."""

    def __init__(self):
        self.weight = cr.Parameter((2, 3), init=cr.initializers.constant(1.0))

    def forward(self, x, *, training=False):
        return self.weight.value, lambda dy: dy


@pytest.mark.parametrize(
    "make",
    [lambda: cr.Dropout(0.5), cr.Flatten, cr.Identity, Weight],
    ids=["Dropout", "Flatten", "Identity", "Weight"],
)
@pytest.mark.parametrize("batch_size", [1024, 2])
def test_a_prediction_belongs_to_the_caller(make, batch_size, library):
    x = library.backend.xp.ones((2, 3), dtype=library.backend.xp.float32)
    model = cr.Sequential(make(), backend=library.backend)
    for given in (x, library.to_numpy(x), np.ones((2, 3), "float32")):
        model.predict(given, batch_size=batch_size)[...] = 0.0
        assert library.to_numpy(x).sum() == np.sum(np.asarray(given)) == 6.0
        assert library.to_numpy(model.predict(x)).sum() == 6.0


class WritesToX(cr.Layer):
    def forward(self, x, *, training=False):
        x += 1.0
        return x, lambda dy: dy


class WritesToDy(cr.Layer):
    def forward(self, x, *, training=False):
        def backward(dy):
            dy *= 2.0
            return dy

        return 2.0 * x, backward


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_layer_that_writes_to_its_input_is_reported_and_the_data_unchanged(dtype):
    x, y = np.ones((4, 3), dtype), np.asarray([0, 1, 0, 1])
    first = cr.Sequential(cr.Flatten(), cr.Sequential(WritesToX()), cr.Linear(3, 2))
    last = cr.Sequential(cr.Linear(3, 2), WritesToDy())
    dy = np.ones((4, 2), dtype)
    options = {"loss": cr.CrossEntropyLoss(), "optimizer": cr.SGD(0.1)}
    for layer, use in (
        (r"layer '1.0', WritesToX\(\)", lambda: first.predict(x)),
        (r"layer '1.0', WritesToX\(\)", lambda: first.forward(x)),
        (
            r"layer '1.0', WritesToX\(\)",
            lambda: cr.Trainer(first, **options).fit(x, y, shuffle=False, verbose=0),
        ),
        (r"layer '1', WritesToDy\(\)", lambda: last.forward(x)[1](dy)),
        (r"layer '1', WritesToDy\(\)", lambda: last.forward(x)[1](dy, input_gradient=True)),
    ):
        with pytest.raises(ValueError, match=f"^{layer}: writes to x or dy"):
            use()
    assert (x == 1.0).all()
    assert (dy == 1.0).all()


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_layer_in_the_middle_that_writes_to_its_input_is_reported(position):
    x, dy = np.ones((4, 3), "float32"), np.ones((4, 3), "float32")
    for wrong in (WritesToX(), WritesToDy()):
        layers = [cr.Linear(3, 3), cr.ReLU(), cr.Linear(3, 3)]
        layers.insert(position, wrong)
        model = cr.Sequential(*layers)
        with pytest.raises(ValueError, match=f"^layer '{position}', .*: writes to x or dy"):
            model.forward(x, training=True)[1](dy, input_gradient=True)
    inner = cr.Sequential(cr.Linear(3, 3), cr.Sequential(cr.Tanh(), WritesToX()), cr.Linear(3, 1))
    with pytest.raises(ValueError, match="^layer '1.1', .*: writes to x or dy"):
        inner.predict(x)


FORMS = {"one array": lambda x: x, "a tuple": lambda x: (x, x), "a dict": lambda x: {"a": x}}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_layer_cannot_change_the_users_arrays(library, form):
    class WritesToFirst(cr.Layer):
        def forward(self, x, *, training=False):
            x = x["a"] if isinstance(x, dict) else x[0] if isinstance(x, tuple) else x
            x += 1.0
            return x, lambda dy: dy

    x, y = np.ones((4, 2), "float32"), np.asarray([0, 1, 0, 1])
    own = library.asarray(x)
    model = cr.Sequential(WritesToFirst(), backend=library.backend)
    trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(0.1))
    reported = library.name.startswith("numpy")
    for use in (
        lambda: model.predict(form(x)),
        lambda: model.predict(form(own)),
        lambda: model.forward(form(own)),
        lambda: trainer.evaluate(form(x), y),
        lambda: trainer.fit(form(x), y, shuffle=False, verbose=0),
        lambda: trainer.fit([(form(x), y)], verbose=0),
    ):
        with pytest.raises(ValueError, match="writes to x") if reported else nullcontext():
            use()
        assert (x == 1.0).all()
        assert (library.to_numpy(own) == 1.0).all()


def test_a_custom_layer_may_pass_its_input_on():
    class Same(cr.Layer):
        def forward(self, x, *, training=False):
            return x, lambda dy: dy

    model = cr.Sequential(cr.Linear(3, 3), Same(), cr.ReLU(), Same())
    x = np.ones((4, 3), "float32")
    y, backward = model.forward(x, training=True)
    assert backward(y, input_gradient=True).shape == x.shape
    assert model.predict(x).flags.writeable


def test_other_errors_of_a_layer_are_passed_on():
    class Broken(cr.Layer):
        def forward(self, x, *, training=False):
            raise ValueError("no more")

    with pytest.raises(ValueError, match=r"^no more\n\(in layer '0', Broken\(\), with input of"):
        cr.Sequential(Broken()).predict(np.ones((1, 1)))
