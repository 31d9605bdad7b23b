"""Score two flowers over HTTP, with the standard library alone: python client.py [URL]."""

import json
import os
import sys
import urllib.error
import urllib.request

url = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:5001"
flowers = [
    {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2},
    {"sepal_length": 6.7, "sepal_width": 3.0, "petal_length": 5.2, "petal_width": 2.3},
]
headers = {"Content-Type": "application/json"}
if "PENSTOCK_AUTH_KEY" in os.environ:
    headers["Authorization"] = "Bearer " + os.environ["PENSTOCK_AUTH_KEY"]
request = urllib.request.Request(f"{url}/score", json.dumps({"data": flowers}).encode(), headers)
try:
    with urllib.request.urlopen(request, timeout=10) as answer:
        print(json.load(answer))
except urllib.error.HTTPError as error:
    sys.exit(f"{error.code}: {json.load(error)['message']}")
