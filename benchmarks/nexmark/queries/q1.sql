-- All of q1 at once, over the tables bid.
SELECT auction, bidder, 0.908 * price AS price, dateTime, extra FROM bid
