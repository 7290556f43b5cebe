"""The command `streamjob`."""

import os
import signal
import sys
from datetime import datetime
from pathlib import Path

try:
    import click
except ImportError:  # installed without the runtime: the operator has no use for it
    sys.exit("streamjob: the command needs the runtime's packages. Install them: pip install 'streamjob[runtime]'")

# The commands import what they need when they run: `streamjob --help` and `validate` need no SQL engine to start.
Manifest = click.Path(exists=True, dir_okay=False, path_type=Path)
File = click.Path(dir_okay=False, path_type=Path)
Folder = click.Path(exists=True, file_okay=False, path_type=Path)


class Location(click.ParamType[str]):
    """A folder or a URL. An empty one, as a script's unset variable gives it, would mean the current folder."""

    name = "location"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See `click.ParamType`."""
        return value or self.fail("it is empty; give a folder or a URL such as s3://bucket/prefix", param, ctx)


class Setting(click.ParamType[str]):
    """NAME=value: what the environment would say of a variable."""

    name = "setting"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See `click.ParamType`."""
        name, equals, said = value.partition("=")
        if not equals or not name.isidentifier() or not name.isascii():
            self.fail(f"{value!r} is not NAME=value", param, ctx)
        os.environ[name] = said
        return value


# Of each command that reads a manifest. What is set is as if the environment had said it.
_setting = click.option(
    "--set",
    type=Setting(),
    multiple=True,
    expose_value=False,
    is_eager=True,
    metavar="NAME=value",
    help="The value of ${NAME} in the manifest; without it, what the environment says.",
)

