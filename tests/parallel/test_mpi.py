"""Train with processes that MPI connects, let them fail, and resume on another number of ranks."""

import failures
import pytest
import ranks

pytest.importorskip("mpi4py")


@pytest.fixture(scope="module")
def expected():
    return failures.expected()


@pytest.mark.parametrize(
    "size", [2, pytest.param(3, marks=pytest.mark.slow), pytest.param(4, marks=pytest.mark.slow)]
)
def test_the_result_is_that_of_a_single_process(size, expected, tmp_path):
    output = tmp_path / "result.json"
    done = failures.start(size, output=output, **failures.EVERYTHING)
    assert done.returncode == 0, done.stderr
    assert len(expected["losses"]) == 100
    failures.expect_same(output, expected)


@pytest.mark.parametrize("kind", ranks.KINDS)
def test_a_failure_ends_all_ranks_and_the_run_resumes(kind, expected, tmp_path):
    options = {"output": tmp_path / "result.json", "checkpoints": tmp_path / "checkpoints"}
    options |= failures.EVERYTHING
    done = failures.start(2, fail=kind, rank=1, step=47, **options)
    assert done.returncode != 0
    assert not options["output"].exists()
    words = {
        "exception": "RuntimeError: this rank fails",
        "nan": "DivergenceError: the loss became nan at step 47",
        "kill": "",
        "interrupt": "KeyboardInterrupt",
    }
    assert words[kind] in done.stderr
    assert done.stderr.count("Traceback (most recent call last)") == (kind != "kill")
    done = failures.start(2 if kind == "exception" else 1, **options)
    assert done.returncode == 0, done.stderr
    failures.expect_same(options["output"], expected)


def test_an_error_outside_of_fit_ends_all_ranks(tmp_path):
    done = failures.start(2, output=tmp_path / "result.json", fail="early", rank=1)
    assert done.returncode != 0
    assert "rank 1 of 2 ends the run" in done.stderr
    assert "RuntimeError: this rank fails before fit" in done.stderr


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "if (ranks := cr.parallel.Ranks()).rank == 0:\n"
            "    trainer = cr.Trainer(cr.mlp([1, 1]), cr.MSELoss(), cr.SGD(0.1))\n"
            "    trainer.fit([[1.0]], [[1.0]], parallel=ranks, verbose=0)",
            "call fit equally often, but rank 1 has reached the end of its script",
        ),
        (
            "from mpi4py.MPI import COMM_WORLD\ncr.parallel.Ranks(own_data=COMM_WORLD.rank == 1)",
            "ValueError: expected all ranks to have the same own_data",
        ),
    ],
    ids=["a call of fit", "own_data"],
)
def test_a_call_that_differs_on_one_rank_ends_all_ranks(code, message):
    done = failures.start_python(2, "-c", f"import chainrule as cr\n{code}")
    assert done.returncode != 0
    assert message in done.stderr


@pytest.mark.slow
def test_random_failures():
    assert failures.check(5)["longest"] < failures.HANGS
