"""The models of docs/several_inputs.md, with data for each."""

import contextlib
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import chainrule as cr

PAGE = Path(__file__).parents[1] / "docs" / "several_inputs.md"


def run_the_page(folder):
    """Run all code of the page in `folder`, and return its variables."""
    code = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    names = {}
    with contextlib.chdir(folder):
        exec("\n".join(code), names)
    return names


class Case(NamedTuple):
    model: cr.Sequential
    loss: cr.Loss
    x: Any
    y: Any
    shapes: Any
    dtypes: Any = None


def cases(names):
    """Return a `Case` for each model of the page."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(60, 6)), rng.normal(size=(60, 3))
    left, right = rng.normal(size=(60, 8)), rng.normal(size=(60, 8))
    images = rng.integers(0, 256, size=(60, 1, 8, 8)).astype("uint8")
    users, items = rng.integers(0, 20, size=60), rng.integers(0, 15, size=60)
    x, labels = rng.normal(size=(60, 12)), rng.integers(0, 3, size=60)
    apart = (np.sum((left - right) ** 2, axis=1, keepdims=True) > 16).astype(float)
    score = np.sin(users + 0.5 * items)[:, None]
    classes = cr.CrossEntropyLoss()
    return {
        "two_branches": Case(
            names["two_branches"], classes, (a, b), (a[:, 0] > b[:, 0]).astype(int), ((6,), (3,))
        ),
        "siamese": Case(
            names["siamese"], cr.BCEWithLogitsLoss(), (left, right), apart, ((8,), (8,))
        ),
        "image_and_table": Case(
            names["image_and_table"],
            classes,
            {"image": images, "table": b},
            (images.mean(axis=(1, 2, 3)) > 127).astype(int),
            {"image": (1, 8, 8), "table": (3,)},
            {"image": "uint8", "table": "float32"},
        ),
        "recommender": Case(names["recommender"], cr.MSELoss(), (users, items), score, ((), ())),
        "two_heads": Case(names["two_heads"], names["RestoreAndClassify"](), x, (x, labels), (12,)),
    }


MODELS = ("two_branches", "siamese", "image_and_table", "recommender", "two_heads")
