"""Each fit of an estimator writes the files of its callbacks to its own folder."""

import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")

import joblib
from helpers import names, rows, steps
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate

import chainrule as cr
from chainrule.callbacks import Checkpoint, CSVLogger
from chainrule.estimators import MLPClassifier

X, Y = load_iris(return_X_y=True)


@pytest.fixture(autouse=True)
def _short_trainings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def board(folder):
    pytest.importorskip("tensorboardX")
    return cr.callbacks.TensorBoard(folder)


def estimator(*callbacks, **options):
    return MLPClassifier((8,), max_iter=3, callbacks=list(callbacks), random_state=0, **options)


@pytest.mark.parametrize(
    "engine",
    [
        "one after another",
        "threading",
        pytest.param("loky", marks=pytest.mark.xdist_group("joblib's processes")),
    ],
)
def test_each_fold_writes_to_its_own_files(engine, tmp_path):
    both = Checkpoint(tmp_path / "v1.5", monitor="loss"), CSVLogger(tmp_path / "log.csv")
    expected = cross_val_score(estimator(), X, Y, cv=3)
    jobs = None if engine == "one after another" else 2
    backend = "sequential" if jobs is None else engine
    with joblib.parallel_backend(backend, n_jobs=jobs or 1):
        found = cross_validate(
            estimator(*both), X, Y, cv=3, return_estimator=True, error_score="raise", n_jobs=jobs
        )
    np.testing.assert_array_equal(found["test_score"], expected)
    assert names(tmp_path) == ["log-2.csv", "log-3.csv", "log.csv", "v1.5", "v1.5-2", "v1.5-3"]
    folders = [one.callbacks[0].folder for one in found["estimator"]]
    assert sorted(folder.name for folder in folders) == ["v1.5", "v1.5-2", "v1.5-3"]
    for one in found["estimator"]:
        keep, log = one.callbacks
        assert names(keep.folder)[0] == "best.safetensors"  # no temporary file is left
        assert steps(keep.folder) == [1, 2, 3]
        again = cr.load(keep.folder / "step-00000003.safetensors")
        np.testing.assert_array_equal(again.state.values, one.model_.state.values)
        logged = [float(row["loss"]) for row in rows(log.path)]
        assert logged == one.loss_curve_


def test_a_search_and_its_refit(tmp_path):
    search = GridSearchCV(
        estimator(Checkpoint(tmp_path / "runs")), {"alpha": [0.1, 0.01]}, cv=2, error_score="raise"
    ).fit(X, Y)
    assert names(tmp_path) == ["runs", "runs-2", "runs-3", "runs-4", "runs-5"]
    assert search.best_estimator_.callbacks[0].folder == tmp_path / "runs-5"


@pytest.mark.parametrize("warm_start", [False, True])
def test_a_second_fit_and_a_clone_write_to_their_own_files(warm_start, tmp_path):
    keep, curves = Checkpoint(tmp_path / "runs", keep_last=1), board(tmp_path / "board")
    model = estimator(keep, curves, warm_start=warm_start)
    for number in ("", "-2", "-3"):
        model.fit(X, Y)
        assert keep.folder == tmp_path / f"runs{number}"
        assert curves.logdir == tmp_path / f"board{number}"
        assert steps(keep.folder) == [3]
    twin = clone(model).fit(X, Y)
    assert twin.callbacks[0].folder == tmp_path / "runs-4"


def test_each_fit_makes_its_own_animation(tmp_path):
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    from chainrule import plotting

    film = plotting.Animation(Figure((1, 1)), lambda figure, trainer: None, tmp_path / "film.gif")
    model = estimator(film)
    for number in ("", "-2"):
        model.fit(X, Y)
        assert film.path == tmp_path / f"film{number}.gif"
    assert names(tmp_path) == ["film-2.gif", "film.gif"]


def test_partial_fit_keeps_writing_to_the_same_place(tmp_path):
    keep, log = Checkpoint(tmp_path / "runs"), CSVLogger(tmp_path / "log.csv", append=True)
    model = estimator(keep, log)
    for _ in range(3):
        model.partial_fit(X, Y, classes=[0, 1, 2])
    assert names(tmp_path) == ["log.csv", "runs"]
    assert steps(keep.folder) == [1, 2, 3]
    assert [row["epoch"] for row in rows(log.path)] == ["1", "2", "3"]
    (keep.folder / "step-00000099.safetensors").touch()
    with pytest.raises(FileExistsError, match="expected no checkpoints beyond step 3"):
        model.partial_fit(X, Y)


def test_a_trainer_raises_instead_of_choosing_another_folder(tmp_path):
    """A trainer writes to exactly the given path, so a second run with this path is an error."""
    estimator(Checkpoint(tmp_path)).fit(X, Y)
    trainer = cr.Trainer(cr.mlp([4, 3]), loss=cr.CrossEntropyLoss(), optimizer=cr.Adam())
    with pytest.raises(FileExistsError, match="expected no checkpoints beyond step 0"):
        trainer.fit(X, Y, callbacks=[Checkpoint(tmp_path)], verbose=0)
