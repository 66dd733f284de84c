"""A callback that writes the history to a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..checks import Checked, flag
from ..files.atomic import replaceable, write_atomically
from .base import Callback, Training
from .target import Target


class CSVLogger(Callback):
    """Write the history to a CSV file, one row per epoch.

    Each row is written as soon as its epoch ends. When training resumes from a checkpoint, the rows
    after the checkpoint's epoch are removed, because these epochs are trained again. If a new
    number appears in a later epoch, the file gets a new column, which is empty in earlier rows.

    Parameters
    ----------
    path : str or Path
        The path of the file. Its folder is created if it does not exist.
    append : bool, optional
        Whether to append to an existing file, for instance from an earlier training run or another
        tool. By default, an existing file is replaced when the first epoch ends.

    Attributes
    ----------
    path : Path
        The file of the current or most recent training run.

    Raises
    ------
    FileExistsError
        When training starts, if another training run is writing to the file.
    OSError
        When training starts, if the file cannot be written.
    ValueError
        When training starts, if rows are to be appended to an existing file that is not a table of
        epochs.

    Examples
    --------
    >>> x = [[-1.0], [0.0], [1.0], [2.0]]
    >>> trainer = cr.Trainer(cr.mlp([1, 1]), loss=cr.MSELoss(), optimizer=cr.SGD(0.2))
    >>> history = trainer.fit(x, x, epochs=2, callbacks=[CSVLogger("log.csv")], verbose=0)
    >>> with open("log.csv") as file:
    ...     print([line.split(",")[0] for line in file])
    ['epoch', '1', '2']
    """

    writes = True
    append = Checked(flag)

    def __init__(self, path: str | Path, *, append: bool = False) -> None:
        self._target = Target(path)
        self.append = append
        self._rows: list[dict[str, Any]] = []
        self._columns: list[str] = []
        self._kept: int | None = None

    @property
    def path(self) -> Path:
        return self._target.path

    def on_fit_start(self, trainer: Training) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._target.taken(trainer, used=lambda: not self.append and self.path.exists()):
            replaceable(self.path)
            # If this list is empty, the next row causes the whole file to be written again.
            self._columns = []
            self._rows = self._read() if self.append or trainer.resuming else []
            if trainer.resuming and self._kept is not None:
                # Remove the rows after the checkpoint's epoch.
                del self._rows[self._kept :]
            self._kept = None

    def on_fit_end(self, trainer: Training) -> None:
        self._target.release()

    def on_epoch_end(self, trainer: Training) -> None:
        row = trainer.history.epochs[-1]
        self._rows.append(dict(row))
        if all(name in self._columns for name in row):
            with self.path.open("a", newline="", encoding="utf-8") as file:
                file.write(_text(self._columns, self._rows[-1:]))
        else:
            self._columns = list(dict.fromkeys(name for row in self._rows for name in row))
            header = dict(zip(self._columns, self._columns, strict=True))
            write_atomically(self.path, _text(self._columns, [header, *self._rows]).encode())

    def state(self) -> dict[str, Any]:
        return {"rows": len(self._rows) if self._kept is None else self._kept}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._kept = state.get("rows")

    def _read(self) -> list[dict[str, Any]]:
        try:
            with self.path.open(newline="", encoding="utf-8-sig") as file:  # Excel adds a BOM
                text = file.read()
        except FileNotFoundError:
            return []
        except UnicodeDecodeError as error:
            raise ValueError(f"{self.path}: not a CSV file: {error}") from error
        try:
            lines = [line for line in csv.reader(io.StringIO(text, newline="")) if line]
        except csv.Error as error:
            raise ValueError(f"{self.path}: not a CSV file: {error}") from error
        names, *rows = lines or [["epoch"]]
        if rows and len(rows[-1]) < len(names) and not text.endswith(("\n", "\r")):
            del rows[-1]  # a crash cut this row off
        table = [dict(zip(names, row, strict=False)) for row in rows]
        if (
            "epoch" not in names
            or len(set(names)) < len(names)
            or any(len(row) != len(names) for row in rows)
            or not all(row["epoch"].isdecimal() for row in table)
        ):
            raise ValueError(
                f"{self.path}: expected a table with unique column names and a whole number under "
                f"'epoch' in each row, found the columns {', '.join(names)}"
            )
        return table


def _text(columns: list[str], rows: Iterable[dict[str, Any]]) -> str:
    text = io.StringIO(newline="")
    csv.DictWriter(text, columns).writerows(rows)
    return text.getvalue()
