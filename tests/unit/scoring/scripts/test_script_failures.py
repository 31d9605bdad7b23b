"""A script that cannot start says where, shows the user's own traceback, and what to try."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from script_bench import opened, untouched, write

from penstock import errors


@pytest.fixture(autouse=True)
def _process() -> Iterator[None]:
    with untouched():
        yield


RUN = "def run(data):\n    return 1\n"


def failure(
    tmp_path, source: str, *, init: str = "def init():\n    pass\n", **variables: str
) -> errors.ScriptError:
    write(tmp_path, source, init=init)
    with pytest.raises(errors.ScriptError) as caught:
        opened(tmp_path, **variables)
    return caught.value


def test_a_script_that_is_not_there(tmp_path):
    write(tmp_path, RUN, "scoring.py")
    with pytest.raises(errors.ScriptError) as caught:
        opened(tmp_path, "score.py")
    assert caught.value.stage == "import"
    assert "scoring.py" in caught.value.hint


def test_a_missing_package_is_named_as_one_installs_it(tmp_path):
    error = failure(tmp_path, "import cv2_nobody\nimport sklearn_nobody\n" + RUN)
    assert (error.stage, "cv2-nobody" in error.hint) == ("import", True)
    assert "score.py" in error.message
    assert 'score.py", line 3' in error.detail
    assert "importlib" not in error.detail


def test_a_package_whose_name_differs_from_its_import(tmp_path):
    assert (
        "opencv-python-headless"
        in failure(tmp_path, "raise ModuleNotFoundError('no', name='cv2')\n" + RUN).hint
    )


def test_a_module_in_a_subfolder_is_pointed_at(tmp_path):
    write(tmp_path, "", "lib/features_of_mine.py")
    assert "lib/features_of_mine.py" in failure(tmp_path, "import features_of_mine\n" + RUN).hint


def test_a_submodule_of_another_version(tmp_path):
    error = failure(tmp_path, "import json.forest\n" + RUN)
    assert "has no json.forest" in error.hint


@pytest.mark.parametrize(
    ("line", "hints"),
    [
        ("from numpy import forest_of_mine", ("numpy is installed (", "its numpy has no forest_of_mine")),
        ("from sklearn.externals import joblib", ("write `import joblib`",)),
        (
            "raise ValueError('numpy.dtype size changed, may indicate binary incompatibility')",
            ("pin numpy<2",),
        ),
        ("raise ImportError('numpy.core.multiarray failed to import')", ("pin numpy<2",)),
    ],
)
def test_an_import_that_needs_another_version(tmp_path, line, hints):
    hint = failure(tmp_path, f"{line}\n{RUN}").hint
    assert [part for part in hints if part not in hint] == []


def test_a_name_that_the_users_own_module_lacks_is_left_to_the_traceback(tmp_path):
    write(tmp_path, "", "my_features.py")
    assert failure(tmp_path, "from my_features import scale\n" + RUN).hint == ""


def test_a_file_that_a_newer_joblib_wrote(tmp_path):
    """Newer ones pad their arrays with bytes that are no pickle codes to an older one."""
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04\xd8")
    init = "def init():\n    import joblib, pickle\n    pickle._load(open(HERE + '/model.pkl', 'rb'))\n"
    error = failure(tmp_path, f"HERE = {str(tmp_path)!r}\n{RUN}", init=init)
    assert "KeyError: 216" in error.message
    assert "newer joblib" in error.hint


def test_a_key_that_the_script_itself_misses_is_no_pickle(tmp_path):
    assert failure(tmp_path, RUN, init="def init():\n    import joblib\n    {}[5]\n").hint == ""


def test_a_syntax_error_shows_the_line(tmp_path):
    error = failure(tmp_path, "def run(data:\n")
    assert error.stage == "import"
    assert "def run(data:" in error.detail


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1\n", "no run() function"),
        ("run = 5\n", "no run() function"),
        ("def run():\n    pass\n", "needs a parameter"),
        ("def run(request_headers):\n    pass\n", "besides request_headers"),
        ("def run(*data):\n    pass\n", "*data"),
        ("def run(data, **more):\n    pass\n", "**more"),
        ("def run(data, /):\n    pass\n", "positional-only"),
    ],
)
def test_a_run_that_breaks_the_rules(tmp_path, source, said):
    error = failure(tmp_path, source)
    assert error.stage == "function"
    assert said in error.message


def test_init_is_required(tmp_path):
    assert "no init()" in failure(tmp_path, RUN, init="").message


def test_a_failed_init_shows_the_traceback_and_the_model_folder(tmp_path):
    models = tmp_path / "models"
    (models / "deep").mkdir(parents=True)
    (models / "deep" / "model.joblib").touch()
    init = "import os\ndef init():\n    open(os.path.join(os.environ['AZUREML_MODEL_DIR'], 'model.job'))\n"
    source = f"os.environ['AZUREML_MODEL_DIR'] = {str(models)!r}\n" + RUN
    error = failure(tmp_path, source, init=init, AZUREML_MODEL_DIR=str(models))
    assert error.stage == "init"
    assert "FileNotFoundError" in error.message
    assert "in init" in error.detail
    assert "deep/\n        model.joblib" in error.detail
    assert "deep/model.joblib" in error.hint


def test_a_long_listing_is_cut(tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    for number in range(300):
        (models / f"{number:03}").touch()
    error = failure(tmp_path, RUN, init="def init():\n    1 / 0\n", AZUREML_MODEL_DIR=str(models))
    assert "198" in error.detail
    assert "only the first 200 lines" in error.detail
    assert "\n    250" not in error.detail


def test_no_model_was_given(tmp_path):
    init = "import os\ndef init():\n    os.environ['AZUREML_MODEL_DIR_OF_NOBODY']\n"
    assert failure(tmp_path, RUN, init=init.replace("_OF_NOBODY", "")).hint.startswith(
        "The script asks for AZUREML"
    )


def test_exit_in_init_is_a_failure_too(tmp_path):
    error = failure(tmp_path, RUN, init="import sys\ndef init():\n    sys.exit('no licence')\n")
    assert "'no licence'" in error.message


def test_a_pickle_of_main_is_explained(tmp_path):
    raising = "raise AttributeError(\"Can't get attribute 'Model' on <module '__main__' (built-in)>\")"
    assert "module of its own" in failure(tmp_path, RUN, init=f"def init():\n    {raising}\n").hint


def test_raw_and_schema_exclude_each_other(tmp_path):
    source = """
        from azureml.contrib.services.aml_request import rawhttp
        from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
        from inference_schema.schema_decorators import input_schema
        @rawhttp
        @input_schema("n", StandardPythonParameterType(1))
        def run(n):
            return n
    """
    assert "@rawhttp" in failure(tmp_path, source).message


@pytest.mark.parametrize("value", ["soon", "-1", "1.5"])
def test_a_timeout_that_is_no_number(tmp_path, value):
    assert "SCORING_TIMEOUT_MS" in failure(tmp_path, RUN, SCORING_TIMEOUT_MS=value).message


def test_a_logging_json_that_cannot_be_used(tmp_path):
    (tmp_path / "logging.json").write_text('{"version": 7}')
    assert "logging.json" in failure(tmp_path, RUN).message


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("from azureml.core import ComputeTarget", "for the rest add azureml-core"),
        ("import azureml.core.compute", "Add azureml-core"),
        ("import azureml.train", "Add azureml-core"),
        ("raise ModuleNotFoundError('no', name='azure.storage.blob._x')", "Add azure-storage-blob"),
        ("raise ModuleNotFoundError('no', name='some_thing.part')", "Add some-thing"),
        ("raise ImportError('libgomp.so.1: cannot open shared object file')", "operating system"),
    ],
)
def test_imports_that_need_another_package(tmp_path, statement, said):
    assert said in failure(tmp_path, statement + "\n" + RUN).hint


def test_the_model_class_of_the_older_sdk_finds_models(tmp_path):
    (tmp_path / "m.pkl").touch()
    init = "from azureml.core import Model\ndef init():\n    Model.get_model_path('n')\n"
    source = f"import os\nos.environ['AZUREML_MODEL_DIR'] = {str(tmp_path)!r}\n" + RUN
    assert "m.pkl" in failure(tmp_path, source, init=init).message
