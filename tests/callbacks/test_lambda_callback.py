"""`LambdaCallback` calls the given functions."""

import inspect

from helpers import X, Y, trainer_on

import chainrule as cr
from chainrule.callbacks import (
    LambdaCallback,
)


def test_functions_are_called_at_their_moments(library):
    seen = []
    moments = [name for name in vars(cr.Callback) if name.startswith("on_")]
    assert moments == list(inspect.signature(LambdaCallback).parameters)
    functions = {name: lambda trainer, name=name: seen.append(name) for name in moments}
    options = {"epochs": 1, "batch_size": 20, "verbose": 0}
    trainer_on(library).fit(X, Y, callbacks=[LambdaCallback(**functions)], **options)
    trainer_on(library).fit(X, Y, callbacks=[LambdaCallback()], **options)
    assert seen == [
        "on_fit_start", "on_epoch_start", "on_step_end", "on_step_end", "on_epoch_end",
        "on_fit_end",
    ]  # fmt: skip
