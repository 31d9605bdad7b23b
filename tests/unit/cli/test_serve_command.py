"""``penstock serve``: what is typed, what is shown, and how it ends."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import click
import pytest

from penstock import errors
from penstock.bundle.launch import Launch
from penstock.bundle.manifest import Manifest, ModelSource
from penstock.cli import exits, handover, keys, main, quantities, serve, variables
from penstock.kit import complaints


@pytest.fixture
def run(tmp_path: Path, capsys):
    """Runs the command line in a folder with a model; gives exit code, stdout and stderr."""
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"a": 1}))
    (tmp_path / "score.py").write_text("def init(): ...\ndef run(data): ...\n")
    before = Path.cwd()
    os.chdir(tmp_path)

    def running(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main.main(list(arguments))
        said = capsys.readouterr()
        return int(caught.value.code or 0), said.out, said.err

    yield running
    os.chdir(before)


def checked(run, *arguments: str) -> dict:
    code, out, err = run("serve", *arguments, "--check", "-o", "json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_help_names_every_option_and_every_exit_code(run):
    code, out, _ = run("serve", "--help")
    assert code == 0
    for parameter in serve.serve.params:
        if isinstance(parameter, click.Option):
            assert parameter.opts[0] in out
    for number in exits.MEANINGS:
        assert number == exits.JOB or f"  {number} " in out or f" {number} " in out
    assert "Workers and limits:" in out


def test_options_become_settings(run):
    told = checked(
        run,
        *(
            "model.pkl",
            "--workers",
            "3",
            "--request-timeout",
            "1.5s",
            "--max-queue",
            "9",
            "--max-batch-size",
            "4",
        ),
        *(
            "--max-body",
            "64KB",
            "--memory-limit",
            "2GB",
            "--start-timeout",
            "2m",
            "--preload",
            "never",
            "--port",
            "0",
        ),
        *("--path-prefix", "v1/fraud/", "--cors-origins", "https://a, https://b", "--log-level", "debug"),
        *("--log-format", "json", "--access-log", "--reload", "--auth-key", "0123456789", "--name", "fraud"),
    )
    settings = {key: told["settings"][key] for key in ("workers", "request_timeout_ms", "max_queue")}
    assert settings == {"workers": 3, "request_timeout_ms": 1500, "max_queue": 9}
    assert (told["settings"]["max_body_bytes"], told["settings"]["memory_limit_mb"]) == (65536, 2048)
    assert (told["settings"]["start_timeout_s"], told["settings"]["preload"]) == (120.0, "never")
    assert (told["address"], told["path_prefix"]) == ("127.0.0.1:0", "/v1/fraud")
    assert (told["cors_origins"], told["keys"], told["name"]) == (["https://a", "https://b"], 1, "fraud")
    assert (told["log_level"], told["log_format"], told["access_log"], told["reload"]) == (
        "debug",
        "json",
        True,
        True,
    )


def test_names_of_the_inference_server_are_understood(run):
    told = checked(run, "--entry_script", "score.py", "--model_dir", ".", "--worker_count", "2")
    assert told["code"]["script"] == "score.py"
    assert told["settings"]["workers"] == 2


def test_the_page_for_people_marks_what_differs(run):
    code, out, _ = run("serve", "model.pkl", "--workers", "3", "--check")
    assert code == 0
    assert "3  (default 1)" in out
    assert "none: anybody who can connect may score" in out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["serve"], 2, "nothing to serve"),
        (["serve", "model.pkl", "--wrokers", "2"], 2, "--workers"),
        (["serv", "model.pkl"], 2, "serv"),
        (["serve", "model.pkl", "--port", "99999"], 2, "99999"),
        (["serve", "model.pkl", "--request-timeout", "5"], 2, "500ms, 5s or 2m"),
        (["serve", "model.pkl", "--max-body", "big"], 2, "64KB, 100MB or 2GB"),
        (["serve", "nope.yml"], 2, "no such file"),
        (["serve", "nope.pkl"], 3, "nope.pkl"),
        (["serve", "score.txt", "--script", "score.py"], 3, "score.py"),
        (["serve", "model.pkl", "--environment", "nobody-has-this"], 2, "--environment nobody-has-this"),
        (["serve", "model.pkl", "--auth-key", "short"], 2, "can be guessed"),
        (["serve", "model.pkl", "--auth-key", "with a space"], 2, "no space"),
        (["serve", "model.pkl", *["--auth-key", "0123456789"] * 3], 2, "3 keys"),
        (["serve", "model.pkl", "--auth-key", "0123456789", "--no-auth"], 2, "--no-auth"),
        (["serve", "model.pkl", "--auth-key-file", "nope"], 2, "--auth-key-file nope"),
        (["serve", "model.pkl", "--auth-key-file", "k", "--auth-key", "0123456789"], 2, "both"),
    ],
)
def test_errors_are_one_block_and_a_code(run, arguments, code, words):
    ended, out, err = run(*arguments)
    assert (ended, out) == (code, "")
    assert err.startswith("error: ")
    assert words in err
    assert "Traceback" not in err
    assert "with a space" not in err
    ended, _, err = run(*arguments, "--log-format", "json")
    assert ended == code
    assert set(json.loads(err)) >= {"level", "error", "message", "hint"}


def test_an_error_in_a_file_keeps_its_place_in_json(run):
    Path("d.yml").write_text("name: blue\nendpoint_nam: x\nmodel: {path: model.pkl}\n")
    code, _, err = run("serve", "d.yml", "--log-format=json")
    told = json.loads(err)
    assert (code, told["file"], told["line"], told["key"]) == (2, "d.yml", 2, "endpoint_nam")


def test_every_kind_of_error_has_a_code():
    assert exits.code_of(errors.UsageError("x")) == exits.code_of(errors.SpecError("x")) == 2
    assert exits.code_of(errors.ModelError("x")) == exits.code_of(errors.ScriptError("x", stage="init")) == 3
    assert exits.code_of(errors.EnvironmentBuildError("x")) == 4


def test_a_start_error_shows_the_users_traceback():
    error = errors.ScriptError("init failed", stage="init", detail="Traceback: boom\n", hint="look\nthere")
    assert complaints.text_of(error) == "error: init failed\n\nTraceback: boom\n\nhint:  look\n       there\n"


def secured(host: str, keys_given: tuple[str, ...] = (), *, no_auth: bool = False):
    from penstock.assembly import serving
    from penstock.spec.drafts import EnvironmentChoice

    made = Launch(manifest=Manifest(name="m"), python="", host=host, keys=keys_given)
    return serve.secured(
        serving.Plan(launch=made, environment=EnvironmentChoice(kind="current")), no_auth=no_auth
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_loopback_needs_no_key(host):
    assert secured(host)[1] == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", ""])
def test_others_need_one_and_get_one_made_up(host):
    plan, fresh = secured(host)
    assert len(fresh) >= 40
    assert plan.launch.keys == (fresh,)
    assert secured(host)[1] != fresh
    assert fresh in serve.fresh_key_note(fresh, host)
    assert secured(host, ("0123456789",))[1] == ""
    assert secured(host, no_auth=True)[0].launch.keys == ()


def test_variables_say_what_the_inference_servers_do():
    draft = variables.ambient_draft(
        {
            "WORKER_COUNT": "4",
            "WORKER_PRELOAD": "true",
            "AML_CORS_ORIGINS": "*",
            "SERVICE_PATH_PREFIX": "/a/b/",
            "AZUREML_LOG_LEVEL": "WARNING",
            "PENSTOCK_AUTH_KEYS": "first-key, second-key",
        }
    )
    assert draft.settings == {"workers": 4, "preload": "always"}
    assert draft.serving == {
        "cors_origins": ("*",),
        "path_prefix": "/a/b",
        "log_level": "warning",
        "keys": ("first-key", "second-key"),
    }


@pytest.mark.parametrize(
    ("name", "value"), [("WORKER_COUNT", "many"), ("WORKER_PRELOAD", "x"), ("AZUREML_LOG_LEVEL", "loud")]
)
def test_a_variable_that_cannot_be_meant_is_named(name, value):
    with pytest.raises(errors.UsageError, match=f"{name}={value}"):
        variables.ambient_draft({name: value})


def test_a_config_file_lies_under_the_variables(tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"WORKER_COUNT": 3, "log_level": "debug", "hidden_size": 7}))
    merged = variables.with_config_file({"WORKER_COUNT": "5"}, str(tmp_path))
    assert merged == {"WORKER_COUNT": "5", "AZUREML_LOG_LEVEL": "debug"}
    named = variables.with_config_file({"AZUREML_CONFIG_FILE": str(config)}, "")
    assert named["WORKER_COUNT"] == "3"
    config.write_text("[not json")
    assert variables.with_config_file({"A": "b"}, str(tmp_path)) == {"A": "b"}
    with pytest.raises(errors.UsageError, match="AZUREML_CONFIG_FILE"):
        variables.with_config_file({"AZUREML_CONFIG_FILE": str(config)}, "")


def test_the_inference_servers_variables_serve_alone():
    given = dict.fromkeys(parameter.name for parameter in serve.serve.params)
    environ = {"AZUREML_ENTRY_SCRIPT": "score.py", "AML_APP_ROOT": "/app", "AZUREML_MODEL_DIR": "/m"}
    sources = serve.sources_of(given, environ)
    assert (sources.script, sources.code, sources.model_directory) == ("score.py", "/app", "/m")
    assert serve.sources_of({**given, "thing": "model.pkl"}, environ).script == ""


def test_a_key_file_holds_one_key_a_line(tmp_path):
    (tmp_path / "k").write_text("first-key\n\n second-key \n")
    assert keys.read_key_file(str(tmp_path / "k")) == ("first-key", "second-key")
    (tmp_path / "k").write_text("\n")
    with pytest.raises(errors.UsageError, match="holds no key"):
        keys.read_key_file(str(tmp_path / "k"))


@pytest.mark.parametrize(
    ("text", "number"), [("500ms", 500), ("1.5s", 1500), ("2m", 120_000), ("1H", 3_600_000)]
)
def test_durations(text, number):
    assert quantities.Duration().convert(text, None, None) == number


@pytest.mark.parametrize("text", ["5", "s", "-1s", "0ms", "1d", "", "1 s s", "1e3s", "nan"])
def test_no_durations(text):
    with pytest.raises(click.BadParameter):
        quantities.Duration().convert(text, None, None)


@pytest.mark.parametrize(("text", "number"), [("1KB", 1024), ("1.5 MiB", 1572864), ("2gb", 2**31), ("7b", 7)])
def test_sizes(text, number):
    assert quantities.Size().convert(text, None, None) == number


def test_the_launch_survives_exec_and_stands_in_no_argument():
    secret = "first-key-of-all"
    model = ModelSource(path="/m/x.pkl", name="x")
    made = Launch(manifest=Manifest(name="m", model=model), python="/p", keys=(secret,))
    descriptor = handover.write_launch(made)
    try:
        argv = handover.argv_of(descriptor)
        assert secret not in " ".join(argv)
        assert os.get_inheritable(descriptor)
        program = f"import os; print(os.read({descriptor}, 1 << 20).decode())"
        read = subprocess.run(
            [sys.executable, "-c", program], pass_fds=[descriptor], capture_output=True, text=True, check=True
        )
    finally:
        os.close(descriptor)
    assert Launch.from_json(read.stdout) == made


def test_the_command_line_starts_without_heavy_imports():
    program = (
        "import sys, penstock.cli.main as m\n"
        "try: m.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'pydantic', 'yaml', 'rich', 'numpy', 'uvloop'} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "serve" in done.stdout


def test_serving_a_bare_model_imports_no_reader_of_files(tmp_path):
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"a": 1}))
    program = (
        "import sys, penstock.cli.main as m\n"
        "try: m.main(['serve', 'model.pkl', '--check'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'pydantic', 'yaml', 'rich', 'sklearn'} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stderr.strip() == "[]"
