"""Plots have the correct contents, and invalid arguments are refused."""

import re
import sys

import numpy as np
import pytest
from helpers import Breaks

import chainrule as cr
from chainrule import plotting

pytest.importorskip("matplotlib")


def history():
    record = cr.History()
    record.epochs += [{"epoch": 1, "loss": 0.5, "val_loss": 0.6}, {"epoch": 2, "loss": 0.3}]
    return record


def test_history():
    lines = plotting.plot_history(history())
    np.testing.assert_array_equal(lines[0].get_xydata(), [[1, 0.5], [2, 0.3]])
    np.testing.assert_array_equal(lines[1].get_ydata(), [0.6, np.nan])
    ax = lines[0].axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss")
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["training", "validation"]
    assert plotting.plot_history(history(), ax=ax)[0].axes is ax


def test_a_validation_column_is_drawn_as_one():
    """A history with only validation accuracy gives one curve, with the label validation."""
    for name in ("accuracy", "val_accuracy"):
        lines = plotting.plot_history(measured := accuracies(), name=name)
        assert [line.get_label() for line in lines] == ["validation"]
        np.testing.assert_array_equal(lines[0].get_ydata(), measured["val_accuracy"])
        assert lines[0].axes.get_ylabel() == "accuracy"
    both = [line.get_label() for line in plotting.plot_history(history(), name="val_loss")]
    assert both == ["training", "validation"]


def accuracies():
    measured = cr.History()
    for epoch, value in ((1, 0.5), (2, 0.75)):
        measured.epochs.append({"epoch": epoch, "loss": 1.0, "val_accuracy": value})
    return measured


def test_histories_without_the_name():
    with pytest.raises(cr.DataError, match="expected a history with 'accuracy'.*found epoch, loss"):
        plotting.plot_history(history(), name="accuracy")
    with pytest.raises(cr.DataError, match="no epochs: train first"):
        plotting.plot_history(cr.History())


def test_predictions(library, tmp_path):
    images = library.asarray(np.random.default_rng(0).random((5, 4, 4)))
    predicted, labels = library.asarray([0, 1, 2, 0, 1]), library.asarray([0, 1, 1, 0, 1])
    drawn = plotting.plot_predictions(images, predicted, labels, columns=3, names=["a", "b", "c"])
    texts = [t.get_text() for t in drawn[0].axes.texts]
    assert texts == ["a", "b", "c\nnot b", "a", "b"]
    assert len(drawn[0].axes.lines) == 1
    np.testing.assert_array_equal(drawn[3].get_array(), library.to_numpy(images)[3])
    drawn[0].figure.savefig(tmp_path / "grid.png")
    assert not plotting.plot_predictions(images, predicted)[0].axes.lines


def test_predictions_for_images_with_channels(library):
    images = np.random.default_rng(0).random((3, 3, 4, 6))
    drawn = plotting.plot_predictions(library.asarray(images[:, :1]), [0, 1, 2])
    np.testing.assert_array_equal(drawn[1].get_array(), images[1, 0])
    drawn = plotting.plot_predictions(library.asarray(images), [0, 1, 2], [0, 1, 0])
    np.testing.assert_array_equal(drawn[1].get_array(), np.moveaxis(images[1], 0, -1))
    left, right, bottom, top = drawn[2].get_extent()
    assert (bottom - top) / (right - left) == pytest.approx(4 / 6)
    frame = drawn[0].axes.lines[0].get_xydata()
    np.testing.assert_allclose([frame.min(0), frame.max(0)], [[left, top], [right, bottom]])


@pytest.mark.parametrize(
    ("colours", "expected"),
    [
        (np.asarray([0, 51, 255], "uint8"), [0, 51, 255]),
        ([0.0, 0.2, 1.0], [0.0, 0.2, 1.0]),
        ([-1.0, 0.0, 3.0], [0.0, 0.25, 1.0]),
        ([0, 51, 255], [0.0, 0.2, 1.0]),
        (np.asarray([-6e4, 0.0, 6e4], "float16"), [0.0, 0.5, 1.0]),
        ([5.0, 5.0, 5.0], [0.0, 0.0, 0.0]),
    ],
)
def test_colours(colours, expected):
    images = np.reshape(colours, (1, 3, 1, 1))
    found = plotting.plot_predictions(images, [0])[0].get_array()
    np.testing.assert_allclose(found, np.reshape(expected, (1, 1, 3)))


