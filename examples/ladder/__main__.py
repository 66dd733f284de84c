"""The command line of the accuracy ladder."""

import argparse
import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import chainrule as cr

from .results import add, draw, percentages, read, table, write_table
from .rungs import RUNGS
from .training import measure, processor

CHOICES = {"epochs": int, "batch_size": int, "lr": float, "weight_decay": float}


def main(arguments=None):
    """Measure a rung, or show all measurements."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.ladder", description="Repeat published results on MNIST."
    )
    parser.add_argument("--rung", choices=RUNGS, help="the network to train")
    parser.add_argument(
        "--seeds", type=int, default=1, help="train with seeds 0, 1, ... (%(default)s)"
    )
    parser.add_argument("--backend", default="numpy", help="numpy, cupy or torch")
    parser.add_argument(
        "--choose", nargs="*", metavar="SETTING=VALUE",
        help="learn from 50,000 training images and measure the error on the other 10,000, with "
        f"other values of {', '.join(CHOICES)}",
    )  # fmt: skip
    parser.add_argument(
        "--results", type=Path, default="docs/results", metavar="FOLDER", help="(%(default)s)"
    )
    parser.add_argument(
        "--machine", default=processor(), help="what the table calls this machine (%(default)s)"
    )
    parser.add_argument("--table", type=Path, metavar="PAGE", help="write the table to this page")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write the picture to this file")
    options = parser.parse_args(arguments)

    if options.rung:
        rung, folder = RUNGS[options.rung], options.results
        if options.choose is not None:
            rung, folder = changed(rung, options.choose, parser), folder / "validation"
        else:
            expect_same_settings(rung, folder / f"{rung.name}.json")
        train, test = data(validate=options.choose is not None)
        for seed in range(options.seeds):
            climb(rung, seed, train, test, options.backend, options.machine, folder)
    if options.table:
        write_table(options.table, options.results)
    if options.plot:
        draw(options.plot, options.results)
    if not (options.rung or options.table or options.plot):
        print(table(options.results))


def data(*, validate):
    """Return training images with labels, and images with labels to measure the error on."""
    (x, y), test = cr.datasets.mnist()
    if not validate:
        return (x, y), test
    most = len(x) * 5 // 6
    return (x[:most], y[:most]), (x[most:], y[most:])


def changed(rung, choices, parser):
    """Return the rung with changed settings, such as ``lr=0.002``."""
    values = {}
    for choice in choices:
        name, _, value = choice.partition("=")
        try:
            values[name] = CHOICES[name](value)
        except (KeyError, ValueError):
            parser.error(f"expected a setting such as lr=0.002 or epochs=10, found {choice!r}")
    return dataclasses.replace(rung, **values)


def expect_same_settings(rung, path):
    """End the program if a file holds measurements of a rung with other settings."""
    for run in read(path):
        if run["settings"] != rung.settings(run["settings"]["training_images"]):
            raise SystemExit(
                f"{path}: expected measurements with the settings of {rung.name}, found other "
                "settings: move the file away to measure this rung again"
            )


def climb(rung, seed, train, test, backend, machine, folder):
    """Measure one seed of a rung and write the measurement, unless it is in the file already."""
    path, settings = folder / f"{rung.name}.json", rung.settings(len(train[0]))
    if any(run["seed"] == seed and run["settings"] == settings for run in read(path)):
        print(f"{rung.name}, seed {seed}: measured before, see {path}")
        return
    digest = hashlib.sha256(json.dumps([settings, backend]).encode()).hexdigest()[:8]
    checkpoints = folder / "checkpoints" / f"{rung.name}-{seed}-{digest}"
    run = measure(rung, seed, train, test, backend=backend, folder=checkpoints)
    add(path, {**run, "machine": machine})
    shutil.rmtree(checkpoints)
    (error,) = percentages([run])
    print(f"{rung.name}, seed {seed}: {error:.2f} % errors in {run['cpu_minutes']:.1f} CPU minutes")


if __name__ == "__main__":
    main()
