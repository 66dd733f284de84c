"""Callbacks: code that runs at fixed points of a training run."""

from .base import Callback
from .checkpoint import Checkpoint, latest_checkpoint
from .csv_logger import CSVLogger
from .early_stopping import EarlyStopping
from .gradient_norms import GradientNorms
from .lambda_callback import LambdaCallback
from .moving_average import ExponentialMovingAverage
from .plateau import ReduceOnPlateau
from .progress import PrintEpochs, ProgressBar
from .tensorboard import TensorBoard

__all__ = [
    "CSVLogger",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "ExponentialMovingAverage",
    "GradientNorms",
    "LambdaCallback",
    "PrintEpochs",
    "ProgressBar",
    "ReduceOnPlateau",
    "TensorBoard",
    "latest_checkpoint",
]


def __dir__() -> list[str]:
    return __all__
