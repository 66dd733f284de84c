"""Names from PyTorch and Keras, and what to use here instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

_HERE = {
    "compile": "cr.Trainer(model, loss=..., optimizer=...) does so",
    "add": "cr.Sequential(*layers) takes all layers at once",
    "cpu": "backend= and device= in the constructor of the model",
    "cuda": "backend='cupy', or backend='torch' and device='cuda', in the constructor of the model",
    "double": "dtype='float64' in the constructor of the model",
    "eval": "model.predict(x) computes in inference mode, as does forward(x, training=False)",
    "evaluate": "cr.Trainer(model, loss=..., optimizer=...).evaluate(x, y)",
    "fit": "cr.Trainer(model, loss=..., optimizer=...).fit(x, y)",
    "get_weights": "model.named_parameters() has the parameters by name, .value their arrays",
    "load_state_dict": "model.load_weights(path)",
    "modules": "for layer in model, or layer.children()",
    "requires_grad_": "layer.freeze() and layer.unfreeze()",
    "state_dict": "model.named_stored() has parameters and buffers by name, model.save(path) "
    "writes them to a file",
    "to": "backend=, device= and dtype= in the constructor of the model",
    "train": "cr.Trainer(model, loss=..., optimizer=...).fit(x, y), or forward(x, training=True)",
}


class Hints:
    """The base of layers, which points from the names of PyTorch and Keras to those here."""

    if not TYPE_CHECKING:  # a type checker is to find all of this missing

        def __getattr__(self, name: str) -> Any:
            if name in _HERE:
                raise AttributeError(f"{type(self).__name__} has no {name!r}: {_HERE[name]}")
            return object.__getattribute__(self, name)  # raises the error that led here

        def __call__(self, *inputs: Any, **options: Any) -> NoReturn:
            raise TypeError(
                f"{type(self).__name__} is not called: model.predict(x) gives the outputs, "
                "layer.forward(x) the output and the function that pulls a gradient back"
            )
