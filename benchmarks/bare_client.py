"""Reads all records of a topic and does nothing with them: `python bare_client.py SERVERS TOPIC RECORDS`.

Prints when the first, the middle and the last record came, seconds since the epoch, and the CPU-seconds of it all.
"""

import gc
import sys
import time

from confluent_kafka import Consumer, TopicPartition

from streamjob_runtime.connectors.kafka.reader import TUNED

_CHUNK = 50_000


def main() -> None:
    servers, topic, records = sys.argv[1], sys.argv[2], int(sys.argv[3])
    gc.disable()  # as the source does while it reads
    settings = {"bootstrap.servers": servers, "group.id": "bare", "enable.auto.commit": False, **TUNED}
    consumer = Consumer(settings)
    partitions = consumer.list_topics(topic, 30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    came = used = 0
    first = middle = 0.0
    while came < records:
        messages = consumer.consume(_CHUNK, 1.0)
        used += sum(len(message.value() or b"") for message in messages)
        came += len(messages)
        first = first or (time.time() if messages else 0.0)
        if came >= records / 2:
            middle = middle or time.time()
    print(first, middle, time.time(), time.process_time())
    consumer.close()


if __name__ == "__main__":
    main()