def test_predictions_that_do_not_fit():
    images = np.zeros((3, 4, 4))
    for shape in ((3, 16), (3, 2, 4, 4), (3, 4, 4, 3), (0, 4, 4)):
        message = rf"\(n, 1, height, width\) or .*, found {re.escape(str(shape))}"
        with pytest.raises(cr.ShapeError, match=message):
            plotting.plot_predictions(np.zeros(shape), [1, 2, 3])
    with pytest.raises(
        cr.ShapeError,
        match=r"predictions to hold a class for each of 3 samples, found shape \(2,\)",
    ):
        plotting.plot_predictions(images, [1, 2])


@pytest.mark.parametrize(
    ("count", "columns", "expected"),
    [(3, 8, [3]), (8, 8, [8]), (10, 8, [5, 5]), (9, 8, [5, 4]), (5, 3, [3, 2]), (2, 1, [1, 1])],
)
def test_a_grid_has_no_empty_columns(count, columns, expected):
    """A grid fills its rows evenly and is only as wide as its longest row."""
    drawn = plotting.plot_predictions(np.zeros((count, 4, 4)), np.zeros(count), columns=columns)
    corners = [image.get_extent()[::3] for image in drawn]
    rows = [
        [left for left, top in corners if top == row] for row in sorted({t for _, t in corners})
    ]
    assert [len(row) for row in rows] == expected
    left, right = drawn[0].axes.get_xlim()
    assert right - left < 1.2 * expected[0]
    width = drawn[0].figure.get_size_inches()[0]
    assert width <= max(1.5, 0.9 * expected[0])


@pytest.mark.parametrize("into", ["a new figure", "given axes"])
def test_long_names_do_not_run_together(into):
    import matplotlib.pyplot as plt

    names = ["a name that is very long", "another name, as long as that"]
    ax = plt.figure(figsize=(5, 3), layout="constrained").add_subplot() if "given" in into else None
    labels = np.asarray([0, 0, 1, 1, 0, 1])
    images = np.zeros((6, 4, 4))
    drawn = plotting.plot_predictions(images, 1 - labels, labels, names=names, columns=3, ax=ax)
    drawn[0].figure.canvas.draw()
    boxes = [text.get_window_extent() for text in drawn[0].axes.texts]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])


def test_weights(library, tmp_path):
    """Each unit gives one image. All images share a colour scale with 0 in the middle."""
    weight = np.random.default_rng(0).normal(size=(6, 9))
    linear = cr.Linear(9, 6, init=cr.initializers.given(weight))
    linear.bind(library.backend, dtype="float64")
    for given in (linear, linear.weight, linear.weight.value, weight.tolist()):
        drawn = plotting.plot_weights(given)
        np.testing.assert_array_equal([i.get_array() for i in drawn], weight.reshape(6, 3, 3))
    largest = abs(weight).max()
    assert {image.get_clim() for image in drawn} == {(-largest, largest)}
    assert plotting.plot_weights(np.full((2, 4), -128, "int8"))[0].get_clim() == (-128, 128)
    middle = drawn[0].cmap(0.5)
    assert min(middle[:3]) > 0.95
    assert middle != drawn[0].cmap(0.0) != drawn[0].cmap(1.0)
    bar = drawn[0].figure.axes[1]
    assert bar.get_ylabel() == "weight"
    drawn[0].figure.savefig(tmp_path / "weights.png")


def test_the_shape_of_weights():
    image = np.arange(12.0).reshape(3, 4)
    (drawn,) = plotting.plot_weights(image.reshape(1, 12), shape=(3, 4))
    np.testing.assert_array_equal(drawn.get_array(), image)
    left, right, bottom, top = drawn.get_extent()
    assert (bottom - top) / (right - left) == 0.75
    drawn = plotting.plot_weights(np.zeros((5, 2, 3, 3)))  # weights like those of a convolution
    assert [image.get_array().shape for image in drawn] == [(3, 3)] * 10
    assert drawn[0].get_clim() == (-1.0, 1.0)
    assert len({image.get_extent()[0] for image in drawn}) == 5  # five columns make two full rows
    ax = plotting.plot_history(history())[0].axes
    assert plotting.plot_weights(np.zeros((2, 4)), columns=1, ax=ax)[1].axes is ax


