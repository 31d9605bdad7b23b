"""What Azure ML asks of a batch scoring script and promises it, and what is said where one breaks the rules."""

from __future__ import annotations

import gc
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import batch_script_bench
import pytest
from batch_script_bench import opened, texts, untouched
from script_bench import write

from penstock import errors
from penstock.bundle.batch import BatchSettings, Output
from penstock.bundle.manifest import Manifest
from penstock.scoring import opening
from penstock.scoring.scripts.batch import ScriptBatchScorer

HERE = Path(batch_script_bench.__file__).parent


@pytest.fixture(autouse=True)
def _process() -> Iterator[None]:
    with untouched():
        yield


def script(tmp_path: Path, source: str, **settings) -> ScriptBatchScorer:
    write(tmp_path / "code", source, "driver.py", init="")
    return opened(tmp_path / "code", **settings)


def refused(tmp_path: Path, source: str, **settings) -> errors.ScriptError:
    with pytest.raises(errors.ScriptError) as caught:
        script(tmp_path, source, **settings)
    return caught.value


def failed(scorer: ScriptBatchScorer, data: object) -> errors.ScriptRunError:
    with pytest.raises(errors.ScriptRunError) as caught:
        scorer.score(data)
    return caught.value


RUN = "def run(mini_batch):\n    return mini_batch\n"


# The door


def test_the_door_opens_scripts():
    manifest = Manifest(name="d")
    with pytest.raises(errors.ModelError, match="neither a model nor a scoring script"):
        opening.open_batch_scorer(manifest, BatchSettings(), Output("/tmp/x"), None)
    scorer = opened("returns_too_many")
    assert (scorer.takes, scorer.columns, scorer.fork_safe, scorer.notes) == ("files", None, False, ())


# What a script is promised


def test_arguments(tmp_path):
    shows = "import sys\ndef run(mini_batch):\n    return sys.argv\n"
    scorer = script(tmp_path, shows, program_arguments=("--a", "b c", "--flag"), logging_level="warning")
    path = str(tmp_path / "code" / "driver.py")
    assert scorer.score(["/a"]).content == [path, "--a", "b c", "--flag", "--logging_level", "WARNING"]


@pytest.mark.parametrize("given", [("--logging_level", "DEBUG"), ("--logging_level=DEBUG",)])
def test_a_logging_level_among_the_arguments_is_not_said_twice(tmp_path, given):
    shows = "import sys\ndef run(mini_batch):\n    return sys.argv[1:]\n"
    assert tuple(script(tmp_path, shows, program_arguments=given).score(["/a"]).content) == given


def test_variables_and_folders(tmp_path):
    shows = """
        import os, sys
        def run(mini_batch):
            names = "AZUREML_MODEL_DIR", "AML_APP_ROOT", "AZUREML_ENTRY_SCRIPT", "MINE"
            return [os.environ[name] for name in names] + [os.getcwd(), sys.path[0]]
    """
    model = tmp_path / "models" / "m.pkl"
    os.environ.pop("MINE", None)
    scorer = script(tmp_path, shows, model=model, variables={"MINE": "x"})
    code = str(tmp_path / "code")
    assert scorer.score(["/a"]).content == [str(tmp_path / "models"), code, "driver.py", "x", code, code]


def test_variables_that_a_worker_was_started_with_stay(tmp_path, monkeypatch):
    monkeypatch.setenv("MINE", "set")
    shows = "import os\ndef run(mini_batch):\n    return [os.environ['MINE']]\n"
    assert script(tmp_path, shows, variables={"MINE": "x"}).score(["/a"]).content == ["set"]


def alone(statements: str) -> subprocess.CompletedProcess[str]:
    """A process that has run `statements`, with `opened` at hand; pytest has logging handlers of its own here."""
    program = (
        f"import sys; sys.path.insert(0, {str(HERE)!r})\nfrom batch_script_bench import opened\n{statements}"
    )
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100)


@pytest.mark.parametrize(
    ("level", "expected"), [("info", "loading scoring 1"), ("debug", "loading details scoring 1")]
)
def test_the_level_reaches_logging(level, expected):
    done = alone(f"opened('logging_plain', logging_level={level!r}).score(['/a'])")
    assert " ".join(line.rpartition("|")[2] for line in done.stderr.splitlines()) == expected
    assert "|azmlinfsrv" not in done.stderr
    assert "|logging_plain|" not in done.stderr
    assert "|driver|WARNING|" in done.stderr


def test_a_script_that_configures_logging_itself():
    done = alone("opened('logging_own').score(['/a'])")
    assert done.stderr.splitlines()[-2:] == [
        "MINE DEBUG deep",
        "MINE INFO Executing run method over batch of 1 files.",
    ]


def test_a_level_that_is_none(tmp_path):
    assert "logging_level is 'loud'" in refused(tmp_path, RUN, logging_level="loud").message


# What a script must have


