"""Azure ML's parallel steps: components, and steps of pipelines; what their expressions stand for."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.bundle.batch import BatchSettings
from penstock.errors import SpecError
from penstock.spec import parallel_arguments, parallel_steps

DATA = Path(__file__).parents[2] / "data" / "batch_deployments"

STEP = """type: parallel
inputs:
  data: {type: uri_folder, path: model}
outputs: {out: {type: uri_file}}
input_data: ${{inputs.data}}
task:
  code: code
  entry_script: batch_driver.py
  environment: azureml:env:1
"""
APPENDS = "  append_row_to: ${{outputs.out}}\n"

DEFAULTS = {
    "workers": 0,
    "mini_batch_size": 1,
    "mini_batch_unit": "files",
    "partition_keys": (),
    "takes": "files",
    "max_retries": 2,
    "timeout_s": 60.0,
    "error_threshold": -1,
    "mini_batch_error_threshold": -1,
    "logging_level": "INFO",
    "program_arguments": (),
    "fail_if_none_succeeded": True,
    "azure": True,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``code/``, ``model/``, ``table/`` and ``images/``."""
    return Path(shutil.copytree(DATA, tmp_path_factory.mktemp("steps"), dirs_exist_ok=True))


@pytest.fixture
def read(folder: Path):
    """Reads a step's YAML that lies in `folder`."""

    def reading(text: str, **given: object):
        (folder / "s.yml").write_text(text, encoding="utf-8")
        return parallel_steps.read(str(folder / "s.yml"), **given)

    return reading


def error_of(read, text: str, **given: object) -> SpecError:
    with pytest.raises(SpecError) as caught:
        read(text, **given)
    return caught.value


def test_a_component_in_full():
    found = parallel_steps.read(
        str(DATA / "component.yml"), inputs={"rows": str(DATA / "table")}, output_folder="/out"
    )
    assert found.draft.name == "score_rows"
    assert found.draft.code.script == "batch_driver.py"
    assert found.draft.environment.value == str(DATA / "environment/conda.yml")
    assert found.draft.variables == {"EXAMPLE": "1"}
    assert found.batch == {
        **DEFAULTS,
        "workers": 6,
        "mini_batch_size": 10_240,
        "mini_batch_unit": "bytes",
        "takes": "frame",
        "max_retries": 1,
        "timeout_s": 90.0,
        "error_threshold": 5,
        "mini_batch_error_threshold": 4,
        "allowed_failed_percent": 30.0,
        "start_timeout_s": 900.0,
        "logging_level": "DEBUG",
        "program_arguments": (
            *("--model", str(DATA / "model"), "--threshold", "0.5", "--extra", "/out/extra"),
            *("--resource_monitor_interva", "20"),
        ),
    }
    assert found.output == {"form": "append-row", "mode": "skip", "scripts_own": ("/out/extra",)}
    assert found.output_file_name == "scored.csv"
    assert found.locations == (str(DATA / "table"),)
    assert found.input_format == "mltable"
    (effects, arguments) = [note for note in found.draft.notes if "without effect" in note]
    assert "compute" in effects
    assert "--task_overhead_timeout, --progress_update_timeout, --copy_logs_to_parent" in arguments
    assert set(found.batch) <= {field.name for field in dataclasses.fields(BatchSettings)}


def test_a_step_of_a_pipeline_goes_over_its_component():
    found = parallel_steps.read(str(DATA / "pipeline.yml"), output_folder="/out")
    assert found.draft.name == "score_rows"
    assert found.batch["workers"] == 2
    assert (found.batch["max_retries"], found.batch["timeout_s"]) == (3, 90.0)
    assert (found.batch["mini_batch_error_threshold"], found.batch["error_threshold"]) == (10, 5)
    assert found.batch["program_arguments"][:4] == ("--model", str(DATA / "model"), "--threshold", "0.25")
    assert found.draft.variables == {"EXAMPLE": "1", "OTHER": "nodes 2"}
    assert found.locations == ()  # another step would have made it
    assert found.batch["takes"] == "frame"
    assert any("only the step scoring is run" in note for note in found.draft.notes)