_replace = click.option(
    "--replace",
    type=Manifest,
    multiple=True,
    metavar="FILE",
    help="Sources, tables and sinks in place of those of the same names; of several files one after the other.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="streamjob")
def main() -> None:
    """Stream processing from one manifest."""
    # As the first process of a container it would not even hear SIGTERM before a command has its own handler.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


@main.command()
@click.argument("file", type=Manifest)
@_setting
@_replace
@click.option("--checkpoint", type=Location(), metavar="DIR|URL", help="Keep the log and snapshots there instead.")
@click.option("--secrets", type=Folder, help="A folder with a folder for each Secret, a file for each of its keys.")
@click.option("--http-port", type=click.IntRange(0, 65535), help="Serve /metrics, /healthz, /readyz and /progress.")
@click.option("--http-host", default="127.0.0.1", show_default=True, help="The address to serve them on.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--termination-log", type=File, help="Write why the job ended there.")
def run(
    file: Path,
    checkpoint: str | None,
    secrets: Path | None,
    http_port: int | None,
    http_host: str,
    log_format: str,
    termination_log: Path | None,
    replace: tuple[Path, ...],
) -> None:
    """Run the StreamJob in FILE until it is done or Ctrl-C.

    Ends with 0 (done), 1 (a fault of StreamJob), 2 (wrong usage), 75 (trouble outside: try again) or 78 (the job
    itself is wrong).
    """
    from streamjob_runtime.cli.run import RunOptions, run_job

    options = RunOptions(file, checkpoint, secrets, http_port, http_host, log_format, termination_log, replace)
    sys.exit(run_job(options))


@main.command()
@click.argument("file", type=Manifest)
@_setting
@_replace
@click.option("--checkpoint", type=Location(), metavar="DIR|URL", help="Look for the log there instead.")
@click.option("--secrets", type=Folder, help="As for `run`.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--termination-log", type=File, help="Write how the check ended there.")
def check(
    file: Path,
    checkpoint: str | None,
    secrets: Path | None,
    log_format: str,
    termination_log: Path | None,
    replace: tuple[Path, ...],
) -> None:
    """Find out whether the StreamJob in FILE could start now: its SQL, its systems, and the state it would go on from.

    Nothing is taken over: the job may be running. Ends as `run` would end, with 0 if it could start. What does not
    answer within 30 seconds is trouble outside (75).
    """
    from streamjob_runtime.cli.check import CheckOptions, check_job

    sys.exit(check_job(CheckOptions(file, checkpoint, secrets, log_format, termination_log, replace)))


@main.command()
@click.argument("files", nargs=-1, required=True, type=Manifest)
@_setting
@_replace
def validate(files: tuple[Path, ...], replace: tuple[Path, ...]) -> None:
    """Say every mistake in the StreamJobs in FILES, or what each of their steps becomes.

    Ends with 0 (no mistake; warnings are none), 1 (some) or 2 (wrong usage).
    """
    from streamjob_runtime.cli.validate import validate_files

    sys.exit(validate_files(files, replace=replace))


@main.command()
@click.argument("sample", type=Manifest)
@click.option("--out", type=File, default=Path("job.yaml"), show_default=True, help="The manifest to write.")
def init(sample: Path, out: Path) -> None:
    """Write a first manifest from SAMPLE, a file of CSV with a header line, of JSON lines, or Parquet.

    Column names and types are guessed from its first records. The manifest is commented, valid, and shows the rows.
    """
    from streamjob_runtime.cli.init import write_manifest

    sys.exit(write_manifest(sample, out))


@main.command()
def schema() -> None:
    """Print the JSON Schema of the manifest, by which editors complete and check it."""
    from streamjob_api.json_schema import render

    click.echo(render(), nl=False)


@main.command()
@click.argument("file", type=Manifest)
@_setting
@_replace
def render(file: Path, replace: tuple[Path, ...]) -> None:
    """Print the StreamJob in FILE, and what stands beside it, with the variables filled: for `kubectl apply -f -`."""
    from streamjob_runtime.cli.render import render as print_filled

    sys.exit(print_filled(file, replace))


@main.group()
def checkpoints() -> None:
    """Look into the log and the snapshots of a job, or delete them."""


def _checkpoint_options(command: click.decorators.FC) -> click.decorators.FC:
    for option in (
        _setting,
        _replace,
        click.option("--secrets", type=Folder, help="As for `run`."),
        click.option("--checkpoint", type=Location(), metavar="DIR|URL", help="Look there instead."),
        click.argument("file", type=Manifest),
    ):
        command = option(command)
    return command


@checkpoints.command("list")
@_checkpoint_options
def list_(file: Path, checkpoint: str | None, secrets: Path | None, replace: tuple[Path, ...]) -> None:
    """The checkpoints of the job in FILE, and what a restart would replay."""
    from streamjob_runtime.cli.checkpoints import list_checkpoints, on_job_store

    sys.exit(on_job_store(file, checkpoint, secrets, replace, list_checkpoints))


@checkpoints.command()
@_checkpoint_options
def show(file: Path, checkpoint: str | None, secrets: Path | None, replace: tuple[Path, ...]) -> None:
    """The last batches of the job in FILE, record by record."""
    from streamjob_runtime.cli.checkpoints import on_job_store, show_log

    sys.exit(on_job_store(file, checkpoint, secrets, replace, show_log))


@checkpoints.command()
@_checkpoint_options
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--termination-log", type=File, help="Write how it ended there.")
def delete(
    file: Path,
    checkpoint: str | None,
    secrets: Path | None,
    replace: tuple[Path, ...],
    yes: bool,
    termination_log: Path | None,
) -> None:
    """Delete all that the job in FILE keeps at its checkpoint location. Its results stay.

    A process that still runs the job can write no record more. Another job's log is refused (78).
    """
    from streamjob_runtime.cli.delete import delete_checkpoints

    if not yes and not sys.stdin.isatty():
        raise click.UsageError("Nobody is there to be asked: to delete all that the job has kept, give --yes.")
    sys.exit(delete_checkpoints(file, checkpoint, secrets, replace, yes, termination_log))


@checkpoints.command("reset-watermark")
@_checkpoint_options
@click.option("--to", type=click.DateTime(["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"]), help="UTC; left out: now.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset_watermark(
    file: Path,
    checkpoint: str | None,
    secrets: Path | None,
    replace: tuple[Path, ...],
    to: datetime | None,
    yes: bool,
) -> None:
    """Set the watermark of the job in FILE back, after a wrong event time has driven it ahead of the clock.

    For a job that has stopped in good order. Event times later than --to are forgotten; the state stays as it is.
    """
    from streamjob_runtime.cli.reset import reset_watermark as run_reset

    if not yes and not sys.stdin.isatty():
        raise click.UsageError("Nobody is there to be asked: to set the watermark back, give --yes.")
    sys.exit(run_reset(file, checkpoint, secrets, replace, to, yes))


@checkpoints.command()
@_checkpoint_options
def verify(file: Path, checkpoint: str | None, secrets: Path | None, replace: tuple[Path, ...]) -> None:
    """Read all that the job in FILE would need at a restart, and find any damage. Ends with 1 if there is some."""
    from streamjob_runtime.cli.checkpoints import on_job_store, verify_all

    sys.exit(on_job_store(file, checkpoint, secrets, replace, verify_all))
