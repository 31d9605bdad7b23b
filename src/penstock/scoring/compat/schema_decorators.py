"""Stands in for ``inference_schema.schema_decorators``: ``@input_schema`` and ``@output_schema``.

Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any, Callable, TypeVar

from penstock.scoring.compat import schema_util
from penstock.scoring.compat.abstract_parameter_type import AbstractParameterType, convert

Function = TypeVar("Function", bound=Callable[..., Any])


def input_schema(
    param_name: str, param_type: Any, convert_to_provided_type: bool = True, optional: bool = False
) -> Callable[[Function], Function]:
    """Declare the type of one parameter of ``run`` by a sample.

    With `convert_to_provided_type` the JSON value becomes that type before ``run`` sees it; an `optional`
    parameter may be absent or empty, and is then passed on as it is.
    """
    _require_type(param_type, "param_type")
    schema, versions = param_type.input_to_swagger(), param_type.supported_versions()

    def decorate(function: Function) -> Function:
        schema_util.add_input(function, param_name, schema, versions)
        names = list(inspect.signature(function).parameters)
        if convert_to_provided_type and not optional and param_name not in names:
            raise ValueError(
                f"@input_schema names {param_name!r}, but the function has {', '.join(names) or 'none'}"
            )
        if not convert_to_provided_type or param_name not in names:
            return function
        position = names.index(param_name)

        @functools.wraps(function)
        def converting(*args: Any, **kwargs: Any) -> Any:
            if param_name in kwargs:
                if not optional or kwargs[param_name]:
                    kwargs[param_name] = convert(kwargs[param_name], param_type)
            elif position < len(args) and (not optional or args[position]):
                args = (*args[:position], convert(args[position], param_type), *args[position + 1 :])
            return function(*args, **kwargs)

        return converting  # type: ignore[return-value] # the same signature, by functools.wraps

    return decorate


def output_schema(output_type: Any) -> Callable[[Function], Function]:
    """Declare by a sample what ``run`` returns. Nothing is checked or converted."""
    _require_type(output_type, "output_type")
    schema, versions = output_type.input_to_swagger(), output_type.supported_versions()

    def decorate(function: Function) -> Function:
        schema_util.add_output(function, schema, versions)
        return function

    return decorate


def _require_type(value: Any, name: str) -> None:
    if not isinstance(value, AbstractParameterType):
        raise TypeError(
            f"{name} is a {type(value).__name__}; wrap the sample in a parameter type, such as NumpyParameterType"
        )
