"""Events of a job: few, short and true."""

from typing import Any

from streamjob_api import names
from streamjob_operator.model import Job, News
from streamjob_operator.times import to_text_us

_LONGEST = 1000  # the API server takes 1024


def event(job: Job, news: News, now: float, nonce: str, instance: str) -> dict[str, Any]:
    """The Event, as a tree for the API server. `nonce`: makes its name one that no other has."""
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{job.key.name}.{nonce}", "namespace": job.key.namespace},
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": job.key.name,
            "namespace": job.key.namespace,
            "uid": job.uid,
        },
        "type": "Warning" if news.warning else "Normal",
        "reason": news.reason,
        "message": news.message[:_LONGEST],
        # By these times events are shown in order. The older fields know only whole seconds, and would be preferred.
        "eventTime": to_text_us(now),
        "action": news.reason,
        "source": {"component": names.OPERATOR_NAME},
        "reportingComponent": names.OPERATOR_NAME,
        "reportingInstance": instance,
    }