@pytest.mark.parametrize(
    ("layer", "options", "error", "words"),
    [
        (cr.Linear(12, 3), {}, cr.ShapeError, "square number of inputs, found 12. Pass shape="),
        (cr.Linear(12, 3), {"shape": (5, 2)}, cr.ShapeError, r"5 \* 2 inputs, found 12.$"),
        (np.zeros(9), {}, cr.ShapeError, r"\(units, inputs\), found \(9,\)"),
        (np.zeros((0, 9)), {}, cr.ShapeError, r"\(units, inputs\), found \(0, 9\)"),
        (np.full((1, 4), np.nan), {}, cr.DataError, "finite weights, found NaN"),
        (cr.ReLU(), {}, TypeError, r"a layer with a weight, such as a Linear, found ReLU\(\)"),
        (cr.Linear(4, 3), {"columns": 0}, ValueError, "columns to be at least 1"),
    ],
)
def test_weights_that_are_not_images(layer, options, error, words):
    with pytest.raises(error, match=words):
        plotting.plot_weights(layer, **options)


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "\.\[plot\]" in a clone'):
        plotting.plot_history(history())


def trained(library, outputs, *last):
    """Return a model of two features. Its classes are two half-planes or three sectors."""
    weight = np.asarray([[4.0, 0.0], [-4.0, 4.0], [-4.0, -4.0]][:outputs])
    linear = cr.Linear(2, outputs, init=cr.initializers.given(weight))
    return cr.Sequential(linear, *last, backend=library.backend)


@pytest.mark.parametrize("last", [(), (cr.Sigmoid,)], ids=["logits", "probabilities"])
def test_decision_boundary_of_one_output(last, library, tmp_path):
    x = library.asarray([[-1.0, 0.0], [1.0, 0.5], [2.0, -1.0]])
    model = trained(library, 1, *(kind() for kind in last))
    for y in ([0, 1, 1], [[0], [1], [1]]):
        areas, zeros, ones = plotting.plot_decision_boundary(model, x, library.asarray(y))
    assert (len(zeros.get_offsets()), len(ones.get_offsets())) == (1, 2)
    left, right = areas.get_paths()
    assert abs(left.vertices[:, 0].max()) < 0.05
    assert abs(right.vertices[:, 0].min()) < 0.05
    areas.figure.savefig(tmp_path / "boundary.png")


def test_decision_boundary_of_three_classes(library):
    x = np.asarray([[1.0, 0.0], [-1.0, 1.0], [-1.0, -1.0]])
    drawn = plotting.plot_decision_boundary(trained(library, 3), x, np.asarray([0, 1, 2]))
    assert len(drawn) == 4
    assert drawn[0].axes.get_xlabel() == "feature 1"
    assert (
        plotting.plot_decision_boundary(trained(library, 3), x, [0, 1, 2], ax=drawn[0].axes)[0].axes
        is drawn[0].axes
    )


def test_surface(library, tmp_path):
    surface = plotting.plot_surface(trained(library, 1, cr.Sigmoid()), limits=(-2, 2, -1, 1))
    assert surface.axes.get_zlabel() == "output"
    surface.figure.savefig(tmp_path / "surface.png")
    with pytest.raises(cr.ShapeError, match="one output, found 3"):
        plotting.plot_surface(trained(library, 3))
    with pytest.raises(TypeError, match="three-dimensional"):
        plotting.plot_surface(trained(library, 1), ax=plotting.plot_history(history())[0].axes)


def test_regions_need_a_plane(library):
    model = trained(library, 1)
    with pytest.raises(cr.ShapeError, match=r"\(n, 2\), found \(4, 3\): choose"):
        plotting.plot_decision_boundary(model, np.zeros((4, 3)), [0, 1, 1, 0])
    with pytest.raises(
        cr.ShapeError, match=r"y to hold a class for each of 4 samples, found shape \(3,\)"
    ):
        plotting.plot_decision_boundary(model, np.zeros((4, 2)), [0, 1, 1])


