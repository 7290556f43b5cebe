-- All of q17 at once, over the tables bid.
SELECT auction, CAST(CAST(dateTime AS DATE) AS VARCHAR) AS day,
       sum(CAST(true AS BIGINT))::BIGINT AS total_bids,
       sum(CAST(price < 10000 AS BIGINT))::BIGINT AS rank1_bids,
       sum(CAST(price BETWEEN 10000 AND 999999 AS BIGINT))::BIGINT AS rank2_bids,
       sum(CAST(price >= 1000000 AS BIGINT))::BIGINT AS rank3_bids,
       min(price) AS min_price, max(price) AS max_price, avg(price) AS avg_price, sum(price) AS sum_price
FROM bid
GROUP BY auction, day
