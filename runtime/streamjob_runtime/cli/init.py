# ruff: noqa: S608 - the SQL is written down for its user, with names that are quoted.
"""`streamjob init`: a first manifest from a file with sample records."""

import json
import re
import sys
from functools import cache
from pathlib import Path

from streamjob_api.words import shown
from streamjob_runtime.cli.sample import Sample, look_into
from streamjob_runtime.errors import JobError

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_YAML_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
_TIMES = ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE")


def write_manifest(sample: Path, out: Path) -> int:
    """Write a manifest that reads files like the sample, validate it, and say how to go on; the exit code."""
    try:
        text = manifest(sample, out, look_into(sample))
        with out.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except JobError as error:
        print(f"streamjob: {error}", file=sys.stderr)  # noqa: T201 - the command's output
        return 78
    except FileExistsError:
        print(f"streamjob: {out} is there already; give another one with --out.", file=sys.stderr)  # noqa: T201
        return 78
    except OSError as error:
        print(f"streamjob: {out} cannot be written: {error.strerror}.", file=sys.stderr)  # noqa: T201
        return 78
    from streamjob_runtime.cli.validate import validate_files

    code = validate_files([out])
    print(f"Look at the types in {out}, then: streamjob run {out}")  # noqa: T201
    return code


def manifest(sample: Path, out: Path, found: Sample) -> str:
    """The manifest's text."""
    source = _identifier(sample.stem)
    times = [name for name, kind in found.columns.items() if kind in _TIMES]
    width = max(len(_key(name)) for name in found.columns)
    schema = "\n".join(f"      {_key(name) + ':':{width + 1}} {_value(kind)}" for name, kind in found.columns.items())
    if times:
        watermark = (
            "    # Event time, and how late rows may be: a window is final when this has passed its end.\n"
            f"    watermark: {{column: {_key(times[0])}, delay: 10s}}\n"
        )
        windows = f"""  # Rows for each minute of event time, each minute written once, when it is final:
  # - name: by_minute
  #   sql: |
  #     SELECT window_start, count(*) AS rows
  #     FROM {source}
  #     GROUP BY tumble({_sql(times[0])}, INTERVAL '1 minute')
"""
    else:
        watermark = (
            "    # With a column of event time, for windows:\n    # watermark: {column: event_time, delay: 10s}\n"
        )
        windows = ""
    columns = ", ".join(_sql(name) for name in found.columns)
    return f"""# Reads files like {shown(sample.name)} and shows their rows. Types are guessed from its first records.
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata:
  name: {source.replace("_", "-")}
spec:
  # All that is there at the start, then done. Left out, the job waits for new files and goes on.
  trigger: availableNow
  sources:
  - name: {source}
    files: {{path: {_value(_pattern(sample, out))}}}
    format: {found.format}
    # A field that is missing is NULL. One that may hold anything: VARCHAR, and TRY_CAST in the pipeline.
    schema:
{schema}
{watermark}  pipeline:
  # A step is a SELECT over the sources and the steps above it.
  - name: shown
    sql: |
      SELECT {columns}
      FROM {source}
{windows}  sinks:
  # Also files, kafka, postgres and delta.
  - {{from: shown, console: {{}}}}
"""


def _pattern(sample: Path, out: Path) -> str:
    """All files of the sample's folder that end like it, as seen from the manifest."""
    folder = sample.resolve().parent
    base = out.resolve().parent
    path = folder.relative_to(base) if folder.is_relative_to(base) else folder
    return str(path / f"*{sample.suffix}")


def _identifier(text: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:40].strip("_")
    return name if name and not name[0].isdigit() else f"rows_{name}".rstrip("_")


def _key(name: str) -> str:
    return name if _PLAIN.fullmatch(name) and name.lower() not in _YAML_WORDS else json.dumps(name, ensure_ascii=False)


def _value(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z][A-Za-z _]*", text) else json.dumps(text, ensure_ascii=False)


def _sql(name: str) -> str:
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)
    return name if plain and name.lower() not in _reserved() else '"' + name.replace('"', '""') + '"'


@cache
def _reserved() -> set[str]:
    from streamjob_runtime.plan.catalog import Catalog

    catalog = Catalog()
    try:
        return catalog.reserved
    finally:
        catalog.close()
