"""Modules that need an extra are imported only when they are first used."""

import subprocess
import sys

import pytest

import chainrule as cr

NAMES = ("estimators", "plotting")


def run(code):
    """Return what a new interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(("name", "extra"), [("estimators", "sklearn"), ("plotting", "matplotlib")])
def test_first_use_imports_a_part(name, extra):
    pytest.importorskip(extra)
    code = f"""
import sys
import chainrule as cr
print({{'matplotlib', 'sklearn'}} & sys.modules.keys() or 'none')
print(cr.{name}.__name__, '{name}' in vars(cr))
"""
    assert run(code) == f"none\nchainrule.{name} True"


@pytest.mark.parametrize(
    ("missing", "use", "extra"),
    [
        ("sklearn", "cr.estimators", "sklearn"),
        ("mpi4py", "cr.parallel.Ranks()", "mpi"),
        ("matplotlib", "cr.plotting.plot_sweep([{'x': 1, 'y': 2}], x='x', y='y')", "plot"),
    ],
)
def test_a_missing_extra_is_named(missing, use, extra):
    """If a library is missing, here because of None in `sys.modules`, the error names the extra."""
    code = f"""
import sys
sys.modules[{missing!r}] = None
import chainrule as cr
try:
    {use}
except ImportError as error:
    print(error)
"""
    assert f'pip install ".[{extra}]"' in run(code)


def test_dir_lists_them_and_other_names_are_an_error():
    assert {*NAMES, *cr.__all__} <= {*dir(cr)}
    assert not hasattr(cr, "plots")
    with pytest.raises(AttributeError, match="module 'chainrule' has no attribute 'plots'"):
        cr.plots  # noqa: B018
