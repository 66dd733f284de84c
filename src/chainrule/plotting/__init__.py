"""Plots of training curves, predictions and weights, with matplotlib (the ``plot`` extra).

Each ``plot_`` function draws into the axes ``ax``, or into a new figure by default. It returns the
objects that it drew. The functions change no global style and need no display. Arrays may be from
any library.
"""

from .animation import Animation
from .curves import plot_gradient_norms, plot_history, plot_sweep
from .figures import save_or_show
from .images import plot_predictions, plot_weights
from .regions import plot_decision_boundary, plot_surface

__all__ = [
    "Animation",
    "plot_decision_boundary",
    "plot_gradient_norms",
    "plot_history",
    "plot_predictions",
    "plot_surface",
    "plot_sweep",
    "plot_weights",
    "save_or_show",
]


def __dir__() -> list[str]:
    return __all__
