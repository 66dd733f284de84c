"""Compare schedules with PyTorch's schedulers, step by step."""

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from chainrule import schedules

STEPS = 300
BASE = 0.3


def sequential(optimizer, start_factor, steps, make):
    first = lr_scheduler.LinearLR(optimizer, start_factor, total_iters=steps)
    return lr_scheduler.SequentialLR(optimizer, [first, make(optimizer)], milestones=[steps])


# Each row: our schedule, PyTorch's schedule, and the number of steps after which the comparison
# ends.
PAIRS = {
    "StepLR": (
        schedules.step_decay(BASE, step_size=30, gamma=0.4),
        lambda o: lr_scheduler.StepLR(o, 30, gamma=0.4),
        STEPS,
    ),
    "ExponentialLR": (
        schedules.exponential(BASE, gamma=0.97),
        lambda o: lr_scheduler.ExponentialLR(o, 0.97),
        STEPS,
    ),
    "PolynomialLR": (
        schedules.polynomial(BASE, steps=200, power=0.9),
        lambda o: lr_scheduler.PolynomialLR(o, 200, power=0.9),
        STEPS,
    ),
    "CosineAnnealingLR": (
        schedules.cosine(BASE, steps=250, end=0.01),
        lambda o: lr_scheduler.CosineAnnealingLR(o, 250, eta_min=0.01),
        251,  # after the last of these steps, PyTorch's rate rises again
    ),
    "CosineAnnealingWarmRestarts": (
        schedules.cosine_restarts(BASE, steps=35),
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 35),
        STEPS,
    ),
    "CosineAnnealingWarmRestarts, longer": (
        schedules.cosine_restarts(BASE, steps=7, end=0.01, factor=3),
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 7, T_mult=3, eta_min=0.01),
        STEPS,
    ),
    "OneCycleLR": (
        schedules.one_cycle(BASE, steps=STEPS),
        lambda o: lr_scheduler.OneCycleLR(o, BASE, STEPS),
        STEPS,
    ),
    "OneCycleLR, linear": (
        schedules.one_cycle(
            BASE, 299, pct_start=0.45, anneal_strategy="linear", div_factor=10, final_div_factor=50
        ),
        lambda o: lr_scheduler.OneCycleLR(
            o, BASE, 299, pct_start=0.45, anneal_strategy="linear", div_factor=10.0,
            final_div_factor=50.0,
        ),
        299,  # PyTorch's scheduler refuses further steps
    ),
    "LinearLR": (
        schedules.warmup(40, BASE, start=BASE / 3),
        lambda o: lr_scheduler.LinearLR(o, 1 / 3, total_iters=40),
        STEPS,
    ),
    "LinearLR, then ExponentialLR": (
        schedules.warmup(40, schedules.exponential(BASE, 0.98), start=0.1 * BASE),
        lambda o: sequential(o, 0.1, 40, lambda o: lr_scheduler.ExponentialLR(o, 0.98)),
        STEPS,
    ),
    "LinearLR, then CosineAnnealingLR": (
        schedules.warmup(25, schedules.cosine(BASE, 275, end=1e-3), start=0.01 * BASE),
        lambda o: sequential(
            o, 0.01, 25, lambda o: lr_scheduler.CosineAnnealingLR(o, 275, eta_min=1e-3)
        ),
        STEPS,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("ours", "theirs", "steps"), PAIRS.values(), ids=PAIRS)
def test_the_rates_are_the_same(ours, theirs, steps):
    optimizer = torch.optim.SGD([torch.zeros(1)], BASE, momentum=0.9)
    scheduler = theirs(optimizer)
    expected = []
    for step in range(steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < steps - 1:
            scheduler.step()
    found = [ours(step) for step in range(steps)]
    # PyTorch computes each rate from the previous rate, so rounding errors add up.
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
