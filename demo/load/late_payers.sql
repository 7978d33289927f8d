-- Sets the payment terms of the ten customers with the oldest debts: the first pays in advance,
-- the others in cash. The picklist has no value `Prépayé`, so the first record is rejected.
SELECT account_id AS id,
       CASE row_number() OVER (ORDER BY min(duedate), account_id)
           WHEN 1 THEN 'Prépayé' ELSE 'Comptant'
       END AS cf_907
FROM kafinea.invoice
WHERE balance > 0 AND invoicestatus <> 'Cancel' AND duedate < current_date
GROUP BY account_id
ORDER BY min(duedate), account_id
LIMIT 10;