def test_init_and_shutdown_are_optional(tmp_path):
    scorer = script(tmp_path, RUN)
    assert scorer.score(["/a"]).content == ["/a"]
    scorer.close()


def test_init_is_called_once_and_shutdown_once(tmp_path):
    source = """
        calls = []
        def init():
            calls.append("init")
        def run(mini_batch):
            return calls
        def shutdown():
            calls.append("shutdown")
    """
    scorer = script(tmp_path, source)
    calls = scorer._script.run(None)
    scorer.score(["/a"])
    scorer.close()
    scorer.close()
    assert calls == ["init", "shutdown"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1\n", "no run() function"),
        ("run = 5\n", "no run() function"),
        ("def run():\n    pass\n", "no parameter for the mini-batch"),
        ("def run(a, b, c):\n    pass\n", "run() needs c"),
        ("def run(a, *, b):\n    pass\n", "run() needs b"),
        ("init = 5\n" + RUN, "init is no function"),
        ("shutdown = 5\n" + RUN, "shutdown is no function"),
    ],
)
def test_functions_that_break_the_rules(tmp_path, source, said):
    error = refused(tmp_path, source)
    assert (error.stage, said in error.message, bool(error.hint)) == ("function", True, True)


@pytest.mark.parametrize(
    ("parameters", "given"),
    [
        ("mini_batch", ()),
        ("mini_batch, context", ("0",)),
        ("mini_batch, anything", ("0",)),
        ("mini_batch, mini_batch_context=None", ("0",)),
        ("mini_batch, batch_size=5", (5,)),
        ("mini_batch, *rest", ()),
        ("*everything", ()),
        ("mini_batch, **more", ()),
        ("mini_batch, /, mini_batch_context", ("0",)),
        ("mini_batch, a=1, b=2, *, mini_batch_context", (1, 2, "0")),
        ("mini_batch, other=3, mini_batch_context=None", (3, "0")),
    ],
)
def test_who_gets_the_context(tmp_path, parameters, given):
    source = f"""
        def run({parameters}):
            found = dict(locals())
            found.pop("mini_batch", None)
            rest = found.pop("rest", ()) or found.pop("everything", ())[1:] or tuple(found.pop("more", {{}}))
            values = [*found.values(), *rest]
            return [tuple(getattr(value, "minibatch_index", value) for value in values)]
    """
    assert script(tmp_path, source).score(["/a"]).content == [given]


def test_a_first_parameter_is_the_mini_batch_whatever_it_is_called(tmp_path):
    source = "def run(mini_batch_context):\n    return mini_batch_context\n"
    assert script(tmp_path, source).score(["/a"]).content == ["/a"]


def test_a_coroutine_is_not_left_behind(recwarn):
    failed(opened("returns_coroutine"), ["/a"])
    gc.collect()
    assert [str(each.message) for each in recwarn if each.category is RuntimeWarning] == []


def test_a_run_whose_parameters_nobody_knows(tmp_path):
    assert script(tmp_path, "run = sorted\n").score(["/b", "/a"]).content == ["/a", "/b"]
    assert script(tmp_path, "run = list\n").score(["/a"]).content == ["/a"]


# Scripts that cannot start


def test_an_import_that_fails(tmp_path):
    error = refused(tmp_path, "import cv2_nobody\n" + RUN)
    assert (error.stage, "cv2-nobody" in error.hint) == ("import", True)
    assert 'driver.py", line 1' in error.detail
    assert "penstock" not in error.detail


def test_an_init_that_fails(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "m.pkl").write_text("")
    source = "import os\ndef init():\n    open(os.environ['AZUREML_MODEL_DIR'] + '/model.pkl')\n" + RUN
    error = refused(tmp_path, source, model=tmp_path / "models" / "m.pkl")
    assert error.stage == "init"
    assert "there is m.pkl" in error.hint
    assert 'driver.py", line 3, in init' in error.detail
    assert "AZUREML_MODEL_DIR is" in error.detail


def test_arguments_that_the_script_refuses(tmp_path, capsys):
    source = "import argparse\ndef init():\n    argparse.ArgumentParser().parse_args()\n" + RUN
    error = refused(tmp_path, source)
    assert "driver.py failed in init(): the script called exit(2)" in error.message
    assert "unrecognized arguments: --logging_level INFO" in capsys.readouterr().err


