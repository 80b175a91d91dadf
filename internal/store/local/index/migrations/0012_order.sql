-- Volumes that are out of order count as wide: the others are in one order, whether by number, by sequence or by either clock.
UPDATE sealed SET wide = 1 WHERE wide = 0 AND blob IN (
    SELECT blob FROM (
        SELECT blob, sequence_min, sequence_max, number_max, server_min, server_max, producer_min, producer_max,
            MAX(sequence_max) OVER before AS sequence_before, MAX(number_max) OVER before AS number_before,
            MAX(server_min) OVER before AS server_min_before, MAX(server_max) OVER before AS server_max_before,
            MAX(producer_min) OVER before AS producer_min_before, MAX(producer_max) OVER before AS producer_max_before
        FROM sealed WHERE wide = 0
        WINDOW before AS (PARTITION BY stream ORDER BY number_min ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ) AS o
    WHERE sequence_max < sequence_before OR number_max < number_before OR server_min < server_min_before
        OR server_max < server_max_before OR producer_min < producer_min_before OR producer_max < producer_max_before
);
