select
    <Potentials.sales_stage> as stage,
    count(*) as opportunities,
    coalesce(sum(<Potentials.amount>), 0) as amount,
-- if
    coalesce(sum(<Potentials.forecast_amount>), 0) as weighted_amount,
-- end
    min(<Potentials.closingdate>) as next_closing
from <Potentials>
where coalesce(<Potentials.sales_stage>, '') not in {{ kafinea_list(var('kafinea_closed', ['Closed Won', 'Closed Lost'])) }}
group by 1
order by 1
