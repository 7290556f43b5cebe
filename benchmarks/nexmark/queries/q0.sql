-- All of q0 at once, over the tables bid.
SELECT auction, bidder, price, dateTime, extra FROM bid
