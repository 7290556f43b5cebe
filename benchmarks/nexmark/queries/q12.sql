-- All of q12 at once, over the table bid with the time of each bid's batch, once the last window is over.
SELECT bidder, count(*) AS bid_count, time_bucket(INTERVAL '10 seconds', batch_time) AS starttime,
       starttime + INTERVAL '10 seconds' AS endtime
FROM bid
GROUP BY bidder, starttime
