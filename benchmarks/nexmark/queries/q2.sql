-- All of q2 at once, over the tables bid.
SELECT auction, price FROM bid WHERE auction % 123 = 0
