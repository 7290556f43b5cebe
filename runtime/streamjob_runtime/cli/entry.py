"""The process of the command `streamjob`: it ends with the command's own exit code."""

import os
import sys
from collections.abc import Callable


def run() -> None:
    """Run the command and end the process at once.

    What Python's own end would do beside it is not needed, for every command has closed what it opened; and it can
    change the exit code: a native thread of a library that still runs then ends the process by SIGABRT now and then
    (seen of `checkpoints verify`, which was done), and a job that is done would count as failed.
    """
    from streamjob_runtime.cli.main import main

    os._exit(exit_code(main))


def exit_code(command: Callable[[], object]) -> int:
    """What Python would end with after this; all that was written is where it was written to."""
    code = 0
    try:
        command()
    except SystemExit as end:
        code = _code_of(end)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # nobody reads any more, or it was closed
            code = code or 1
    return code


def _code_of(end: SystemExit) -> int:
    if end.code is None or isinstance(end.code, int):
        return (end.code or 0) & 0xFF
    print(end.code, file=sys.stderr)  # noqa: T201 - as Python does
    return 1
