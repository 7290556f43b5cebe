SELECT *
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY id ORDER BY price DESC, bid_dateTime, bidder) AS place
  FROM (SELECT a.id, a.itemName, a.description, a.initialBid, a.reserve, a.`dateTime`, a.expires, a.seller, a.category, a.extra,
       b.auction, b.bidder, b.price, b.`dateTime` AS bid_dateTime, b.extra AS bid_extra FROM auction AS a, bid AS b
WHERE a.id = b.auction AND b.`dateTime` BETWEEN a.`dateTime` AND a.expires)
)
WHERE place <= 1
