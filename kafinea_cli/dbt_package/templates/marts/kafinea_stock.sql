select
    <Products.id> as product_id,
    <Products.productname> as product,
-- if
    <Products.product_no> as number,
-- end
-- if
    <Products.discontinued> as is_active,
-- end
-- if
    <Products.reorderlevel> as reorder_level,
    coalesce(<Products.qtyinstock> < <Products.reorderlevel>, false) as is_below_reorder_level,
-- end
-- if
    <Products.qtyindemand> as quantity_in_demand,
-- end
-- if
    cast(<Products.qtyinstock> * <Products.purchase_cost> as decimal(38, 10)) as purchase_value,
-- end
    <Products.qtyinstock> as quantity
from <Products>
order by 1
