-- All of q5 at once, over the tables bid.
WITH counted AS (
  SELECT auction, count(*) AS num, w AS window_start
  FROM bid, range(5) AS back(i),
       LATERAL (SELECT time_bucket(INTERVAL '2 seconds', dateTime) - i * INTERVAL '2 seconds' AS w)
  WHERE w + INTERVAL '10 seconds' <= getvariable('watermark')
  GROUP BY auction, w
)
SELECT auction, num, window_start
FROM counted AS c
WHERE num = (SELECT max(num) FROM counted AS other WHERE other.window_start = c.window_start)
