-- All of q14 at once, over the tables bid.
SELECT auction, bidder, 0.908 * price AS price,
       CASE WHEN h >= 8 AND h <= 18 THEN 'dayTime' WHEN h = 7 OR h = 19 THEN 'otherTime' ELSE 'nightTime' END AS bidTimeType,
       dateTime, extra, len(list_filter(string_split(extra, ''), lambda x: x = 'c')) AS c_counts
FROM bid, LATERAL (SELECT date_part('hour', dateTime) AS h)
WHERE 0.908 * price > 1000000 AND 0.908 * price < 50000000
