"""A few records until the demo company is there; then this file goes."""
# ruff: noqa
# mypy: ignore-errors

from kafinea_sandbox.spec import Row, File, Relation
def company(rows=300, seed=1):
    T="2026-01-01 10:00:00"
    def user(n,name,**k): return Row("Users", n, dict(user_name=name, is_admin="off", status="Active", accesskey=("key%013d"%n), user_password="$2y$x", confirm_password="$2y$x", first_name=name.title(), last_name="X", email1=name+"@example.com", date_format="dd-mm-yyyy", currency_id=1, no_of_currency_decimals="2", time_zone="Europe/Paris")|k)
    yield user(1,"admin",is_admin="on"); yield Row("Groups",2,dict(groupname="Team Selling",description="x")); yield Row("Groups",3,dict(groupname="Mkt",description="x"))
    yield user(5,"joe",date_format="mm-dd-yyyy",currency_id=2); yield user(6,"gone",status="Inactive")
    yield Row("Currency",1,dict(currency_name="Euro",currency_code="EUR",conversion_rate="1.00000",currency_status="Active",defaultid="-11",deleted="0"))
    yield Row("Currency",2,dict(currency_name="USA, Dollars",currency_code="USD",conversion_rate="1.10000",currency_status="Active",defaultid="0",deleted="0"))
    yield Row("DocumentFolders",1,dict(foldername="Default",description="d",createdby="",sequence="1"))
    for n in range(2,rows):
        t=dict(assigned_user_id=1 if n%3 else 5,createdtime=T,modifiedtime="2026-01-01 10:%02d:%02d"%(n//60%60,n%60),modifiedby=1,source="CRM")
        if n<12: yield Row("Accounts",n,dict(accountname=f"Société {n:03} & Fils",account_no=f"ACC{n-1}",**t))
        else: yield Row("Contacts",n,dict(lastname=f"Dupont {n}",firstname="Zoé" if n%2 else "Bob",contact_no=f"CON{n-11}",account_id=2+n%10,cf_857=str(n),**t))