def test_data_frames_without_pandas(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    error = refused(tmp_path, RUN, takes="frame")
    assert ("pandas cannot be imported" in error.message, "Add pandas" in error.hint) == (True, True)


def test_a_script_that_is_not_there(tmp_path):
    write(tmp_path / "code", RUN, "batch_driver.py")
    with pytest.raises(errors.ScriptError, match="no scoring script"):
        opened(tmp_path / "code", "driver.py")


# What run() returns


@pytest.mark.parametrize(
    ("name", "said", "hint"),
    [
        ("returns_generator", "run() returned a generator", "contains yield"),
        ("returns_nothing", "run() returned None", "return statement"),
        ("returns_mapping", "run() returned a dict", "list of dictionaries"),
        ("returns_text", "run() returned a str", "list of strings"),
        ("returns_lazy_map", "run() returned a map", "list(...)"),
        ("returns_coroutine", "run() returned a coroutine", "asyncio.run()"),
        ("returns_too_few", "run() returned 1 item for 3 files", "counts as one file processed"),
    ],
)
def test_results_that_fail_the_mini_batch(name, said, hint):
    error = failed(opened(name), ["/1.txt", "/2.txt", "/3.txt"])
    assert (said in error.message, hint in error.hint, error.detail) == (True, True, "")


@pytest.mark.parametrize("sums_up", [True, False])
def test_a_partition_may_be_summed_up(sums_up):
    scorer = opened("returns_too_few", sums_up=sums_up)
    if sums_up:
        assert scorer.score(["/1.txt", "/2.txt", "/3.txt"]).successes == 1
    else:
        assert "1 item for 3 files" in failed(scorer, ["/1.txt", "/2.txt", "/3.txt"]).message


def test_more_than_was_given_is_more_successes():
    assert opened("returns_too_many").score(["/a", "/b"]).successes == 4


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("numpy.array(5)", "returned a ndarray"),
        ("numpy.float64(5)", "returned a float64"),
        ("{1}", "returned a set"),
        ("5", "returned an int"),
        ("type('Tensor', (), {})()", "returned a Tensor"),
        ("type('Polars', (), {'to_pandas': None})()", "returned a Polars"),
        ("object", "returned a type"),
        ("[]", "returned 0 items for 1 file"),
        ("pandas.DataFrame()", "returned 0 items for 1 file"),
    ],
)
def test_other_results(tmp_path, expression, said):
    pytest.importorskip("pandas")
    source = f"import numpy, pandas\ndef run(mini_batch):\n    return {expression}\n"
    error = failed(script(tmp_path, source), ["/a"])
    assert (said in error.message, bool(error.hint)) == (True, True)


@pytest.mark.parametrize(
    "expression", ["numpy.arange(2)", "pandas.Series([1, 2])", "pandas.Index([1, 2])", "(1, 2)", "[1, 2]"]
)
def test_lists_by_other_names(tmp_path, expression):
    pytest.importorskip("pandas")
    source = f"import numpy, pandas\ndef run(mini_batch):\n    return {expression}\n"
    scored = script(tmp_path, source).score(["/a", "/b"])
    assert (type(scored.content), scored.successes, len(scored.content)) == (list, 2, 2)


# What run() raises


def test_the_first_real_traceback_is_kept(tmp_path):
    error = failed(opened("raises"), texts(tmp_path, "[1]", "{torn"))
    assert error.message == f"run() failed: RuntimeError: cannot score {tmp_path}/2.txt"
    first, _, second = error.detail.partition("The above exception was the direct cause")
    assert ("JSONDecodeError" in first, "reader.py" in first, "RuntimeError" in second) == (True, True, True)
    assert "penstock" not in error.detail


@pytest.mark.parametrize(
    ("way", "said"),
    [("exit", "the script called exit(3)"), ("interrupt", "KeyboardInterrupt"), ("none", "")],
)
def test_ways_to_leave(tmp_path, way, said):
    scorer = opened("exits")
    paths = texts(tmp_path, way)
    if not said:
        assert scorer.score(paths).content == paths
        return
    assert said in failed(scorer, paths).message
    (fine,) = texts(tmp_path / "fine", "none")
    assert scorer.score([fine]).successes == 1


def test_memory_that_ran_out_is_the_workers_affair(tmp_path):
    scorer = opened("exits")
    with pytest.raises(MemoryError):
        scorer.score(texts(tmp_path, "memory"))


def test_a_script_that_ends_the_process(tmp_path):
    (path,) = texts(tmp_path, "die")
    assert alone(f"opened('exits').score([{path!r}])").returncode == 9


def test_a_shutdown_that_fails_is_logged_and_no_more():
    done = alone("opened('exits').close(); print('on')")
    assert "shutdown() failed: OSError: the connection was gone\nTraceback" in done.stderr
    assert done.stdout == "on\n"


def test_the_modules_name_is_the_files_where_that_is_free(tmp_path):
    """Helpers that a script spawns find its functions by that name."""
    shows = "def run(mini_batch):\n    return [__name__]\n"
    assert script(tmp_path, shows).score(["/a"]).content == ["driver"]
    write(tmp_path / "other", shows, "json.py", init="")
    assert opened(tmp_path / "other", "json.py").score(["/a"]).content == ["entry_module"]
    spec = importlib.util.find_spec("json")
    assert spec is not None
    assert "other" not in str(spec.origin)


def test_two_scripts_of_one_name_in_one_process(tmp_path):
    first = script(tmp_path / "1", "def run(mini_batch):\n    return [1]\n")
    second = script(tmp_path / "2", "def run(mini_batch):\n    return [2]\n")
    assert [scorer.score(["/a"]).content for scorer in (first, second)] == [[1], [2]]