def test_the_command_line_binds_inputs_of_step_and_pipeline(folder, monkeypatch):
    monkeypatch.chdir(folder)
    found = parallel_steps.read(
        "pipeline.yml",
        inputs={"rows": "table", "where": "code", "threshold": "0.75", "nodes": "4", "label": "b"},
        outputs={"extra": "somewhere"},
    )
    assert found.locations == (str(folder / "table"),)
    assert found.batch["workers"] == 4
    assert found.batch["program_arguments"] == (
        *("--model", str(folder / "code"), "--threshold", "0.75", "--label", "b"),
        *("--extra", str(folder / "somewhere"), "--resource_monitor_interva", "20"),
    )


PIPELINE = """\
type: pipeline
inputs:
  where: {type: uri_folder, path: images, mode: ro_mount}
  threshold: 0.5
jobs:
  scoring:
    type: parallel
    inputs:
      data: {type: uri_folder, path: "${{parent.inputs.where}}"}
      limit: {type: number, path: "${{parent.inputs.threshold}}"}
    outputs: {out: {type: uri_file}, mine: {type: uri_file}}
    input_data: ${{inputs.data}}
    task:
      code: code
      entry_script: batch_driver.py
      environment: azureml:env:1
      program_arguments: --limit ${{inputs.limit}} --to ${{outputs.mine}}
      append_row_to: ${{outputs.out}}
"""


def test_inputs_as_the_sdk_writes_them(read, folder):
    """Each as a mapping with a path, whatever the pipeline's input is."""
    found = read(PIPELINE, output_folder="/out")
    assert found.locations == (str(folder / "images"),)
    assert found.batch["program_arguments"] == ("--limit", "0.5", "--to", "/out/mine")
    assert found.output["scripts_own"] == ("/out",)
    for url in ("s3://bucket/x", "azureml://datastores/d/paths/x"):
        assert read(PIPELINE, inputs={"where": url}, output_folder="/out").locations == (url,)
        assert read(PIPELINE.replace("path: images", f"path: {url}"), output_folder="/out").locations == (
            url,
        )
    error = error_of(read, PIPELINE, output_folder="s3://bucket/out")
    assert "s3://bucket/out is not on this machine, where the script writes" in error.message


def test_how_often_the_machine_is_looked_at_is_a_setting(read):
    found = read(STEP + APPENDS + "  program_arguments: --resource_monitor_interval 0 --other 1\n")
    assert found.batch["monitor_interval_s"] == 0
    assert found.batch["program_arguments"] == ("--other", "1")


def test_defaults_are_those_of_azure_ml(read, folder):
    found = read(STEP + APPENDS)
    assert found.batch == DEFAULTS
    assert found.output["form"] == "append-row"
    assert found.output_file_name == "out"
    assert found.locations == (str(folder / "model"),)
    assert found.input_format == "files"
    assert found.draft.name == "s"


def test_without_append_row_to_scripts_write_for_themselves(read):
    found = read(STEP)
    assert found.output == {"form": "summary-only", "mode": "skip"}
    assert not found.batch["fail_if_none_succeeded"]


@pytest.mark.parametrize(
    ("said", "size", "unit"),
    [
        ("5", 5, "files"),
        ('"5"', 5, "files"),
        ("10kb", 10_240, "bytes"),
        ("1 MB", 1024**2, "bytes"),
        ("2Gb", 2 * 1024**3, "bytes"),
        ("100 b", 100, "bytes"),
    ],
)
def test_sizes(read, said, size, unit):
    batch = read(STEP + f"mini_batch_size: {said}\n").batch
    assert (batch["mini_batch_size"], batch["mini_batch_unit"]) == (size, unit)


