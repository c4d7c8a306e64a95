"""The journal of a batch: an SQLite file that says which inputs were run, under which ids, with which results.

A run is recorded before it is requested, so that no other program requests it again. What a method has recorded is on
the disk when the method, or `Journal.perform` around it, returns.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any

import attrs

from .._converter import structure, to_dict
from .._sources import Memory, PathSource
from ..errors import ConfigurationError, RunFailedError, shorten
from ..models import File, TaskWithTurns, Usage, Worker
from ..models.outcomes import Outcome
from ..uploads import Upload

__all__ = ["Journal", "Row", "fingerprint", "load_result"]

#: Marks an SQLite file as a journal: "HbJ" and the version of its tables.
_APPLICATION_ID = 0x48624A01
_TABLES = """
CREATE TABLE runs (
    number INTEGER PRIMARY KEY, input TEXT NOT NULL, task_id TEXT, worker_id TEXT, posted INTEGER NOT NULL,
    started INTEGER NOT NULL DEFAULT 0, sought REAL, result TEXT
);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
#: The fields of an outcome that are models, each with its class.
_MODELS: dict[str, Any] = {"usage": Usage, "worker": Worker, "task": TaskWithTurns}


@attrs.frozen
class Row:
    """The record of an input.

    Args:
        posted: True from before its run was requested, unless it was refused.
        started: True if a service of the older generation has started its run.
        task_id: The id of its task; None on a service of the older generation.
        worker_id: The id of its worker, if it is known.
        result: Its result, for `load_result`.
    """

    posted: bool
    started: bool
    task_id: str | None
    worker_id: str | None
    result: str | None


