"""What the client library says went wrong, in our words and kinds."""

import threading

from confluent_kafka import KafkaError, KafkaException

from streamjob_runtime.errors import JobError, Refused, StreamJobError, Unavailable

_PASSWORD = {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED}
_MISSING = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}
_FORBIDDEN = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "read or write the topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "use the consumer group",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "use the cluster so",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "use the transactional id",
}
_FENCED = {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}
# What Kafka says again whenever it is asked: what it does not do, and the remedy.
_FOR_GOOD = {
    KafkaError.MSG_SIZE_TOO_LARGE: (
        "takes no record as large as one of the batch",
        "Raise the topic's max.message.bytes.",
    ),
    KafkaError.RECORD_LIST_TOO_LARGE: (
        "takes no record as large as one of the batch",
        "Raise the topic's segment.bytes.",
    ),
    KafkaError.INVALID_RECORD: (
        "does not take a record of the batch",
        "If the topic is compacted, each record needs a key: set key, and let its columns never be NULL.",
    ),
    KafkaError.POLICY_VIOLATION: ("has a policy against this", "Ask who runs it what it allows."),
    KafkaError.INVALID_TIMESTAMP: (
        "does not take the time of a record",
        "Correct this machine's clock, or raise the topic's message.timestamp.before.max.ms and "
        "message.timestamp.after.max.ms.",
    ),
    KafkaError.UNSUPPORTED_VERSION: ("is too old for this", "Upgrade it."),
    KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT: (
        "keeps the topic in a format too old for this",
        "Upgrade it, or raise the topic's message.format.version.",
    ),
    KafkaError.INVALID_TRANSACTION_TIMEOUT: (
        "takes no transaction of ten minutes",
        "Raise its transaction.max.timeout.ms.",
    ),
    KafkaError._INVALID_ARG: ("cannot be asked so", "Correct what the manifest says of this connection."),
}
# Our own certificate was refused, or theirs is of an authority that we do not know: that mends nobody by waiting.
_BAD_CERTIFICATE = ("certificate verify failed", "unknown ca", "certificate required", "bad certificate")
_NOT_MADE = "Failed to create "  # a client; nobody was asked yet
_NO_MECHANISM = "Unsupported SASL mechanism"
# What the library says when TLS meets no TLS.
_OTHER_PROTOCOL = ("Invalid response size", "SSL handshake failed", "security.protocol")


class Listener:
    """Hears what the client says beside its answers: a call that has none only ends when its time is over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: KafkaError | None = None
        self._refusal: KafkaError | None = None

    def hear(self, error: KafkaError) -> None:
        """What `error_cb` calls."""
        with self._lock:
            if is_refusal(error):
                self._refusal = error
            elif error.code() != KafkaError._ALL_BROKERS_DOWN or self._last is None:
                self._last = error

    def answered(self) -> None:
        """The cluster has answered: what was heard before is over."""
        with self._lock:
            self._last = self._refusal = None

    @property
    def refused(self) -> bool:
        """Whether the cluster has refused us since its last answer."""
        with self._lock:
            return self._refusal is not None

    @property
    def heard(self) -> bool:
        """Whether something went wrong since the cluster's last answer."""
        with self._lock:
            return self._last is not None or self._refusal is not None

    def worst(self, error: KafkaError) -> KafkaError:
        """What has led to the error of a call: a refusal, or the latest trouble with the connection."""
        with self._lock:
            vague = error.code() in (KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN)
            return (self._refusal or self._last or error) if vague else error


def is_refusal(error: KafkaError) -> bool:
    """Whether the cluster does not want us as we come, so that no retry helps."""
    return error.code() in _PASSWORD or (
        error.code() == KafkaError._SSL and any(text in error.str().lower() for text in _BAD_CERTIFICATE)
    )


def is_missing(error: KafkaError) -> bool:
    """Whether the topic or the partition is not there."""
    return error.code() in _MISSING


def is_fenced(error: KafkaError) -> bool:
    """Whether another producer of the same transactional id has taken over."""
    return error.code() in _FENCED


def kafka_error(error: KafkaException) -> KafkaError:
    """The library's error within its exception."""
    found: KafkaError = error.args[0]
    return found


def translated(error: KafkaError, who: str, servers: str) -> StreamJobError:
    """The error in our words. `who`: the source or sink that it happened to."""
    said = error.str()
    at = f"{who}: Kafka at {servers}"
    if error.code() == KafkaError.UNSUPPORTED_SASL_MECHANISM or _NO_MECHANISM in said:
        return JobError(f"{at} does not take this saslMechanism ({said}). Name one that it takes.")
    if _NOT_MADE in said:
        what = "the Secret of tls.certificatesSecretRef" if ".pem" in said else "what the manifest says of Kafka"
        return JobError(f"{at} cannot be reached with what this job was given ({said}). Correct {what}.")
    if error.code() in _PASSWORD:
        return Refused(f"{at} refuses the user name or the password ({said}). Correct the Secret of authSecretRef.")
    if is_refusal(error):
        return Refused(
            f"{at} and this job do not trust each other's certificates ({said}). "
            "Correct the Secret of tls.certificatesSecretRef, or name one where there is none."
        )
    if is_missing(error):
        return JobError(f"{at} has no such topic or partition ({said}). Create it, or correct its name.")
    if error.code() in _FORBIDDEN:
        return JobError(f"{at} does not let this job {_FORBIDDEN[error.code()]} ({said}). Give its user the right.")
    if error.code() in _FOR_GOOD:
        wrong, remedy = _FOR_GOOD[error.code()]
        return JobError(f"{at} {wrong} ({said}). {remedy}")
    if error.code() == KafkaError._ALL_BROKERS_DOWN:  # its words only count the servers
        said = "it takes connections and ends them at once"
    if error.code() == KafkaError._ALL_BROKERS_DOWN or any(text in said for text in _OTHER_PROTOCOL):
        said += ". Perhaps this port wants TLS (tls) or a password (authSecretRef), or does not want them"
    return Unavailable(f"{at} does not answer as it should: {said}")