@pytest.mark.parametrize(
    ("input_", "takes", "unit", "format_"),
    [
        ("{type: uri_folder, path: model}", "files", "files", "files"),
        ("{type: mltable, path: table}", "frame", "bytes", "mltable"),
        ("{type: mltable, path: images}", "files", "files", "mltable"),
        ("{type: mltable, path: model}", "frame", "bytes", ""),
        ("{type: uri_folder, path: table}", "frame", "bytes", "mltable"),
        ("{path: model}", "files", "files", "files"),
    ],
)
def test_a_table_gives_frames_and_a_folder_gives_paths(read, input_, takes, unit, format_):
    found = read(STEP.replace("{type: uri_folder, path: model}", input_))
    assert (found.batch["takes"], found.batch["mini_batch_unit"], found.input_format) == (
        takes,
        unit,
        format_,
    )


def test_first_previews_had_other_words(read):
    found = read(STEP + "  type: function\n  args: --model ${{inputs.data}} -v\n")
    assert found.batch["program_arguments"][2:] == ("-v",)


def test_a_path_with_a_space_stays_one_argument(read, folder):
    (folder / "my model").mkdir(exist_ok=True)
    text = (
        STEP.replace("path: model", "path: my model")
        + "  program_arguments: '--model ${{inputs.data}} --x \"a b\"'\n"
    )
    assert read(text).batch["program_arguments"] == ("--model", str(folder / "my model"), "--x", "a b")


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        (
            STEP + "  program_arguments: --m ${{inputs.nope}}\n",
            "task.program_arguments",
            "${{inputs.nope}} names nothing",
        ),
        (STEP + "  program_arguments: --m ${{outputs.out}}\n", "task.program_arguments", "${{outputs.out}}"),
        (STEP + "  program_arguments: --m ${{foo}}\n", "task.program_arguments", "there is inputs.data"),
        (STEP + "  program_arguments: --x 'open\n", "task.program_arguments", "No closing quotation"),
        (
            STEP + "  program_arguments: --allowed_failed_percent 101\n",
            "task.program_arguments",
            "found '101'",
        ),
        (
            STEP + "  program_arguments: --error_threshold x\n",
            "task.program_arguments",
            "whole number of at least -1",
        ),
        (
            STEP + "  program_arguments: --append_row_dataframe_header maybe\n",
            "task.program_arguments",
            "True or False, found 'maybe'",
        ),
        (STEP + "  program_arguments: --error_threshold\n", "task.program_arguments", "has no value"),
        (STEP + "  append_row_to: out.csv\n", "task.append_row_to", "one of the step's outputs"),
        (STEP.replace("${{inputs.data}}", "${{inputs.dat}}"), "input_data", "there is ${{inputs.data}}"),
        (STEP + "partition_keys: a\n", "partition_keys", "list"),
        (STEP + "mini_batch_size: 10 rows\n", "mini_batch_size", "a number of files, or a size"),
        (STEP + "mini_batch_size: 0\n", "mini_batch_size", "a number of files, or a size"),
        (
            STEP + "mini_batch_eror_threshold: 1\n",
            "mini_batch_eror_threshold",
            "mean mini_batch_error_threshold?",
        ),
        (STEP + "scoring_script: x\n", "scoring_script", "as entry_script"),
        (STEP + "max_retries: 1\n", "max_retries", "retry_settings"),
        (STEP.replace("entry_script", "scoring_script"), "task.scoring_script", "called entry_script"),
        (STEP.replace("batch_driver.py", "driver.py"), "task.entry_script", "no file"),
        (STEP.replace("  code: code\n", "  code: nope\n"), "task.code", "no folder"),
        ("type: parallel\ninput_data: x\n", "task", "is missing"),
        (STEP + "component: azureml:c:1\n", "component", "registered component"),
        (STEP + "component: ./nope.yml\n", "component", "no file"),
    ],
)
def test_what_cannot_be_meant_is_placed(read, text, key, words):
    error = error_of(read, text)
    assert words in f"{error} {error.hint}"
    assert error.key == key
    assert error.line


