"""The measurements as text: a short summary, and the tables for the page docs/gpu.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..machine import header
from ..text import middle, number, rows
from . import checks, floor, mnist, speed

SECTIONS = {"floor": "The card", "speed": "A step", "mnist": "MNIST", "checks": "Checks"}


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return a table for each section that was measured."""
    made = {}
    if "floor" in results:
        made["floor"] = floor.table(results["floor"])
    if "speed" in results:
        made["speed"] = speed.table(results["speed"], _ceilings(results))
    if "mnist" in results:
        made["mnist"] = mnist.table(results["mnist"])
    if "checks" in results:
        made["checks"] = checks.table(results["checks"])
    return made


def _ceilings(results: dict[str, Any]) -> dict[str, float] | None:
    return floor.ceilings(results["floor"]) if "floor" in results else None


def short(results: dict[str, Any]) -> str:
    """Return the most important numbers of the sections that were measured."""
    lines = []
    for name, result in results.get("speed", {}).items():
        times = result["seconds"][speed.HOST]
        ours = speed.base(result["seconds"])
        others = [
            f"{who} {number(np.median(np.divide(seconds, times[ours])))}"
            for who, seconds in times.items()
            if who != ours
        ]
        what = f"{name}, {result['batch']}: a step of {ours}, and how many times that others take"
        lines.append((what, f"{middle(times[ours])}; {', '.join(others)}"))
    for way, found in results.get("mnist", {}).get("ways", {}).items():
        least = min(accuracy for _, accuracy in found["warm"])
        seconds = middle([seconds for seconds, _ in found["warm"]])
        cold = middle([seconds for seconds, _ in found["cold"]])
        lines.append((f"MNIST to {least:.2%}, {way}", f"{seconds}, cold {cold}"))
    if "checks" in results:
        found = results["checks"]
        for way, used in found["memory"].items():
            few, many = used["bytes"]
            grown = [f"{what} {many[what] - n:+,}" for what, n in few.items()]
            lines.append((f"memory grown, {way}", f"{', '.join(grown)} bytes"))
        if found["turns"]:
            worst = max(found["turns"].values())
            lines.append(("models in turns differ from each alone by", f"{worst:.1e}"))
        differences = [f"{way} {x:.1e}" for way, x in found["agreement"].items()]
        lines.append(("losses differ from NumPy's by", ", ".join(differences)))
    return rows(("in short", "found"), lines)


def text(results: dict[str, Any]) -> str:
    """Return all tables in Markdown."""
    precision, date = results["precision"], results["date"]
    card = ", ".join(f"{what} {value}" for what, value in results["card"].items())
    where = f"Measured on {date}, with products of float32 in {precision}: {card}."
    head = f"{where}\n\n{header(results)}"
    parts = [f"#### {SECTIONS[name]}\n\n{table}" for name, table in tables(results).items()]
    return "\n\n".join([head, *parts])


def replaced(page: str, precision: str, measured: str) -> str:
    """Return the page with new text between the two comments that mark a precision."""
    start, end = f"<!-- measured: {precision} -->", f"<!-- end of {precision} -->"
    before, found, rest = page.partition(start)
    _, ended, after = rest.partition(end)
    if not found or not ended or start in after or end in before:
        raise ValueError(f"expected a page with {start}, and {end} after it, once each")
    return f"{before}{start}\n\n{measured}\n\n{end}{after}"


def write(path: Path, results: dict[str, Any]) -> None:
    """Replace the measurements on the page at this path."""
    page = path.read_text(encoding="utf-8")
    path.write_text(replaced(page, results["precision"], text(results)), encoding="utf-8")
