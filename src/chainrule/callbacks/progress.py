"""Two ways to report progress during training."""

from __future__ import annotations

from typing import Any

from ..history import shown
from .base import Callback, Training


class ProgressBar(Callback):
    """Show a progress bar over all steps, with the results of the last epoch (``verbose=1``).

    Examples
    --------
    >>> x = [[-1.0], [0.0], [1.0], [2.0]]
    >>> trainer = cr.Trainer(cr.mlp([1, 1]), loss=cr.MSELoss(), optimizer=cr.SGD(0.2))
    >>> history = trainer.fit(x, x, epochs=2, verbose=1)  # callbacks=[ProgressBar()] does the same
    """

    writes = True
    after_each_step = False

    def on_fit_start(self, trainer: Training) -> None:
        from tqdm.auto import tqdm

        steps = (trainer.epochs - trainer.epochs_done) * trainer.steps_per_epoch
        steps -= trainer.steps_done  # steps already done before an interruption
        self._bar: Any = tqdm(total=steps if steps > 0 else None, unit="step")
        self._shown = trainer.steps_done

    def on_epoch_start(self, trainer: Training) -> None:
        self._shown = trainer.steps_done
        self._bar.set_description(f"epoch {trainer.epoch}/{trainer.epochs}", refresh=False)

    def on_step_end(self, trainer: Training) -> None:
        self._bar.update(trainer.steps_done - self._shown)
        self._shown = trainer.steps_done

    def on_epoch_end(self, trainer: Training) -> None:
        self._bar.set_postfix_str(_numbers(trainer))

    def on_fit_end(self, trainer: Training) -> None:
        self._bar.close()
        del self._bar  # the bar's open file would prevent copying the callback


class PrintEpochs(Callback):
    """Print one line per epoch (``verbose=2``).

    Examples
    --------
    >>> x = [[-1.0], [0.0], [1.0], [2.0]]
    >>> trainer = cr.Trainer(cr.mlp([1, 1]), loss=cr.MSELoss(), optimizer=cr.SGD(0.2))
    >>> history = trainer.fit(x, x, epochs=2, callbacks=[PrintEpochs()], verbose=0)
    epoch 1/2  loss 1.0950  lr 0.2
    epoch 2/2  loss 0.1460  lr 0.2
    """

    writes = True

    def on_epoch_end(self, trainer: Training) -> None:
        print(f"epoch {trainer.epoch}/{trainer.epochs}  {_numbers(trainer)}", flush=True)


def _numbers(trainer: Training) -> str:
    last = trainer.history.epochs[-1]
    return "  ".join(
        f"{name} {f'{number:.4g}' if name.startswith('lr') else shown(number)}"
        for name, number in last.items()
        if name not in ("epoch", "seconds")
    )
