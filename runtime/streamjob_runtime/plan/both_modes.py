"""Windows that one sink writes when they are final, and another as the whole table: for some kinds the state of both
would not be the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from streamjob_runtime.plan.model import Aggregation, Projection
from streamjob_runtime.plan.problems import PlanProblem


def of_both_modes(sinks: Sequence[Any], steps: Mapping[str, Projection | Aggregation]) -> Iterator[PlanProblem]:
    """A problem for each sink in append mode whose windows another sink keeps for good.

    Of windows over event time, what was final before a batch follows from the watermarks in the log. Of windows over
    batch time nothing in the log says it; and rows that are late for a session change it where all are kept.
    """
    complete = [sink for sink in sinks if sink is not None and sink.mode == "complete"]
    whole = {name for sink in complete for name in _below(sink.from_, steps)}
    for i, sink in enumerate(sinks):
        if sink is None or sink.mode != "append":
            continue
        for name in _below(sink.from_, steps):
            step = steps.get(name)
            if not isinstance(step, Aggregation) or name not in whole or step.event_window is None:
                continue
            if step.event_window.of_batches or step.event_window.session:
                shown = name.partition(".")[0]
                kind = "sessions" if step.event_window.session else "windows over batch time"
                yield PlanProblem(
                    f"spec.sinks[{i}].mode",
                    f"{shown} has {kind}, of which this sink gets the final ones and another, in complete mode, all",
                    "Write the step a second time under another name, for one of the two.",
                )


def _below(name: str, steps: Mapping[str, Projection | Aggregation]) -> Iterator[str]:
    yield name
    step = steps.get(name)
    for read in step.inputs if step is not None else ():
        yield from _below(read, steps)
