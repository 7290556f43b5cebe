"""What HDFS and the way to it say, in the runtime's own errors."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from streamjob_runtime.errors import AlreadyExists, JobError, NotFound, StreamJobError, Unavailable

# What hdfs-native raises for an answer of the name node that Python has no exception for.
_ANSWER = re.compile(r'(?:Fatal)?RPCError\("(?P<kind>[^"]*)", "(?P<text>.*)"\)', re.DOTALL)
# And for a failure of Kerberos: codes, and then a sentence.
_KERBEROS_SAYS = re.compile(r'GSSAPIError\(.*, \d+, "(?P<text>.*)"\)', re.DOTALL)
# What passes: the server of Kerberos is away, or the ticket ran out and a new one is fetched.
_PASSES = ("Cannot contact any KDC", "GSS_S_CONTEXT_EXPIRED", "GSS_S_CREDENTIALS_EXPIRED")
_LONGEST = 300  # characters of HDFS's words

_KEY_SERVER = "hadoop.security.key.provider.path in core-site.xml"

# Answers that a retry would get again, by the last part of their class, with the remedy.
_REMEDIES = {
    "AccessControlException": "let the user in (hdfs dfs -chown USER PATH), or name another one in hdfs.user",
    "AuthorizationException": "let the user in, or name another one in hdfs.user",
    "InvalidPathException": "choose a name without a colon",
    "MaxDirectoryItemsExceededException": "raise dfs.namenode.fs-limits.max-directory-items",
    "NSQuotaExceededException": "raise the quota, or make room there",
    "DSQuotaExceededException": "raise the quota, or make room there",
    "ParentNotDirectoryException": "a file stands where a folder is needed: remove it, or choose another place",
    "PathComponentTooLongException": "choose a shorter name",
    "PathIsNotDirectoryException": "a file stands where a folder is needed: remove it, or choose another place",
    "UnknownCryptoProtocolVersionException": "choose a folder outside of the encryption zone",
    "SaslException": "give the site files that tell how the cluster authenticates its users (hdfs.configMapRef)",
}
_SITE_FILES = "name a server and its port, or give the site files that know the name (hdfs.configMapRef)"
_KERBEROS = "name a principal and its keytab (hdfs.kerberos), and see that krb5.conf knows the realm and its servers"
_WRONG = {
    "No NameNode hosts found": _SITE_FILES,
    "No host for name service": _SITE_FILES,
    "UrlParseError": "write hdfs://HOST:PORT/PATH",
    "GSSAPIError": _KERBEROS,
    "SASLError": _KERBEROS,
    "NoSASLMechanism": _KERBEROS,
    "KMS provider": f"give the site files that name the zone's key server, {_KEY_SERVER} (hdfs.configMapRef)",
    "KMS request failed (403": "let the user use the zone's key (kms-acls.xml of the key server)",
    "KMS rejected SPNEGO": _KERBEROS,
    **dict.fromkeys(
        ("KMS URI", "KMS URL", "KMS base URL", "KMS path", "KMS scheme", "KMS request failed (404"),
        f"write {_KEY_SERVER} as kms://http@HOST:PORT/kms",
    ),
    "must both be directories": "a folder stands where a file is needed: remove it, or choose another place",
}


@contextmanager
def translate(place: str) -> Iterator[None]:
    """Turn what hdfs-native raises over `place` into the runtime's errors."""
    try:
        yield
    except FileExistsError as err:
        raise AlreadyExists(f"{place} is there already.") from err
    except FileNotFoundError as err:
        raise NotFound(f"There is no file {place}.") from err
    except OSError as err:
        raise Unavailable(f"{place} cannot be reached now ({_short(str(err))}).") from err
    except NotImplementedError as err:
        said = _short(str(err))
        raise JobError(
            f"{place} cannot be used ({said}): the client does not know this; choose another folder."
        ) from err
    except RuntimeError as err:
        raise from_answer(str(err), place) from err


def remedy_for(kind: str) -> str | None:
    """What to do about an answer of this class, such as `AccessControlException`; None: a retry may mend it."""
    return _REMEDIES.get(kind)


def from_answer(said: str, place: str) -> StreamJobError:
    """The error for an answer in hdfs-native's words."""
    found = _ANSWER.fullmatch(said)
    kind = found["kind"].rpartition(".")[2] if found else ""
    text = _short((found or _KERBEROS_SAYS.fullmatch(said) or {"text": said})["text"])
    if any(words in said for words in _PASSES):
        return Unavailable(f"{place} cannot be reached now ({text}).")
    if kind == "AccessControlException" and text.endswith("(is not a directory)"):
        return NotFound(f"There is no file {place}.")  # nor can be: a part of its path is a file
    remedy = remedy_for(kind) or next((r for words, r in _WRONG.items() if words in said), None)
    if remedy is not None:
        return JobError(f"{place} cannot be used ({': '.join(filter(None, (kind, text)))}): {remedy}.")
    return Unavailable(f"{place} cannot be reached now ({text}).")


def _short(text: str) -> str:
    """Its first line: below it Java's stack stands."""
    line = re.split(r"\\n|\n", text, maxsplit=1)[0].replace('\\"', '"').strip()
    return (line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…").rstrip(".")
