"""The base of all optimizers: the rate, penalties, clipping and the step itself.

A step is one operation on the flat vectors of a model, whatever its depth: the rule, made fast by
the backend (see `Backend.elementwise`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from array_api_compat import array_namespace

from ..backends import Backend
from ..checks import at_least_zero
from ..formulas import sign
from ..layers import Layer
from ..parameter import ModelState, Parameter
from ..types import Array, LearningRate, Rule


class Optimizer:
    """The base of all optimizers: the rate, penalties, clipping and the step itself.

    Parameters
    ----------
    lr : float or callable
        The learning rate, at least 0; or a function of the step, counted from 0, such as
        `schedules.cosine`.
    weight_decay : float, optional
        The L2 penalty ``weight_decay / 2 * sum(value^2)``: adds ``weight_decay * value`` to the
        gradient (`AdamW` decays the value itself).
    l1 : float, optional
        The L1 penalty ``l1 * sum(|value|)``: adds ``l1 * sign(value)`` to the gradient, in `AdamW`
        too (R. Tibshirani, "Regression shrinkage and selection via the lasso", 1996).
    decay_biases : bool, optional
        Whether both apply to parameters that ask to be left alone, such as biases.
    clip_norm : float, optional
        The gradient of the whole model is scaled down to this Euclidean norm where it is longer
        (R. Pascanu et al., "On the difficulty of training recurrent neural networks", 2013). The
        penalties come after.

    Notes
    -----
    Penalties act through the gradient only: the loss that is reported does not contain them.

    A custom optimizer names its vectors in `slots` and defines `rule` and `scalars`.
    """

    slots: tuple[str, ...] = ()
    """Names of the vectors of state; they start as zeros."""

    decoupled_decay: ClassVar[bool] = False

    def __init__(
        self,
        lr: LearningRate,
        *,
        weight_decay: float = 0.0,
        l1: float = 0.0,
        decay_biases: bool = False,
        clip_norm: float | None = None,
    ) -> None:
        self.lr = lr if callable(lr) else at_least_zero("lr", lr)
        self.weight_decay = at_least_zero("weight_decay", weight_decay)
        self.l1 = at_least_zero("l1", l1)
        self.decay_biases = decay_biases
        self.clip_norm = None if clip_norm is None else at_least_zero("clip_norm", clip_norm)
        self.steps = 0
        self._model_state: ModelState | None = None
        self._vectors: dict[str, Array] = {}

    def rule(self, xp: Any) -> Rule:
        """``rule(value, *slots, grad, *scalars) -> (value, *slots)``, for `Backend.elementwise`.

        It is compiled once for each function that is returned here: return the same one each time.
        """
        raise NotImplementedError(f"{type(self).__name__} has no rule")

    def scalars(self, lr: float, step: int) -> tuple[float, ...]:
        """The numbers that the rule takes at a step, counted from 1."""
        return (lr,)

    def bind(self, model: Layer) -> Self:
        """Make ready to train `model`, whose state vectors are made now.

        Returns
        -------
        Optimizer
            The optimizer itself.

        Raises
        ------
        ValueError
            If it is bound to another model.
        RuntimeError
            If the model has more layers than when its weights were drawn.
        """
        state = model.state
        if len(model.parameters()) != len(state.parameters):
            raise RuntimeError("a layer was added to this model after it had its weights")
        if self._model_state is state:
            return self
        if self._model_state is not None:
            raise ValueError(f"{self!r} trains another model already; make a new one")
        self._model_state = state
        self._vectors = {name: self._initial(name, state) for name in self.slots}
        self._prepare()
        return self

    def _prepare(self) -> None:
        """Make the update of the vectors from the rule."""
        if self._model_state is not None:
            outputs = 1 + len(self.slots)
            self._update = self._model_state.backend.elementwise(self.rule, outputs=outputs)

    def copy(self) -> Self:
        """Return an unbound copy with the same hyperparameters and schedules, at step 0."""
        twin = type(self).__new__(type(self))
        of_model = ("_model_state", "_vectors", "_update")
        kept = {name: value for name, value in vars(self).items() if name not in of_model}
        twin.__dict__.update(copy.deepcopy(kept))
        twin.steps, twin._model_state, twin._vectors = 0, None, {}
        return twin

    def _options(self) -> dict[str, Any]:
        """The attributes that say how it moves parameters: numbers, flags and schedules."""
        return {k: v for k, v in vars(self).items() if k[0] != "_" and k not in ("steps", "slots")}

    def _initial(self, name: str, state: ModelState) -> Array:
        return state.backend.xp.zeros_like(state.values)

    def step(self) -> None:
        """Move the parameters by their gradients, and mark the gradients stale."""
        state = self._model_state
        if state is None:
            raise RuntimeError(f"{self!r} has no model: call optimizer.bind(model) first")
        numbers = state.inputs.numbers(state, self.numbers(self.steps))
        *scalars, l1, decay, clip_norm = [numbers[i] for i in range(numbers.shape[0])]
        state.settle_grads()
        if self.clip_norm is not None:
            self._clip(state, clip_norm)
        self.steps += 1
        for part, penalized in state.trainable_parts(self._is_penalized):
            value, grad = state.values[part], state.grads[part]
            if penalized:
                grad = self._with_penalties(state.backend, grad, value, l1, decay)
            slots = [vector[part] for vector in self._vectors.values()]
            self._update(value, *slots, grad, *scalars)
        state.limit_norms()
        state.zero_grad()

    def numbers(self, step: int) -> tuple[float, ...]:
        """All numbers of a step, counted from 0: `scalars`, l1, the decay, the norm to clip to.

        The decay is what is taken off a value, or for decay beside the gradient what is left of it.
        """
        lr = at_least_zero("lr", self.lr(step) if callable(self.lr) else self.lr)
        decay = 1.0 - lr * self.weight_decay if self.decoupled_decay else self.weight_decay
        return *self.scalars(lr, step + 1), self.l1, decay, self.clip_norm or 0.0

    @property
    def structure(self) -> tuple[Any, ...]:
        """What decides which operations a step is made of, beside its numbers."""
        penalties = self.l1 > 0.0, self.weight_decay > 0.0, self.decay_biases
        return type(self), self.slots, *penalties, self.clip_norm is None

    def _is_penalized(self, parameter: Parameter) -> bool:
        penalty = self.weight_decay > 0.0 or self.l1 > 0.0
        return penalty and (parameter.decay or self.decay_biases)

    def _with_penalties(
        self, backend: Backend, grad: Array, value: Array, l1: Array, decay: Array
    ) -> Array:
        """The gradient including the penalties'; decoupled decay changes the value itself."""
        if self.l1 > 0.0:
            grad = grad + l1 * backend.kernel(sign)(value)
        if self.decoupled_decay:
            value *= decay  # 1 - lr * weight_decay
        elif self.weight_decay > 0.0:
            grad = grad + decay * value  # weight_decay itself
        return grad

    @staticmethod
    def _clip(state: ModelState, clip_norm: Array) -> None:
        xp = state.backend.xp
        norm = xp.sqrt(xp.sum(state.grads * state.grads))
        # As in PyTorch, 1e-6 keeps the quotient finite; no branch, so nothing is read back.
        state.grads *= xp.minimum(clip_norm / (norm + 1e-6), xp.ones_like(norm))

    def state(self) -> dict[str, Any]:
        """All that a training needs to continue, see `load_state`.

        Returns
        -------
        dict
            JSON-compatible values, and copies of the vectors by name under ``"vectors"``.
        """
        vectors = {
            name: array_namespace(vector).asarray(vector, copy=True)
            for name, vector in self._vectors.items()
        }
        return {**self._description(), "steps": self.steps, "vectors": vectors}

    def _description(self) -> dict[str, Any]:
        options = self._options()
        return {
            "kind": type(self).__name__,
            "numbers": {name: value for name, value in options.items() if not callable(value)},
            "schedules": [name for name, value in options.items() if callable(value)],
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned, except for schedules.

        Parameters
        ----------
        state : dict
            The same values; arrays may be of any library.

        Raises
        ------
        RuntimeError
            If it is not bound to a model.
        ValueError
            If the state is of another kind of optimizer, of one with other schedules, or of one for
            a model of another size. Nothing is changed then.
        """
        if self._model_state is None:
            raise RuntimeError(f"{self!r} has no model: call optimizer.bind(model) first")
        own, backend = self._description(), self._model_state.backend
        same = all(own[key] == state[key] for key in ("kind", "schedules"))
        same = same and self._vectors.keys() == state["vectors"].keys()
        if not same or own["numbers"].keys() != state["numbers"].keys():
            schedules = ", ".join(state["schedules"]) or "nothing"
            raise ValueError(
                f"expected the optimizer of the training, {state['kind']!r} with the vectors "
                f"{list(state['vectors'])} and schedules for {schedules}; found {self!r}"
            )
        for name, vector in self._vectors.items():
            if (found := state["vectors"][name].shape) != vector.shape:
                raise ValueError(f"{name}: expected shape {vector.shape}, found {found}")
        moved = {
            name: backend.asarray(state["vectors"][name], dtype=vector.dtype)
            for name, vector in self._vectors.items()
        }
        for name, number in state["numbers"].items():
            setattr(self, name, tuple(number) if isinstance(number, list) else number)
        self.steps = state["steps"]
        for name, vector in self._vectors.items():
            vector[...] = moved[name]
        self._prepare()  # its rule may depend on numbers, as Nesterov's does

    def __getstate__(self) -> dict[str, Any]:
        # The compiled rule stays behind, and vectors are copied as host arrays.
        hidden = {k: v for k, v in self.__dict__.items() if k != "_update"}
        if self._model_state is not None:
            to_numpy = self._model_state.backend.to_numpy
            hidden["_vectors"] = {name: to_numpy(v).copy() for name, v in self._vectors.items()}
        return hidden

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._model_state is not None:
            self._vectors = {
                name: self._model_state._vector(v) for name, v in self._vectors.items()
            }
            self._prepare()

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self._options().items())
        return f"{type(self).__name__}({options})"
