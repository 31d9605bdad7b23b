"""The pages name everything there is, and nothing that is not: options, settings, variables, exit codes, statuses,
metrics, links, keys of deployment files."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import inspect
import re
import textwrap
from pathlib import Path

import click
import pytest
from page_runner import ROOT

from penstock.bundle import launch
from penstock.bundle.manifest import Settings
from penstock.cli import exits, score_options, serve_options
from penstock.cli.score import score
from penstock.cli.serve import serve
from penstock.runtimes.batch import checking, closing, loop
from penstock.runtimes.batch.engines import ray_head, ray_options
from penstock.runtimes.batch.formats import registry
from penstock.runtimes.batch.reports import log_tree
from penstock.runtimes.realtime import connections, metrics
from penstock.scoring.scripts import stand_ins
from penstock.spec.deployment_schema import KubernetesOnlineDeployment, ManagedOnlineDeployment

DOCS = ROOT / "docs"
SOURCE = ROOT / "src" / "penstock"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]


def section(page: str, title: str) -> str:
    """The text of `page` under the heading `title`, up to the next heading, without fenced blocks."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no section {title}"
    return re.sub(r"^```.*?^```$", "", found[1], flags=re.MULTILINE | re.DOTALL)


def first_cells(table: str) -> list[str]:
    """The first cell of every row that has code in it."""
    return [
        cell
        for cell in re.findall(r"^\| ([^|]*?) \|", table.replace(r"\|", "/"), re.MULTILINE)
        if "`" in cell
    ]


def code(text: str) -> set[str]:
    """What stands between backquotes in `text`."""
    return set(re.findall(r"`([^`]+)`", text))


COMMANDS = {"serve.md": serve, "score.md": score}


def options_of(command: click.Command) -> set[str]:
    """Everything that may be typed behind `command` and begins with a dash."""
    return {
        name
        for option in command.params
        if isinstance(option, click.Option)
        for name in (*option.opts, *option.secondary_opts)
    } | {"-h", "--help"}


@pytest.mark.parametrize("page", COMMANDS)
def test_every_option_is_documented_and_none_that_is_not_there(page: str) -> None:
    assert serve_options.OPTIONS
    assert score_options.OPTIONS
    told = set().union(*map(code, first_cells(section(page, "Options"))))
    assert told == options_of(COMMANDS[page])


STEP_ARGUMENTS = {"--error_threshold", "--allowed_failed_percent", "--first_task_creation_timeout"}
"""Azure ML's own, in the YAML of a parallel step."""


def _node_actions() -> list[argparse.Action]:
    """The options of the command that runs a cluster's head."""
    parser = ray_head._parser()
    actions = list(parser._actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                actions += command._actions
    return actions


def test_options_on_all_pages_exist() -> None:
    real = set().union(*map(options_of, COMMANDS.values())) | {"--version"}
    nodes = {name for action in _node_actions() for name in action.option_strings}
    foreign = {"--data-binary", "--find-links", "--pre", *nodes, *STEP_ARGUMENTS}
    for page in PAGES:
        text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        found = set(re.findall(r"(?<![\w-])--[a-z][a-z_-]+", " ".join(code(text))))
        assert found <= real | foreign, f"{page.name}: {found - real - foreign}"


@pytest.mark.parametrize("name", COMMANDS)
def test_defaults_in_the_help_are_those_of_the_page(name: str) -> None:
    page = section(name, "Options")
    for option in COMMANDS[name].params:
        stated = re.search(r"\[default: ([^\];,]+)", getattr(option, "help", "") or "")
        if stated and re.fullmatch(r"[\w.-]+", stated[1]) and stated[1] not in ("the", "all", "none"):
            (row,) = [row for row in page.splitlines() if f"`{option.opts[0]}`" in row.split(" | ")[0]]
            assert stated[1] in row.rpartition("default")[2], (
                f"{option.opts[0]}: {stated[1]} is not in: {row}"
            )


def test_every_setting_is_documented_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", section("serve.md", "Settings"), re.MULTILINE))
    assert rows == {
        field.name: f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
        for field in dataclasses.fields(Settings)
    }


def test_every_variable_of_ours_is_documented() -> None:
    read = {
        name
        for file in SOURCE.rglob("*.py")
        for name in re.findall(r"PENSTOCK_[A-Z]+(?:_[A-Z]+)*", file.read_text(encoding="utf-8"))
    }
    told = " ".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
    assert {name for name in read if name not in told} == set()


@pytest.mark.parametrize(("page", "elsewhere"), [("serve.md", {exits.JOB}), ("score.md", set())])
def test_every_exit_code_is_documented(page: str, elsewhere: set[int]) -> None:
    told = {int(number) for number in re.findall(r"^\| (\d+) \|", section(page, "Exit codes"), re.MULTILINE)}
    assert told == set(exits.MEANINGS) - elsewhere


def _rows(page: str, title: str) -> dict[str, set[str]]:
    """What each row of a table whose first cell is code names besides."""
    rows = re.findall(r"^\| `([\w-]+)` \| (.*) \|$", section(page, title), re.MULTILINE)
    return {name: code(rest) for name, rest in rows}


def _events() -> dict[str, set[str]]:
    """The events of a job and the fields that each is given by name, as the source has them."""
    found: dict[str, set[str]] = {}
    for file in (SOURCE / "runtimes" / "batch").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".event") and node.args:
                name = ast.literal_eval(node.args[0])
                found.setdefault(name, set()).update(word.arg for word in node.keywords if word.arg)
    return found


