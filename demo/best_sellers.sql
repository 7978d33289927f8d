-- What sold best, by the lines of the invoices of the last twelve months
SELECT coalesce(p.productname, s.servicename) AS item,
       count(DISTINCT i.id) AS invoices,
       round(sum(line.quantity), 1) AS quantity,
       round(sum((line.quantity * line.listprice * (1 - line.discount_percent / 100)
                  - line.discount_amount) / i.conversion_rate), 2) AS turnover
FROM kafinea.invoice i
CROSS JOIN unnest(from_json(i.lineitems, '[{
  "productid": "VARCHAR", "quantity": "DOUBLE", "listprice": "DOUBLE",
  "discount_percent": "DOUBLE", "discount_amount": "DOUBLE"}]')) AS lines(line)
LEFT JOIN kafinea.products p ON p.id = line.productid
LEFT JOIN kafinea.services s ON s.id = line.productid
WHERE i.invoicestatus <> 'Cancel'
  AND i.invoicedate > current_date - INTERVAL 12 MONTH
GROUP BY item
ORDER BY turnover DESC, item
LIMIT 8;
