-- Unpaid invoices, the longest overdue first
SELECT i.invoice_no AS invoice,
       a.accountname AS customer,
       i.duedate AS due,
       greatest(current_date - i.duedate, 0) AS days_late,
       round(i.balance, 2) AS balance
FROM kafinea.invoice i
LEFT JOIN kafinea.accounts a ON a.id = i.account_id
WHERE i.balance > 0 AND i.invoicestatus <> 'Cancel'
ORDER BY i.duedate, i.invoice_no
LIMIT 8;