class Journal:
    """An open journal. Its methods block, and are called in one thread at a time.

    Args:
        path: The path of the file.

    Attributes:
        last: The highest number of an input that is recorded; -1 if there is none.

    Raises:
        ConfigurationError: Another batch uses the file, or it is no journal, or cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._name = shorten(os.fsdecode(path), 200)
        try:
            path = os.path.realpath(path)  # ":memory:" is a file like others
            with suppress(OSError):  # which SQLite reports, or the file is there: opening it would unlock it
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            self._connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        except (sqlite3.Error, ValueError) as error:
            raise ConfigurationError(f"the journal {self._name} cannot be opened: {error}") from error
        try:
            self.last = self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> int:
        """Lock the file, and make the tables in a new one."""
        try:
            # The lock is held until the connection is closed, or the process ends in whatever way.
            self._run("PRAGMA locking_mode = EXCLUSIVE")
            self._run("BEGIN IMMEDIATE")
            made_by = self._one("PRAGMA application_id")
            if made_by == 0 and self._one("SELECT count(*) FROM sqlite_master") == 0:
                made_by = _APPLICATION_ID
                for statement in filter(str.strip, _TABLES.split(";")):
                    self._run(statement)
                self._run(f"PRAGMA application_id = {_APPLICATION_ID}")
            self._run("COMMIT")
            if made_by != _APPLICATION_ID:
                raise ConfigurationError(f"the journal {self._name} is another kind of file")
            self._run("PRAGMA journal_mode = WAL")
            self._run("PRAGMA synchronous = FULL")
            return int(self._one("SELECT coalesce(max(number), -1) FROM runs"))
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                reason = "is in use by another batch: one at a time"
            elif getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
                reason = "is another kind of file"
            else:
                reason = f"cannot be used: {error}"
            raise ConfigurationError(f"the journal {self._name} {reason}") from error

    def find(self, number: int, digest: str) -> Row | None:
        """Return what is recorded of an input; None if nothing is, or only that the service has refused another one.

        Args:
            number: The number of the input.
            digest: Its `fingerprint`.

        Raises:
            ConfigurationError: The run of another input is recorded.
        """
        row = self._run(
            "SELECT input, posted, started, task_id, worker_id, result FROM runs WHERE number = ?", number
        ).fetchone()
        if row is None:
            return None
        if row[0] != digest:
            if not row[1] and row[5] is None:
                return None
            raise ConfigurationError(
                f"the journal {self._name} is of other inputs: number {number} (from 0) is not the same"
            )
        return Row(bool(row[1]), bool(row[2]), *row[3:])

    def post(self, number: int, digest: str, task_id: str | None, worker_id: str | None) -> None:
        """Record that a run is about to be requested."""
        self._run(
            "INSERT OR REPLACE INTO runs (number, input, task_id, worker_id, posted) VALUES (?, ?, ?, ?, 1)",
            number,
            digest,
            task_id,
            worker_id,
        )

    def start(self, number: int, worker_id: str | None) -> None:
        """Record the id of the worker of a run that has no task."""
        self._run("UPDATE runs SET worker_id = ?, task_id = NULL, started = 1 WHERE number = ?", worker_id, number)

    def refuse(self, number: int) -> None:
        """Record that the service has refused a run: it may be requested again."""
        self._run("UPDATE runs SET posted = 0, task_id = NULL, worker_id = NULL WHERE number = ?", number)

    def sought(self, number: int, now: float) -> float:
        """Return the time at which a run that may have been started was first looked for: ``now`` if it is now."""
        self._run("UPDATE runs SET sought = ? WHERE number = ? AND sought IS NULL", now, number)
        return float(self._one("SELECT coalesce(max(sought), ?) FROM runs WHERE number = ?", now, number))

    def finish(self, number: int, result: Outcome[Any] | RunFailedError) -> None:
        """Record the result of a run: its outcome, with the structured output as JSON, or its failure."""
        self._run("UPDATE runs SET result = ? WHERE number = ?", _dump_result(result), number)

    def fact(self, name: str, value: str | None = None) -> str | None:
        """Return a fact about the batch; record it first if a value is given and none is recorded."""
        if value is not None:
            self._run("INSERT OR IGNORE INTO facts VALUES (?, ?)", name, value)
        found = self._run("SELECT value FROM facts WHERE name = ?", name).fetchone()
        return found and str(found[0])

    def perform(self, calls: list[Callable[[], Any]]) -> list[Any]:
        """Call methods of this journal, and wait for the disk once.

        Returns:
            Their results; an exception for one that raised it, unless it is SQLite's.
        """
        results: list[Any] = []
        self._run("BEGIN")
        try:
            for call in calls:
                try:
                    results.append(call())
                except sqlite3.Error:
                    raise
                except Exception as error:  # of one input, as of text that cannot be written
                    results.append(error)
            self._run("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._run("ROLLBACK")
            raise
        return results

    def close(self) -> None:
        """Close the file and release its lock. Idempotent."""
        with suppress(sqlite3.Error):  # a full disk: what is in the write-ahead log stays there
            self._connection.close()

    def _run(self, statement: str, *values: Any) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)

    def _one(self, statement: str, *values: Any) -> Any:
        return self._run(statement, *values).fetchone()[0]


def fingerprint(arguments: Mapping[str, Any]) -> str:
    """Return a hash of the arguments of a run. Of a file on a disk, only the path counts.

    Raises:
        ConfigurationError: There is an open file among them, or something else that has no bytes to compare.
    """
    try:
        return sha256(json.dumps(arguments, sort_keys=True, default=_describe).encode()).hexdigest()
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"an input of a batch with a journal cannot be compared: {error}") from error


def _describe(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return sha256(bytes(value)).hexdigest()
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, Upload):
        return [value.filename, value.media_type, value.content]
    if isinstance(value, PathSource):
        return value.path
    if isinstance(value, Memory):
        return value.data
    raise TypeError(f"pass a path or bytes, not {type(value).__name__}")


def _dump_result(result: Outcome[Any] | RunFailedError) -> str:
    if isinstance(result, RunFailedError):
        outcome = None if result.outcome is None else _dump_outcome(result.outcome)
        document = {
            "error": result.message,
            "worker_id": result.worker_id,
            "task_id": result.task_id,
            "outcome": outcome,
        }
    else:
        document = {"outcome": _dump_outcome(result)}
    return json.dumps(document)  # not orjson: strings may have lone surrogates


def _dump_outcome(outcome: Outcome[Any]) -> dict[str, Any]:
    document = {field.name: getattr(outcome, field.name) for field in attrs.fields(Outcome)}
    for name in _MODELS:
        if document[name] is not None:
            document[name] = to_dict(document[name])
    return document | {"files": [to_dict(file) for file in outcome.files]}


def load_result(result: str) -> Outcome[Any]:
    """Return the outcome that `Journal.finish` has recorded.

    Raises:
        RunFailedError: It is a failure.
    """
    document = json.loads(result)
    outcome = document["outcome"]
    if outcome is not None:
        for name, cls in _MODELS.items():
            if outcome[name] is not None:
                outcome[name] = structure(outcome[name], cls)
        outcome = Outcome(**outcome | {"files": [structure(file, File) for file in outcome["files"]]})
    if "error" in document:
        raise RunFailedError(
            document["error"], outcome=outcome, worker_id=document["worker_id"], task_id=document["task_id"]
        )
    return outcome  # type: ignore[no-any-return]
