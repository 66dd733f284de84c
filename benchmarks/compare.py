"""Speed, memory and import time of chainrule, compared with other libraries in the same run.

``python -m benchmarks.compare`` trains four networks with every installed library of `libraries`.
All libraries use Adam in float32, start from the same weights and train on the same batches of
60,000 x 784 floats. Before timing, the script checks that all libraries compute the same losses.
Other sections measure memory, import time, the time to draw and to distort a batch, and how the
time of a step grows with the network. ``--what`` selects sections. The script prints tables of
medians with quartiles, and writes them to ``--json`` and ``--markdown``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from . import comparison, compiled, distortions, drawing, growth, images, imports, memory, sequences
from .libraries import LIBRARIES, installed
from .machine import header, machine, versions

SECTIONS: dict[str, Any] = {
    "comparison": comparison,
    "images": images,
    "sequences": sequences,
    "growth": growth,
    "compiled": compiled,
    "drawing": drawing,
    "distortions": distortions,
    "memory": memory,
    "imports": imports,
}


def main() -> None:
    """Run the measurements, print the tables and write the files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--what", nargs="+", choices=SECTIONS, default=[*SECTIONS])
    parser.add_argument("--rounds", type=int, default=10)
    networks = comparison.NETWORKS
    parser.add_argument("--networks", nargs="+", choices=networks, default=[*networks])
    parser.add_argument("--libraries", nargs="+", choices=LIBRARIES, default=installed())
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file")
    options = parser.parse_args()
    libraries = list(dict.fromkeys(["chainrule", *options.libraries]))
    arguments: dict[str, tuple[Any, ...]] = {
        "comparison": (options.networks, libraries, options.rounds),
        "images": (libraries, options.rounds),
        "sequences": (libraries, options.rounds),
        "growth": (libraries, options.rounds),
        "compiled": (libraries, options.rounds),
        "drawing": (options.rounds,),
        "distortions": (options.rounds,),
        "memory": (libraries,),
        "imports": (options.rounds,),
    }
    results: dict[str, Any] = {"machine": machine(), "versions": versions()}
    page = header(results)
    print(page)
    for name in options.what:
        section = SECTIONS[name]
        results[name] = section.measure(*arguments[name])
        text = f"\n## {name.capitalize()}\n\n{section.table(results[name])}"
        print(text, flush=True)
        page = f"{page}\n{text}"
        if options.json:
            options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")
        if options.markdown:
            options.markdown.write_text(f"{page}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
