"""Micro-batches make the same step as the whole batch."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr


def of_classes(**options):
    return cr.CrossEntropyLoss(weight=[1.0, 0.0, 2.5], **options)


def smoothed(**options):
    return cr.CrossEntropyLoss(weight=[1.0, 0.0, 2.5], label_smoothing=0.1, **options)


def without_class_0(**options):
    return cr.CrossEntropyLoss(ignore_index=0, **options)


LOSSES = {
    "regression": st.sampled_from([cr.MSELoss, cr.L1Loss, cr.HuberLoss]),
    "binary": st.just(cr.BCEWithLogitsLoss),
    "classes": st.sampled_from([cr.CrossEntropyLoss, of_classes, smoothed, without_class_0]),
}


@st.composite
def trainings(draw):
    """Draw a function that trains with micro-batches and returns the losses and weights."""
    samples, seed = draw(st.integers(1, 30)), draw(st.integers(0, 2**32))
    rng = np.random.default_rng(seed)
    x, numbers = rng.normal(size=(samples, 4)), rng.normal(size=(samples, 3))
    task = draw(st.sampled_from(sorted(LOSSES)))
    y = {
        "regression": numbers,
        "binary": (numbers > 0).astype(float),
        "classes": rng.integers(0, 3, samples),
    }[task]
    loss, reduction = draw(LOSSES[task]), draw(st.sampled_from(["mean", "sum"]))
    weight = None
    if draw(st.booleans()):
        weight = rng.integers(0, 3, samples) * rng.random(samples)
        weight[0] = 1.0  # weights that are all 0 are refused
    options = {
        "batch_size": draw(st.integers(1, samples)),
        "drop_last": draw(st.booleans()),
        "sample_weight": weight,
    }

    def train(micro_batches):
        model = cr.mlp([4, 5, 3], activation="tanh", dtype="float64", seed=seed)
        optimizer = cr.SGD(0.01, momentum=0.5, weight_decay=0.01)
        trainer = cr.Trainer(model, loss=loss(reduction=reduction), optimizer=optimizer)
        trainer.fit(x, y, epochs=2, micro_batches=micro_batches, verbose=0, **options)
        history = trainer.history
        return history.step_losses, history["loss"], [p.value for p in model.parameters()]

    return train


@given(trainings(), st.integers(2, 40))
def test_micro_batches_make_the_same_step(train, micro_batches):
    for found, expected in zip(train(micro_batches), train(1), strict=True):
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
