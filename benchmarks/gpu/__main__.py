"""Speed of chainrule on a GPU, compared with other libraries, and checks of the GPU code.

``python -m benchmarks.gpu`` needs CuPy and an NVIDIA GPU. There are four sections. "floor" measures
the peak speed of the GPU. "speed" compares training steps with PyTorch and JAX, if installed. All
libraries start from the same weights and use the same batches. Before timing, each library must
compute the same losses as NumPy. "mnist" trains MNIST to 98 %. "checks" checks memory use, several
models at once, and the losses. ``--write docs/gpu.md`` writes the tables to the page docs/gpu.md.
``--dry-run`` runs the same code on the CPU with tiny sizes.
"""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chainrule as cr

from ..comparison import NETWORKS
from ..machine import header, machine, versions
from . import checks, floor, mnist, page, speed
from .libraries import LIBRARIES, installed
from .place import Attempts, Place, card


def main() -> None:
    """Run the measurements, print the tables and write the files."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--what", nargs="+", choices=page.SECTIONS, default=[*page.SECTIONS])
    parser.add_argument("--precision", choices=("float32", "tf32"), default="float32")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=[*NETWORKS])
    parser.add_argument("--libraries", nargs="+", choices=LIBRARIES, help="default: all installed")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the tables on this page")
    parser.add_argument("--dry-run", action="store_true", help="tiny sizes on the CPU")
    options = parser.parse_args()
    if options.dry_run and options.write:
        parser.error("the times of a dry run mean nothing and cannot be written to a page")
    place = Place(dry=options.dry_run, precision=options.precision)
    place.set_environment()
    results = start(place)
    here, wanted = installed(place), options.libraries or [*LIBRARIES]
    for name in wanted:
        if name not in here:
            print(f"left out because {LIBRARIES[name][0]} is not installed: {name}")
    libraries = [name for name in here if name in wanted or name == "chainrule"]
    arguments, attempts = (place, options.rounds), Attempts()
    sections: dict[str, Callable[[], Any]] = {
        "floor": lambda: floor.measure(*arguments),
        "speed": lambda: speed.measure(*arguments, attempts, options.networks, libraries),
        "mnist": lambda: mnist.measure(*arguments, attempts),
        "checks": lambda: checks.measure(place, attempts),
    }
    for name in options.what:
        result = attempts(name, sections[name])
        if result is not None:
            results[name] = result
            print(f"\n## {page.SECTIONS[name]}\n\n{page.tables(results)[name]}", flush=True)
        if options.json:
            options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(f"\n{page.short(results)}")
    if attempts.failed:
        failed = "; ".join(attempts.failed)
        raise SystemExit(f"failed, so nothing was written to the page: {failed}")
    if options.write:
        page.write(options.write, results)


def start(place: Place) -> dict[str, Any]:
    """Print a description of the machine, or exit if there is no GPU."""
    try:
        found = card(place)
    except cr.BackendError as error:
        raise SystemExit(f"no GPU to measure on: {error}") from None
    results = {
        "date": datetime.date.today().isoformat(),
        "precision": place.precision,
        "card": found,
        "machine": machine(),
        "versions": versions(),
    }
    print(*(f"- {what}: {value}" for what, value in found.items()), sep="\n")
    print(header(results), flush=True)
    return results


if __name__ == "__main__":
    main()
