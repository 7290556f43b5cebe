"""Calls of the HDFS client that come to an end: the client itself waits for a silent name node for ever."""

import threading
from collections.abc import Callable
from typing import TypeVar

from hdfs_native import Client

from streamjob_runtime.patience import alive

T = TypeVar("T")

_ANSWER_S = 30.0
_BYTES_PER_S = 1_000_000  # what is slower counts as hung


class Calls:
    """Makes calls in threads of their own, by any thread, and gives up those that take too long.

    A call that was given up may still take effect later. Its connection is not used again: the next client is made by
    `make_client` with the number of clients before it, so that it can ask another name node first.
    """

    def __init__(self, make_client: Callable[[int], Client]) -> None:
        self._make_client = make_client
        self._client = make_client(0)
        self._clients = 1
        self._changing = threading.Lock()

    def call(self, run: Callable[[Client], T], size: int = 0) -> T:
        """What `run` gives; `size`: bytes that it moves. Raises `TimeoutError`, or what `run` raises."""
        client = self._client
        results: list[T] = []
        errors: list[BaseException] = []
        done = threading.Event()

        def work() -> None:
            try:
                results.append(run(client))
            except BaseException as error:
                errors.append(error)
            finally:
                done.set()

        seconds = _ANSWER_S + size / _BYTES_PER_S
        # A daemon: a call that hangs must not keep the process from ending.
        threading.Thread(target=work, name="hdfs", daemon=True).start()
        if not self._wait(done, seconds, size / _BYTES_PER_S):
            with self._changing:
                if self._client is client:
                    self._client = self._make_client(self._clients)
                    self._clients += 1
            raise TimeoutError(f"no answer within {seconds:.0f} seconds")
        if errors:
            raise errors.pop()  # its traceback must not lead back to it
        return results[0]

    def _wait(self, done: threading.Event, seconds: float, moving_s: float) -> bool:
        """Whether it is done in time. As long as the bytes may be on their way, that is no silence."""
        while moving_s > 0 and not done.wait(min(1.0, moving_s)):
            alive()
            moving_s, seconds = moving_s - 1, seconds - 1
        return done.wait(max(0.0, seconds))
