"""Pictures of trainings and predictions, with matplotlib (the extra ``plot``).

Each function draws into ``ax=``, into a new figure if none is given, and returns what it drew. None
changes a global style, needs a display, or cares which library an array is from.
"""

from .animation import Animation
from .curves import plot_gradient_norms, plot_history, plot_sweep
from .figures import save_or_show
from .images import plot_predictions
from .regions import plot_decision_boundary, plot_surface

__all__ = [
    "Animation",
    "plot_decision_boundary",
    "plot_gradient_norms",
    "plot_history",
    "plot_predictions",
    "plot_surface",
    "plot_sweep",
    "save_or_show",
]
