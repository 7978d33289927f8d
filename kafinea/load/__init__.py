"""Writing to Kafinea: records in, results out; what is stored is looked up before each write.

    from kafinea import Client
    from kafinea.load import Load

    with Client(url, user, key) as client, Load(client, "Contacts", match_on="email") as load:
        for result in load(records):
            print(result.status, result.id, result.rejection)

Knows nothing of Singer. `LoadOptions` says what may be written, and whether it is a dry run.
"""

from kafinea.load.load import Load
from kafinea.load.options import LoadOptions
from kafinea.load.results import Rejection, Result, Status

__all__ = ["Load", "LoadOptions", "Rejection", "Result", "Status"]
