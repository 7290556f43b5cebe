"""How long to wait before a job is started again."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """`spec.restart`; times in seconds."""

    max_failures: int = 5
    reset_after: float = 600.0
    initial: float = 1.0
    max: float = 60.0


def delay_after(policy: RestartPolicy, failures: int, infrastructure: int, jitter: float) -> float:
    """Seconds to wait after the newest failure.

    `failures`, `infrastructure`: how many of each kind came without a healthy time between, the newest included. The
    first one that the cluster is to blame for waits for nothing: the next node is probably well. `jitter`, from 0 to
    1, takes off up to a quarter, so that jobs which failed together do not start together.
    """
    doublings = failures + infrastructure - (2 if infrastructure else 1)
    if doublings < 0:
        return 0.0
    # Past sixty doublings the largest delay is long reached, and the number would overflow.
    whole = min(policy.max, policy.initial * 2.0 ** min(doublings, 60))
    return float(whole * (1 - 0.25 * jitter))


def helper_delay_after(policy: RestartPolicy, tries: int, jitter: float) -> float:
    """Seconds to wait after a check or a clean-up could not be done: no less than by default.

    Each try is a pod and a status, and what the policy says is meant for the job itself.
    """
    return max(delay_after(each, tries, 0, jitter) for each in (policy, RestartPolicy()))
