SELECT auction, bidder, price, channel, url, `dateTime`, extra, place AS rank_number
FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY auction ORDER BY price DESC) AS place FROM bid)
WHERE place <= 10
