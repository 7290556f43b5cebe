"""What the meaning of an aggregation's state depends on: for comparing, and for people."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta

from streamjob_api.durations import format_duration
from streamjob_runtime.plan.catalog import Catalog
from streamjob_runtime.plan.event_time import KeyWindow
from streamjob_runtime.plan.model import RollingWindow
from streamjob_runtime.plan.tree import Node, aliased, arguments, function_name, literal, select

# Of what a state means. Only where a state of before cannot be taken up at all is it raised: that job is then refused.
# What a state looks like is of the records' format, and every one is read for good.
_MEANING = 1

Parts = tuple[tuple[str, str], ...]  # what it is -> how it is written, with its types


def _parts_of(
    catalog: Catalog,
    node: Node,
    keys: Sequence[Node],
    window: KeyWindow | None,
    aggregates: Sequence[Node],
    rolling: RollingWindow | None,
) -> Parts:
    """The keys, the window and the aggregates of a SELECT, as people read them."""
    found = [("key", f"{catalog.render_expression(k)} {_types(catalog, node, [k])[0]}") for k in keys]
    if window is not None:
        marked = " with a watermark" if window.event.watermarked else ""
        found.append(("window", f"{window_of(catalog, window)} {window.event.type}{marked}"))
    for aggregate in aggregates:
        given = ", ".join(_types(catalog, node, arguments(aggregate)))
        found.append(("aggregate", catalog.render_expression(aggregate) + (f" of {given}" if given else "")))
    if rolling is not None:
        found.append(("rolling window", f"{_length(rolling.length_ms * 1000)}{' inclusive' * rolling.inclusive}"))
    return tuple(found)


def window_of(catalog: Catalog, window: KeyWindow) -> str:
    """A window as people read it: `tumble(event_time, 10s)`."""
    lengths = dict.fromkeys([window.event.slide_us, window.event.size_us])
    time = "batch_time" if window.event.of_batches else catalog.render_expression(aliased(window.column, ""))
    parts = [time, *map(_length, lengths)]
    if window.event.zone:
        parts.append(literal(window.event.zone))
    if window.event.offset_us:
        parts.append(_length(window.event.offset_us))
    written = ", ".join(parts)
    return f"{function_name(window.call)}({written})"


def fingerprint(
    catalog: Catalog,
    node: Node,
    keys: Sequence[Node],
    window: KeyWindow | None,
    aggregates: Sequence[Node],
    rolling: RollingWindow | None,
    delta: str,
) -> str:
    """A hash, which alone counts, and behind a space the parts as JSON, which say what changed."""
    what = {
        "format": _MEANING,
        "keys": [catalog.render_expression(k) for k in keys],
        "aggregates": [catalog.render_expression(a) for a in aggregates],
        # DuckDB calls every aggregate's state alike, whatever it is the state of; and a state may hold a number
        # without its scale, and then looks alike in Arrow too.
        "types": [_types(catalog, node, [*arguments(a), a]) for a in aggregates],
        "columns": [c.type for c in catalog.columns(delta)],
        "layout": [str(f.type) for f in catalog.arrow(delta)],
        "event_window": " ".join(filter(None, [repr(window.event), window.event.alignment])) if window else None,
        "rolling": repr(rolling) if rolling else None,
    }
    return fingerprint_of(what, _parts_of(catalog, node, keys, window, aggregates, rolling))


def fingerprint_of(what: Mapping[str, object], parts: Parts) -> str:
    """The hash of what counts, and behind a space the parts as people read them."""
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
    return f"{digest} {json.dumps(parts, ensure_ascii=False)}"


def _length(micros: int) -> str:
    return format_duration(timedelta(microseconds=micros)) if micros % 1000 == 0 else f"{micros}us"


def _types(catalog: Catalog, node: Node, expressions: Sequence[Node]) -> list[str]:
    queries = [select([aliased(e, "")], node["from_table"]) for e in expressions]
    return [c.type for query in queries for c in catalog.columns(catalog.render(query))]
