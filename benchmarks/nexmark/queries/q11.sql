-- All of q11 at once, over the tables bid.
WITH marked AS (
  SELECT bidder, dateTime,
         coalesce(dateTime - lag(dateTime) OVER (PARTITION BY bidder ORDER BY dateTime) > INTERVAL '10 seconds', true) AS new
  FROM bid
), numbered AS (
  SELECT *, sum(new::INTEGER) OVER (PARTITION BY bidder ORDER BY dateTime) AS sitting FROM marked
)
SELECT bidder, count(*) AS bid_count, min(dateTime) AS starttime, max(dateTime) + INTERVAL '10 seconds' AS endtime
FROM numbered
GROUP BY bidder, sitting
HAVING endtime <= getvariable('watermark')
