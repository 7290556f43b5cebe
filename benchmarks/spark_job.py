"""The same two jobs on Spark Structured Streaming; run by benchmarks/spark.py with Spark's own Python."""

import json
import sys
import time
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession  # type: ignore[import-not-found]
from pyspark.sql import functions as f
from pyspark.sql.streaming import DataStreamWriter  # type: ignore[import-not-found]


def word_count(spark: SparkSession, args: dict[str, str]) -> DataStreamWriter:
    lines = spark.readStream.option("maxFilesPerTrigger", args["files"]).text(args["input"])
    counts = lines.select(f.explode(f.split("value", " ")).alias("word")).groupBy("word").agg(f.count("*").alias("n"))

    def replace(rows: DataFrame, batch: int) -> None:
        """Spark's own file sink has no complete mode; this is what its documentation gives for it."""
        del batch
        rows.write.mode("overwrite").parquet(args["output"])

    return counts.writeStream.outputMode("complete").foreachBatch(replace)


def ad_views(spark: SparkSession, args: dict[str, str]) -> DataStreamWriter:
    events = (
        spark.readStream.schema("ad_id STRING, event_type STRING, event_time TIMESTAMP")
        .option("maxFilesPerTrigger", args["files"])
        .json(args["input"])
    )
    views = (
        events.withWatermark("event_time", "10 seconds")
        .where("event_type = 'view'")
        .join(spark.read.parquet(args["ads"]), "ad_id")
        .groupBy("campaign_id", f.window("event_time", "10 seconds").alias("window"))
        .agg(f.count("*").alias("n"))
        .select("campaign_id", f.col("window.start").alias("window_start"), "n")
    )
    return views.writeStream.outputMode("append").format("parquet").option("path", args["output"])


def main() -> None:
    args = json.loads(sys.argv[1])
    builder = (
        SparkSession.builder.master("local[2]")
        .appName(args["workload"])
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.session.timeZone", "UTC")
        # Only so that all of a run's progress can be read at its end.
        .config("spark.sql.streaming.numRecentProgressUpdates", "100000")
        .config("spark.sql.streaming.noDataProgressEventInterval", "0")
        .config("spark.sql.streaming.minBatchesToRetain", "1000")
    )
    if args["partitions"]:
        builder = builder.config("spark.sql.shuffle.partitions", args["partitions"])
    spark = builder.getOrCreate()
    writer = {"word-count": word_count, "ad-views": ad_views}[args["workload"]](spark, args)
    writer = writer.option("checkpointLocation", args["checkpoint"])
    idle = None
    if args["idle"]:
        query = writer.trigger(processingTime="10 milliseconds").start()
        query.processAllAvailable()
        start = time.time()
        time.sleep(args["idle"])
        idle = (start, time.time())
        query.stop()
    else:
        query = writer.trigger(availableNow=True).start()
        query.awaitTermination()
    progress = [json.loads(p.json) for p in query.recentProgress]
    Path(args["progress"]).write_text(json.dumps({"idle": idle, "progress": progress}))
    spark.stop()


if __name__ == "__main__":
    main()
