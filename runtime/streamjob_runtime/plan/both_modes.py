"""Windows that one sink writes when they are final, and another as the whole table: for some kinds the state of both
would not be the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from streamjob_runtime.plan.model import Aggregation, FinalRows, Step
from streamjob_runtime.plan.problems import PlanProblem


def of_both_modes(sinks: Sequence[Any], steps: Mapping[str, Step]) -> Iterator[PlanProblem]:
    """A problem for each sink in append mode whose windows another sink keeps for good.

    Of windows over event time, what was final before a batch follows from the watermarks in the log. Of windows over
    batch time nothing in the log says it; and rows that are late for a session change it where all are kept.
    """
    by_steps = {name for step in steps.values() if isinstance(step, FinalRows) for name in step.operators}
    read = {
        mode: [
            (i, name)
            for i, s in enumerate(sinks)
            if s is not None and s.mode == mode
            for name in _below(s.from_, steps)
        ]
        for mode in ("append", "complete")
    }
    whole = {name for _, name in read["complete"]}
    found = [(i, name, "this sink") for i, name in read["append"] if name in whole]
    found += [(i, name, "a later step") for i, name in read["complete"] if name in by_steps]
    for i, name, who in found:
        step = steps.get(name)
        if not isinstance(step, Aggregation) or step.event_window is None:
            continue
        if step.event_window.of_batches or step.event_window.session:
            shown = name.partition(".")[0]
            kind = "sessions" if step.event_window.session else "windows over batch time"
            other = "this one" if who != "this sink" else "another"
            yield PlanProblem(
                f"spec.sinks[{i}].mode",
                f"{shown} has {kind}, of which {who} gets the final ones and {other}, in complete mode, all",
                "Write the step a second time under another name, for one of the two.",
            )


def _below(name: str, steps: Mapping[str, Step]) -> Iterator[str]:
    yield name
    step = steps.get(name)
    if isinstance(step, FinalRows):
        return  # the final rows alone are read from there
    for read in step.inputs if step is not None else ():
        yield from _below(read, steps)
