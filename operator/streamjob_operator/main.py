"""The command `streamjob-operator`."""

import argparse
import asyncio
import gc
import json
import os
import random
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

import aiohttp
from kubernetes.aio import client

from streamjob_operator.apply import Applier, Hook
from streamjob_operator.cluster import ApiError, Cluster, WatchLost, connect
from streamjob_operator.controller import Controller
from streamjob_operator.handlers import watch
from streamjob_operator.leader import LeadershipLost, lead
from streamjob_operator.log import Log, to_stderr
from streamjob_operator.manifests import Images
from streamjob_operator.memory import Statuses
from streamjob_operator.metrics import Metrics
from streamjob_operator.model import Key
from streamjob_operator.observe import Observer
from streamjob_operator.progress import Progresses, session
from streamjob_operator.queue import WorkQueue
from streamjob_operator.reconciler import Reconciler
from streamjob_operator.rights import Rights
from streamjob_operator.server import CannotServe, serve
from streamjob_operator.store import Store
from streamjob_operator.variables import Variables


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    runtime_image: str
    namespaces: tuple[str, ...] = ()
    image_pull_policy: str = "IfNotPresent"
    default_checkpoint_location: str | None = None
    hold_role_binding: str | None = None
    runtimes_from: tuple[Mapping[str, Any], ...] | None = None
    leader_election: bool = False
    lease_namespace: str = ""
    lease_name: str = "streamjob-operator"
    http_host: str = "0.0.0.0"  # noqa: S104 - a pod is reached from outside
    http_port: int = 8080
    log_format: str = "text"
    identity: str = ""


def main() -> None:
    """Run until SIGTERM."""
    run(parse(sys.argv[1:]))


def parse(arguments: Sequence[str]) -> Options:
    """The options; ends the process with 2 when they are wrong."""
    parser = argparse.ArgumentParser("streamjob-operator", description="Runs StreamJobs on Kubernetes.")
    parser.add_argument("--namespace", action="append", default=[], metavar="NS", help="serve it; none: serve all")
    parser.add_argument("--runtime-image", required=True, metavar="IMAGE", help="for jobs that name none")
    parser.add_argument("--image-pull-policy", default="IfNotPresent", choices=["Always", "IfNotPresent", "Never"])
    parser.add_argument("--default-checkpoint-location", metavar="URL", help="for jobs that name none")
    parser.add_argument(
        "--hold-role-binding", metavar="NAME", help="in each served namespace: keep it while there are jobs to let go"
    )
    parser.add_argument(
        "--runtimes-from",
        type=_peers,
        metavar="JSON",
        help="have a NetworkPolicy in each namespace with jobs: who reaches their pods, as in its `from`",
    )
    parser.add_argument("--leader-election", action="store_true", help="act only while holding the Lease")
    parser.add_argument("--lease-namespace", default="", metavar="NS", help="where the Lease is")
    parser.add_argument("--lease-name", default="streamjob-operator", metavar="NAME")
    parser.add_argument("--http-host", default="0.0.0.0", metavar="HOST")  # noqa: S104 - a pod is reached from outside
    parser.add_argument("--http-port", default=8080, type=int, metavar="PORT", help="/metrics, /healthz, /readyz")
    parser.add_argument("--log-format", default="text", choices=["text", "json"])
    given = parser.parse_args(arguments)
    if given.leader_election and not given.lease_namespace:
        parser.error("--leader-election needs --lease-namespace, the namespace of the Lease")
    return Options(
        runtime_image=given.runtime_image,
        namespaces=tuple(given.namespace),
        image_pull_policy=given.image_pull_policy,
        default_checkpoint_location=given.default_checkpoint_location,
        hold_role_binding=given.hold_role_binding,
        runtimes_from=given.runtimes_from,
        leader_election=given.leader_election,
        lease_namespace=given.lease_namespace,
        lease_name=given.lease_name,
        http_host=given.http_host,
        http_port=given.http_port,
        log_format=given.log_format,
        identity=os.environ.get("POD_NAME") or socket.gethostname(),
    )


def _peers(text: str) -> tuple[Mapping[str, Any], ...]:
    peers = json.loads(text)
    if not isinstance(peers, list) or not all(isinstance(peer, dict) for peer in peers):
        raise ValueError("no list of peers")
    return tuple(peers)


