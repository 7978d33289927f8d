-- Open opportunities, by expected closing date
SELECT p.potentialname AS opportunity,
       p.sales_stage AS stage,
       p.closingdate AS closing,
       round(p.probability) AS percent,
       round(p.amount, 2) AS amount
FROM kafinea.potentials p
WHERE p.sales_stage NOT IN ('Closed Won', 'Closed Lost')
ORDER BY p.closingdate, p.potential_no
LIMIT 8;
