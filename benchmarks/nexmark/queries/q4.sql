-- All of q4 at once, over the tables auction, bid.
SELECT category, avg(final) AS average
FROM (SELECT a.category, max(b.price) AS final FROM auction AS a JOIN bid AS b ON a.id = b.auction AND b.dateTime BETWEEN a.dateTime AND a.expires GROUP BY a.id, a.category)
GROUP BY category
