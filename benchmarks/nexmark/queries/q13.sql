-- All of q13 at once, over the tables bid.
SELECT b.auction, b.bidder, b.price, b.dateTime, s.value
FROM side_input AS s, bid AS b
WHERE s.key = b.auction % 10000
