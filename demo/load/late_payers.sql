-- The ten customers who have owed us longest are to pay in cash, and the first of them in advance.
-- Kafinea's picklist has no `Prépayé`, so that one is rejected.
SELECT account_id AS id,
       CASE row_number() OVER (ORDER BY min(duedate), account_id)
           WHEN 1 THEN 'Prépayé' ELSE 'Comptant'
       END AS cf_907
FROM kafinea.invoice
WHERE balance > 0 AND invoicestatus <> 'Cancel' AND duedate::date < current_date
GROUP BY account_id
ORDER BY min(duedate), account_id
LIMIT 10;
