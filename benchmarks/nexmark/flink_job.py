"""One query on Flink, with the Python that has it: `flink_job.py FOLDER QUERY`. FOLDER has one file of each kind.

All rows are read once and the results thrown away. One task a step: with more, rows would be shuffled between two cores
for nothing, and files would be read in no order, so that rows of one are late for the windows of another.
"""

import sys
from pathlib import Path

from pyflink.table import EnvironmentSettings, TableEnvironment  # type: ignore[import-not-found]

COLUMNS = {
    "person": "id BIGINT, name STRING, emailAddress STRING, creditCard STRING, city STRING, state STRING, extra STRING",
    "auction": "id BIGINT, itemName STRING, description STRING, initialBid BIGINT, reserve BIGINT, "
    "expires TIMESTAMP(3), seller BIGINT, category BIGINT, extra STRING",
    "bid": "auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, url STRING, extra STRING",
}


def main() -> None:
    folder, query = Path(sys.argv[1]), Path(sys.argv[2])
    tables = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    tables.get_config().set("parallelism.default", "1")
    tables.get_config().set("taskmanager.memory.managed.size", "512m")
    for kind, columns in COLUMNS.items():
        tables.execute_sql(
            f"CREATE TABLE {kind} ({columns}, `dateTime` TIMESTAMP(3), now_ AS PROCTIME(), "
            "WATERMARK FOR `dateTime` AS `dateTime` - INTERVAL '4' SECOND) "
            f"WITH ('connector' = 'filesystem', 'path' = 'file://{folder}/{kind}.json', 'format' = 'json', "
            "'json.timestamp-format.standard' = 'SQL')"
        )
    tables.execute_sql(
        "CREATE TABLE side_input (key BIGINT, `value` STRING) "
        f"WITH ('connector' = 'filesystem', 'path' = 'file://{folder}/side_input.csv', 'format' = 'csv', "
        "'csv.ignore-parse-errors' = 'true')"
    )
    tables.execute_sql(f"CREATE TABLE nowhere WITH ('connector' = 'blackhole') AS {query.read_text()}").wait()


if __name__ == "__main__":
    main()
