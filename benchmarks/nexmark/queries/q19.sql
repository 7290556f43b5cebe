-- All of q19 at once, over the tables bid.
WITH listed AS (
  SELECT list(b ORDER BY price DESC, dateTime, bidder, extra)[:10] AS best FROM bid AS b GROUP BY auction
)
SELECT unnest(best, recursive := true), generate_subscripts(best, 1) AS rank_number FROM listed
