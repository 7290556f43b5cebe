"""Which topics and partitions a Kafka source has, and where each begins."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from streamjob_runtime.connectors.kafka.cluster import Cluster, Topic
from streamjob_runtime.errors import JobError, Unavailable


@dataclass(frozen=True, slots=True)
class Start:
    """Where a new job begins."""

    at: Literal["earliest", "latest", "timestamp", "offsets"] = "earliest"
    time_ms: int = 0  # timestamp: milliseconds since the epoch, UTC
    offsets: Mapping[str, int] = field(default_factory=dict)  # offsets: partition -> offset

    @classmethod
    def from_manifest(cls, config: Any) -> "Start":
        """What a `KafkaSource` of the manifest says. Raises `JobError` for a day that there is not."""
        time_ms = 0
        if config.start_timestamp is not None:
            try:
                time_ms = round(datetime.fromisoformat(config.start_timestamp).timestamp() * 1000)
            except ValueError as error:
                raise JobError(f"startTimestamp: {config.start_timestamp} is no time: {error}.") from None
        return cls(config.start_from, time_ms, dict(config.start_offsets or {}))


class Topics:
    """What a source reads of a cluster. Raises `JobError` and `Unavailable` as the cluster does."""

    def __init__(
        self, who: str, cluster: Cluster, names: tuple[str, ...], pattern: str | None, committed: bool
    ) -> None:
        self._who = who
        self._cluster = cluster
        self._names = names
        self._pattern = re.compile(pattern) if pattern is not None else None
        self._committed = committed

    @property
    def names(self) -> tuple[str, ...]:
        """Those that the manifest names; none where it has a pattern."""
        return self._names

    @property
    def wanted(self) -> dict[str, Any]:
        """What the manifest says of them, as JSON."""
        return {"names": list(self._names), "pattern": self._pattern.pattern if self._pattern else None}

    def wants(self, topic: str) -> bool:
        """Whether the manifest names the topic."""
        return topic in self._names or (self._pattern is not None and self._fits(topic))

    def look(self) -> dict[str, Topic]:
        """Those that are there."""
        names = self._names
        if self._pattern is not None:
            names = tuple(name for name in self._cluster.topic_names() if self._fits(name))
        return self._cluster.topics(names)

    def require(self) -> dict[str, Topic]:
        """As `look`. Raises `JobError` if one that the manifest names is not there."""
        found = self.look()
        missing = [name for name in self._names if name not in found]
        if missing:
            raise JobError(
                f"{self._who}: there is no topic {', '.join(missing)} in Kafka. Create it, or correct its name; a user "
                "who may not describe a topic does not see it either."
            )
        return found

    def starts(self, partitions: list[str], start: Start) -> dict[str, int]:
        """Where a new job begins with each of these partitions. Raises `Unavailable` if that is not known of all."""
        if start.at == "latest":
            return self._of_all(partitions, self.ends(partitions))
        if start.at == "timestamp":
            return self._of_all(partitions, self._cluster.at(partitions, start.time_ms))
        first = self._of_all(partitions, self._cluster.starts(partitions))
        if start.at == "offsets":
            return self._checked(first, partitions, start.offsets)
        return first

    def check_start(self, partitions: list[str], start: Start) -> None:
        """Raise `JobError` for a start that no job can have had; one before the first record may have been there."""
        if start.at == "offsets":
            self._checked(dict.fromkeys(partitions, 0), partitions, start.offsets)

    @property
    def missing(self) -> str:
        """What is said of a source that has no topic."""
        return "no topic yet" if self._pattern is None else f"no topic yet that fits {self._pattern.pattern}"

    def firsts(self, partitions: list[str]) -> dict[str, int]:
        """Partition -> the offset of its first record."""
        return self._cluster.starts(partitions)

    def ends(self, partitions: list[str]) -> dict[str, int]:
        """Partition -> the offset behind its last record that may be read."""
        return self._cluster.ends(partitions, self._committed)

    def all_ends(self, partitions: list[str]) -> dict[str, int]:
        """Partition -> the offset behind its last record, also where that is of an open transaction."""
        return self._cluster.ends(partitions, committed=False)

    def close(self) -> None:
        """Let go of the connections."""
        self._cluster.close()

    def _fits(self, topic: str) -> bool:
        return self._pattern is not None and not topic.startswith("__") and self._pattern.fullmatch(topic) is not None

    def _of_all(self, partitions: list[str], offsets: dict[str, int]) -> dict[str, int]:
        """The offsets, if there is one for each: a broker that has just come up may not know a partition yet."""
        missing = [p for p in partitions if p not in offsets]
        if missing:
            raise Unavailable(f"{self._who}: Kafka does not know the partition {', '.join(missing)} yet")
        return offsets

    def _checked(self, first: dict[str, int], partitions: list[str], wanted: Mapping[str, int]) -> dict[str, int]:
        ends = self._of_all(partitions, self._cluster.ends(partitions, committed=False))
        for partition, offset in wanted.items():
            if partition not in first:
                raise JobError(
                    f"{self._who}: startOffsets names {partition}, and the source has no such partition. It has "
                    f"{', '.join(sorted(first)[:12])}."
                )
            if not first[partition] <= offset <= ends[partition]:
                raise JobError(
                    f"{self._who}: startOffsets says {offset} for {partition}, which has the offsets "
                    f"{first[partition]} to {ends[partition]}. Take one of these."
                )
        return first | {p: offset for p, offset in wanted.items() if p in first}
