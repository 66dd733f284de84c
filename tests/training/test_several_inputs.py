"""Train, save and resume models with several inputs or outputs (docs/several_inputs.md)."""

from typing import NamedTuple

import numpy as np
import pytest
from several import MODELS, cases, run_the_page

import chainrule as cr
from chainrule.forms import each, named, rows

FIT = {"batch_size": 16, "verbose": 0}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return run_the_page(tmp_path_factory.mktemp("page"))


@pytest.fixture
def case(page, request, library):
    """The case that `request.param` names, with an unbound copy of its model."""
    found = cases(page)[request.param]
    return found._replace(model=found.model.copy().bind(library.backend, seed=3))


def trainer_of(case, model=None):
    return cr.Trainer(model or case.model, loss=case.loss, optimizer=cr.Adam(0.02))


def custom(page):
    kinds = {name: thing for name, thing in page.items() if isinstance(thing, type)}
    return {name: kind for name, kind in kinds.items() if issubclass(kind, cr.Layer)}


def equal(a, b, backend):
    for one, other in zip(named("", a).values(), named("", b).values(), strict=True):
        np.testing.assert_array_equal(backend.to_numpy(one), backend.to_numpy(other))


def test_the_page_runs(page):
    assert page["accuracy"] > 0.9
    loaded = page["loaded"].predict(page["x"])
    np.testing.assert_array_equal(page["logits"], loaded)


