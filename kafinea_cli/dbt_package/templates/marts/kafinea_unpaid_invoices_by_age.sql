with invoices as (
    select
        <Invoice.currency_id> as currency_id,
        <Invoice.balance> as balance,
        current_date - <Invoice.duedate> as days_late
    from <Invoice>
    where <Invoice.balance> > 0
      and coalesce(<Invoice.invoicestatus>, '') not in {{ kafinea_list(var('kafinea_cancelled', ['Cancel'])) }}
),

aged as (
    select
        currency_id,
        balance,
        case
            when days_late is null then null
            when days_late <= 0 then 0
            when days_late <= 30 then 1
            when days_late <= 60 then 31
            when days_late <= 90 then 61
            else 91
        end as from_days
    from invoices
)

select
    case aged.from_days
        when 0 then 'not due'
        when 1 then '1 to 30 days'
        when 31 then '31 to 60 days'
        when 61 then '61 to 90 days'
        when 91 then 'more than 90 days'
        else 'no due date'
    end as age,
    aged.from_days,
    aged.currency_id,
-- if
    currencies.<Currency.currency_code> as currency,
-- end
    count(*) as invoices,
    sum(aged.balance) as balance
from aged
-- if
left join <Currency> as currencies on currencies.<Currency.id> = aged.currency_id
group by 1, 2, 3, 4
-- else
group by 1, 2, 3
-- end
order by 2, 3
