"""The public interface changes only on purpose."""

import difflib

import pytest
from public_api import SNAPSHOT, interface

import chainrule as cr

MODULES = [
    "augmentation", "callbacks", "datasets", "initializers", "losses", "metrics", "optimizers",
    "parallel", "schedules",
]  # fmt: skip


def test_the_public_interface_matches_the_snapshot():
    found, missing = interface()
    expected = [
        line
        for line in SNAPSHOT.read_text(encoding="utf-8").splitlines()
        if not line.startswith(tuple(missing))
    ]
    if found != expected:
        difference = difflib.unified_diff(expected, found, "expected", "found", n=0, lineterm="")
        pytest.fail(
            "\n".join(
                [
                    "the public interface has changed. If this is intended, update the snapshot",
                    "with `python tests/public_api.py --write` and commit it:",
                    *difference,
                ]
            ),
            pytrace=False,
        )


@pytest.mark.parametrize("name", MODULES)
def test_completion_offers_public_names_only(name):
    module = getattr(cr, name)
    assert dir(module) == sorted(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)