def test_sweep():
    rows = [{"epochs": e, "error": e * lr, "lr": lr} for lr in (0.5, 0.1) for e in (3, 1, 2)]
    low, high = plotting.plot_sweep(rows, x="epochs", y="error", by="lr")
    np.testing.assert_allclose(low.get_xydata(), [[1, 0.1], [2, 0.2], [3, 0.3]])
    assert (low.get_label(), high.get_label()) == ("lr 0.1", "lr 0.5")
    assert (low.axes.get_xlabel(), low.axes.get_ylabel()) == ("epochs", "error")
    assert low.get_color()[:3] != high.get_color()[:3]
    assert sum(low.get_color()[:3]) < sum(high.get_color()[:3])  # they also differ in greyscale
    (line,) = plotting.plot_sweep(rows[:3], x="epochs", y="error")
    assert len(line.get_xdata()) == 3
    with pytest.raises(cr.DataError, match="expected rows to draw, found none"):
        plotting.plot_sweep([], x="epochs", y="error")
    with pytest.raises(cr.DataError, match="row 0: expected 'loss', found epochs, error, lr"):
        plotting.plot_sweep(rows, x="epochs", y="loss")


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([0.001, 0.003, 0.01, 0.03, 0.1], "log"),
        ([8, 32, 128], "log"),
        ([1, 2, 3, 10, 20, 30, 100], "log"),
        (range(1, 61), "linear"),
        ([0.0, 0.001, 0.1], "linear"),
        ([-1.0, 0.001, 0.1], "linear"),
        ([0.0, 0.2, 0.5], "linear"),
        ([0.1, 0.4, 0.9], "linear"),  # the values span less than a factor of 10
        ([1.0, 100.0], "linear"),  # two values show no logarithmic spacing
        (["adam", "sgd", "rmsprop"], "linear"),
        ([1.0, 10.0, np.inf], "linear"),
    ],
)
def test_the_scale_of_a_sweep(values, scale):
    rows = [{"x": value, "y": 1.0} for value in values]
    (line,) = plotting.plot_sweep(rows, x="x", y="y")
    assert line.axes.get_xscale() == scale


CATEGORIES = {
    "None": [None, 1.0, 5.0],
    "bools": [False, True],
    "tuples": [(64,), (64, 64), (128,)],
    "lists": [[64], [64, 64]],
    "arrays": [np.asarray([64]), np.asarray([64, 64])],
    "words": ["adam", "sgd"],
}


@pytest.mark.parametrize("values", CATEGORIES.values(), ids=CATEGORIES)
def test_values_of_a_sweep_that_are_not_numbers_are_categories(values):
    names = [str(value.tolist() if isinstance(value, np.ndarray) else value) for value in values]
    rows = [{"a": value, "error": float(i)} for i, value in enumerate(values)] * 2
    (line,) = plotting.plot_sweep(rows, x="a", y="error")
    assert sorted(set(line.get_xdata())) == list(range(len(values)))
    np.testing.assert_array_equal(line.get_xdata(), line.get_ydata())
    assert [label.get_text() for label in line.axes.get_xticklabels()] == names
    rows = [{**row, "epochs": n} for row in rows for n in (1, 2)]
    lines = plotting.plot_sweep(rows, x="epochs", y="error", by="a")
    assert [line.get_label() for line in lines] == [
        f"a {value:g}" if isinstance(value, float) else f"a {name}"
        for value, name in zip(values, names, strict=True)
    ]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.1, 1e-20], ["1e-20", "0.1"]),
        ([20261128, 20261129], ["20261128", "20261129"]),
        ([0.1, 0.1000001], ["0.1", "0.1000001"]),
    ],
)
def test_the_curves_of_a_sweep_have_different_labels(values, texts):
    rows = [{"epochs": n, "error": 1.0, "seed": value} for value in values for n in (1, 2)]
    lines = plotting.plot_sweep(rows, x="epochs", y="error", by="seed")
    assert [line.get_label() for line in lines] == [f"seed {text}" for text in texts]


