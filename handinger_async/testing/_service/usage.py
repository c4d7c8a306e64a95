"""The bill of a worker: tokens, steps and files, and the `Usage` and `Costs` that follow from them."""

from __future__ import annotations

import math

import attrs

from ...models import Costs, Usage
from ..scripts import Step

__all__ = ["BUDGETS", "Spent"]

#: The budgets, each with its multiple of the tokens that a low budget uses.
BUDGETS = {"low": 1, "standard": 2, "high": 4, "unlimited": 8}


@attrs.frozen(kw_only=True)
class Spent:
    """The amounts that a worker has used so far. `Usage` and `Costs` both derive from them, so their totals agree."""

    read: int = 0
    written: int = 0
    steps: int = 0
    effort: int = 0
    files: int = 0
    seconds: float = 0.0

    def on(self, step: Step, effort: int) -> Spent:
        """Return the amounts after ``step``.

        Args:
            step: The step.
            effort: The multiple of the run's budget, from `BUDGETS`.
        """
        return Spent(
            read=self.read + 400 * effort,
            written=self.written + (40 + len(step.text) // 4) * effort,
            steps=self.steps + 1,
            effort=self.effort + effort,
            files=self.files + len(step.files),
            seconds=self.seconds + step.after,
        )

    @property
    def costs(self) -> Costs:
        """The costs, in US dollars."""
        return Costs(
            internal_cost_usd=self.effort * 50 / 1e6,
            model_cost_usd=(self.read + 5 * self.written) / 1e6,
            sandbox_cost_usd=self.effort * 100 / 1e6,
            tool_cost_usd=self.files * 200 / 1e6,
        )

    @property
    def usage(self) -> Usage:
        """The counters, and the total of the costs."""
        costs = self.costs
        total = costs.internal_cost_usd + costs.model_cost_usd + costs.sandbox_cost_usd + costs.tool_cost_usd
        return Usage(
            cache_read_tokens=self.read // 2,
            cache_write_tokens=self.read // 4,
            cost_usd=round(total, 6),
            input_tokens=self.read,  # includes the cached tokens
            output_tokens=self.written,  # includes the reasoning tokens
            reasoning_tokens=self.written // 4,
            steps=self.steps,
            total_tokens=self.read + self.written,
            credits=math.ceil(total * 1000),
            duration_ms=round(self.seconds * 1000),
        )
