"""The stand-ins for inference-schema: conversion, schemas, and who wins an import."""

from __future__ import annotations

import datetime as dt
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.scoring.compat import schema_decorators, schema_util
from penstock.scoring.compat.abstract_parameter_type import AbstractParameterType, convert
from penstock.scoring.compat.standard_py_parameter_type import StandardPythonParameterType
from penstock.scoring.scripts import stand_ins

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")

from penstock.scoring.compat.numpy_parameter_type import NumpyParameterType  # noqa: E402 - needs NumPy
from penstock.scoring.compat.pandas_parameter_type import PandasParameterType  # noqa: E402 - needs pandas

SOURCE = Path(stand_ins.__file__).parents[3]


@pytest.mark.parametrize(
    ("sample", "sent", "got"),
    [
        (1, 2, 2),
        (0.5, 2, 2),
        ("a", "b", "b"),
        (b"a", "AAEC", b"\x00\x01\x02"),
        (bytearray(b"a"), "AAEC", bytearray(b"\x00\x01\x02")),
        (dt.date(2020, 1, 1), "2021-02-03", dt.date(2021, 2, 3)),
        (dt.datetime(2020, 1, 1), "2021-02-03T04:05:06", dt.datetime(2021, 2, 3, 4, 5, 6)),
        (dt.time(1), "04:05:06", dt.time(4, 5, 6)),
        ([1, 2], ["any", None], ["any", None]),
        ({"a": 1}, {"b": 2}, {"b": 2}),
    ],
)
def test_json_becomes_the_samples_type(sample, sent, got):
    found = convert(sent, StandardPythonParameterType(sample))
    assert (found, type(found)) == (got, type(got))


@pytest.mark.parametrize(
    ("sample", "sent"), [(1, "1"), (1, 1.0), ("a", 1), (True, 1), ({"a": 1}, [1]), ([1], {"a": 1})]
)
def test_another_type_is_refused(sample, sent):
    with pytest.raises(ValueError, match="expected"):
        convert(sent, StandardPythonParameterType(sample))