def test_an_input_without_a_value_is_named(read, folder):
    text = STEP + "  program_arguments: --m ${{inputs.data}}\n"
    for value, words in (
        ("{type: uri_folder}", "has no value"),
        ("{type: uri_folder, path: modle}", "no file or folder"),
        ("{type: uri_folder, path: 'azureml:data:1'}", "cannot be fetched"),
        (
            "{type: uri_folder, path: '${{parent.jobs.a.outputs.b}}'}",
            "comes from ${{parent.jobs.a.outputs.b}}",
        ),
    ):
        said = text.replace("{type: uri_folder, path: model}", value)
        error = error_of(read, said)
        assert "${{inputs.data}}: " in str(error)
        assert words in str(error)
        assert "--input data=" in error.hint
        bound = read(said, inputs={"data": str(folder / "code")})
        assert bound.batch["program_arguments"] == ("--m", str(folder / "code"))


def test_an_input_that_nobody_declared_is_refused(read):
    error = error_of(read, STEP, inputs={"datta": "x"})
    assert "there is no input datta" in str(error)
    assert error.hint == "there is data"


def test_pipelines_of_which_no_step_is_parallel_or_several(read):
    error = error_of(read, "type: pipeline\njobs: {a: {type: command}}\n")
    assert "no step of type: parallel" in str(error)
    several = "type: pipeline\njobs:\n" + "".join(
        f"  {name}:\n" + "".join(f"    {line}\n" for line in STEP.splitlines()) for name in ("one", "two")
    )
    error = error_of(read, several)
    assert "there are 2 parallel steps: one, two" in str(error)
    assert read(several, step="two").draft.name == "two"
    assert "there is no parallel step 'three'" in str(error_of(read, several, step="three"))
    wrong = several.replace("entry_script: batch_driver.py", "entry_script: driver.py")
    error = error_of(read, wrong, step="two")
    assert error.line == wrong.splitlines().index("  two:") + 9


@settings(max_examples=60, deadline=None)
@given(
    file=st.sampled_from(["component.yml", "pipeline.yml"]),
    at=st.integers(0, 200),
    value=st.sampled_from(
        ["[]", "{}", "null", "yes", "1.5", "''", "{a: 1}", "[x]", "-3", "9" * 400, ".inf", "${{x}}"]
    ),
)
def test_any_value_anywhere_is_taken_or_placed(file, at, value, folder):
    """Never anything but a BatchDraft or a SpecError."""
    lines = (DATA / file).read_text(encoding="utf-8").splitlines()
    at = at % len(lines)
    key, colon, _ = lines[at].partition(":")
    lines[at] = f"{key}{colon} {value}"
    (folder / "any.yml").write_text("\n".join(lines), encoding="utf-8")
    with contextlib.suppress(SpecError):
        assert parallel_steps.read(str(folder / "any.yml"), output_folder="/out").batch["azure"]


WORDS = st.lists(
    st.one_of(
        st.sampled_from(["--model", "-v", "x", "--error_threshold=3", "--copy_logs_to_parent=True", "--x=1"]),
        st.text(st.characters(codec="ascii", exclude_characters="-"), max_size=4),
    ),
    max_size=8,
)


@given(words=WORDS, percent=st.integers(0, 100), at=st.integers(0, 8))
def test_what_is_the_scripts_stays_in_its_order(words, percent, at):
    at = min(at, len(words))
    said = [*words[:at], "--allowed_failed_percent", str(percent), *words[at:]]
    taken = parallel_arguments.take(said)
    own = ("--error_threshold=3", "--copy_logs_to_parent=True")
    assert list(taken.rest) == [word for word in words if word not in own]
    assert taken.batch["allowed_failed_percent"] == percent
    assert taken.batch.get("error_threshold", 3) == 3


@pytest.mark.parametrize(("word", "header"), [("True", True), ("false", False)])
def test_a_header_is_the_files_and_not_the_scripts(word, header):
    taken = parallel_arguments.take(["--x", "1", "--append_row_dataframe_header", word])
    assert taken.rest == ("--x", "1")
    assert taken.output == {"header": header}


def test_partition_keys(read):
    assert read(STEP + "partition_keys: [Store, Brand]\n").batch["partition_keys"] == ("Store", "Brand")
