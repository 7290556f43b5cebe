"""Times as Kubernetes writes them, and as seconds since the epoch."""

from datetime import UTC, datetime


def to_text(seconds: float) -> str:
    """RFC 3339, whole seconds, UTC."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_text_ms(seconds: float) -> str:
    """The same with milliseconds, for what is waited for."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_text_us(seconds: float) -> str:
    """The same with microseconds, for what is put into an order."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def from_text(text: str) -> float:
    """Seconds since the epoch. Raises ValueError when the text is no time."""
    return datetime.fromisoformat(text).timestamp()
