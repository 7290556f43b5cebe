-- All of q6 at once, over the tables auction, bid.
WITH winning AS (
  SELECT DISTINCT ON (a.id) a.id, a.seller, b.price, b.dateTime
  FROM auction AS a JOIN bid AS b ON a.id = b.auction AND b.dateTime BETWEEN a.dateTime AND a.expires
  ORDER BY a.id, b.price DESC, b.dateTime, b.bidder
), placed AS (
  SELECT *, row_number() OVER (PARTITION BY seller ORDER BY dateTime, id) AS place FROM winning
)
SELECT p.seller, p.id, avg(o.price) AS average
FROM placed AS p JOIN placed AS o ON p.seller = o.seller AND o.place BETWEEN p.place - 10 AND p.place
GROUP BY p.seller, p.id