def test_the_ticks_of_a_logarithmic_sweep_are_its_values():
    rows = [{"lr": lr, "y": 1.0} for lr in (0.001, 0.01, 0.1)]
    (line,) = plotting.plot_sweep(rows, x="lr", y="y")
    line.figure.canvas.draw()
    labels = [label.get_text() for label in line.axes.get_xticklabels(which="both")]
    assert labels == ["0.001", "0.01", "0.1"]


def test_gradient_norms(library):
    x, y = np.random.default_rng(0).normal(size=(2, 6, 4))
    model = cr.mlp([4, 3, 4], activation="tanh", backend=library.backend, dtype="float64")
    recorder, expected = cr.callbacks.GradientNorms(), []

    class ByHand(cr.Callback):
        def on_step_end(self, trainer):
            expected.append(np.linalg.norm(library.to_numpy(trainer.model[0].weight.grad)))

    trainer = cr.Trainer(model, loss=cr.MSELoss(), optimizer=cr.SGD(0.1))
    trainer.fit(x, y, epochs=2, batch_size=3, callbacks=[recorder, ByHand()], verbose=0)
    assert list(recorder.norms) == ["0.weight", "2.weight"]
    np.testing.assert_allclose(recorder.norms["0.weight"], expected, rtol=1e-12)
    lines = plotting.plot_gradient_norms(recorder.norms)
    np.testing.assert_allclose(lines[0].get_ydata(), expected, rtol=1e-12)
    assert lines[0].axes.get_yscale() == "log"
    with pytest.raises(cr.DataError, match="found none: train first"):
        plotting.plot_gradient_norms(cr.callbacks.GradientNorms().norms)


def test_gradient_norms_of_many_steps():
    """Many steps are drawn as a line of medians in a band from the smallest to the largest norm."""
    norms = np.random.default_rng(0).lognormal(size=2000)
    (line,) = plotting.plot_gradient_norms({"0.weight": norms})
    stretches = norms.reshape(100, 20)
    np.testing.assert_allclose(line.get_ydata(), np.median(stretches, axis=1))
    np.testing.assert_allclose(line.get_xdata(), np.arange(100) * 20 + 10.5)
    (band,) = line.axes.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (norms.min(), norms.max())
    (line,) = plotting.plot_gradient_norms({"0.weight": norms[:200]})
    np.testing.assert_array_equal(line.get_ydata(), norms[:200])
    assert not line.axes.collections


def film(path, **options):
    from matplotlib.figure import Figure

    def draw(figure, trainer):
        figure.add_subplot().set_title(f"{len(trainer.history)} epochs")

    return plotting.Animation(Figure(figsize=(2, 2)), draw, path, **options)


def fit(*callbacks, epochs=4):
    x, y = np.zeros((4, 2)), np.zeros((4, 1))
    trainer = cr.Trainer(cr.mlp([2, 1]), loss=cr.MSELoss(), optimizer=cr.SGD(0.1))
    trainer.fit(x, y, epochs=epochs, callbacks=callbacks, verbose=0)


def test_animation(tmp_path):
    from PIL import Image

    path = tmp_path / "film.gif"
    fit(film(path, every=2))
    with Image.open(path) as image:
        assert image.n_frames == 3  # frames of epochs 0, 2 and 4
    assert [p.name for p in tmp_path.iterdir()] == ["film.gif"]


