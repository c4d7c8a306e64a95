"""Scripts: the steps that workers of the in-memory service go through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, TypeAlias

import attrs

from ..errors import ConfigurationError
from ..models import Source

__all__ = ["Matcher", "Script", "Step", "improvise"]

#: A part of an instruction, a function of it, or None for all of them.
Matcher: TypeAlias = str | Callable[[str], bool] | None


def _check_delay(step: Step, field: attrs.Attribute[Any], value: float) -> None:
    if not 0 <= value < float("inf"):
        raise ConfigurationError(f"{field.name} must be a finite number of seconds, 0 or more, not {value!r}")


@attrs.frozen
class Step:
    """One update of a worker: an event of its stream, and its new state.

    Args:
        text: Text appended to the output of this run.
        after: Seconds since the previous step, or since the run began.
        files: Contents of files to publish, by path.
        status: The new status; None for ``"running"``, and for ``"completed"`` in the last step. ``"error"`` and
            ``"aborted"`` end the run too: they are shown by its task, while its worker is completed. A script that ends
            with any other status leaves its worker, and all who wait for it, waiting.
        fields: Other fields of the `Worker` to replace for the rest of the run: ``{"error": {"message": "…"}}``, which
            makes its task fail, or ``{"structured_output": {…}}``.
        data: The data of the event; None for the worker's JSON.
    """

    text: str = ""
    after: float = attrs.field(default=0.25, kw_only=True, validator=_check_delay)
    files: Mapping[str, bytes] = attrs.field(factory=dict, kw_only=True)
    status: str | None = attrs.field(default=None, kw_only=True)
    fields: Mapping[str, Any] = attrs.field(factory=dict, kw_only=True)
    data: str | None = attrs.field(default=None, kw_only=True)


@attrs.define
class Script:
    """Steps, and a condition for the runs that use them.

    Args:
        steps: The steps.
        match: A part of the instruction, a function of it, or None for all runs.
        times: The number of matching runs that use the script; None for no limit.
    """

    steps: tuple[Step, ...]
    match: Matcher
    times: int | None

    def take(self, text: str) -> bool:
        """Return True if a run with this instruction uses the script, and count the run."""
        fits = self.match(text) if callable(self.match) else self.match is None or self.match in text
        if not fits or self.times == 0:
            return False
        if self.times is not None:
            self.times -= 1
        return True


_SOURCE = Source(id="src_1", type="url", url="https://example.com/", title="An example")


def improvise(text: str, random: Random) -> tuple[Step, ...]:
    """Return the steps of a run without a script: a plan in a file, and a short text.

    Args:
        text: The instruction.
        random: The source of the delays.
    """

    def soon() -> float:
        return round(random.uniform(0.15, 0.3), 3)

    plan = f"# Plan\n\n1. Read the question: {text}\n2. Make up an answer.\n"
    return (
        Step(after=soon()),
        Step(after=soon(), files={"scratchpad/plan.md": plan.encode("utf-8", "replace")}),
        Step("This answer is made up by the in-memory service. ", after=soon(), fields={"sources": [_SOURCE]}),
        Step(f"You asked: {text}", after=soon()),
        Step(" For a real answer, ask the real service.", after=soon()),
    )
