"""What listens to a training: a few well-named moments, and the two ways of reporting it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .parameter import Parameter

if TYPE_CHECKING:
    from .training import Trainer


class Callback:
    """Called by `Trainer.fit` at these moments; override those that matter.

    All see the trainer: its ``model``, ``optimizer`` and ``history``, and where it is: ``epoch``
    of ``epochs`` (counted from 1, through all calls of `fit`), ``steps_per_epoch``.
    ``trainer.stop()`` ends the training after the current epoch.
    """

    def on_fit_start(self, trainer: Trainer) -> None:
        """Before the first epoch."""

    def on_epoch_start(self, trainer: Trainer) -> None:
        """Before the first step of an epoch."""

    def on_step_end(self, trainer: Trainer) -> None:
        """After a step; to read a number from the device here makes it wait."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        """After an epoch; its numbers are the last of ``trainer.history``."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last epoch, or when the training ends by an error."""


class ProgressBar(Callback):
    """A bar over all steps of a training, with the numbers of the last epoch (``verbose=1``)."""

    def on_fit_start(self, trainer: Trainer) -> None:
        from tqdm.auto import tqdm

        self._bar: Any = tqdm(
            total=(trainer.epochs - len(trainer.history)) * trainer.steps_per_epoch, unit="step"
        )

    def on_epoch_start(self, trainer: Trainer) -> None:
        self._bar.set_description(f"epoch {trainer.epoch}/{trainer.epochs}", refresh=False)

    def on_step_end(self, trainer: Trainer) -> None:
        self._bar.update()

    def on_epoch_end(self, trainer: Trainer) -> None:
        self._bar.set_postfix_str(_numbers(trainer))

    def on_fit_end(self, trainer: Trainer) -> None:
        self._bar.close()


class GradientNorms(Callback):
    """Records the Euclidean norm of the gradient of each weight at each step, after clipping.

    They are kept on the device and read when the training ends.

    Attributes
    ----------
    norms : dict of str to list of float
        By the name of the parameter; those of one axis, such as biases, are left out.
    """

    def __init__(self) -> None:
        self.norms: dict[str, list[float]] = {}
        self._steps: list[Any] = []

    def on_step_end(self, trainer: Trainer) -> None:
        xp, weights = trainer.model.xp, self._weights(trainer)
        if not weights:
            return
        squares = [xp.sum(p.grad * p.grad) for p in weights.values()]
        self._steps.append(xp.sqrt(xp.stack(squares)))

    def on_fit_end(self, trainer: Trainer) -> None:
        if self._steps:
            table = trainer.model.backend.to_numpy(trainer.model.xp.stack(self._steps))
            for name, column in zip(self._weights(trainer), table.T.tolist(), strict=True):
                self.norms.setdefault(name, []).extend(column)
            self._steps.clear()

    @staticmethod
    def _weights(trainer: Trainer) -> dict[str, Parameter]:
        named = trainer.model.named_parameters()
        return {name: p for name, p in named.items() if len(p.shape) > 1}


class PrintEpochs(Callback):
    """A line an epoch (``verbose=2``)."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        print(f"epoch {trainer.epoch}/{trainer.epochs}  {_numbers(trainer)}", flush=True)


def _numbers(trainer: Trainer) -> str:
    last = trainer.history.epochs[-1]
    return "  ".join(f"{k} {v:.4f}" for k, v in last.items() if k not in ("epoch", "seconds"))