def test_dates_need_no_dateutil():
    program = (
        "import sys; sys.modules['dateutil'] = None; sys.modules['dateutil.parser'] = None; import datetime as dt\n"
        "from penstock.scoring.compat.standard_py_parameter_type import StandardPythonParameterType as T\n"
        "print(T(dt.datetime(2020,1,1)).deserialize_input('2021-02-03 04:05:06.500000 +0100').isoformat(),"
        " T(dt.time(1)).deserialize_input('04:05:06').isoformat())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "2021-02-03T04:05:06.500000+01:00 04:05:06\n"


@given(st.lists(st.lists(st.floats(allow_nan=False), min_size=2, max_size=2)))
def test_arrays_of_the_samples_width_come_through_exactly(rows):
    kind = NumpyParameterType(np.zeros((1, 2)))
    if not rows:
        with pytest.raises(ValueError, match="expected an array of shape"):
            convert(rows, kind)
        return
    array = convert(json.loads(json.dumps(rows)), kind)
    assert array.dtype == np.float64
    assert array.tolist() == rows


def test_strings_keep_their_length():
    assert convert(["a long string"], NumpyParameterType(np.array(["ab"]))).tolist() == ["a long string"]


def test_structured_arrays_from_objects_and_lists():
    sample = np.array(
        [(1, "ab", "2020-01-01", 5)], dtype=[("n", "i4"), ("s", "U9"), ("d", "M8[D]"), ("t", "m8[D]")]
    )
    rows = [{"n": 2, "s": "x", "d": "2021-02-03", "t": "4 days"}, [3, "y", "2021-02-04", "1 weeks"]]
    array = convert(rows, NumpyParameterType(sample))
    assert [str(value) for value in array[0]] == ["2", "x", "2021-02-03", "4 days"]
    assert array["t"].tolist() == [dt.timedelta(4), dt.timedelta(7)]


def test_the_schema_of_an_array():
    assert NumpyParameterType(np.array([[True], [False]])).input_to_swagger() == {
        "type": "array",
        "items": {"type": "array", "items": {"type": "boolean"}},
        "example": [[True], [False]],
        "format": "numpy.ndarray",
    }


@pytest.mark.parametrize("orient", ["records", "split", "index", "columns", "values", "table"])
def test_tables_travel_in_every_form_of_pandas(orient):
    frame = pd.DataFrame(
        {"n": [1, 2], "x": [0.5, 1.5], "s": ["a", "b"], "d": pd.to_datetime(["2020-01-01", "2021-01-01"])}
    )
    if orient == "values":
        frame = frame[["n", "x"]]
    kind = PandasParameterType(frame, orient=orient, enforce_column_type=orient != "values")
    schema = kind.input_to_swagger()
    assert schema["format"] == f"pandas.DataFrame:{orient}"
    found = convert(json.loads(json.dumps(schema["example"])), kind)
    assert found.astype(str).to_numpy().tolist()[0][0].startswith("1")
    assert found.shape == frame.shape
    if orient not in ("values", "split"):
        assert "date-time" in json.dumps(schema)


def test_wrapped_types_are_found_inside_dicts_and_lists():
    kind = StandardPythonParameterType(
        {"list": StandardPythonParameterType([NumpyParameterType(np.array([1]))]), "plain": 1}
    )
    found = convert({"list": [[1, 2], [3]], "plain": "kept", "more": 2}, kind)
    assert [array.tolist() for array in found["list"]] == [[1, 2], [3]]
    assert (found["plain"], found["more"]) == ("kept", 2)
    assert "2.0" in kind.supported_versions()


def test_mixed_lists_have_no_swagger_2():
    assert StandardPythonParameterType({"a": [1, "b"]}).supported_versions() == ["3.0", "3.1"]


def test_users_may_write_types_of_their_own():
    class Upper(AbstractParameterType):
        def deserialize_input(self, input_data):
            return input_data["text"].upper()

        def input_to_swagger(self):
            return {"type": "object", "properties": {"text": {"type": "string"}}, "example": {"text": "a"}}

    @schema_decorators.input_schema("word", Upper("A"))
    @schema_decorators.output_schema(StandardPythonParameterType("A"))
    def run_of_upper(word, count=1):
        return word * count

    assert run_of_upper(word={"text": "b"}, count=2) == "BB"
    assert run_of_upper({"text": "b"}) == "B"
    schema = schema_util.get_input_schema(run_of_upper)
    assert schema["properties"] == {
        "word": {"type": "object", "properties": {"text": {"type": "string"}}},
        "count": {},
    }
    assert schema["example"] == {"word": {"text": "a"}, "count": ""}
    assert schema_util.get_output_schema(run_of_upper) == {"type": "string", "example": "A"}


def test_a_decorator_without_wraps_does_not_hide_the_schema():
    def timed(function):
        def call(n):
            return function(n)

        return call

    @timed
    @schema_decorators.input_schema("n", StandardPythonParameterType(1))
    def run_behind_timed(n):
        return n

    assert schema_util.is_schema_decorated(run_behind_timed)
    assert not schema_util.is_schema_decorated(timed)


def test_mistakes_are_told_when_the_script_is_read():
    with pytest.raises(ValueError, match="names 'm', but the function has n"):
        schema_decorators.input_schema("m", StandardPythonParameterType(1))(lambda n: n)
    with pytest.raises(TypeError, match="wrap the sample"):
        schema_decorators.input_schema("m", 5)
    with pytest.raises(ValueError, match="None"):
        schema_decorators.output_schema(StandardPythonParameterType(None))
    decorate = schema_decorators.output_schema(StandardPythonParameterType(1))
    with pytest.raises(ValueError, match="two output schemas"):
        decorate(decorate(lambda n: n))


def test_every_name_imports_and_is_one_module():
    stand_ins.install()
    stand_ins.install()
    assert sum(type(entry).__name__ == "_Finder" for entry in sys.meta_path) == 1
    for name in stand_ins.MODULES:
        if "spark" not in name:
            assert importlib.import_module(name) is importlib.import_module(
                f"penstock.scoring.compat.{stand_ins.MODULES[name]}"
            )
    assert sys.meta_path[-1] is stand_ins._FINDER


def test_an_installed_original_wins_and_a_gap_in_it_is_filled(tmp_path):
    (tmp_path / "azureml").mkdir()
    (tmp_path / "azureml" / "__init__.py").write_text("REAL = True")
    (tmp_path / "inference_schema").mkdir()
    (tmp_path / "inference_schema" / "__init__.py").write_text("")
    (tmp_path / "inference_schema" / "schema_decorators.py").write_text("REAL = True")
    program = (
        f"import sys; sys.path[:0] = [{str(SOURCE)!r}, {str(tmp_path)!r}]\n"
        "from penstock.scoring.scripts import stand_ins; stand_ins.install()\n"
        "import azureml, inference_schema.schema_decorators as decorators, inference_schema.schema_util as util\n"
        "from azureml.contrib.services.aml_request import rawhttp\n"
        "print(azureml.REAL, decorators.REAL, util.__name__, rawhttp.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (
        done.stdout == "True True penstock.scoring.compat.schema_util penstock.scoring.compat.aml_request\n"
    )


def test_the_stand_in_for_monitoring_wins_over_the_original(tmp_path):
    for folder in ("azureml", "azureml/ai", "azureml/ai/monitoring"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text("")
    (tmp_path / "azureml" / "ai" / "other.py").write_text("REAL = True")
    (tmp_path / "azureml" / "ai" / "monitoring" / "collector.py").write_text(
        "raise OSError('no collector here')"
    )
    program = (
        f"import sys; sys.path[:0] = [{str(SOURCE)!r}, {str(tmp_path)!r}]\n"
        "from penstock.scoring.scripts import stand_ins; stand_ins.install()\n"
        "from azureml.ai import other\n"
        "from azureml.ai.monitoring import Collector\n"
        "from azureml.ai.monitoring.collector import Collector as same\n"
        "print(other.REAL, Collector is same, Collector.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "True True penstock.scoring.compat.monitoring\n"
