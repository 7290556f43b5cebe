-- All of q7 at once, over the tables bid.
WITH highest AS (
  SELECT time_bucket(INTERVAL '10 seconds', dateTime) AS w, max(price) AS price FROM bid GROUP BY w
)
SELECT b.auction, b.bidder, b.price, b.dateTime, b.extra
FROM bid AS b JOIN highest AS h
  ON b.price = h.price AND b.dateTime >= h.w AND b.dateTime < h.w + INTERVAL '10 seconds'
WHERE h.w + INTERVAL '10 seconds' <= getvariable('watermark')
