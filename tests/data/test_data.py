"""Batches contain every sample once, in a new order in each pass. Invalid data is refused."""

import numpy as np
import pytest

import chainrule as cr


def test_each_sample_once_and_rows_stay_together(library):
    x, y = np.arange(20.0).reshape(10, 2), np.arange(10)
    batches = cr.minibatches(x, y, batch_size=4, seed=1, backend=library.backend)
    assert len(batches) == 3
    orders = []
    for _ in range(2):
        seen = [(library.to_numpy(a), library.to_numpy(b)) for a, b in batches]
        assert [len(b) for _, b in seen] == [4, 4, 2]
        for a, b in seen:
            np.testing.assert_array_equal(a[:, 0], 2 * b)
        orders.append(np.concatenate([b for _, b in seen]).tolist())
        assert sorted(orders[-1]) == list(range(10))
    assert orders[0] != orders[1]
    again = cr.minibatches(y, batch_size=4, seed=1)
    assert np.concatenate([b for (b,) in again]).tolist() == orders[0]


def test_a_generator_continues(library):
    rng = np.random.default_rng(3)
    first = cr.minibatches(np.arange(9), batch_size=9, seed=rng, backend=library.backend)
    second = cr.minibatches(np.arange(9), batch_size=9, seed=rng, backend=library.backend)
    expected = np.random.default_rng(3)
    for batches in (first, second, first):
        ((batch,),) = list(batches)
        np.testing.assert_array_equal(library.to_numpy(batch), expected.permutation(9))


def test_in_order_and_without_the_rest(library):
    batches = cr.minibatches(
        np.arange(7), batch_size=3, shuffle=False, drop_last=True, backend=library.backend
    )
    assert [library.to_numpy(b).tolist() for (b,) in batches] == [[0, 1, 2], [3, 4, 5]]
    assert len(batches) == 2


def test_integers_stay_and_floats_are_converted(library):
    x = np.arange(8, dtype=np.uint8).reshape(4, 2)
    batches = cr.minibatches(x, np.ones(4), batch_size=2, backend=library.backend, dtype="float32")
    for image, target in batches:
        assert image.dtype == library.backend.xp.uint8
        assert target.dtype == library.backend.xp.float32


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_batch_is_a_copy(shuffle, library):
    x = library.asarray(np.arange(6.0))
    for (batch,) in cr.minibatches(x, batch_size=6, shuffle=shuffle, backend=library.backend):
        batch[...] = 0.0
    assert library.to_numpy(x).tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize("shuffle", [True, False])
def test_an_augmentation_that_writes_leaves_the_data_alone(shuffle, library):
    def darken(images, rng):
        images *= 0.5
        return images

    x = library.asarray(np.ones((4, 3)), dtype=library.backend.xp.float32)
    model = cr.Sequential(cr.Linear(3, 2), backend=library.backend)
    trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(0.1))
    trainer.fit(x, [0, 1, 0, 1], shuffle=shuffle, augment=darken, verbose=0)
    assert (library.to_numpy(x) == 1.0).all()


BAD = {
    "NaN": (
        [[1.0], [np.nan], [2.0], [np.inf]],
        "infinity or .* in 2 of 4 samples, .* sample 1",
    ),
    "NaN in a vector": ([1.0, 2.0, 3.0, np.nan], "in 1 of 4 samples, first in sample 3"),
    "too large for float32": ([1.0, 2.0, 3.0, 1e300], "first in sample 3"),
    "empty": (np.zeros((0, 3)), r"expected samples, found an array of shape \(0, 3\)"),
    "no features": (np.zeros((4, 0)), r"expected samples, found an array of shape \(4, 0\)"),
    "a number": (3.0, r"expected samples, found an array of shape \(\)"),
    "objects": (np.asarray([{}] * 4), "expected an array of real numbers, found dtype object"),
    "words": (["a"] * 4, "expected an array of real numbers"),
    "ragged": ([[1.0], [1.0, 2.0]], "expected an array of numbers, found list"),
}


@pytest.mark.parametrize(("x", "message"), BAD.values(), ids=BAD)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_bad_data(x, message, library):
    with pytest.raises(cr.DataError, match=f"^x: .*{message}"):
        cr.minibatches(x, batch_size=1, backend=library.backend, dtype="float32")
    with pytest.raises(cr.DataError, match="^y: "):
        cr.minibatches(np.ones(4), x, batch_size=1, backend=library.backend, dtype="float32")


def test_lengths_differ(library):
    with pytest.raises(cr.ShapeError, match="found 3 in x, 4 in y"):
        cr.minibatches(np.ones(3), np.ones(4), batch_size=1, backend=library.backend)


@pytest.mark.parametrize(
    ("batch_size", "words"),
    [
        (0, "at least 1, found 0"),
        (-1, "at least 1, found -1"),
        (5, "4 .the number of samples., found 5"),
    ],
)
def test_bad_batch_sizes(batch_size, words):
    with pytest.raises(ValueError, match=words):
        cr.minibatches(np.ones(4), batch_size=batch_size)


def test_no_data_at_all():
    with pytest.raises(TypeError, match="at least one array"):
        cr.minibatches(batch_size=1)
