"""The code of the how-to pages runs, and so do the tables that compare libraries."""

import contextlib

import pytest
from howto import COMPARISONS, PAGES, blocks, columns, variables


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")  # the loss that becomes NaN
def test_the_code_of_the_page_runs(page, tmp_path):
    code, names = blocks(page), {}
    if any("sklearn" in block for block in code):
        pytest.importorskip("sklearn")
    with contextlib.chdir(tmp_path):
        for block in code:
            exec(block, names)


@pytest.mark.parametrize("page", COMPARISONS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_our_column_runs(page, tmp_path):
    pytest.importorskip("sklearn")
    for _, ours in columns(page):
        with contextlib.chdir(tmp_path):
            exec(ours, variables())


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_column_of_scikit_learn_runs(tmp_path):
    pytest.importorskip("sklearn")
    tables = list(columns("from_scikit_learn"))
    assert len(tables) == 2
    for theirs, _ in tables:
        with contextlib.chdir(tmp_path):
            exec(theirs, variables())
