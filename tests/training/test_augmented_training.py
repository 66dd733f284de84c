"""Train with each augmentation: on every library, in parts, and after an interruption."""

import numpy as np
import pytest
from helpers import Breaks, resumed, vectors
from table import AUGMENTATIONS

import chainrule as cr

rng = np.random.default_rng(0)
X, Y = rng.random((30, 1, 5, 4)).astype("float32"), rng.integers(0, 3, 30)
every = pytest.mark.parametrize("name", AUGMENTATIONS)


def trainer_of(backend):
    layers = cr.Flatten(), cr.Linear(20, 3)
    model = cr.Sequential(*layers, backend=backend, dtype="float64")
    return cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(0.05, momentum=0.9))


def fit(trainer, name, **options):
    options = {"epochs": 3, "batch_size": 8, "verbose": 0, **options}
    return trainer.fit(X, Y, augment=AUGMENTATIONS[name], **options)


@every
def test_exact_resume(name, library, tmp_path):
    path = tmp_path / "training.safetensors"
    whole, stopped = (trainer_of(library.backend) for _ in range(2))
    fit(whole, name)
    with pytest.raises(KeyboardInterrupt):
        fit(stopped, name, callbacks=[Breaks(step=6)])
    stopped.listeners.clear()
    stopped.save(path)
    again = resumed(path, library)
    fit(again, name, resume=True)
    for ours, theirs in zip(vectors(again, library), vectors(whole, library), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert again.history.step_losses == whole.history.step_losses


@every
def test_the_losses_are_the_same_on_every_library_and_in_parts(name, library):
    expected = fit(trainer_of("numpy"), name).step_losses
    found = fit(trainer_of(library.backend), name, micro_batches=2).step_losses
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    plain = trainer_of("numpy").fit(X, Y, epochs=3, batch_size=8, verbose=0).step_losses
    assert not np.allclose(plain, expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("augment", "found"),
    [
        (cr.augmentation.RandomFlip, r".*: did you mean RandomFlip\(\)\?"),
        ([AUGMENTATIONS["flip"]], r"\[RandomFlip.*: use Compose\(\*augmentations\) for several"),
        (3, "3$"),
    ],
    ids=["class", "list", "number"],
)
def test_anything_but_an_augmentation_is_an_error(augment, found):
    trainer = trainer_of("numpy")
    with pytest.raises(TypeError, match=rf"augmentation such as RandomFlip\(\), found {found}"):
        trainer.fit(X, Y, augment=augment, verbose=0)
    assert trainer.optimizer.steps == 0


@pytest.mark.parametrize("micro_batches", [1, 4])
@pytest.mark.parametrize(
    ("augment", "error"),
    [
        (
            lambda x, rng: x[:5],
            r"augment: expected 8 samples as in the inputs, found .*\(5, 1, 5, 4",
        ),
        (
            lambda x, rng: x[:0],
            r"augment: expected 8 samples as in the inputs, found .*\(0, 1, 5, 4",
        ),
        (lambda x, rng: x[[*range(8)] * 2], "expected 8 samples as in the inputs, found .*16, 1"),
        (
            lambda x, rng: x[0, 0, 0, 0],
            r"expected 8 samples as in the inputs, found an array of shape \(\)",
        ),
        (lambda x, rng: None, r"augment: .* form as <ndarray of shape \(8, 1, 5, 4\)>, found None"),
        (lambda x, rng: x.tolist(), r"form as <ndarray of shape \(8, 1, 5, 4\)>, found \["),
        (lambda x, rng: (x, x), r"form as <ndarray of shape \(8, 1, 5, 4\)>, found \(<ndarray"),
    ],
    ids=["fewer", "none", "more", "number", "None", "list", "tuple"],
)
def test_the_result_has_the_form_of_the_inputs(augment, error, micro_batches):
    trainer = trainer_of("numpy")
    options = {"batch_size": 8, "micro_batches": micro_batches, "verbose": 0}
    with pytest.raises((TypeError, cr.ShapeError), match=error):
        trainer.fit(X, Y, augment=augment, **options)
    assert trainer.optimizer.steps == 0


@pytest.mark.parametrize(
    ("augment", "error"),
    [
        (lambda x, rng: (x[0], x[1], x[1]), r"form as \(<nd.*, found \(.*, .*, <ndarray"),
        (lambda x, rng: list(x), r"form as \(<ndarray.*\), found \[<ndarray"),
        (lambda x, rng: (x[0], None), r"form as \(<ndarray.*\), found \(<ndarray.*, None\)"),
        (lambda x, rng: {"a": x[0], "b": x[1]}, r"form as \(<ndarray.*\), found {'a': <ndarray"),
        (lambda x, rng: (x[0], x[1][:3]), r"augment\[1\]: expected 4 samples .*\(3, 2\)"),
    ],
    ids=["three", "list", "None", "dict", "fewer"],
)
def test_the_result_has_the_form_of_several_inputs(augment, error):
    model = cr.Sequential(First(), cr.Linear(2, 3))
    trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(0.05))
    x = np.ones((4, 2), "float32"), np.ones((4, 2), "float32")
    with pytest.raises((TypeError, cr.ShapeError), match=error):
        trainer.fit(x, Y[:4], augment=augment, verbose=0)


class First(cr.Layer):
    """A layer that returns the first of two inputs."""

    def forward(self, x, *, training=False):
        return x[0], lambda dy: (dy, self.xp.zeros_like(x[1]))


def test_augmented_inputs_that_are_not_finite(library):
    with pytest.raises(
        cr.DivergenceError, match="first appeared in the inputs of this step .after"
    ):
        trainer_of(library.backend).fit(X, Y, augment=lambda x, rng: x * float("nan"), verbose=0)


def test_a_mistake_in_the_first_step_does_not_count_as_an_epoch(library):
    once, twice = (trainer_of(library.backend) for _ in range(2))
    fit(once, "flip")
    for augment in (cr.augmentation.RandomCrop(99), lambda x, rng: None):
        with pytest.raises((cr.ShapeError, TypeError), match="expected"):
            twice.fit(X, Y, augment=augment, batch_size=8, verbose=0)
    fit(twice, "flip")
    assert twice.history.step_losses == once.history.step_losses


def test_an_augmentation_that_writes_leaves_the_users_batches_alone(library):
    def writes(images, rng):
        images += 1.0
        return images

    x, losses = X.copy(), []
    for augment in (writes, lambda images, rng: images + 1.0):
        history = trainer_of(library.backend).fit([(x, Y)], augment=augment, epochs=3, verbose=0)
        losses.append(history["loss"])
        np.testing.assert_array_equal(x, X)
    assert losses[0] == losses[1]