@pytest.mark.parametrize("case", MODELS, indirect=True)
def test_training_files_and_predictions(case, page, library, tmp_path):
    trainer = trainer_of(case)
    history = trainer.fit(case.x, case.y, epochs=8, validation_data=(case.x, case.y), **FIT)
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    assert trainer.evaluate(case.x, case.y)["loss"] == pytest.approx(history["val_loss"][-1])

    case.model.save(tmp_path / "model.safetensors")
    options = {"backend": library.backend, "layers": custom(page)}
    loaded = cr.load(tmp_path / "model.safetensors", **options)
    outputs = loaded.predict(case.x, batch_size=7)
    for whole, part in zip(
        named("", case.model.predict(case.x)).values(), named("", outputs).values(), strict=True
    ):
        np.testing.assert_allclose(np.asarray(part), np.asarray(whole), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", MODELS, indirect=True)
def test_exact_resume(case, page, library, tmp_path):
    fit = {"epochs": 3, "micro_batches": 2, **FIT}
    path, weight = tmp_path / "training.safetensors", np.linspace(0.5, 1.5, 60)
    whole = trainer_of(case, case.model.copy().bind(library.backend, seed=4))
    whole.fit(case.x, case.y, sample_weight=weight, **fit)

    def stop(trainer):
        if trainer.optimizer.steps == 6:
            raise KeyboardInterrupt

    stopped = trainer_of(case, case.model.copy().bind(library.backend, seed=4))
    stops = cr.callbacks.LambdaCallback(on_step_end=stop)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(case.x, case.y, sample_weight=weight, callbacks=[stops], **fit)
    stopped.listeners.clear()
    stopped.save(path)
    options = {"backend": library.backend, "layers": custom(page)}
    again = cr.Trainer.resume(path, loss=case.loss, optimizer=cr.Adam(0.02), **options)
    again.fit(case.x, case.y, sample_weight=weight, resume=True, **fit)
    equal(again.model.state.values, whole.model.state.values, library.backend)
    assert again.history["loss"] == whole.history["loss"]


@pytest.mark.parametrize("name", MODELS)
def test_gradients(name, page):
    case = cases(page)[name]
    x, target = rows(case.x, slice(3)), rows(case.y, slice(3))
    assert cr.gradcheck(case.model, x=x) < 1e-6
    assert cr.gradcheck(case.loss, x=case.model.predict(x), target=target) < 1e-6


def test_gradients_of_each_input(page, library):
    join = page["Join"](cr.Linear(2, 2), cr.Tanh())
    assert cr.gradcheck(join, shape=((2, 2), (2, 1)), backend=library.backend) < 1e-6
    heads, loss = page["Heads"](cr.Linear(2, 3), cr.Tanh()), page["RestoreAndClassify"]()
    assert cr.gradcheck(heads, shape=(2, 2), backend=library.backend) < 1e-6
    target = np.ones((2, 2)), np.asarray([0, 2])
    shapes = (2, 2), (2, 3)
    assert cr.gradcheck(loss, shape=shapes, target=target, backend=library.backend) < 1e-6


@pytest.mark.parametrize("case", MODELS, indirect=True)
def test_files_on_disk_and_batches_train_the_same(case, library, tmp_path):
    def on_disk(name, array):
        file = np.memmap(tmp_path / name, dtype=array.dtype, mode="w+", shape=array.shape)
        file[...] = array
        return file

    files = {name: on_disk(f"{i}.bin", a) for i, (name, a) in enumerate(named("x", case.x).items())}
    arrays = iter(files.values())
    x = each(lambda _: next(arrays), case.x)
    trainers = [trainer_of(case, case.model.copy().bind(library.backend)) for _ in range(3)]
    options = {"shuffle": False, **FIT}
    trainers[0].fit(case.x, case.y, epochs=2, **options)
    trainers[1].fit(x, case.y, epochs=2, **options)
    parts = [slice(i, min(i + 16, 60)) for i in range(0, 60, 16)]
    ready = [(rows(case.x, part), rows(case.y, part)) for part in parts]
    trainers[2].fit(ready, epochs=2, verbose=0)
    for trainer in trainers[1:]:
        assert trainer.history["loss"] == trainers[0].history["loss"]


def test_batches_keep_the_form(library):
    class Pair(NamedTuple):
        image: np.ndarray
        lengths: np.ndarray

    x = Pair(np.arange(10.0).reshape(5, 2), np.arange(5))
    batches = cr.minibatches(x, {"a": np.arange(5)}, batch_size=2, backend=library.backend, seed=1)
    for given, target in batches:
        assert type(given) is Pair
        assert np.asarray(given.lengths).tolist() == np.asarray(target["a"]).tolist()
        assert np.asarray(given.image[:, 0]).tolist() == (2 * np.asarray(given.lengths)).tolist()


class Pick(cr.Layer):
    """A layer that picks one value per row. The second input holds the places of the values."""

    def __init__(self, rows):
        self.rows = rows

    def forward(self, x, *, training=False):
        xp, (values, place) = self.xp, x
        assert xp.isdtype(place.dtype, "integral")
        ordinal = xp.arange(self.rows, dtype=place.dtype, device=place.device)
        mask = xp.astype(place[:, None] == ordinal, values.dtype)
        y = xp.sum(values * mask, axis=1, keepdims=True)
        return (y, place), lambda dy: (dy[0] * mask, None)


def test_integers_keep_their_dtype_and_have_no_gradient(library):
    values, place = np.random.default_rng(0).normal(size=(6, 4)), np.arange(6) % 4
    pick = Pick(4)
    assert cr.gradcheck(pick, x=(values, place), backend=library.backend) < 1e-6
    model = cr.Sequential(Pick(4), Pick(1), backend=library.backend)
    y, back = model.forward((library.asarray(values), library.asarray(place)), training=True)
    dx, none = back((y[0], None), input_gradient=True)
    assert none is None
    assert tuple(dx.shape) == (6, 4)
    y, kept = model.predict((values, place))
    assert kept.tolist() == place.tolist()
    assert model.summary(((4,), ()), input_dtype=("float32", "int64")).count("(batch, 1)") == 2


def test_wrong_gradients_of_several_inputs():
    class Swapped(cr.Layer):
        def forward(self, x, *, training=False):
            a, b = x
            return a * b, lambda dy: (dy * a, dy * b)

    with pytest.raises(AssertionError, match=r"at entry \(\d, \d\) of the input\[[01]\]"):
        cr.gradcheck(Swapped(), shape=((3, 2), (3, 2)))

    class Forgotten(Swapped):
        def forward(self, x, *, training=False):
            return x[0] * x[1], lambda dy: (dy * x[1], None)

    with pytest.raises(AssertionError, match=r"of the input\[1\]: gradient 0"):
        cr.gradcheck(Forgotten(), shape=((3, 2), (3, 2)))

    class OfOne(Swapped):
        def forward(self, x, *, training=False):
            return x[0] * x[1], lambda dy: dy

    with pytest.raises(
        AssertionError, match=r"expected a gradient of shape \(\(3, 2\), \(3, 2\)\)"
    ):
        cr.gradcheck(OfOne(), shape=((3, 2), (3, 2)))
    with pytest.raises(TypeError, match="either shape= or x="):
        cr.gradcheck(Swapped())


A, B, Y = np.ones((6, 6)), np.ones((6, 3)), np.zeros(6, int)
NAN = np.where(np.arange(6)[:, None] == 3, np.nan, B)


def mistakes(page):
    joined, image = page["two_branches"], page["image_and_table"]
    pictures = np.ones((6, 1, 8, 8))
    one = cr.Sequential(cr.Linear(6, 2))
    relu = cr.Sequential(cr.ReLU(), cr.Linear(6, 2))
    return {
        "lengths": (joined, (A, B[:-1]), Y, cr.ShapeError, r"6 in x\[0\], 5 in x\[1\], 6 in y"),
        "a missing key": (
            image,
            {"image": pictures},
            Y,
            cr.DataError,
            r"layer '0', ImageAndTable(.|\n)*expected an input named 'table', found 'image'",
        ),
        "NaN": (image, {"image": pictures, "table": NAN}, Y, cr.DataError, r"^x\['table'\]: expe"),
        "one too many": (joined, (A, B, B), Y, ValueError, "zip"),
        "a tuple for Linear": (
            one,
            (A, B),
            Y,
            TypeError,
            r"^layer '0', Linear\(6, 2\): expected on",
        ),
        "a tuple for ReLU": (relu, (A, A), Y, TypeError, r"^layer '0', ReLU\(\): expected one arr"),
        "a dict for Linear": (one, {"a": A}, Y, TypeError, "found {'a': "),
        "text": (joined, (A, [["a"]] * 6), Y, cr.DataError, r"^x\[1\]: "),
        "nested": (joined, (A, (B, B)), Y, cr.DataError, r"^x\[1\]: expected one array, found \("),
        "nothing": (joined, (), Y, cr.DataError, r"^x: expected at least one array"),
        "numbers as keys": (image, {0: A}, Y, cr.DataError, "^x: expected strings as keys, found"),
        "a list": (
            joined,
            [A, B],
            Y,
            cr.DataError,
            "^x: (.|\n)*: a list is one array, while a tup",
        ),
        "a list of equal shapes": (joined, [A, A], Y, cr.ShapeError, "6 in y: a list is one array"),
        "a tuple of labels": (one, A, tuple(Y.tolist()), cr.DataError, r"^y\[0\]: .*a list is one"),
        "a dict for a tuple": (
            joined,
            {"a": A},
            Y,
            AttributeError,
            r"in layer '0', Join\(\.\.\.\), with input of shape {'a': \(1, 6\)}\)\n\(in x of shape",
        ),
        "one array for a dict": (image, pictures, Y, IndexError, r"in layer '0', ImageAndTable\("),
        "integers for Linear": (
            joined,
            (A, B.astype(int)),
            Y,
            TypeError,
            r"Linear\(3, 8\): expected input in float32, found int64: integers in a tuple or",
        ),
        "several targets": (one, A, (Y, Y), TypeError, "^CrossEntropyLoss: expected one array of"),
        "shape": (joined, (A, A), Y, cr.ShapeError, r"Linear\(3, 8\): expected input of shape"),
    }


@pytest.mark.parametrize("name", mistakes({"two_branches": None, "image_and_table": None}))
def test_mistakes_are_found_before_the_first_step(name, page):
    model, x, y, error, message = mistakes(page)[name]
    trainer = cr.Trainer(model.copy(), loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(0.1))
    with pytest.raises(error, match=message):
        trainer.fit(x, y, verbose=0)
    assert trainer.optimizer.steps == 0


@pytest.mark.parametrize("weight", [(1.0,) * 6, {"a": np.ones(6)}])
def test_weights_are_one_array(weight, page):
    trainer = cr.Trainer(
        page["two_branches"].copy(), loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(0.1)
    )
    for data in ((A, B), Y, weight), ([((A, B), Y, weight)],):
        names = ("x", "y", "sample_weight")
        with pytest.raises(cr.DataError, match="sample_weight: expected one array, found"):
            trainer.fit(**dict(zip(names, data, strict=False)), verbose=0)


def test_mistakes_in_predict(page):
    model, siamese = page["two_branches"].copy(), page["siamese"].copy()
    for wrong in None, [["a"]], np.full((6, 3), None), B * 1j:
        with pytest.raises(cr.DataError, match=r"^x\[1\]: expected an array of real numbers"):
            model.predict((A, wrong))
    with pytest.raises(cr.ShapeError, match="found 2 in x, 5 in the output$"):
        siamese.predict(np.ones((2, 5, 8)))


def test_a_dict_is_not_a_source_of_batches(page):
    trainer = trainer_of(cases(page)["image_and_table"])
    with pytest.raises(TypeError, match=r"found dict: did you mean fit\(x, y\)"):
        trainer.fit({"image": A, "table": B})


def test_gradients_may_have_another_order(library):
    class Product(cr.Layer):
        def forward(self, x, *, training=False):
            return x["a"] * x["b"], lambda dy: {"b": dy * x["a"], "a": dy * x["b"]}

    class Difference(cr.Loss):
        def formula(self, xp, y, target):
            a, b = y["a"] - target["a"], y["b"] - target["b"]
            values = xp.sum(a * a, axis=1) + xp.sum(b * b * b, axis=1)
            return values, lambda: {"b": 3 * b * b, "a": 2 * a}

    shape, target = {"a": (2, 3), "b": (2, 3)}, {"b": np.ones((2, 3)), "a": np.zeros((2, 3))}
    assert cr.gradcheck(Product(), shape=shape, backend=library.backend) < 1e-6
    assert cr.gradcheck(Difference(), shape=shape, target=target, backend=library.backend) < 1e-6


def test_built_in_functions_for_one_array(page):
    case = cases(page)["two_heads"]
    outputs = case.model.predict(case.x)
    for metric in cr.metrics.accuracy, cr.metrics.mean_absolute_error, cr.metrics.f1:
        with pytest.raises(TypeError, match=f"^{metric.__name__}: expected one array of outputs"):
            metric(outputs, case.y)
    rng = np.random.default_rng(0)
    with pytest.raises(TypeError, match=r"^RandomShift\(.*\): expected one array of images, found"):
        cr.augmentation.RandomShift(1)({"image": np.ones((1, 8, 8))}, rng)


def test_gradients_of_a_loss_have_the_form_of_the_outputs():
    class Wrong(cr.Loss):
        def formula(self, xp, y, target):
            return xp.sum(y["a"], axis=1), lambda: {"A": xp.ones_like(y["a"])}

    _, backward = Wrong()({"a": np.ones((2, 3))}, {"a": np.ones((2, 3))})
    with pytest.raises(TypeError, match=r"form as the outputs \({'a': <.*>}\), found {'A': <"):
        backward()


def test_shapes_and_dtypes_have_the_same_form(page):
    model, shapes = page["two_branches"].copy(), ((6,), (3,))
    assert model.summary(shapes, input_dtype="float32") == model.summary(shapes)
    for dtype in ("float32",), {"a": "float32"}:
        with pytest.raises(ValueError, match=r"expected input_dtype in a form like \(\(6,\), \(3,"):
            model.summary(shapes, input_dtype=dtype)
    for shape in 6, [[6], [3]]:
        with pytest.raises(ValueError, match="expected input_shape to be the shape of one sample"):
            model.summary(shape)


def test_targets_of_two_heads_must_fit(page):
    case = cases(page)["two_heads"]
    trainer = trainer_of(case, case.model.copy())
    with pytest.raises(cr.DataError, match="labels of 3 classes from 0 to 2, found 3"):
        trainer.fit(case.x, (case.x, case.y[1] + 1), verbose=0)
    with pytest.raises(cr.ShapeError, match="60 in x, 60 in y\\[0\\], 59 in y\\[1\\]"):
        trainer.fit(case.x, (case.x, case.y[1][:-1]), verbose=0)
    assert trainer.optimizer.steps == 0


def test_metrics_get_all_outputs(page):
    case = cases(page)["two_heads"]
    model, classified = case.model.copy(), page["classified"]
    trainer = cr.Trainer(model, loss=case.loss, optimizer=cr.Adam(0.02), metrics=[classified])
    trainer.fit(case.x, case.y, epochs=30, **FIT)
    right = np.argmax(model.predict(case.x)[1], axis=1) == case.y[1]
    assert trainer.evaluate(case.x, case.y)["classified"] == pytest.approx(right.mean())
    assert right.mean() > 0.6


def test_augmenters_get_the_form(page):
    case = cases(page)["image_and_table"]
    seen = []

    def flip(x, rng):
        seen.append(x.keys())
        return {**x, "image": x["image"][..., ::-1]}

    trainer_of(case, case.model.copy()).fit(case.x, case.y, augment=flip, **FIT)
    assert len(seen) == 4
    assert all(keys == {"image", "table"} for keys in seen)
