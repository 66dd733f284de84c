"""Compare callbacks with their counterparts in PyTorch."""

import math

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import chainrule as cr
from chainrule.callbacks import ExponentialMovingAverage, LambdaCallback, ReduceOnPlateau

RNG = np.random.default_rng(0)
EPOCHS = 120
X, Y = RNG.normal(size=(2, 6, 3))

# Losses that fall and then stay constant, random losses, and a few losses that are NaN.
FALLING = np.exp(-np.arange(EPOCHS) / 15.0).round(2) + 0.005 * RNG.normal(size=EPOCHS)
NOISE = RNG.normal(size=EPOCHS)
BROKEN = np.where(np.arange(EPOCHS) % 5 == 0, math.nan, np.where(NOISE > 1, math.inf, NOISE))


def trainer():
    model = cr.mlp([3, 4, 3], activation="tanh", dtype="float64", seed=1)
    return cr.Trainer(model, loss=cr.MSELoss(), optimizer=cr.SGD(0.1))


@pytest.mark.parametrize("values", [FALLING, NOISE, BROKEN], ids=["falling", "noise", "broken"])
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"patience": 0, "factor": 0.9},
        {"patience": 2, "cooldown": 3, "factor": 0.5},
        {"patience": 1, "cooldown": 1, "factor": 0.3, "min_delta": 0.02, "min_lr": 1e-3},
    ],
    ids=repr,
)
def test_the_rates_of_reduce_on_plateau(options, mode, values):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
    theirs = {k: v for k, v in options.items() if k != "min_delta"}
    threshold = options.get("min_delta", 0.0)
    scheduler = ReduceLROnPlateau(
        optimizer, mode, threshold=threshold, threshold_mode="abs", eps=0.0, **theirs
    )
    expected, found = [], []
    for value in values:
        scheduler.step(float(value))
        expected.append(optimizer.param_groups[0]["lr"])

    def write(trainer):
        trainer.history.epochs[-1]["score"] = float(values[trainer.epoch - 1])

    listeners = [
        LambdaCallback(on_epoch_end=write),
        ReduceOnPlateau("score", mode=mode, **options),
        LambdaCallback(on_epoch_end=lambda trainer: found.append(trainer.optimizer.lr)),
    ]
    trainer().fit(X, Y, epochs=EPOCHS, callbacks=listeners, verbose=0)
    assert found == expected
    assert min(found) < 0.1


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.999])
def test_the_moving_average(decay):
    """The average equals PyTorch's average, which first receives the initial weights."""
    one = trainer()
    weights = torch.nn.Parameter(torch.tensor(one.model.state.values))
    holder = torch.nn.ParameterList([weights])
    averaged = AveragedModel(holder, multi_avg_fn=get_ema_multi_avg_fn(decay))
    averaged.update_parameters(holder)

    def show(trainer):
        with torch.no_grad():
            weights.copy_(torch.tensor(trainer.model.state.values))
        averaged.update_parameters(holder)

    average = ExponentialMovingAverage(decay)
    listeners = [average, LambdaCallback(on_step_end=show)]
    one.fit(X, Y, epochs=30, batch_size=2, callbacks=listeners, verbose=0)
    (expected,) = averaged.parameters()
    np.testing.assert_allclose(average.average, expected.detach().numpy(), rtol=1e-12, atol=1e-15)