def run(options: Options, hook: Hook = lambda step: None) -> NoReturn:
    """Run the operator until SIGTERM or Ctrl-C, then end the process.

    `hook` hears each step that is done, for fault tests. This never comes back: what is to be left in order is so by
    then, and not all of kopf's tasks let themselves be cancelled.
    """
    log = to_stderr(options.log_format, time.time)  # noqa: TID251 - the process's own clock, handed down from here

    async def until_stopped() -> None:
        code = await _until_stopped(options, log, hook)
        sys.stderr.flush()
        os._exit(code)

    asyncio.run(until_stopped())
    raise AssertionError("the process has ended")


async def _until_stopped(options: Options, log: Log, hook: Hook) -> int:
    def stop_on_signals() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, work.cancel)

    work = asyncio.create_task(_operate(options, log, hook, stop_on_signals))
    stop_on_signals()
    try:
        with suppress(asyncio.CancelledError):
            await work
    except (LeadershipLost, ApiError, CannotServe, WatchLost) as error:
        log.say("error", f"{error}; this operator ends")
        return 75
    log.say("info", "stopped")
    return 0


async def _operate(options: Options, log: Log, hook: Hook, stop_on_signals: Callable[[], None]) -> None:
    store, queue, ready = Store(), WorkQueue[Key](), asyncio.Event()
    metrics = Metrics(lambda: ((tree.get("status") or {}).get("phase", "Pending") for _, tree in store.jobs()))
    stands_by = options.leader_election

    def is_ready() -> bool:
        return ready.is_set() or stands_by

    async with (
        connect() as api,
        # A thousand runtimes at most answer at once; none keeps its connection.
        session(aiohttp.TCPConnector(limit=0, force_close=True)) as http,
        serve(options.http_host, options.http_port, metrics, is_ready),
    ):

        async def act() -> None:
            nonlocal stands_by
            stands_by = False
            log.say("info", "acting", namespaces=",".join(options.namespaces) or "all", identity=options.identity)
            await _act(options, log, hook, api, http, store, queue, ready, metrics, stop_on_signals)

        if options.leader_election:
            identity = f"{options.identity}_{secrets.token_hex(4)}"
            log.say("info", "waiting for the Lease", lease=f"{options.lease_namespace}/{options.lease_name}")
            await lead(api, options.lease_namespace, options.lease_name, identity, act)
        else:
            await act()


async def _act(
    options: Options,
    log: Log,
    hook: Hook,
    api: client.ApiClient,
    http: aiohttp.ClientSession,
    store: Store,
    queue: WorkQueue[Key],
    ready: asyncio.Event,
    metrics: Metrics,
    stop_on_signals: Callable[[], None],
) -> None:
    cluster = Cluster(api)
    rng = random.Random(secrets.randbits(64))
    progresses = Progresses(http, queue.add, rng)
    images = Images(options.runtime_image, options.image_pull_policy)
    statuses = Statuses()
    variables = Variables(cluster)
    observer = Observer(store, cluster, progresses, statuses, variables, options.default_checkpoint_location, rng)
    reconciler = Reconciler(
        store,
        cluster,
        observer,
        Applier(cluster, store, images, options.runtimes_from, hook),
        progresses,
        statuses,
        metrics,
        time.time,  # noqa: TID251 - the process's own clock, handed down from here
        log.say,
        options.identity,
        hook,
    )
    monotonic = asyncio.get_running_loop().time
    rights = Rights(cluster, store, options.hold_role_binding, log.say)
    controller = Controller(store, cluster, queue, reconciler, rights, metrics, log.say, options.namespaces, monotonic)
    _spare_the_collector()
    try:
        await controller.list_pods()
        watching = watch(store, queue, options.namespaces, ready)
        await _first_of(controller.run(), watching, _once(ready, stop_on_signals))
    finally:
        await progresses.close()


def _spare_the_collector() -> None:
    """What is loaded by now stays, and objects of the API have no cycles: looking for these must not stop all work."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


async def _once(ready: asyncio.Event, take_signals_back: Callable[[], None]) -> None:
    """kopf takes the signals when it starts, and then waits five seconds for every task it finds; we do not."""
    await ready.wait()
    take_signals_back()
    await asyncio.Future()


async def _first_of(*work: Coroutine[None, None, None]) -> None:
    """Do all until one ends, then end the others."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    main()
