"""Numbers as people read them."""


def amount(n: float) -> str:
    """A number of rows: `1,204`, `120 k`, `3.41 M`."""
    for limit, unit, places in ((1e9, "G", 2), (1e6, "M", 2), (1e5, "k", 0)):
        if n >= limit:
            return f"{n / (1e3 if unit == 'k' else limit):.{places}f} {unit}"
    return f"{n:,.0f}" if n >= 100 or n == int(n) else f"{n:.1f}"


def span(ms: float, space: str = " ") -> str:
    """A length of time given in milliseconds: `1.2 ms`, `528 ms`, `2.5 s`, `12 min`, `3.5 h`."""
    if ms < 10:
        return f"{ms:.1f}{space}ms"
    if ms < 1000:
        return f"{ms:.0f}{space}ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f}".removesuffix(".0") + f"{space}s"
    return f"{ms / 60_000:.0f}{space}min" if ms < 3_600_000 else f"{ms / 3_600_000:.1f}{space}h"


def size(n: int) -> str:
    """A number of bytes: `512 B`, `3.2 MiB`."""
    value = float(n)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
