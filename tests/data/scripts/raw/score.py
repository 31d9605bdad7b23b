"""The whole request, by the newer import names; the path of the answer is in the query's `do`."""

import json

from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse


def init():
    pass


@rawhttp
def run(request: AMLRequest):
    do = request.args.get("do", "look")
    return globals()["do_" + do](request)


def do_look(request):
    return {
        "method": request.method,
        "path": request.path,
        "full_path": request.full_path,
        "args": {name: request.args.getlist(name) for name in sorted(request.args)},
        "query_string": request.query_string.decode(),
        "content_type": request.content_type,
        "mimetype": request.mimetype,
        "is_json": request.is_json,
        "custom": request.headers.get("x-custom"),
        "missing": request.headers.get("x-missing", "none"),
        "cookies": dict(request.cookies),
        "length": len(request.get_data()),
    }


def do_text(request):
    return AMLResponse(request.get_data(as_text=True).upper(), 200, {"Content-Type": "text/plain"})


def do_json(request):
    return {"json": request.get_json(), "again": request.json}


def do_silent(request):
    return {"json": request.get_json(silent=True), "forced": request.get_json(force=True, silent=True)}


def do_form(request):
    return {
        "form": {name: request.form.getlist(name) for name in sorted(request.form)},
        "data": request.data.decode(),
        "files": {
            name: [file.filename, file.mimetype, file.read().decode("latin-1")]
            for name, file in sorted(request.files.items())
        },
    }


def do_stream(request):
    return {"first": request.stream.read(4).decode(), "rest": request.stream.read().decode()}


def do_bytes(request):
    return AMLResponse(bytes(reversed(request.get_data())), 200, {"Content-Type": "application/octet-stream"})


def do_created(request):
    answer = AMLResponse(json.dumps({"made": True}), 201, {"X-One": "a, b", "X-Two": "c"})
    answer.headers["X-Three"] = "d"
    return answer


def do_fail(request):
    raise RuntimeError("as asked")


def do_teapot(request):
    return AMLResponse("short and stout", 418)
