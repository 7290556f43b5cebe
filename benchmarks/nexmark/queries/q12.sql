-- All of q12 at once, over the tables bid.
SELECT bidder, count(*) AS bid_count, time_bucket(INTERVAL '10 seconds', batch_time) AS starttime,
       starttime + INTERVAL '10 seconds' AS endtime
FROM bid
GROUP BY bidder, starttime
HAVING endtime <= (SELECT max(batch_time) FROM bid)
