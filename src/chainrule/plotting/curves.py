"""Curves: of a training, of gradients, and of one quantity for several settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..backends.conversion import to_numpy
from ..errors import DataError
from ..history import History
from .figures import COLORS, MARKERS, axes


def plot_history(history: History, *, name: str = "loss", ax: Any = None) -> list[Any]:
    """Draw what was measured in training and in validation, over the epochs.

    Parameters
    ----------
    history : History
        Of at least one epoch.
    name : str, optional
        What to draw: ``"loss"``, or the name of a metric; ``"val_loss"`` draws the same.
    ax : matplotlib.axes.Axes, optional
        Where to draw; the axes of a new figure if not given.

    Returns
    -------
    list of matplotlib.lines.Line2D
        The curves; ``lines[0].figure`` is the picture.

    Raises
    ------
    DataError
        If nothing of this name was measured.
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
    ax.set_xlabel("epoch")
    ax.set_ylabel(name)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(frameon=False)
    return lines


def plot_gradient_norms(norms: Mapping[str, Any], *, ax: Any = None) -> list[Any]:
    """Draw the Euclidean norm of each gradient over the steps of a training, logarithmically.

    Parameters
    ----------
    norms : mapping of str to array
        One series ``(steps,)`` a parameter or layer, such as `callbacks.GradientNorms` records.
    ax : matplotlib.axes.Axes, optional
        Where to draw; the axes of a new figure if not given.

    Returns
    -------
    list of matplotlib.lines.Line2D
        The curves.

    Raises
    ------
    DataError
        If there is nothing to draw.
    """
    if not isinstance(norms, Mapping):
        raise TypeError(f"expected norms by name such as recorder.norms, found {_kind(norms)}")
    series = {name: to_numpy(values) for name, values in norms.items()}
    if not any(len(values) for values in series.values()):
        raise DataError("expected gradient norms of at least one step, found none: train first")
    ax = axes(ax, figsize=(5, 3.5))
    lines = []
    for i, (name, values) in enumerate(series.items()):
        lines += ax.semilogy(
            range(1, len(values) + 1), values, color=_shade(i, len(series)), label=name
        )
    ax.set_xlabel("step")
    ax.set_ylabel("norm of the gradient")
    ax.legend(frameon=False, fontsize="small")
    return lines


def plot_sweep(
    rows: Sequence[Mapping[str, Any]],
    *,
    x: str,
    y: str,
    by: str | None = None,
    ax: Any = None,
) -> list[Any]:
    """Draw one quantity over another, a curve for each value of a third.

    Parameters
    ----------
    rows : sequence of mapping
        What was measured, ``{"epochs": 10, "error": 0.2, "lr": 0.1}`` a row.
    x, y : str
        The names of what goes along the axes.
    by : str, optional
        The name of what tells the curves apart; one curve if not given.
    ax : matplotlib.axes.Axes, optional
        Where to draw; the axes of a new figure if not given.

    Returns
    -------
    list of matplotlib.lines.Line2D
        The curves, in the order of the values of `by`.

    Raises
    ------
    DataError
        If there are no rows, or if a row lacks one of the names.
    """
    names = [name for name in (x, y, by) if name is not None]
    if not isinstance(rows, Sequence) or not all(isinstance(row, Mapping) for row in rows):
        raise TypeError(
            f"expected rows, a list of dicts, found {_kind(rows)}; of a frame, "
            'frame.to_dict("records") gives them'
        )
    if not rows:
        raise DataError("expected rows to draw, found none")
    for i, row in enumerate(rows):
        if missing := [name for name in names if name not in row]:
            raise DataError(f"row {i}: expected {missing[0]!r}, found {', '.join(map(str, row))}")
    ax = axes(ax, figsize=(5, 3.5))
    values = sorted({row[by] for row in rows}) if by else [None]
    lines = []
    for i, value in enumerate(values):
        chosen = sorted((row[x], row[y]) for row in rows if by is None or row[by] == value)
        style = {"color": _shade(i, len(values)), "marker": MARKERS[i % len(MARKERS)]}
        label = f"{by} {value:g}" if isinstance(value, int | float) else f"{by} {value}"
        lines += ax.plot(*zip(*chosen, strict=True), **style, markersize=4, label=label)
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    if by:
        ax.legend(frameon=False, fontsize="small")
    return lines


def _kind(thing: Any) -> str:
    return type(thing).__name__


def _shade(i: int, n: int) -> Any:
    """A colour for the i-th of n in an order; dark to light, so also in grey."""
    from matplotlib import colormaps

    return colormaps["viridis"](0.9 * i / max(n - 1, 1))
