"""What the client library says, in words that name the remedy."""

import pytest
from confluent_kafka import KafkaError

from streamjob_runtime.clock import ManualClock
from streamjob_runtime.connectors.kafka.access import Access
from streamjob_runtime.connectors.kafka.cluster import Cluster
from streamjob_runtime.connectors.kafka.errors import translated
from streamjob_runtime.connectors.kafka.reader import KafkaReader
from streamjob_runtime.connectors.kafka.rows import KafkaRows
from streamjob_runtime.errors import JobError, Refused, StreamJobError, Unavailable
from streamjob_runtime.formats.messages import TextMessages
from support.sources import TEXT

REMEDY = "Perhaps this port wants TLS (tls) or a password (authSecretRef), or does not want them"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (KafkaError.INVALID_RECORD, "set key"),
        (KafkaError.RECORD_LIST_TOO_LARGE, "Raise the topic's segment.bytes"),
        (KafkaError.POLICY_VIOLATION, "has a policy against this (Broker: Policy violation)"),
        (KafkaError.INVALID_TIMESTAMP, "Correct this machine's clock"),
        (KafkaError.UNSUPPORTED_VERSION, "is too old for this"),
        (KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT, "message.format.version"),
        (KafkaError.INVALID_TRANSACTION_TIMEOUT, "Raise its transaction.max.timeout.ms."),
        (KafkaError._INVALID_ARG, "Correct what the manifest says"),
    ],
)
def test_what_kafka_refuses_for_good_is_not_tried_again(code: int, words: str) -> None:
    error = translated(KafkaError(code), 'Sink "k"', "k:9092")
    assert type(error) is JobError
    assert words in str(error)


@pytest.mark.parametrize(
    ("code", "said", "kind", "words"),
    [
        (KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down", Unavailable, f"ends them at once. {REMEDY}"),
        (KafkaError._SSL, "ssl://k:9092: SSL handshake failed: PLAINTEXT listener?", Unavailable, REMEDY),
        (KafkaError._TRANSPORT, "k:9092: Receive failed: Invalid response size 352518912", Unavailable, REMEDY),
        (KafkaError._SSL, "SSL handshake failed: certificate verify failed", Refused, "tls.certificatesSecretRef"),
        (KafkaError._AUTHENTICATION, "Invalid username or password", Refused, "Correct the Secret of authSecretRef"),
        (
            KafkaError._AUTHENTICATION,
            "handshake failed: Broker: Unsupported SASL mechanism: broker's supported mechanisms: PLAIN",
            JobError,
            "does not take this saslMechanism",
        ),
    ],
)
def test_a_connection_that_does_not_come_about_is_explained(
    code: int, said: str, kind: type[StreamJobError], words: str
) -> None:
    error = translated(KafkaError(code, said), 'Source "k"', "k:9092")
    assert type(error) is kind
    assert words in str(error) and str(error).startswith('Source "k": Kafka at k:9092')


def test_a_certificate_that_is_none_is_a_mistake_in_the_secret() -> None:
    settings = {"bootstrap.servers": "k:9092", "security.protocol": "SSL", "ssl.ca.pem": "nonsense"}
    access = Access("k:9092", lambda: settings)
    rows = KafkaRows("k", TextMessages(), (), TEXT)
    reader = KafkaReader('Source "k"', access, "group", True, rows, ManualClock())
    for ask in (Cluster(access, 'Source "k"').topic_names, lambda: reader.read({"t/0": (0, 1)}, {})):
        with pytest.raises(JobError, match=r"not in PEM format.* Correct the Secret of tls.certificatesSecretRef"):
            ask()
