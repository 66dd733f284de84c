"""Scores and times of `chainrule.estimators`, compared with scikit-learn's for several seeds.

``python -m benchmarks.estimators`` trains the multilayer perceptrons of scikit-learn and of this
package with the same parameters, on the digits and on generated data that resembles the California
housing data. Each seed gives a different split and different weights. The time includes training
and the predictions for the test data. Set ``OMP_NUM_THREADS=1``, because in small matrix products,
threads spend their time waiting for each other.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import neural_network
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from chainrule import estimators

from .libraries import hide_numba
from .machine import header, machine, versions
from .text import number, rows

Data = tuple[np.ndarray, np.ndarray]
LIBRARIES: dict[str, Any] = {"scikit-learn": neural_network, "chainrule": estimators}


def digits() -> Data:
    """Return 1,797 images of 8 x 8 pixels and their labels."""
    data: Data = load_digits(return_X_y=True)
    return data


def housing(samples: int = 20640, seed: int = 0) -> Data:
    """Generate eight features and a price, with distributions like those of the 1990 census.

    Incomes and room counts are lognormal, and places lie in two clusters. Prices rise with
    income, and fall with the distance to the coast and the number of people per house. Prices are
    noisy and cut off at 5, as in the census.
    """
    rng = np.random.default_rng(seed)
    income = np.exp(rng.normal(1.2, 0.45, samples))
    age = rng.integers(1, 53, samples).astype(float)
    rooms = 2.0 + income**0.7 * np.exp(rng.normal(0.0, 0.2, samples))
    bedrooms = 1.0 + np.abs(rng.normal(0.0, 0.15, samples))
    population = np.exp(rng.normal(7.0, 0.7, samples))
    people = 1.5 + np.exp(rng.normal(0.3, 0.35, samples))
    north = rng.random(samples) < 0.4
    latitude = np.where(north, 37.8, 34.0) + rng.normal(0.0, 0.6, samples)
    longitude = np.where(north, -122.0, -118.0) + rng.normal(0.0, 0.7, samples)
    coast = longitude + 0.9 * (latitude - 34.0) + 118.5
    price = 0.45 * income + 1.2 / (1.0 + np.exp(2.0 * coast)) - 0.35 * people
    price += 0.3 * np.sin(2.0 * latitude) * north + 0.006 * age * np.exp(-0.5 * coast**2) + 1.1
    price *= np.exp(rng.normal(0.0, 0.2, samples))
    columns = (income, age, rooms, bedrooms, population, people, latitude, longitude)
    return np.stack(columns, axis=1), np.clip(price, 0.15, 5.0)


TASKS: dict[str, tuple[Callable[[], Data], str, dict[str, Any]]] = {
    "digits": (digits, "MLPClassifier", {}),
    "housing": (housing, "MLPRegressor", {}),
}


def run(make: Any, data: tuple[np.ndarray, ...], seed: int, options: Any) -> tuple[float, float]:
    """Return the seconds to train and to predict the test data, and the test score."""
    x_train, x_test, y_train, y_test = data
    model = make(random_state=seed, **options)
    start = time.perf_counter()
    model.fit(x_train, y_train)
    model.predict(x_test)
    seconds = time.perf_counter() - start
    return seconds, model.score(x_test, y_test)


def measure(name: str, seeds: int) -> dict[str, dict[str, list[float]]]:
    """Return the seconds and the scores of each library, one of each per seed."""
    load, estimator, options = TASKS[name]
    x, y = load()
    found: dict[str, dict[str, list[float]]] = {k: {"seconds": [], "scores": []} for k in LIBRARIES}
    for seed in range(seeds):
        data = list(train_test_split(x, y, test_size=0.25, random_state=seed))
        scaler = StandardScaler().fit(data[0])
        data[:2] = map(scaler.transform, data[:2])
        names = list(LIBRARIES)[:: 1 if seed % 2 else -1]
        for library in names:
            make = getattr(LIBRARIES[library], estimator)
            if seed == 0:
                run(make, tuple(part[:500] for part in data), seed, {"max_iter": 2})
            seconds, score = run(make, tuple(data), seed, options)
            found[library]["seconds"].append(seconds)
            found[library]["scores"].append(score)
    return found


def table(results: dict[str, Any]) -> str:
    """Return a table of scores with standard deviations, and times relative to scikit-learn's."""
    lines = []
    for task, found in results.items():
        reference = np.asarray(found["scikit-learn"]["seconds"])
        for library, of in found.items():
            seconds, scores = np.asarray(of["seconds"]), np.asarray(of["scores"])
            low, middle, high = np.quantile(seconds / reference, (0.25, 0.5, 0.75))
            lines.append((
                task, library, f"{scores.mean():.4f} ± {scores.std(ddof=1):.4f}",
                f"{number(np.median(seconds))} s", f"{seconds.sum() / reference.sum():.0%}",
                f"{middle:.0%} ({low:.0%} to {high:.0%})",
            ))  # fmt: skip
    head = ("data", "library", "score", "time of one", "of scikit-learn's total", "seed by seed")
    return rows(head, lines)


def main() -> None:
    """Run the measurements, print the tables and write the files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=[*TASKS])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--plain", action="store_true", help="without the extra fast")
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args()
    if options.plain:
        hide_numba()
    warnings.simplefilter("ignore", ConvergenceWarning)
    results: dict[str, Any] = {"machine": machine(), "versions": versions()}
    print(header(results))
    results["estimators"] = {name: measure(name, options.seeds) for name in options.tasks}
    print(table(results["estimators"]))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