def _keys_of(function: object) -> set[str]:
    """The keys of the dictionary literals in `function`."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))  # type: ignore[arg-type]
    return {
        key.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant)
    }


def test_every_event_of_a_job_is_documented_with_its_fields() -> None:
    told = _rows("score.md", "What is shown")
    real = _events()
    real["planned"] |= {"files", "left_out", "mini_batches", "bytes"}
    real["progress"] |= _keys_of(loop.Loop._state)
    real["finished"] |= _keys_of(closing.summary)
    assert set(told) == set(real) | {"checked"}
    for name, fields in real.items():
        assert fields <= told[name], f"{name}: not documented: {fields - told[name]}"
        assert {word for word in told[name] if word[0] != "-"} <= fields | {"rows", "files", "peak_bytes"}, (
            f"{name}: not there: {told[name] - fields}"
        )
    assert told["checked"] >= _keys_of(checking._about)


def test_every_option_of_the_ray_engine_is_documented_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*?)\s*\|", section("engines.md", "Options"), re.MULTILINE))
    defaults = ray_options.RayOptions()
    assert rows == {
        field.name: f"{value:g}" if isinstance(value, (int, float)) else str(value)
        for field in dataclasses.fields(ray_options.RayOptions)
        for value in [getattr(defaults, field.name)]
    }


def test_every_log_file_of_a_job_is_documented() -> None:
    told = " ".join(first_cells(section("score.md", "Where things are")))
    told += section("score.md", "Where things are")
    for name in re.findall(r"^([\w/]+)[./<]", log_tree.README, re.MULTILINE):
        assert name.partition("/")[0] in told, name


def test_formats_and_modes_are_those_of_the_program() -> None:
    real = {parameter.name: parameter for parameter in score.params}
    told = _rows("batch.md", "Input")
    kind = real["input_format"].type
    assert isinstance(kind, click.Choice)
    assert set(told) == set(kind.choices)
    for suffix in ("." + each for each in registry._SUFFIXES):
        assert any(suffix in names for names in told.values()), suffix
    mode = real["if_exists"].type
    assert isinstance(mode, click.Choice)
    assert set(mode.choices) <= set(_rows("batch.md", "Output"))


def statuses_in_source() -> set[int]:
    """HTTP statuses that stand as numbers in the calls and tables that answer."""
    found: set[int] = set()
    for folder in ("runtimes/realtime", "scoring"):
        for file in (SOURCE / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    called = ast.unparse(node.func).rpartition(".")[2]
                    if called in ANSWERING:
                        values = [*node.args, *(keyword.value for keyword in node.keywords)]
                        found |= {
                            v.value for v in values if isinstance(v, ast.Constant) and type(v.value) is int
                        }
                elif isinstance(node, ast.Dict):
                    numbers = {v.value for v in node.values if isinstance(v, ast.Constant)}
                    if file.name == "statuses.py":
                        found |= numbers
    return {status for status in found if 400 <= status < 600}


ANSWERING = {
    "refuse",
    "_refuse",
    "refusal",
    "_refusal",
    "_refuse_now",
    "_RefusedError",
    "Refusal",
    "error_reply",
    "error",
    "Answer",
}


def test_every_status_is_documented() -> None:
    told = {
        int(number)
        for number in re.findall(r"^\| (\d+) \|", section("requests.md", "Statuses"), re.MULTILINE)
    }
    found = statuses_in_source()
    assert {400, 401, 413, 415, 429, 431, 502, 504} <= found, "the search itself has gone blind"
    assert found <= told, f"not documented: {found - told}"


def test_patience_and_limits_are_those_of_the_code() -> None:
    patience = launch.Patience()
    statuses = section("requests.md", "Statuses")
    assert f"{patience.head_s:g} s for the headers" in statuses
    assert f"{patience.body_s:g} s for the next piece" in statuses
    assert f"more than {connections.HEAD_BYTES // 1024} KB" in statuses
    sizing = section("operations.md", "Sizing")
    assert f"{patience.idle_s:g} seconds idle" in sizing
    assert f"{patience.write_s:g} seconds for a client that reads nothing" in sizing
    assert f"within {Settings().drain_timeout_s:g} seconds" in section("operations.md", "Stopping")


def test_every_metric_is_documented_and_none_that_is_not_there() -> None:
    counts = metrics.Metrics("d")
    counts.score.scored(200, 0.1, 0.05, 1, 1)
    observed = metrics.Observed(
        workers={"serving": 1}, restarts={"crashed": 1}, resident_memory_bytes={"1": 1}
    )
    page = counts.page(observed)[0].decode()
    real = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", page, re.MULTILINE):
        if not name.endswith("_created"):
            real.add(name if kind != "counter" or name.endswith("_total") else f"{name}_total")
    told = set().union(*map(code, first_cells(section("operations.md", "Metrics"))))
    assert told == real
    assert set(metrics.ROUTES) <= code(section("operations.md", "Metrics"))


@pytest.mark.parametrize(
    "schema", [ManagedOnlineDeployment, KubernetesOnlineDeployment], ids=["managed", "kubernetes"]
)
def test_every_key_of_a_deployment_is_documented(schema: type[ManagedOnlineDeployment]) -> None:
    keys = {field.alias or name for name, field in schema.model_fields.items()}
    told = set().union(*map(code, first_cells(section("azure.md", "Deployments"))))
    assert keys <= told, f"not documented: {keys - told}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in anchors, f"{page.name}: {target}"


def test_every_page_is_on_the_map() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    assert [
        page.name for page in DOCS.glob("*.md") if page.name != "index.md" and f"({page.name})" not in index
    ] == []


def test_every_module_that_scripts_may_import_is_named() -> None:
    told = code(section("scripts.md", "Imports"))
    missing = [
        name
        for name in stand_ins.MODULES
        if not any(name == each or name.startswith(each + ".") for each in told)
    ]
    assert missing == []
