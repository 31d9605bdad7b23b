"""The options that say what does the scoring: shared by every command that takes a THING."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from penstock.assembly import things
from penstock.cli import sections

PATH = "PATH"


def option(section: str, *declarations: str, **attributes: Any) -> Any:
    """A Click option under the heading `section`."""
    return click.option(*declarations, cls=sections.SectionedOption, section=section, **attributes)


def decorated(function: Callable[..., None], options: tuple[Any, ...]) -> Callable[..., None]:
    """`function` with every one of `options`, in their order."""
    for decorate in reversed(options):
        function = decorate(function)
    return function


def of(thing_section: str, environment_section: str) -> tuple[Any, ...]:
    """Script, code, model, sample, name; environment."""
    return (
        option(
            thing_section,
            "--script",
            "--entry-script",
            "script",
            metavar="FILE",
            help="Scoring script with init() and run(); relative to --code, else to here.",
        ),
        option(
            thing_section,
            "--code",
            metavar="DIR",
            help="Folder of the script and its modules.  [default: the script's folder]",
        ),
        option(
            thing_section,
            "--model",
            metavar=PATH,
            help="The model, where THING is a deployment file: replaces the model it names.",
        ),
        option(
            thing_section,
            "--model-dir",
            metavar="DIR",
            help="AZUREML_MODEL_DIR for the script.  [default: a folder that holds the model]",
        ),
        option(
            thing_section,
            "--sample-input",
            metavar="FILE",
            help="A sample payload, for models that say nothing of their inputs.",
        ),
        option(
            thing_section,
            "--name",
            metavar="NAME",
            help="The deployment's name.  [default: from the file or model]",
        ),
        option(
            environment_section,
            "--environment",
            metavar="ENV",
            help="conda.yml, requirements.txt, a name of the environment table, or 'current'."
            "  [default: what the file or the MLflow model asks for, else current]",
        ),
        option(
            environment_section,
            "--strict-environment",
            is_flag=True,
            help="Fail where the Python that is asked for is missing, instead of using the nearest.",
        ),
    )


def sources(given: Mapping[str, Any], **further: Any) -> things.Sources:
    """What those options name."""
    named = {
        "thing": given["thing"],
        "model": given["model"],
        "model_directory": given["model_dir"],
        "code": given["code"],
        "script": given["script"],
        "environment": given["environment"],
        "sample_input": given["sample_input"],
        "name": given["name"],
        **further,
    }
    return things.Sources(**{name: value or "" for name, value in named.items()})
