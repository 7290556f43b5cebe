"""Events as the API server gets them."""

from streamjob_operator.events import event
from streamjob_operator.model import Job, Key, News

JOB = Job(Key("shop", "views"), "uid", "7", 1, {}, {})
NOON = 1_795_262_400.0


def test_two_events_of_the_same_second_can_be_put_into_their_order() -> None:
    ended, started = (
        event(JOB, News(reason, "…"), now, "nonce", "operator-1")
        for reason, now in (("PodDeleted", NOON + 0.024), ("Started", NOON + 0.041))
    )
    assert (ended["eventTime"], started["eventTime"]) == ("2026-11-21T12:00:00.024000Z", "2026-11-21T12:00:00.041000Z")
    # kubectl goes by this one where it is there, and it has no more than seconds.
    assert "lastTimestamp" not in started


def test_what_the_api_server_demands_of_an_event_with_such_a_time_is_there() -> None:
    said = event(JOB, News("Started", "…"), NOON, "nonce", "operator-1")
    assert said["action"] and said["reason"] and said["reportingComponent"] and said["reportingInstance"]
