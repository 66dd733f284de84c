"""Several threads may use a new model at the same time."""

import sys
import threading

import numpy as np

import chainrule as cr


def test_the_first_use_may_come_from_several_threads():
    """No thread fails, although threads switch as often as possible."""
    x, interval, failures = np.ones((1, 3), "float32"), sys.getswitchinterval(), []
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(40):
            model, outputs = cr.mlp([3, 4, 4, 2]), []
            start = threading.Barrier(4)

            def predict(model=model, outputs=outputs, start=start):
                start.wait()
                try:
                    outputs.append(model.predict(x))
                except Exception as error:
                    failures.append(error)

            threads = [threading.Thread(target=predict) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert not failures
            assert all(np.array_equal(y, outputs[0]) for y in outputs)
    finally:
        sys.setswitchinterval(interval)
