"""The tree of layers: the parameters, buffers and inner layers of a layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, TypeVar

from ..checks import instance
from ..errors import shown
from ..model_state import ModelState
from ..parameter import Buffer, Parameter, Stored
from .described import Described
from .hints import Hints

_Kind = TypeVar("_Kind", bound=Stored)
_BOOKKEEPING = frozenset({"_arguments", "_parent", "_state", "_names"})


class Tree(Described):
    """Base class of `Layer` that finds the parts of a layer in its attributes."""

    _parent: Any = None
    _state: ModelState | None = None

    _fixed: ClassVar[frozenset[str]] = frozenset()
    """Attributes that determine shapes. Once set, they cannot be changed."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._fixed and name in vars(self):
            raise AttributeError(
                f"{self!r}: {name} cannot be changed: create a new {type(self).__name__}"
            )
        if name not in _BOOKKEEPING:
            self._expect_no_array(name, value)
            for _, part in _named_parts(name, value, (Hints, Stored)):
                self._adopt(part)
        object.__setattr__(self, name, value)

    def _expect_no_array(self, name: str, value: Any) -> None:
        """Raise a TypeError if an array is about to replace a parameter or a buffer."""
        stored = vars(self).get(name)
        if not isinstance(stored, Stored) or isinstance(value, Stored | Tree):
            return
        if value is not None or stored._state is not None:  # a subclass may set a bias to None
            raise TypeError(
                f"{self._label()}: expected {name} to stay a {type(stored).__name__}, found "
                f"{shown(value)}: to change the value, write layer.{name}.value[...] = array"
            )

    def _adopt(self, part: Any) -> None:
        if not isinstance(part, Stored):
            instance(Tree, part, "layers")
        if part._state is not None and part._state is not self._state:
            raise ValueError(
                f"{part!r} already belongs to another model, or was used before this model was "
                "created. To start from the same weights, use layer.copy() in the new model. To "
                "share weights, use the layer twice within one model. (Only the outermost layer "
                "takes backend=, dtype= and seed=.)"
            )
        if isinstance(part, Stored):
            part._layer = self
        else:
            part._parent = self

    def children(self) -> Iterator[tuple[str, Tree | Stored]]:
        """Yield the parameters, buffers and layers in attributes, even inside lists and dicts."""
        for name, value in list(vars(self).items()):  # a copy: another thread may bind the layer
            if name not in _BOOKKEEPING:
                yield from _named_parts(name, value)

    def _walk(self, prefix: str = "") -> Iterator[tuple[str, Tree | Stored]]:
        """Yield all inner layers, parameters and buffers, once for each of their names."""
        for name, part in self.children():
            yield prefix + name, part
            if isinstance(part, Tree):
                yield from part._walk(f"{prefix}{name}.")

    def named_parameters(self) -> dict[str, Parameter]:
        """Return a dict from names (``"0.weight"``) to parameters, in the order of definition.

        A shared parameter appears only under its first name.
        """
        return self._named(Parameter)

    def named_buffers(self) -> dict[str, Buffer]:
        """Return a dict from names, such as ``"1.running_mean"``, to buffers."""
        return self._named(Buffer)

    def named_stored(self) -> dict[str, Stored]:
        """Return a dict from names to parameters and buffers. Shared ones occur several times."""
        return {name: part for name, part in self._walk() if isinstance(part, Stored)}

    def _named(self, kind: type[_Kind]) -> dict[str, _Kind]:
        named = {name: part for name, part in self._walk() if isinstance(part, kind)}
        first = {id(part): name for name, part in reversed(named.items())}
        return {name: part for name, part in named.items() if first[id(part)] == name}

    def parameters(self) -> list[Parameter]:
        """Return each parameter once, in the order of definition."""
        return list(self.named_parameters().values())

    @property
    def trainable(self) -> bool:
        """Whether at least one of the layer's parameters is not frozen."""
        own = any(isinstance(p, Parameter) and p.trainable for p in vars(self).values())
        # Every backward pass needs this answer, and a walk takes ten times as long.
        return own or any(isinstance(p, Parameter) and p.trainable for _, p in self._walk())

    def freeze(self) -> None:
        """Freeze the layer's parameters, so that no optimizer changes them."""
        for p in self.parameters():
            p.trainable = False

    def unfreeze(self) -> None:
        """Unfreeze the layer's parameters, so that optimizers change them again."""
        for p in self.parameters():
            p.trainable = True


def _named_parts(
    name: str, value: Any, kinds: tuple[type, ...] = (Tree, Stored)
) -> Iterator[tuple[str, Any]]:
    """Yield the parts that an attribute holds, directly or in lists and dicts."""
    if isinstance(value, kinds):
        yield name, value
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _named_parts(f"{name}.{i}", item, kinds)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _named_parts(f"{name}.{key}", item, kinds)
