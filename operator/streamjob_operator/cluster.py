"""The Kubernetes API, as the operator uses it. The only module that imports the client."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.client import rest

from streamjob_api import names
from streamjob_operator.model import Key, Tree

_TIMEOUT_S = 30
_JSON = {"Content-Type": "application/json", "Accept": "application/json"}
_MERGE = {**_JSON, "Content-Type": "application/merge-patch+json"}
_APPLY = {**_JSON, "Content-Type": "application/apply-patch+yaml"}
_METADATA = {**_JSON, "Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
_CONNECTIONS = 32
_PAGE = 250  # objects of a list at once: thousands as one text would take more memory than all that is kept of them


class ApiError(Exception):
    """The API server refused a request, or could not be reached. Trying again later may help."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status  # 0: no answer
        self.reason = reason  # as in a Status object: NotFound, AlreadyExists, Conflict …


class NotFound(ApiError):
    """The object is not there."""


class Conflict(ApiError):
    """The object is there already, or has changed since it was read."""


class Refused(ApiError):
    """What was to be made or changed is not allowed, or nobody can say: by a quota, a policy, a rule, a webhook."""


class NamespaceEnds(ApiError):
    """Nothing can be created in the namespace: it is being deleted."""


class WatchLost(Exception):
    """What happens cannot be learned in this process any more; a new one can."""


class Cluster:
    """Reads and writes of single objects; each raises `ApiError` when it fails."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api

    async def list_pods(self, namespace: str | None) -> tuple[list[dict[str, Any]], int]:
        """All pods of StreamJobs in the namespace (None: in all), and the version of the list."""
        selector = f"{names.LABEL_MANAGED_BY}%3D{names.OPERATOR_NAME}"
        where = f"/namespaces/{namespace}" if namespace else ""
        return await self._list(f"/api/v1{where}/pods?labelSelector={selector}")

    async def list_jobs(self, namespace: str | None) -> tuple[list[dict[str, Any]], int]:
        """All StreamJobs in the namespace (None: in all), and the version of the list."""
        where = f"/namespaces/{namespace}" if namespace else ""
        return await self._list(f"/apis/{names.API_VERSION}{where}/{names.PLURAL}")

    async def list_config_maps(self, namespace: str | None) -> list[dict[str, Any]]:
        """The metadata of all ConfigMaps of StreamJobs in the namespace (None: in all); never what is in them."""
        selector = f"{names.LABEL_MANAGED_BY}%3D{names.OPERATOR_NAME}"
        where = f"/namespaces/{namespace}" if namespace else ""
        return (await self._list(f"/api/v1{where}/configmaps?labelSelector={selector}", _METADATA))[0]

    async def create_pod(self, key: Key, body: Tree) -> dict[str, Any]:
        """Create the pod; give it back as the server has it."""
        return await self._call("POST", f"{_core(key)}/pods?{_MANAGER}", body)

    async def read_pod(self, key: Key, name: str) -> dict[str, Any]:
        """One pod."""
        return await self._call("GET", f"{_core(key)}/pods/{name}")

    async def delete_pod(self, key: Key, name: str, uid: str, force: bool) -> None:
        """Ask the pod of that uid to end; `force`: take it out of the API at once."""
        body: dict[str, Any] = {"preconditions": {"uid": uid}}
        if force:
            body["gracePeriodSeconds"] = 0
        await self._call("DELETE", f"{_core(key)}/pods/{name}", body)

    async def end_pod(self, key: Key, name: str, uid: str) -> dict[str, Any]:
        """Have the kubelet end all that runs in the pod, by a deadline that has passed; the pod stays."""
        body = {"metadata": {"uid": uid}, "spec": {"activeDeadlineSeconds": 1}}
        return await self._call("PATCH", f"{_core(key)}/pods/{name}?{_MANAGER}", body, _MERGE)

    async def create_config_map(self, key: Key, body: Tree) -> None:
        """Create the ConfigMap."""
        await self._send("POST", f"{_core(key)}/configmaps?{_MANAGER}", body)

    async def read_config_map(self, key: Key, name: str) -> dict[str, Any]:
        """One ConfigMap."""
        return await self._call("GET", f"{_core(key)}/configmaps/{name}")

    async def delete_config_map(self, key: Key, name: str) -> None:
        """Remove the ConfigMap."""
        await self._call("DELETE", f"{_core(key)}/configmaps/{name}")

    async def write_status(self, job: Tree) -> dict[str, Any]:
        """Replace the job's status. Raises `Conflict` if the job has changed since it was read."""
        key = Key(job["metadata"]["namespace"], job["metadata"]["name"])
        return await self._call("PUT", f"{_jobs(key)}/{key.name}/status?{_MANAGER}", job)

    async def write_finalizers(self, key: Key, resource_version: str, finalizers: list[str]) -> dict[str, Any]:
        """Replace the job's finalizers. Raises `Conflict` if the job has changed since it was read."""
        body = {"metadata": {"resourceVersion": resource_version, "finalizers": finalizers}}
        return await self._call("PATCH", f"{_jobs(key)}/{key.name}?{_MANAGER}", body, _MERGE)

    async def hold_role_binding(self, namespace: str, name: str, hold: bool) -> None:
        """Keep the RoleBinding from vanishing, or no longer."""
        body = {"metadata": {"finalizers": [names.FINALIZER] if hold else None}}
        path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings/{name}?{_MANAGER}"
        await self._call("PATCH", path, body, _MERGE)

    async def apply_network_policy(self, namespace: str, body: Tree) -> None:
        """Have the NetworkPolicy be so, whatever it was."""
        name = body["metadata"]["name"]
        path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/{name}?{_MANAGER}&force=true"
        await self._call("PATCH", path, body, _APPLY)

    async def create_event(self, key: Key, body: Tree) -> None:
        """Post an Event."""
        await self._send("POST", f"{_core(key)}/events", body)

    async def events_of(self, key: Key, uid: str) -> list[dict[str, Any]]:
        """The Events about one object."""
        return (await self._list(f"{_core(key)}/events?fieldSelector=involvedObject.uid%3D{uid}"))[0]

    async def _list(self, path: str, headers: dict[str, str] = _JSON) -> tuple[list[dict[str, Any]], int]:
        items: list[dict[str, Any]] = []
        first = f"{path}{'&' if '?' in path else '?'}limit={_PAGE}"
        page = first
        while True:
            answer = await self._call("GET", page, headers=headers)
            for item in answer["items"]:
                item["metadata"].pop("managedFields", None)
            items += answer["items"]
            rest = answer["metadata"].get("continue")
            if not rest:
                return items, int(answer["metadata"].get("resourceVersion") or 0)
            page = f"{first}&continue={rest}"

    async def _call(
        self, method: str, path: str, body: Tree | None = None, headers: dict[str, str] = _JSON
    ) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(await self._send(method, path, body, headers))
        return parsed

    async def _send(self, method: str, path: str, body: Tree | None = None, headers: dict[str, str] = _JSON) -> bytes:
        try:
            request = await self._api.param_serialize(
                method, path, header_params=dict(headers), query_params=[], auth_settings=["BearerToken"]
            )
            # The client would walk through the whole body to serialize it; ours is plain JSON already.
            sent = (
                None
                if body is None
                else json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
            )
            answer = await self._api.call_api(*request[:3], body=sent, _request_timeout=_TIMEOUT_S)
            data = await answer.read()
        except (TimeoutError, aiohttp.ClientError, OSError, client.ApiException) as error:
            raise ApiError(0, "Unreachable", f"{method} {path}: {type(error).__name__}: {error}") from error
        if answer.status >= 300:
            raise _error(answer.status, data, method, path.partition("?")[0])
        return bytes(data)


