"""What the reference says besides its tables."""

import textwrap
from collections.abc import Iterable, Mapping

from streamjob_api.fields import TEXTS
from streamjob_api.names import ConditionType, Phase
from streamjob_api.systems.registry import SINKS, SOURCES, TABLES

EXAMPLE = """\
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata:
  name: ad-views
spec:
  batchInterval: 2s
  sources:
  - name: events
    files: {path: in/events/, maxFilesPerBatch: 100}
    format: json
    schema: {ad_id: VARCHAR, event_type: VARCHAR, event_time: TIMESTAMP}
    watermark: {column: event_time, delay: 10s}
  tables:
  - {name: ads, files: {path: in/ads.parquet}, format: parquet, refresh: 1h}
  pipeline:
  - name: views
    sql: |
      SELECT campaign_id, window_start, count(*) AS views
      FROM events JOIN ads USING (ad_id)
      WHERE event_type = 'view'
      GROUP BY campaign_id, tumble(event_time, INTERVAL '10 seconds')
  sinks:
  - {from: views, mode: update, console: {}}
  - {from: views, mode: append, files: {path: out/views/}, format: parquet}
  checkpoint: {interval: 10s, location: .streamjob/ad-views}
"""

PHASES = {
    Phase.PENDING: "its pod waits: for a node, an image, a Secret",
    Phase.STARTING: "it opens its systems and recovers from its checkpoint",
    Phase.RUNNING: "batches go through",
    Phase.UPDATING: "it is drained, to start again with a changed spec",
    Phase.RESTARTING: "it is started again, after a failure or a request",
    Phase.SUSPENDING: "it finishes its batch and takes a checkpoint",
    Phase.SUSPENDED: "`suspend` is true, and no pod is left",
    Phase.FAILED: "it was given up",
    Phase.COMPLETED: "it is done",
    Phase.DELETING: "it is drained, and then its checkpoints are kept or removed",
}

CONDITIONS = {
    ConditionType.READY: "batches go through; left out of a job that is suspended or done",
    ConditionType.PROGRESSING: "the operator is on its way to what the spec says; where that was refused, the message "
    "says why, and the job runs on as it was",
    ConditionType.CHECKPOINT_HEALTHY: "checkpoints are taken as often as they should be",
    ConditionType.SUSPENDED: "the job rests, because `suspend` is true",
    ConditionType.DEGRADED: "the job runs or starts, but something hinders it: a system it waits for, failures lately",
    ConditionType.FAILED: "the job was given up; a new spec, or a new value of the annotation `streamjob.dev/restart`, "
    "starts it again",
    ConditionType.COMPLETE: "the job is done: all that was there for `availableNow` is written",
    ConditionType.RECONCILING: "`Progressing`, by the name that GitOps tools read ([GitOps](gitops.md))",
    ConditionType.STALLED: "the job was given up, or what its spec says was refused: it waits for a change of the spec",
}


def _names(kinds: Iterable[str]) -> str:
    return ", ".join(f"`{kind}`" for kind in kinds)


_TEXTS = "".join(
    f"- **{text.name}**: {text.words}\n" for text in sorted(TEXTS.values(), key=lambda text: text.name.lower())
)

_VARYING = ", ".join(sorted({"duration", "quantity"} | {text.name for text in TEXTS.values() if text.varies}))

