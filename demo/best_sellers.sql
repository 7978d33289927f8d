-- What sold best, by the lines of the invoices of the last twelve months
SELECT coalesce(p.productname, s.servicename) AS item,
       count(DISTINCT i.id) AS invoices,
       sum(line.quantity)::decimal(18, 1) AS quantity,
       sum((line.quantity * line.listprice * (1 - line.discount_percent / 100)
            - line.discount_amount) / i.conversion_rate)::decimal(18, 2) AS turnover
FROM kafinea.invoice i
CROSS JOIN unnest(from_json(i.lineitems, '[{
  "productid": "VARCHAR", "quantity": "DOUBLE", "listprice": "DOUBLE",
  "discount_percent": "DOUBLE", "discount_amount": "DOUBLE"}]')) AS lines(line)
LEFT JOIN kafinea.products p ON p.id = line.productid
LEFT JOIN kafinea.services s ON s.id = line.productid
WHERE i.invoicestatus <> 'Cancel'
  AND i.invoicedate::date > current_date - INTERVAL 12 MONTH
GROUP BY item
ORDER BY turnover DESC, item
LIMIT 8;
