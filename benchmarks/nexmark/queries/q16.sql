-- All of q16 at once, over the tables bid.
SELECT channel, CAST(CAST(dateTime AS DATE) AS VARCHAR) AS day, max(CAST(dateTime AS VARCHAR)[12:16]) AS minute,
       sum(CAST(true AS BIGINT))::BIGINT AS total_bids,
       sum(CAST(price < 10000 AS BIGINT))::BIGINT AS rank1_bids,
       sum(CAST(price BETWEEN 10000 AND 999999 AS BIGINT))::BIGINT AS rank2_bids,
       sum(CAST(price >= 1000000 AS BIGINT))::BIGINT AS rank3_bids,
       len(list_distinct(list(CASE WHEN true THEN bidder END))) AS total_bidders,
       len(list_distinct(list(CASE WHEN price < 10000 THEN bidder END))) AS rank1_bidders,
       len(list_distinct(list(CASE WHEN price BETWEEN 10000 AND 999999 THEN bidder END))) AS rank2_bidders,
       len(list_distinct(list(CASE WHEN price >= 1000000 THEN bidder END))) AS rank3_bidders,
       len(list_distinct(list(CASE WHEN true THEN auction END))) AS total_auctions,
       len(list_distinct(list(CASE WHEN price < 10000 THEN auction END))) AS rank1_auctions,
       len(list_distinct(list(CASE WHEN price BETWEEN 10000 AND 999999 THEN auction END))) AS rank2_auctions,
       len(list_distinct(list(CASE WHEN price >= 1000000 THEN auction END))) AS rank3_auctions
FROM bid
GROUP BY channel, day
