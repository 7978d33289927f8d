with documents as (
    select
        'invoice' as kind,
        <Invoice.invoicedate> as day,
        <Invoice.currency_id> as currency_id,
        <Invoice.pre_tax_total> as amount
    from <Invoice>
    where coalesce(<Invoice.invoicestatus>, '') not in {{ kafinea_list(var('kafinea_cancelled', ['Cancel'])) }}
-- if
    union all
    select
        'credit note' as kind,
        <CreditNotes.creditnotedate> as day,
        <CreditNotes.currency_id> as currency_id,
        <CreditNotes.pre_tax_total> as amount
    from <CreditNotes>
    where coalesce(<CreditNotes.creditnotestatus>, '') not in {{ kafinea_list(var('kafinea_cancelled', ['Cancel'])) }}
-- end
)

select
    cast(date_trunc('month', documents.day) as date) as month,
    documents.currency_id,
-- if
    currencies.<Currency.currency_code> as currency,
-- end
    count(*) filter (where documents.kind = 'invoice') as invoices,
    count(*) filter (where documents.kind = 'credit note') as credit_notes,
    coalesce(sum(documents.amount) filter (where documents.kind = 'invoice'), 0) as invoiced,
    coalesce(sum(documents.amount) filter (where documents.kind = 'credit note'), 0) as credited,
    coalesce(
        sum(case when documents.kind = 'invoice' then documents.amount else -documents.amount end), 0
    ) as turnover
from documents
-- if
left join <Currency> as currencies on currencies.<Currency.id> = documents.currency_id
group by 1, 2, 3
order by 1, 2
-- else
group by 1, 2
order by 1, 2
-- end
