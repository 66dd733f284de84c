"""Read many damaged files and print the results as JSON.

With ``tests`` on PYTHONPATH, ``python -m mutation --count 10000`` reads 10000 files;
``--only 1234`` makes and reads only file 1234, and shows its error in full.
"""

import argparse
import collections
import faulthandler
import json
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

from mutation.checks import read
from mutation.mutants import mutant
from mutation.sources import Sources

MOST_MEMORY = 300 * 2**20
LONGEST = 60  # seconds; a reader that takes longer counts as hanging


def status(key):
    """Return a number of bytes from the status file of this process, or 0 if there is no file."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{key}:")), 0)


def limit_memory():
    """Limit further allocations of this process to 300 MB, whether the memory is used or not."""
    if size := status("VmSize"):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (size + MOST_MEMORY, resource.RLIM_INFINITY))


def run(count, seed, folder):
    """Read `count` damaged files and return the results."""
    sources = Sources(folder)
    before = status("VmRSS")
    limit_memory()
    outcomes, errors, slowest = collections.Counter(), [], (0.0, "")
    kinds = collections.Counter()
    began = time.perf_counter()
    warnings.simplefilter("ignore")  # files of other versions give warnings
    for number in range(count):
        faulthandler.dump_traceback_later(LONGEST, exit=True)
        mutated = mutant(number, seed, sources)
        kinds[mutated[0]] += 1
        start = time.perf_counter()
        try:
            found = read(mutated, sources, folder / "mutated")
            outcomes.update(f"{mutated[0]} {name}: {what}" for name, what in found.items())
        except Exception as error:  # the readers do not document this exception
            errors.append(f"{number} ({mutated[0]}, {mutated[1]}): {error!r}"[:300])
        slowest = max(slowest, (time.perf_counter() - start, f"{number} {mutated[1]}"))
    faulthandler.cancel_dump_traceback_later()
    return {
        "files": count,
        "kinds": kinds,
        "outcomes": dict(sorted(outcomes.items())),
        "undocumented": errors,
        "mb_before": round(before / 2**20, 1),
        "mb_at_most": round(status("VmHWM") / 2**20, 1),
        "seconds": round(time.perf_counter() - began, 1),
        "slowest": slowest,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="make and read only this file")
    options = parser.parse_args()
    sys.modules["numba"] = None  # Numba's compiler needs memory and is not used to read files
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        if options.only is not None:
            sources = Sources(folder)
            mutated = mutant(options.only, options.seed, sources)
            print(mutated[:2], len(mutated[2]), mutated[2][:2000])
            try:
                print(read(mutated, sources, folder / "mutated"))
            except Exception:
                traceback.print_exc()
                return 1
            return 0
        figures = run(options.count, options.seed, folder)
    print(json.dumps(figures, indent=2))
    return 1 if figures["undocumented"] else 0


if __name__ == "__main__":
    sys.exit(main())
