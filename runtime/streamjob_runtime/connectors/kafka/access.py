"""How a Kafka cluster is reached: addresses from the manifest, credentials from Secrets."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from streamjob_runtime.stores.connections import Secrets

# So long the client waits for an answer before it says that there is none, seconds.
ANSWER_S = 10.0

# The library writes to standard error what it holds for fatal, such as that another process has taken over.
_NOWHERE = logging.getLogger(__name__)
_NOWHERE.addHandler(logging.NullHandler())
_NOWHERE.propagate = False

_DEFAULT_MECHANISM = "SCRAM-SHA-512"


@dataclass(frozen=True, slots=True)
class Access:
    """A cluster, and what its clients are made with."""

    servers: str
    find_settings: Callable[[], Mapping[str, Any]] = field(repr=False)

    @property
    def settings(self) -> Mapping[str, Any]:
        """Settings of librdkafka, with what the Secret holds now: each new client has them. Raises `JobError`."""
        return self.find_settings()

    @classmethod
    def from_manifest(cls, connection: Any, secrets: Secrets) -> "Access":
        """`connection`: a `KafkaConnection` of the manifest. Raises `JobError` if a Secret is missing."""
        servers = ",".join(address.strip() for address in connection.bootstrap_servers.split(","))
        access = cls(servers, lambda: _settings(servers, connection, secrets))
        access.find_settings()
        return access


def _settings(servers: str, connection: Any, secrets: Secrets) -> Mapping[str, Any]:
    settings: dict[str, Any] = {
        "bootstrap.servers": servers,
        "client.id": "streamjob",
        "security.protocol": _protocol(connection),
        "reconnect.backoff.max.ms": 1000,
        # What goes wrong comes to `Listener`, and from there into errors and the runtime's own log.
        "log_level": 0,
        "logger": _NOWHERE,
    }
    if connection.auth_secret_ref is not None:
        secret = connection.auth_secret_ref.name
        settings |= {
            "sasl.mechanism": connection.sasl_mechanism or _DEFAULT_MECHANISM,
            "sasl.username": secrets.get(secret, "username", "KAFKA_USERNAME"),
            "sasl.password": secrets.get(secret, "password", "KAFKA_PASSWORD"),
        }
    if connection.tls is not None and connection.tls.certificates_secret_ref is not None:
        secret = connection.tls.certificates_secret_ref.name
        texts = {
            "ssl.ca.pem": secrets.find(secret, "ca.crt", "KAFKA_CA"),
            "ssl.certificate.pem": secrets.find(secret, "tls.crt", "KAFKA_CERTIFICATE"),
            "ssl.key.pem": secrets.find(secret, "tls.key", "KAFKA_KEY"),
        }
        if texts["ssl.ca.pem"] is None and texts["ssl.certificate.pem"] is None:
            secrets.get(secret, "ca.crt", "KAFKA_CA")  # says what is missing
        settings |= {name: text for name, text in texts.items() if text is not None}
    return settings


def _protocol(connection: Any) -> str:
    if connection.auth_secret_ref is not None:
        return "SASL_SSL" if connection.tls is not None else "SASL_PLAINTEXT"
    return "SSL" if connection.tls is not None else "PLAINTEXT"
