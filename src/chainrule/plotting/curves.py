"""Curves of the history, of gradient norms, and of results for several settings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from ..backends.conversion import to_numpy
from ..errors import DataError
from ..history import History
from .figures import COLORS, MARKERS, axes

_STEPS = 200  # maximum number of steps to draw individually
_STRETCHES = 100  # number of intervals to draw if there are more steps


def plot_history(history: History, *, name: str = "loss", ax: Any = None) -> list[Any]:
    """Draw the training and validation curves of the loss or a metric over the epochs.

    Parameters
    ----------
    history : History
        A history with at least one epoch.
    name : str, optional
        ``"loss"``, or the name of a metric. ``"val_loss"`` draws the same curves as ``"loss"``.
    ax : matplotlib.axes.Axes, optional
        The axes to draw into. By default, a new figure is created.

    Returns
    -------
    list of matplotlib.lines.Line2D
        The curves. ``lines[0].figure`` is the figure.

    Raises
    ------
    DataError
        If the history has no column of this name.

    Examples
    --------
    >>> x = [[-1.0], [0.0], [1.0], [2.0]]
    >>> trainer = cr.Trainer(cr.mlp([1, 1]), loss=cr.MSELoss(), optimizer=cr.SGD(0.2))
    >>> history = trainer.fit(x, x, epochs=3, validation_data=(x, x), verbose=0)
    >>> lines = plot_history(history)
    >>> [line.get_label() for line in lines]
    ['training', 'validation']
    """
    if not isinstance(history, History):
        raise TypeError(f"expected a History such as trainer.history, found {_kind(history)}")
    columns, name = history.to_dict(), name.removeprefix("val_")
    curves = {"training": columns.get(name), "validation": columns.get(f"val_{name}")}
    curves = {label: values for label, values in curves.items() if values is not None}
    if not curves:
        raise DataError(
            f"expected a history with {name!r} or 'val_{name}', found "
            f"{', '.join(columns) or 'no epochs: train first'}"
        )
    ax = axes(ax, figsize=(5, 3.5))
    lines = []
    for (label, values), color, marker in zip(curves.items(), COLORS, MARKERS, strict=False):
        style = {"color": color, "marker": marker, "markersize": 4, "label": label}
        lines += ax.plot(columns["epoch"], values, **style)
    ax.set(xlabel="epoch", ylabel=name)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(frameon=False)
    return lines


def plot_gradient_norms(norms: Mapping[str, Any], *, ax: Any = None) -> list[Any]:
    """Draw the norm of each gradient over the training steps, on a logarithmic axis.

    If there are more than 200 steps, they are divided into 100 intervals of nearly equal length. A
    line then shows the median norm of each interval. A band shows the range from the smallest to
    the largest norm.

    Parameters
    ----------
    norms : mapping of str to array
        A dict from the names of parameters to arrays ``(steps,)``, as recorded by
        `callbacks.GradientNorms`.
    ax : matplotlib.axes.Axes, optional
        The axes to draw into. By default, a new figure is created.

    Returns
    -------
    list of matplotlib.lines.Line2D
        The curves.

    Raises
    ------
    DataError
        If there is nothing to draw.

    Examples
    --------
    >>> lines = plot_gradient_norms({"0.weight": [0.3, 0.2, 0.1], "2.weight": [0.5, 0.4, 0.3]})
    >>> [line.get_label() for line in lines]
    ['0.weight', '2.weight']
    """
    if not isinstance(norms, Mapping):
        raise TypeError(f"expected a dict such as recorder.norms, found {_kind(norms)}")
    series = {name: to_numpy(values) for name, values in norms.items()}
    if not any(len(values) for values in series.values()):
        raise DataError("expected gradient norms of at least one step, found none: train first")
    ax = axes(ax, figsize=(5, 3.5))
    lines = []
    for i, (name, values) in enumerate(series.items()):
        color, steps = _shade(i, len(series)), np.arange(1, len(values) + 1)
        if len(values) > _STEPS:
            parts = np.array_split(values, _STRETCHES)
            steps = np.asarray([np.mean(part) for part in np.array_split(steps, _STRETCHES)])
            low, values, high = (
                np.asarray([f(part) for part in parts]) for f in (np.min, np.median, np.max)
            )
            ax.fill_between(steps, low, high, color=color, alpha=0.1, linewidth=0)
        lines += ax.semilogy(steps, values, color=color, linewidth=1.2, label=name)
    ax.set(xlabel="step", ylabel="norm of the gradient")
    ax.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    return lines


def plot_sweep(
    rows: Sequence[Mapping[str, Any]],
    *,
    x: str,
    y: str,
    by: str | None = None,
    ax: Any = None,
) -> list[Any]:
    """Plot one quantity against another, with one curve for each value of a third quantity.

    The horizontal axis is logarithmic if its values are positive, if the largest value is at least
    10 times the smallest, and if the values are more evenly spaced on a logarithmic axis than on a
    linear axis. A logarithmic axis with at most eight values has a label for each value. If any
    value is not a number (for example None, a string, a bool or a tuple), the values are drawn as
    categories at equal distances.

    Parameters
    ----------
    rows : sequence of mapping
        The measurements, one dict for each point, such as
        ``{"epochs": 10, "error": 0.2, "lr": 0.1}``.
    x, y : str
        The names of the quantities along the axes.
    by : str, optional
        The name of the quantity that distinguishes the curves. If not given, there is one curve.
    ax : matplotlib.axes.Axes, optional
        The axes to draw into. By default, a new figure is created.

    Returns
    -------
    list of matplotlib.lines.Line2D
        The curves, in the order of the values of `by`.

    Raises
    ------
    DataError
        If there are no rows, or if a row lacks one of the names.

    Examples
    --------
    >>> rows = [
    ...     {"lr": 0.001, "seed": 0, "loss": 0.9},
    ...     {"lr": 0.01, "seed": 0, "loss": 0.4},
    ...     {"lr": 0.001, "seed": 1, "loss": 0.8},
    ...     {"lr": 0.01, "seed": 1, "loss": 0.5},
    ... ]
    >>> drawn = plot_sweep(rows, x="lr", y="loss", by="seed")
    >>> [line.get_label() for line in drawn]
    ['seed 0', 'seed 1']
    """
    names = [name for name in (x, y, by) if name is not None]
    if not isinstance(rows, Sequence) or not all(isinstance(row, Mapping) for row in rows):
        raise TypeError(
            f"expected rows as a list of dicts, found {_kind(rows)}; for a data frame, pass "
            'frame.to_dict("records")'
        )
    if not rows:
        raise DataError("expected rows to draw, found none")
    for i, row in enumerate(rows):
        if missing := [name for name in names if name not in row]:
            raise DataError(f"row {i}: expected {missing[0]!r}, found {', '.join(map(str, row))}")
    ax = axes(ax, figsize=(5, 3.5))
    rows = [{name: _plain(row[name]) for name in names} for row in rows]
    values = _distinct(row[by] for row in rows) if by else [None]
    along = _distinct(row[x] for row in rows)
    numeric = all(map(_is_number, along))
    lines = []
    for i, (value, text) in enumerate(zip(values, _texts(values), strict=True)):
        chosen = sorted(
            (row[x] if numeric else along.index(row[x]), row[y])
            for row in rows
            if by is None or row[by] == value
        )
        style = {"color": _shade(i, len(values)), "marker": MARKERS[i % len(MARKERS)]}
        lines += ax.plot(*zip(*chosen, strict=True), **style, markersize=4, label=f"{by} {text}")
    if not numeric:
        ax.set_xticks(range(len(along)), list(map(str, along)))
    elif _are_logarithmic(along):
        ax.set_xscale("log")
        if len(along) <= 8:
            ax.set_xticks(along, _texts(along))
            ax.set_xticks([], minor=True)
    ax.set(xlabel=x, ylabel=y)
    if by:
        ax.legend(frameon=False, fontsize="small")
    return lines


def _plain(value: Any) -> Any:
    """Convert NumPy numbers and arrays to Python numbers and lists, which can be compared."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _distinct(values: Iterable[Any]) -> list[Any]:
    """Return each value once. Only numbers and strings are sorted."""
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    sortable = all(map(_is_number, found)) or all(isinstance(value, str) for value in found)
    return sorted(found) if sortable else found


def _texts(values: list[Any]) -> list[str]:
    """Return short texts for different values. The texts are also different."""
    short = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
    return short if len(set(short)) == len(values) else [str(value) for value in values]


def _are_logarithmic(values: list[Any]) -> bool:
    """Return whether sorted numbers are more evenly spaced on a logarithmic axis."""
    if len(values) < 3 or not 0 < values[0] <= values[-1] / 10 < math.inf:
        return False
    gaps = np.diff(np.asarray(values, dtype=float)), np.diff(np.log(values))
    differences, ratios = (np.std(gap) / np.mean(gap) for gap in gaps)
    return bool(ratios < differences)


def _kind(thing: Any) -> str:
    return type(thing).__name__


def _shade(i: int, n: int) -> Any:
    """Return the colour of curve i of n: later curves are lighter, even in greyscale."""
    from matplotlib import colormaps

    return colormaps["viridis"](0.9 * i / max(n - 1, 1))
