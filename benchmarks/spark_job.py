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
    views = counted(spark, args, events)
    return views.writeStream.outputMode("append").format("parquet").option("path", args["output"])


def counted(spark: SparkSession, args: dict[str, str], events: DataFrame) -> DataFrame:
    """The views of each campaign by window of ten seconds."""
    return (
        events.withWatermark("event_time", "10 seconds")
        .where("event_type = 'view'")
        .join(spark.read.parquet(args["ads"]), "ad_id")
        .groupBy("campaign_id", f.window("event_time", "10 seconds").alias("window"))
        .agg(f.count("*").alias("n"))
        .select("campaign_id", f.col("window.start").alias("window_start"), "n")
    )


def kafka_ad_views(spark: SparkSession, args: dict[str, str]) -> DataStreamWriter:
    records = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", args["servers"])
        .option("subscribe", args["input"])
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", args["records"])
        .load()
    )
    value = f.from_json(f.col("value").cast("string"), "ad_id STRING, event_type STRING, event_time TIMESTAMP")
    views = counted(spark, args, records.select(value.alias("event")).select("event.*"))
    values = views.select(f.col("campaign_id").alias("key"), f.to_json(f.struct("*")).alias("value"))
    writer = values.writeStream.outputMode("append").format("kafka")
    return writer.option("kafka.bootstrap.servers", args["servers"]).option("topic", args["output"])


JOBS = {"word-count": word_count, "ad-views": ad_views, "kafka-ad-views": kafka_ad_views}


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
    if "jars" in args:
        builder = builder.config("spark.jars", args["jars"])
    if args["partitions"]:
        builder = builder.config("spark.sql.shuffle.partitions", args["partitions"])
    spark = builder.getOrCreate()
    writer = JOBS[args["workload"]](spark, args)
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
