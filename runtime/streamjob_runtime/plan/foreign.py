"""What users of other engines write, and what it is called here."""

import re

_TUMBLE = "GROUP BY tumble(time, INTERVAL '1 minute')"
_HOP = "GROUP BY hop(time, INTERVAL '1 minute', INTERVAL '5 minutes'), with the slide first"
_BOUNDS = "window_start and window_end are columns of a step with tumble() or hop() in its GROUP BY."
_SESSION = "Write GROUP BY session(time, INTERVAL '5 minutes'), with the length of the pause that ends it."

# Function in lower case -> what to write instead.
_FUNCTIONS = {
    **dict.fromkeys(("window", "tumblingwindow", "tumbling", "time_window"), f"Write {_TUMBLE}, or {_HOP}."),
    **dict.fromkeys(("hopping", "hoppingwindow", "sliding", "slidingwindow", "cumulate"), f"Write {_HOP}."),
    **dict.fromkeys(
        ("tumble_start", "tumble_end", "hop_start", "hop_end", "window_time", "tumble_rowtime", "hop_rowtime",
         "tumble_proctime", "hop_proctime", "windowstart", "windowend"),
        f"Write the column: {_BOUNDS}",
    ),
    **dict.fromkeys(
        ("session_window", "sessionwindow", "session_start", "session_end", "session_rowtime", "session_proctime"),
        _SESSION,
    ),
    "date_bin": f"Write {_TUMBLE} for a window, or time_bucket(INTERVAL '1 minute', time) for the time alone.",
    **dict.fromkeys(("tumble", "hop"), f"A window stands in GROUP BY, not in FROM: {_TUMBLE}, or {_HOP}."),
    "session": _SESSION,
    **dict.fromkeys(("proctime", "systimestamp", "getdate", "sysdate"), "Write now(): the batch's time."),
    **dict.fromkeys(("latest_by_offset", "latest", "last_value_by_time"), "Write arg_max(x, time)."),
    **dict.fromkeys(("earliest_by_offset", "earliest"), "Write arg_min(x, time)."),
    **dict.fromkeys(("collect_list", "collect", "arrayagg"), "Write list_sort(list(x))."),
    "collect_set": "Write list_sort(list_distinct(list(x))).",
    **dict.fromkeys(("explode", "explode_outer", "posexplode"), "Write unnest(list)."),
    **dict.fromkeys(("nvl", "isnull", "ifnull"), "Write coalesce(x, y)."),
    "size": "Write len(list) or cardinality(map).",
    **dict.fromkeys(("get_json_object", "extractjsonfield", "json_query"), "Write json->>'$.field'."),
    "from_unixtime": "Write to_timestamp(seconds), or make_timestamp_ms(milliseconds).",
    "to_timestamp_ltz": "Write to_timestamp(seconds), or make_timestamp_ms(milliseconds).",
    **dict.fromkeys(("unix_timestamp", "to_unixtime"), "Write epoch(time)."),
    **dict.fromkeys(("date_format", "format_timestamp", "to_char"), "Write strftime(time, '%Y-%m-%d')."),
    **dict.fromkeys(("to_date", "parse_timestamp", "stringtotimestamp"), "Write strptime(text, '%Y-%m-%d')."),
    **dict.fromkeys(("percentile", "percentile_approx", "approx_percentile"), "Write approx_quantile(x, 0.9)."),
    **dict.fromkeys(("approx_distinct", "hll_count", "count_distinct"), "Write approx_count_distinct(x)."),
}  # fmt: skip
# Words in a text that cannot be read -> what it is called there, and what to write instead.
_PHRASES = [
    (r"\b(TABLE\s*\(|WINDOW)\s*SESSION\s*\(", "has a session window as other engines write it", _SESSION),
    (
        r"\bTABLE\s*\(\s*(TUMBLE|HOP|CUMULATE)\s*\(|\bDESCRIPTOR\s*\(|\bWINDOW\s+(TUMBLING|HOPPING)\s*\(",
        "has a window as other engines write it",
        f"A window stands in GROUP BY: {_TUMBLE}, or {_HOP}. {_BOUNDS}",
    ),
    (
        r"(?<!\w)WINDOW\s*\(",
        "has window(), and WINDOW is a reserved word",
        f"Write {_TUMBLE}, or {_HOP}. {_BOUNDS}",
    ),
    (
        r"\bEMIT\s+(CHANGES|FINAL|STREAM|AFTER|ON)\b",
        "has EMIT",
        "What is written when is said by the sink's mode: update (each group that changed), append (final windows) or "
        "complete.",
    ),
    (
        r"\bWATERMARK\s+FOR\b",
        "has WATERMARK FOR",
        "A watermark is said at the source: watermark: {column: time, delay: 10s}.",
    ),
    (
        r"\bWITHIN\s+(\d|\()",
        "has a join WITHIN a time",
        "Joins of two streams come later; a static table can be joined.",
    ),
]  # fmt: skip
_TEXTS_AND_COMMENTS = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)


def instead_of(name: str) -> str:
    """What to write for a function of another engine; empty: nothing is known of it."""
    return _FUNCTIONS.get(name.lower(), "")


def phrase_in(sql: str) -> tuple[str, str, int, int] | None:
    """What a text has that other engines read: what it is, what to write, and from where to where it stands."""
    plain = _TEXTS_AND_COMMENTS.sub(lambda found: " " * len(found[0]), sql)
    for pattern, said, remedy in _PHRASES:
        if found := re.search(pattern, plain, re.IGNORECASE):
            return said, remedy, found.start(), found.end()
    return None