_MANAGER = f"fieldManager={names.FIELD_MANAGER}"


def _core(key: Key) -> str:
    return f"/api/v1/namespaces/{key.namespace}"


def _jobs(key: Key) -> str:
    return f"/apis/{names.API_VERSION}/namespaces/{key.namespace}/{names.PLURAL}"


# Those that may go through a moment later, or in another order, and the ones that have classes of their own. All
# others are said to the user: too large, not allowed, no such thing; and 500, what becomes of a webhook that fails.
_TRANSIENT = frozenset({401, 404, 409, 410, 429, 502, 503, 504})


def _error(status: int, data: bytes, method: str, path: str) -> ApiError:
    try:
        said = json.loads(data)
    except ValueError:
        said = {}
    reason, message = said.get("reason", ""), f"{method} {path}: {said.get('message') or data[:200]!r}"
    causes = {c.get("reason") for c in (said.get("details") or {}).get("causes") or ()}
    if "NamespaceTerminating" in causes:
        return NamespaceEnds(status, reason, message)
    if method != "GET" and not path.endswith("/status") and status >= 400 and status not in _TRANSIENT:
        return Refused(status, reason, message)
    kind = {404: NotFound, 409: Conflict}.get(status, ApiError)
    return kind(status, reason, message)


class _Rest(rest.RESTClientObject):
    """Sends a body of bytes as it is: the client's own writes a character beyond ASCII as six or twelve bytes."""

    async def request(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
        body: Any = None,
        post_params: Any = None,
        _request_timeout: Any = None,
    ) -> rest.RESTResponse:
        """The answer to one request."""
        if not isinstance(body, bytes):
            said: rest.RESTResponse = await super().request(  # type: ignore[no-untyped-call]
                method, url, headers, body, post_params, _request_timeout
            )
            return said
        if self.pool_manager is None:
            self.pool_manager = self._create_pool_manager()
        how: dict[str, Any] = {"server_hostname": self.configuration.tls_server_name, "proxy": self.proxy}
        given = {name: value for name, value in how.items() if value}
        timeout = aiohttp.ClientTimeout(total=_request_timeout)
        answer = await self.pool_manager.request(method, url, headers=headers, data=body, timeout=timeout, **given)
        return rest.RESTResponse(answer)


@asynccontextmanager
async def connect() -> AsyncIterator[client.ApiClient]:
    """A client of the cluster that this process runs in, or else of the kubeconfig's."""
    settings = client.Configuration()
    if os.environ.get("KUBERNETES_SERVICE_HOST") and not os.environ.get("KUBECONFIG"):
        config.load_incluster_config(client_configuration=settings)
    else:
        await config.load_kube_config(client_configuration=settings)
    async with client_of(settings) as api:
        yield api


def client_of(settings: client.Configuration) -> client.ApiClient:
    """A client with these settings, to be used with `async with`."""
    settings.connection_pool_maxsize = _CONNECTIONS
    # The client would look for a proxy in the environment at each request, in a thread. The watches do not either.
    settings.client_session_kwargs = {"trust_env": False}
    api = client.ApiClient(settings)
    api.rest_client = _Rest(settings)
    return api
