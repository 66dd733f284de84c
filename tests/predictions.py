"""Outputs and targets for the tests of metrics."""

import numpy as np

RNG = np.random.default_rng(0)
SAMPLES, CLASSES = 60, 5

# Classes 3 and 4 are never predicted, and class 4 is never a target.
LOGITS = RNG.normal(size=(SAMPLES, CLASSES)) - np.asarray([0.0, 0.0, 0.0, 9.0, 9.0])
LABELS = RNG.choice(4, p=[0.4, 0.3, 0.2, 0.1], size=SAMPLES)
ROWS = np.eye(CLASSES)[LABELS]
ONE, ZERO_ONE = RNG.normal(size=SAMPLES), RNG.integers(0, 2, SAMPLES)
TARGETS = RNG.normal(size=(SAMPLES, 3)) * [1.0, 10.0, 0.1] + [0.0, 100.0, -3.0]
PREDICTED = TARGETS + RNG.normal(size=(SAMPLES, 3)) * [0.5, 20.0, 0.01]
