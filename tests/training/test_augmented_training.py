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
def test_other_things_than_augmentations_are_an_error(augment, found):
    trainer = trainer_of("numpy")
    with pytest.raises(TypeError, match=rf"augmentation such as RandomFlip\(\), found {found}"):
        trainer.fit(X, Y, augment=augment, verbose=0)
    assert trainer.optimizer.steps == 0