def test_an_animation_that_is_interrupted(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(film(tmp_path / "film.gif"), Breaks(step=3))
    assert [p.name for p in tmp_path.iterdir()] == ["film.gif"]


def test_a_failed_drawing_keeps_the_old_animation(tmp_path):
    path = tmp_path / "film.gif"
    path.write_bytes(b"the old one")
    for fails_at in (0, 2):
        animation = film(path)

        def draw(figure, trainer, fails_at=fails_at):
            if len(trainer.history) == fails_at:
                raise RuntimeError("cannot draw")

        animation.draw = draw
        with pytest.raises(RuntimeError, match="cannot draw"):
            fit(animation)
        assert [p.name for p in tmp_path.iterdir()] == ["film.gif"]
        assert path.read_bytes() == b"the old one"


def test_classes_that_are_not_numbered_from_zero(library):
    with pytest.raises(cr.DataError, match="expected classes from 0 to 1, found -1 to 1"):
        plotting.plot_decision_boundary(trained(library, 1), np.eye(2), [-1, 1])


def test_bad_animations(tmp_path, monkeypatch):
    from matplotlib.animation import FFMpegWriter

    with pytest.raises(ValueError, match=r"ends in \.gif or \.mp4, found 'film.avi'"):
        film("film.avi")
    with pytest.raises(ValueError, match="at least 1"):
        film(tmp_path / "film.gif", every=0)
    with pytest.raises(FileNotFoundError):
        fit(film(tmp_path / "nowhere" / "film.gif"))
    monkeypatch.setattr(FFMpegWriter, "isAvailable", classmethod(lambda cls: False))
    with pytest.raises(RuntimeError, match="needs the program ffmpeg"):
        film("film.mp4")


def test_save_or_show(tmp_path):
    figure = plotting.plot_history(history())[0].figure
    plotting.save_or_show(figure, tmp_path / "picture.svg")
    assert b"<svg" in (tmp_path / "picture.svg").read_bytes()
    with pytest.raises(FileNotFoundError, match="its folder does not exist"):
        plotting.save_or_show(figure, tmp_path / "nowhere" / "picture.png")
    with pytest.raises(RuntimeError, match="no display .*: pass a file"):
        plotting.save_or_show(figure)


@pytest.fixture(autouse=True)
def _close():
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")
    before = dict(plt.rcParams)
    yield
    plt.close("all")
    assert dict(plt.rcParams) == before


def test_outputs_that_are_not_classes(library):
    images, labels = np.zeros((3, 4, 4)), library.asarray([0, 1, 2])
    outputs = library.asarray(np.eye(3))
    for given in ((outputs, labels), (labels, outputs)):
        with pytest.raises(
            cr.ShapeError, match=r"3 samples, found shape \(3, 3\): .*argmax\(axis=1\)"
        ):
            plotting.plot_predictions(images, *given)
    with pytest.raises(cr.DataError, match="expected labels to be class numbers, found 0.5"):
        plotting.plot_predictions(images, labels, [0.0, 0.5, 1.0])
    with pytest.raises(cr.DataError, match="expected classes from 0 to 1, found 0 to 2"):
        plotting.plot_predictions(images, labels, names=["a", "b"])
    model, points = trained(library, 3), np.zeros((3, 2))
    with pytest.raises(
        cr.ShapeError, match=r"class for each of 3 samples, found shape \(3, 3\): .*argmax"
    ):
        plotting.plot_decision_boundary(model, points, outputs)
    with pytest.raises(cr.DataError, match="expected y to be class numbers"):
        plotting.plot_decision_boundary(model, points, [0.0, 0.5, 1.0])


def test_models_that_do_not_fit_a_plane(library):
    model = cr.Sequential(cr.Linear(3, 1), backend=library.backend)
    for draw in (plotting.plot_surface, lambda m: plotting.plot_decision_boundary(m, X, [0, 1])):
        with pytest.raises(cr.ShapeError, match=r"model with two features: .*\(batch, 3\), found"):
            draw(model)
        with pytest.raises(cr.ShapeError, match=r"found shape .* from Labels; .*its model_"):
            draw(Labels())


X = np.asarray([[0.0, 1.0], [1.0, 0.0]])


class Labels:
    """A model whose `predict` returns labels, like an estimator."""

    def predict(self, x):
        return x[:, 0] > 0


def test_arguments_of_the_wrong_type():
    for draw, wrong, message in (
        (plotting.plot_history, {"loss": [1.0]}, "expected a History .*history, found dict"),
        (plotting.plot_history, [1.0], "expected a History .*history, found list"),
        (
            plotting.plot_gradient_norms,
            cr.callbacks.GradientNorms(),
            r"recorder\.norms, found Grad",
        ),
        (
            lambda rows: plotting.plot_sweep(rows, x="a", y="b"),
            {"a": [1]},
            "list of dicts, found d",
        ),
        (lambda rows: plotting.plot_sweep(rows, x="a", y="b"), [[1, 2]], "list of dicts, found li"),
        (plotting.save_or_show, plotting.plot_history(history()), r"drawn\[0\]\.figure is the fig"),
    ):
        with pytest.raises(TypeError, match=message):
            draw(wrong)