HEAD = f"""\
# The manifest

<!-- Written by scripts/generate.py from the models: change those, not this page. -->

A manifest is a YAML file with one StreamJob; documents of other kinds in it are passed over. `streamjob validate FILE`
says everything that is wrong with it, with the line and the field's path. What `kubectl get -o yaml` prints is a
manifest too: `status` and what the API server adds to `metadata` are passed over.

```yaml
{EXAMPLE}```

The fields in a table are the only ones that an object has: an unknown field is an error. No secret stands in a
manifest: what ends in `Ref` names one. Some fields of `spec` are for Kubernetes only: elsewhere they are accepted and
have no effect. The types are:

- **quantity**: as Kubernetes writes amounts: a number, with its unit: `2`, `250m`, `512Mi`
- **duration**: numbers with units, the largest first: `500ms`, `2s`, `1h30m`
{_TEXTS}
## Variables

A value may have variables: `${{NAME}}`, or `${{NAME:-default}}` for one that may have no value. `streamjob run`,
`check`, `validate` and `checkpoints` take them from the environment, or from `--set NAME=value`; one that has no value
is a mistake, and `$${{` is the two characters themselves. In a value without quotes, the type is that of the whole:
`port: ${{PORT:-9999}}` is a number (within `{{ }}` YAML wants such a value in quotes, and then it is a text).

On a cluster the operator fills the texts of a spec by the ConfigMaps that its `variablesFrom` names; `$${{` is literal
there too, and a spec without `variablesFrom` is taken as it is. The API server lets a variable pass where environments
differ: in texts of no special form, such as `sql`, and in those that are called
{_VARYING}
above. Numbers, `true` and `false`, fields that are one of several words, and all other names take no variable there;
nor do the names of fields, in which nothing is filled anywhere. Or all is filled before:
`streamjob render --set NAME=value FILE | kubectl apply -f -`.

So [one manifest](environments.md) serves development, test and production, and `--replace FILE` puts other sources and
sinks in.

## Rules between fields

- Sources, tables and steps share one set of names. A sink's `from` names a step or a source.
- A source is exactly one of {_names(SOURCES)};
  a static table exactly one of {_names(TABLES)};
  a sink exactly one of {_names(SINKS)}.
- `tcp` reads `text`, `json`, `csv` (without a header line) or `raw`; `files` reads these and `parquet`; `rate` and
  `queue` have no `format`.
- `json`, `csv`, `parquet` and `queue` need a `schema`; `text`, `raw` and `rate` have one of their own. The names of
  columns differ in more than case, and none is `batch_time`: that is a column that every source has.
- `csv` without a header line (`tcp`, and `files` with `header: false`) needs `columns`: the order of a line's fields.
  The fields of an object, such as `schema`, have no order. Elsewhere there is no `columns`, and the columns of a source
  or a table are in alphabetical order.
- `required` names columns of the `schema`, each once, and `escape` is for `csv`.
- A watermark's column is one of the source's or the step's, of type TIMESTAMP or TIMESTAMP WITH TIME ZONE; with an
  `expression` it is a new one. A step with a watermark gives a stream, and one with a `ttl` groups without a window.
- A static table in files needs a `format`, and in `json` or `csv` a `schema`; Parquet files and Delta tables bring
  theirs.
- A files sink needs a `format` and takes the modes `append` and `complete`; other sinks have no `format`. `partitionBy`
  goes with `append` only. Two sinks do not write to one folder.
- A postgres or delta sink in mode `update` needs a `key`, and only there is one. Two sinks do not write to one table.
- `checkpoint.interval` is a whole multiple of `batchInterval`, 5 to 10 times as long.
- The trigger `availableNow` needs sources that end: `files` or `queue`.
- `resources.requests` are not above `resources.limits`, and `backoff.initial` is not above `backoff.max`. The pods'
  labels are not those that the operator sets itself: `app.kubernetes.io/name`, `app.kubernetes.io/instance`,
  `app.kubernetes.io/managed-by` and all of `streamjob.dev/`. A variable of `env` stands once, and has a `value` or a
  `valueFrom`.

The API server holds the same rules: `kubectl apply` refuses what they forbid. What is too much for it to reckon, the
operator finds, and says it in a condition.
"""


def _bullets(meanings: Mapping[Phase, str] | Mapping[ConditionType, str]) -> str:
    items = (f"- `{name}`: {meaning}" for name, meaning in meanings.items())
    return "\n".join(textwrap.fill(item, 120, subsequent_indent="  ", break_on_hyphens=False) for item in items)


STATUS = f"""
## What the status says

On Kubernetes `status` says how the job does; the operator alone writes it. `phase` is one word for people:

{_bullets(PHASES)}

The conditions are for `kubectl wait` and other programs. Each is True, False or Unknown, with a reason and a message:

{_bullets(CONDITIONS)}
"""
