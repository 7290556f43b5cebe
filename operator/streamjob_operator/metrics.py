"""What the operator measures of itself, for Prometheus."""

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from streamjob_api.names import Phase

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds


class Metrics:
    """The operator's metrics. `phases` gives the phase of every job there is, when it is asked."""

    def __init__(self, phases: Callable[[], Iterable[str]]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Jobs(phases))
        self.reconciles = Histogram(
            "streamjob_operator_reconcile_seconds",
            "How long one look at a job took, with all that was written.",
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self.errors = Counter(
            "streamjob_operator_reconcile_errors", "Looks at a job that failed.", registry=self._registry
        )
        self.restarts = Counter(
            "streamjob_operator_restarts",
            "Attempts that ended without being asked to, by whose failure it was.",
            ["kind"],
            registry=self._registry,
        )
        for kind in ("application", "infrastructure"):
            self.restarts.labels(kind)

    def text(self) -> bytes:
        """Everything, in Prometheus' text form."""
        return generate_latest(self._registry)


class _Jobs(Collector):
    def __init__(self, phases: Callable[[], Iterable[str]]) -> None:
        self._phases = phases

    def collect(self) -> Iterator[GaugeMetricFamily]:
        gauge = GaugeMetricFamily("streamjob_operator_jobs", "StreamJobs, by phase.", labels=["phase"])
        tally = Tally(self._phases())
        for phase in Phase:
            gauge.add_metric([phase], tally[phase])
        yield gauge
