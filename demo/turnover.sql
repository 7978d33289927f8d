-- Turnover by customer and month, the largest of the last twelve months
SELECT strftime(i.invoicedate, '%Y-%m') AS month,
       a.accountname AS customer,
       count(*) AS invoices,
       round(sum(i.pre_tax_total), 2) AS turnover
FROM kafinea.invoice i
JOIN kafinea.accounts a ON a.id = i.account_id
WHERE i.invoicestatus <> 'Cancel'
  AND i.invoicedate > current_date - INTERVAL 12 MONTH
GROUP BY month, customer
ORDER BY turnover DESC, month, customer
LIMIT 8;
