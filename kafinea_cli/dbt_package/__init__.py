"""The dbt package that `kafinea dbt` writes."""
