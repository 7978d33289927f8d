"""A script with requests: page after page by offset, as JSON lines.

python -m benchmarks.rivals.script CONFIG > records.jsonl
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import requests

from benchmarks.rivals.login import login

config = json.loads(Path(sys.argv[1]).read_text())
with requests.Session() as http:
    session = login(http, config)
    for offset in itertools.count(0, 100):
        query = f"SELECT * FROM {config['module']} ORDER BY id LIMIT {offset},100;"
        asked = {"operation": "query", "sessionName": session, "query": query}
        answer = http.get(config["url"], params=asked).json()
        if not answer["success"]:
            sys.exit(answer["error"]["code"])
        if not answer["result"]:
            break
        for record in answer["result"]:
            print(json.dumps(record))
