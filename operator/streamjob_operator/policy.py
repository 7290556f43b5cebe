"""What the spec says about treating the job. Times in seconds."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Self

from streamjob_api.kubernetes import DEFAULT_RESOURCES
from streamjob_api.models import StreamJobSpec
from streamjob_operator.backoff import RestartPolicy


@dataclass(frozen=True, slots=True)
class Policy:
    """How to treat the job. The defaults are those of a job whose spec cannot be read."""

    restart: RestartPolicy = field(default_factory=RestartPolicy)
    node_loss_after: float = 60.0
    suspend: bool = False
    delete_checkpoints: bool = False
    available_now: bool = False
    memory_limit: str = ""

    @classmethod
    def of(cls, spec: StreamJobSpec) -> Self:
        """The policy of a spec."""
        restart, limits = spec.restart, (spec.resources or DEFAULT_RESOURCES).limits
        return cls(
            restart=RestartPolicy(
                max_failures=restart.max_failures,
                reset_after=_seconds(restart.reset_after),
                initial=_seconds(restart.backoff.initial),
                max=_seconds(restart.backoff.max),
            ),
            node_loss_after=_seconds(spec.node_loss.after),
            suspend=spec.suspend,
            delete_checkpoints=spec.deletion.checkpoints == "Delete",
            available_now=spec.trigger == "availableNow",
            memory_limit=str(limits.memory) if limits and limits.memory is not None else "that of its node",
        )


def _seconds(duration: timedelta) -> float:
    return duration.total_seconds()
