-- Turnover by month, from a model that dbt has built: the last months
SELECT strftime(month, '%Y-%m') AS month,
       currency,
       invoices,
       credit_notes,
       invoiced::decimal(18, 2) AS invoiced,
       credited::decimal(18, 2) AS credited,
       turnover::decimal(18, 2) AS turnover
FROM analytics.kafinea_turnover_by_month
ORDER BY month DESC, currency
LIMIT 8;
