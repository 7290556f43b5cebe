"""What the spec says about treating the job. Times in seconds."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from streamjob_api.kubernetes import DEFAULT_RESOURCES
from streamjob_api.models import StreamJobSpec
from streamjob_operator.backoff import RestartPolicy


@dataclass(frozen=True, slots=True)
class Policy:
    """How to treat the job."""

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

    @classmethod
    def of_broken(cls, spec: Mapping[str, Any]) -> Self:
        """The same of a spec that is wrong somewhere: what each field says by itself, or its default."""
        read = {}
        for name in ("suspend", "trigger", "restart", "node_loss", "deletion", "resources"):
            field = StreamJobSpec.model_fields[name]
            kind: Any = field.annotation
            with suppress(KeyError, ValidationError):
                read[name] = TypeAdapter(kind).validate_python(spec[str(field.alias)], by_alias=True, by_name=False)
        return cls.of(StreamJobSpec.model_construct(**read))


def _seconds(duration: timedelta) -> float:
    return duration.total_seconds()
