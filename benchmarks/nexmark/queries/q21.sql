-- All of q21 at once, over the tables bid.
SELECT auction, bidder, price, channel,
       coalesce(list_position(['Apple', 'Google', 'Facebook', 'Baidu'], channel) - 1, CAST(string_split(url, 'channel_id=')[2] AS BIGINT))
       ::VARCHAR AS channel_id
FROM bid
WHERE channel_id IS NOT NULL
