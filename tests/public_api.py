"""Print the public interface of chainrule as sorted lines, one per name.

``python tests/public_api.py --write`` writes the lines to ``tests/public_api.txt``, which
``test_public_api.py`` compares with the package.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, get_origin

SNAPSHOT = Path(__file__).with_suffix(".txt")
PACKAGE = "chainrule"
OPTIONAL = ("chainrule.estimators", "chainrule.plotting")  # modules that need an extra
SPECIAL = ("__call__", "__getitem__", "__iter__", "__len__")


def interface() -> tuple[list[str], list[str]]:
    """Return the lines, and the modules that cannot be imported because an extra is missing."""
    lister, missing = Lister(), []
    lister.module(importlib.import_module(PACKAGE))
    for name in OPTIONAL:
        try:
            module = importlib.import_module(name)
        except ImportError:
            missing.append(name)
        else:
            lister.module(module, name)
    return sorted(lister.lines), missing


class Lister:
    """A list of public names. An object with two names is described under its first name."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.described: dict[int, str] = {}

    def module(self, module: ModuleType, place: str = PACKAGE) -> None:
        """Add each public name of a module once: first the classes, then everything else."""
        if id(module) in self.described:
            return
        self.lines.append(f"{place} (module)")
        self.described[id(module)] = place
        things = {name: getattr(module, name) for name in public_names(module)}
        modules = {name: thing for name, thing in things.items() if isinstance(thing, ModuleType)}
        classes = {f"{place}.{n}": c for n, c in things.items() if isinstance(c, type)}
        new = {path: kind for path, kind in classes.items() if id(kind) not in self.described}
        self.described.update({id(kind): path for path, kind in new.items()})
        for path, kind in new.items():
            self.kind(path, kind)
        for name, thing in things.items():
            path = f"{place}.{name}"
            if path in new or name in modules:
                continue
            if id(thing) in self.described:
                self.lines.append(f"{path} is {self.described[id(thing)]}")
            elif get_origin(thing) is not None:
                self.lines.append(f"{path} (type)")
            elif callable(thing):
                self.described[id(thing)] = path
                self.lines.append(path + parameters(thing))
            else:
                self.lines.append(path)
        for name, inner in modules.items():
            self.module(inner, f"{place}.{name}")

    def kind(self, path: str, kind: type) -> None:
        """Add the constructor of a class, and all members that no listed base class has."""
        self.lines.append(f"{path}{constructor(kind)}")
        members: dict[str, Any] = {}
        parents = [base for base in kind.__mro__[1:] if id(base) in self.described]
        listed = {base for parent in parents for base in parent.__mro__}
        for base in reversed(kind.__mro__):
            if is_ours(base) and base not in listed:
                members.update(vars(base))
        known = {*inspect.signature(kind.__init__).parameters, *(n for b in listed for n in dir(b))}
        for name, member in members.items():
            if name in SPECIAL or not name.startswith("_"):
                self.lines.extend(described(f"{path}.{name}", member, known=name in known))


def public_names(module: ModuleType) -> list[str]:
    """Return ``__all__`` if it exists, or else the public names that the module defines."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and str(getattr(thing, "__module__", "")).startswith(module.__name__)
    ]


def is_ours(thing: Any) -> bool:
    """Return whether chainrule defines this object."""
    return str(thing.__module__).partition(".")[0] == PACKAGE


def constructor(kind: type) -> str:
    """Return the parameters of a constructor, or dots if another library defines them."""
    owner = next(base for base in kind.__mro__ if "__init__" in vars(base))
    if owner is object:
        return "()"
    return parameters(kind.__init__, bound=True) if is_ours(owner) else "(...)"


def described(path: str, member: Any, *, known: bool) -> Iterator[str]:
    """Yield the line of a member, unless the constructor or a base class lists the member.

    Members that another library, such as scikit-learn, adds to a class have no line.
    """
    member = getattr(member, "fn", member)  # unwrap a method that uses scikit-learn's available_if
    if getattr(member, "__annotations__", {}).get("return") == "NoReturn":
        return  # the member exists only to raise an error
    if isinstance(member, property | cached_property):
        yield f"{path} (property)"
    elif isinstance(member, FunctionType):
        yield path + parameters(member, bound=True)
    elif isinstance(member, classmethod):
        yield f"{path}{parameters(member.__func__, bound=True)} (class method)"
    elif isinstance(member, staticmethod):
        yield f"{path}{parameters(member.__func__)} (static method)"
    elif not known and not hasattr(member, "__get__"):
        yield f"{path} (attribute)"


def parameters(function: Any, *, bound: bool = False) -> str:
    """Return the parameters without annotations and, for a bound method, without `self`."""
    signature = inspect.signature(function)
    plain = [
        p.replace(annotation=p.empty, default=Default.of(p.default))
        for p in signature.parameters.values()
    ]
    return str(signature.replace(parameters=plain[bound:], return_annotation=signature.empty))


class Default:
    """The text of a default value, or dots if the text may differ from run to run."""

    def __init__(self, text: str) -> None:
        self.text = text

    @classmethod
    def of(cls, value: Any) -> Any:
        """Return the text of a literal value, or the name of a class or function."""
        if value is inspect.Parameter.empty:
            return value
        if isinstance(value, type | FunctionType):
            return cls(value.__qualname__)
        literal = isinstance(value, bool | int | float | str | tuple | None)
        return cls(repr(value) if literal else "...")

    def __repr__(self) -> str:
        return self.text


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {SNAPSHOT.name}")
    write = parser.parse_args().write
    lines, missing = interface()
    if write and missing:
        raise SystemExit(f"cannot import {', '.join(missing)}: install the extras plot and sklearn")
    text = "\n".join(lines) + "\n"
    print(f"{len(lines)} lines in {SNAPSHOT}" if write else text, end="\n" if write else "")
    if write:
        SNAPSHOT.write_text(text, encoding="utf-8")
