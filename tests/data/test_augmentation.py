"""Augmentation shifts whole images, differs in each step, and works on every library."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.data.augmentation import RandomShift


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_shifts_move_whole_images(library, dtype, channels):
    images = np.random.default_rng(0).integers(1, 256, (50, *channels, 6, 5)).astype(dtype)
    found = library.to_numpy(RandomShift(2)(library.asarray(images), np.random.default_rng(3)))
    assert (found.dtype, found.shape) == (images.dtype, images.shape)
    seen, kept = set(), [(0, 0)] * (1 + len(channels))
    for image, moved in zip(np.pad(images, (*kept, (2, 2), (2, 2))), found, strict=True):
        corners = [
            (i, j)
            for i in range(5)
            for j in range(5)
            if np.array_equal(image[..., i : i + 6, j : j + 5], moved)
        ]
        assert len(corners) == 1
        seen.add(corners[0])
    assert len(seen) > 15


def test_no_shift_and_arrays_that_are_not_images(library):
    images = library.asarray(np.arange(12.0).reshape(2, 3, 2))
    same = library.to_numpy(RandomShift(0)(images, np.random.default_rng(0)))
    np.testing.assert_array_equal(same, library.to_numpy(images))
    for shape in ((4, 9), (4, 1, 2, 3, 3)):
        with pytest.raises(cr.ShapeError, match=rf"\(batch, height, .*, found \({shape[0]}, .*"):
            RandomShift(1)(library.asarray(np.ones(shape)), np.random.default_rng(0))
    for bad in (-1, 1.5, True):
        with pytest.raises((ValueError, TypeError), match="expected pixels to be"):
            RandomShift(bad)


def test_each_step_has_its_own_randomness(library):
    x, y = np.ones((20, 3), "float32"), np.arange(20) % 2
    drawn = []

    def augment(x, rng):
        drawn.append(rng.random())
        return x * 2.0

    for epochs in (2, 1):
        model = cr.Sequential(cr.Linear(3, 2), backend=library.backend)
        trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(0.0))
        history = trainer.fit(x, y, epochs=epochs, batch_size=10, augment=augment, verbose=0)
    assert len(set(drawn)) == 4
    assert drawn[:2] == drawn[4:]
    expected = trainer.evaluate(2.0 * x, y)["loss"]
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)
