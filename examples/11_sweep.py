"""11. A sweep
===========

A sweep: which learning rate, width and dropout are best for digits, and how sure we can be.

scikit-learn does the search, because a chainrule estimator can be used like scikit-learn's own
estimators. The search trains every setting three times, each time on two thirds of the training
images, and scores the setting on the remaining third. The scaler is part of the pipeline, so the
scaler is also fitted to these two thirds only. The fits are independent, so joblib can spread them
over processes (``--n-jobs``), and Dask can spread them over the machines of a cluster.
``--dask tcp://host:8786`` uses a cluster whose workers have chainrule installed, and
``--dask local`` starts two workers on this machine. The same seeds give the same scores everywhere.

Look at the learning rates: no curve has its minimum at the smallest or largest rate. A small
learning rate and dropout hurt a wide network less than a narrow network. The ring marks the best of
the 45 settings. Then look at the numbers. Other settings are within one standard error of the best
setting. With another ``--seed``, the best dropout is different. The best of 45 settings is also one
of the luckiest, so its cross-validated score tends to be too good. The test images were not used to
choose the setting, so trust the test accuracy.
"""

import warnings
from contextlib import nullcontext

import matplotlib.pyplot as plt
import numpy as np
from joblib import parallel_config
from lesson import arguments
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler

from chainrule.errors import to_install
from chainrule.estimators import MLPClassifier
from chainrule.plotting import plot_sweep, save_or_show

RATES, WIDTHS, DROPOUTS = [0.001, 0.003, 0.01, 0.03, 0.1], [8, 32, 128], [0.0, 0.2, 0.5]


def connect(dask):
    """Connect to the Dask cluster at this address, or to two new processes on this machine."""
    try:
        from distributed import Client
    except ImportError as error:
        raise SystemExit(f"--dask needs Dask: {to_install('distributed')}") from error
    if dask != "local":
        return Client(dask)
    here = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    return Client(n_workers=2, threads_per_worker=1, **here)


def main():
    options = arguments(__doc__, epochs=20, batch_size=64, seed=0, n_jobs=2, dask="")
    # All settings train for the same number of epochs, whether they have converged or not.
    warnings.filterwarnings("ignore", category=ConvergenceWarning)
    x, y = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(x, y, stratify=y, random_state=options.seed)

    mlp = MLPClassifier(
        max_iter=options.epochs, batch_size=options.batch_size, random_state=options.seed,
        backend=options.backend,
    )  # fmt: skip
    pipeline = Pipeline([("scale", MinMaxScaler()), ("mlp", mlp)])
    grid = {
        "mlp__learning_rate_init": RATES,
        "mlp__hidden_layer_sizes": [(width,) for width in WIDTHS],
        "mlp__dropout": DROPOUTS,
    }
    search = GridSearchCV(pipeline, grid, cv=3)
    workers = {"backend": "dask"} if options.dask else {"n_jobs": options.n_jobs}
    with connect(options.dask) if options.dask else nullcontext(), parallel_config(**workers):
        search.fit(x, y)

    scores = search.cv_results_["mean_test_score"]
    rows = [
        {
            "learning rate": setting["mlp__learning_rate_init"],
            "width": setting["mlp__hidden_layer_sizes"][0],
            "dropout": setting["mlp__dropout"],
            "error (%)": 100.0 * (1.0 - score),
        }
        for setting, score in zip(search.cv_results_["params"], scores, strict=True)
    ]
    best = rows[search.best_index_]
    chosen = ", ".join(f"{name} {best[name]}" for name in ("learning rate", "width", "dropout"))
    accuracy = search.best_score_
    deviation = np.sqrt(accuracy * (1.0 - accuracy) / len(x))
    print(f"{len(rows)} settings, the best: {chosen}")
    print(f"cross-validated accuracy: {accuracy:.4f}, standard error {deviation:.4f}")
    print(f"others within one standard error: {np.sum(scores >= accuracy - deviation) - 1}")
    print(f"test accuracy: {search.score(x_test, y_test):.4f}")

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), sharey=True, layout="constrained")
    for dropout, ax in zip(DROPOUTS, axes, strict=True):
        panel = [row for row in rows if row["dropout"] == dropout]
        curves = plot_sweep(panel, x="learning rate", y="error (%)", by="width", ax=ax)
        ax.get_legend().remove()  # one legend is enough
        ax.set(yscale="log", title=f"dropout {dropout:g}", ylabel="cross-validated error (%)")
        ax.set_yticks([2, 5, 10, 20, 50, 100], ["2", "5", "10", "20", "50", "100"])
        ax.set_yticks([], minor=True)
        if dropout == best["dropout"]:
            circle = {"marker": "o", "ms": 14, "mfc": "none", "mec": "black", "ls": "none"}
            ring = ax.plot(best["learning rate"], best["error (%)"], **circle, label="the best")
        ax.label_outer()
    figure.legend(handles=curves + ring, loc="outside right center", frameon=False)
    save_or_show(figure, options.plot)


if __name__ == "__main__":  # worker processes import this file
    main()
