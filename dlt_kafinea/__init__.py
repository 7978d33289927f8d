"""dlt source for Kafinea: every module as a resource, extracted incrementally.

    import dlt
    from dlt_kafinea import kafinea_source

    pipeline = dlt.pipeline("crm", destination="duckdb", dataset_name="kafinea")
    pipeline.run(kafinea_source(modules=["Accounts", "Invoice"], timezone="Europe/Paris"))

The connection comes from dlt's configuration, `[sources.kafinea]`, or from the arguments.
"""

from dlt_kafinea.source import kafinea_source

__all__ = ["kafinea_source"]
