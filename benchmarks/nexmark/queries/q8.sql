-- All of q8 at once, over the tables person, auction.
SELECT DISTINCT p.id, p.name, time_bucket(INTERVAL '10 seconds', p.dateTime) AS stime
FROM person AS p JOIN auction AS a
  ON p.id = a.seller AND time_bucket(INTERVAL '10 seconds', a.dateTime) = time_bucket(INTERVAL '10 seconds', p.dateTime)
WHERE stime + INTERVAL '10 seconds' <= getvariable('watermark')
