"""Schema pages of scoring scripts: whose page wins, and what a generated one says."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from script_bench import opened, untouched, write

RUN = "def run(data):\n    return 1\n"
MIXED = """
    from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
    from inference_schema.schema_decorators import input_schema
    @input_schema("items", StandardPythonParameterType([1, "a"]))
    def run(items):
        return items
"""


@pytest.fixture(autouse=True)
def _process() -> Iterator[None]:
    with untouched():
        yield


def pages(folder, **variables: str):
    return opened(folder, **variables).describe().documents


def test_a_generated_page_names_the_service_and_its_prefix(tmp_path):
    write(tmp_path, RUN)
    found = pages(tmp_path, SERVICE_NAME="fraud", SERVICE_VERSION="7", SERVICE_PATH_PREFIX="api/v1/")
    assert set(found) == {"2", "3", "3.1"}
    for page in found.values():
        assert (page["info"]["title"], page["info"]["version"]) == ("fraud", "7")
        assert set(page["paths"]) == {"/api/v1/", "/api/v1/score", "/api/v1/swagger.json"}
    assert [found["2"]["swagger"], found["3"]["openapi"], found["3.1"]["openapi"]] == [
        "2.0",
        "3.0.3",
        "3.1.0",
    ]
    assert found["2"]["definitions"]["ServiceInput"] == {"type": "object", "example": {}}


def test_every_reference_in_a_page_leads_somewhere(tmp_path):
    write(tmp_path, RUN)
    for page in pages(tmp_path).values():
        text = json.dumps(page)
        for reference in {part.split('"')[0] for part in text.split('"$ref": "#/')[1:]}:
            at = page
            for step in reference.split("/"):
                at = at[step]


def test_a_type_that_swagger_2_cannot_say_leaves_version_2_out(tmp_path):
    write(tmp_path, MIXED)
    assert set(pages(tmp_path)) == {"3", "3.1"}


def test_a_page_of_the_users_own_wins_and_a_broken_one_is_reported(tmp_path):
    write(tmp_path, RUN)
    (tmp_path / "swagger3.json").write_text('{"mine": true}')
    (tmp_path / "swagger.json").write_text("{")
    (tmp_path / "swagger2.json").write_text('{"second": true}')
    description = opened(tmp_path).describe()
    assert description.documents["3"] == {"mine": True}
    assert description.documents["2"] == {"second": True}
    assert any("swagger.json is ignored" in note for note in description.notes)


def test_config_json_gives_what_the_environment_does_not(tmp_path):
    write(tmp_path, RUN)
    (tmp_path / "config.json").write_text('{"SERVICE_NAME": "file", "service_version": "2", "unrelated": 1}')
    assert pages(tmp_path)["2"]["info"]["title"] == "file"
    assert pages(tmp_path, SERVICE_NAME="environment")["2"]["info"] | {"description": ""} == {
        "title": "environment",
        "version": "2",
        "description": "",
    }
