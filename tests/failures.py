"""Let a random rank fail at a random moment, resume the run, and compare it with an unharmed run.

``python tests/failures.py --count 50`` causes 50 failures and prints a summary. Each run continues
on a random number of ranks until it is complete.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import ranks

import chainrule as cr

HANGS = 20.0  # seconds from the failure of a rank to the end of all ranks
LIMIT = 300  # seconds for a whole run
LAUNCHER = shutil.which("mpiexec", path=Path(sys.executable).parent) or shutil.which("mpiexec")
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    # In MPICH, waiting ranks leave the core to others, and use the loopback interface only.
    "MPIR_CVAR_CH4_PROGRESS_THROTTLE": "1",
    "MPIR_CVAR_CH4_PROGRESS_THROTTLE_NO_PROGRESS_COUNT": "16",
    "HYDRA_IFACE": "lo",
    "FI_TCP_IFACE": "lo",
}
EVERYTHING = {"augment": "built-in", "micro_batches": 2}


def start(size, **options):
    """Run `ranks.py` on this many ranks, and return the finished process."""
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return start_python(size, ranks.__file__, *words)


def start_python(size, *words):
    """Start Python with these arguments on this many ranks, and return the finished process."""
    command = [LAUNCHER, "-n", str(size), sys.executable, *words]
    environment = {**os.environ, **ENVIRONMENT}
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, env=environment)


def expected():
    """Return the result of a single process."""
    trainer = cr.Trainer(ranks.model(), **ranks.arguments_of_trainer())
    augment = ranks.AUGMENTATIONS[EVERYTHING["augment"]]
    ranks.fit(trainer, None, **{**EVERYTHING, "augment": augment})
    return ranks.found(trainer)


def expect_same(output, whole):
    """Compare the file that rank 0 wrote with the result of a single process."""
    found = json.loads(output.read_text())
    assert found.keys() == whole.keys()
    for name in whole:
        np.testing.assert_allclose(found[name], whole[name], atol=1e-10, err_msg=name)


def check(count, seed=0):
    """Cause `count` failures.

    Returns
    -------
    dict
        The number of failures of each kind, how many training runs were completed, and the longest
        time from the failure of a rank to the end of all ranks.

    Raises
    ------
    AssertionError
        If ranks hang, if a checkpoint cannot be loaded or is lost, or if a result differs.
    """
    chance, whole = random.Random(seed), expected()
    found = {**dict.fromkeys(ranks.KINDS, 0), "training runs": 0, "longest": 0.0}
    with tempfile.TemporaryDirectory() as root:
        while sum(found[kind] for kind in ranks.KINDS) < count:
            folder = Path(root) / str(found["training runs"])
            output, stamp = folder / "result.json", folder / "failed"
            folder.mkdir()
            while not output.exists():
                before = last_step(folder)
                size, kind = chance.choice((2, 2, 3)), chance.choice(ranks.KINDS)
                moment = {"step": before + chance.randrange(1, 60)}
                if kind in ("kill", "interrupt"):
                    moment["seconds"] = round(chance.uniform(0.01, 4.0), 3)
                done = start(
                    size,
                    output=output,
                    checkpoints=folder / "checkpoints",
                    fail=kind,
                    rank=chance.randrange(size),
                    stamp=stamp,
                    **moment,
                    **EVERYTHING,
                )
                end = time.time()
                assert last_step(folder) >= before, "a checkpoint is lost"
                if not stamp.exists():
                    assert done.returncode == 0, done.stderr
                    continue
                assert done.returncode != 0 or output.exists(), done.stderr
                seconds = end - float(stamp.read_text())
                stamp.unlink()
                assert seconds < HANGS, f"{kind}: {seconds:.1f} s"
                found[kind] += 1
                found["longest"] = max(found["longest"], round(seconds, 1))
                print(f"{kind} on {size} ranks: {seconds:.1f} s", flush=True)
            expect_same(output, whole)
            found["training runs"] += 1
    return found


def last_step(folder):
    """Return the step of the newest checkpoint, after loading it, or 0."""
    newest = cr.callbacks.latest_checkpoint(folder / "checkpoints")
    if newest is None:
        return 0
    return cr.Trainer.resume(newest, **ranks.arguments_of_trainer()).optimizer.steps


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(check(options.count, options.seed))


if __name__ == "__main__":
    main()
