-- All of q10 at once, over the tables bid.
SELECT auction, bidder, price, dateTime, extra, CAST(CAST(dateTime AS DATE) AS VARCHAR) AS dt,
       CAST(dateTime AS VARCHAR)[12:16] AS hm
FROM bid
