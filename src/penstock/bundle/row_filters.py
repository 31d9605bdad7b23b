"""MLTable's filter expressions, ``col("age") > 30 and name.startswith("a")``, taken apart. Pure.

The language is Azure ML's: comparisons, ``and``, ``or``, ``not``, arithmetic, ``startswith`` and ``datetime``
over columns and literals, in Python's spelling. It is parsed with Python's own parser and walked; nothing is
ever evaluated as Python. What it means for a table is the workers' business
(`penstock.runtimes.batch.transformations.conditions`). Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import ast
import datetime as dt
import warnings
from dataclasses import dataclass
from typing import Any, Union

_LONGEST = 10_000
_MOST_DEEP = 50


class WrongFilter(ValueError):
    """The expression cannot be meant; the message says what and where, and what can be written."""


@dataclass(frozen=True)
class Column:
    """The value of the column `name`."""

    name: str


@dataclass(frozen=True)
class Literal:
    """A number, text, truth value, ``datetime`` or None."""

    value: Any


@dataclass(frozen=True)
class Compare:
    """`operator` is ``==``, ``!=``, ``<``, ``<=``, ``>`` or ``>=``."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Arithmetic:
    """`operator` is ``+``, ``-``, ``*``, ``/``, ``//``, ``%`` or ``**``."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Logic:
    """`operator` is ``and`` or ``or``; at least two `operands`."""

    operator: str
    operands: tuple[Expression, ...]


@dataclass(frozen=True)
class Not:
    """The opposite of `operand`; of a missing value, a missing value."""

    operand: Expression


@dataclass(frozen=True)
class StartsWith:
    """Whether the text `operand` begins with `prefix`."""

    operand: Expression
    prefix: str


Expression = Union[Column, Literal, Compare, Arithmetic, Logic, Not, StartsWith]

_COMPARISONS = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_ARITHMETIC = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
}
_KNOWN = (
    'col("name"), numbers, "text", True, False, datetime(...), comparisons, and, or, not, '
    "+ - * / // % **, startswith"
)


def parse(text: str) -> Expression:
    """Raises WrongFilter."""
    if len(text) > _LONGEST:
        raise WrongFilter(f"a filter of {len(text)} characters is too long")
    try:
        with warnings.catch_warnings():
            # A comparison that looks odd to Python's parser is nobody's program.
            warnings.simplefilter("ignore")
            tree = ast.parse(text.strip(), mode="eval")
        found = _walk(tree.body, 0)
    except SyntaxError as error:
        raise WrongFilter(f"{text!r} is no expression: {_advice(text) or error.msg}") from None
    except (RecursionError, MemoryError, ValueError) as error:
        if isinstance(error, WrongFilter):
            raise
        raise WrongFilter(f"{text!r} is no expression") from None
    return found


def columns_of(expression: Expression) -> tuple[str, ...]:
    """The columns that it names, each once, in the order in which it names them."""
    found: dict[str, None] = {}

    def visit(part: Any) -> None:
        if isinstance(part, Column):
            found[part.name] = None
        elif isinstance(part, (Compare, Arithmetic)):
            visit(part.left)
            visit(part.right)
        elif isinstance(part, Logic):
            for each in part.operands:
                visit(each)
        elif isinstance(part, (Not, StartsWith)):
            visit(part.operand)

    visit(expression)
    return tuple(found)


def _walk(node: ast.AST, depth: int) -> Expression:
    if depth > _MOST_DEEP:
        raise WrongFilter("too deeply nested")
    if isinstance(node, ast.BoolOp):
        word = "and" if isinstance(node.op, ast.And) else "or"
        return Logic(word, tuple(_walk(each, depth + 1) for each in node.values))
    if isinstance(node, ast.UnaryOp):
        return _unary(node, depth)
    if isinstance(node, ast.Compare):
        return _comparison(node, depth)
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        operator = _ARITHMETIC[type(node.op)]
        return Arithmetic(operator, _walk(node.left, depth + 1), _walk(node.right, depth + 1))
    if isinstance(node, ast.Name):
        return Column(node.id)
    if isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float, str, type(None))):
        if isinstance(node.value, int) and not -(2**63) <= node.value < 2**63:
            raise WrongFilter(f"the number {str(node.value)[:30]} is too large")
        return Literal(node.value)
    if isinstance(node, ast.Call):
        return _call(node, depth)
    raise WrongFilter(f"{_said(node)} is not known in a filter; there is {_KNOWN}")


def _unary(node: ast.UnaryOp, depth: int) -> Expression:
    operand = _walk(node.operand, depth + 1)
    if isinstance(node.op, ast.Not):
        return Not(operand)
    if isinstance(node.op, ast.Invert):
        raise WrongFilter("~ is not known in a filter: write not")
    if isinstance(operand, Literal) and isinstance(operand.value, (int, float)):
        return Literal(-operand.value if isinstance(node.op, ast.USub) else operand.value)
    return Arithmetic("-", Literal(0), operand) if isinstance(node.op, ast.USub) else operand


def _comparison(node: ast.Compare, depth: int) -> Expression:
    if len(node.ops) > 1:
        raise WrongFilter("comparisons cannot be chained: write 1 < x and x < 3 for 1 < x < 3")
    kind = type(node.ops[0])
    if kind not in _COMPARISONS:
        word = {ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not"}[kind]
        advice = ': write x == "a" or x == "b"' if "in" in word.split() else ""
        raise WrongFilter(f"{word} is not known in a filter{advice}")
    left, right = _walk(node.left, depth + 1), _walk(node.comparators[0], depth + 1)
    return Compare(_COMPARISONS[kind], left, right)


def _call(node: ast.Call, depth: int) -> Expression:
    arguments = [each.value if isinstance(each, ast.Constant) else None for each in node.args]
    function = node.func
    if isinstance(function, ast.Name) and function.id == "col" and not node.keywords:
        if len(arguments) != 1 or not isinstance(arguments[0], str):
            raise WrongFilter('col takes the name of one column in quotes: col("age")')
        return Column(arguments[0])
    if isinstance(function, ast.Name) and function.id == "datetime" and not node.keywords:
        return Literal(_datetime(arguments))
    if isinstance(function, ast.Attribute) and function.attr == "startswith" and not node.keywords:
        if len(arguments) != 1 or not isinstance(arguments[0], str):
            raise WrongFilter('startswith takes one text in quotes: col("name").startswith("a")')
        return StartsWith(_walk(function.value, depth + 1), arguments[0])
    name = function.attr if isinstance(function, ast.Attribute) else _said(function)
    raise WrongFilter(f"{name}() is not known in a filter; there is {_KNOWN}")


def _datetime(arguments: list[Any]) -> dt.datetime:
    whole = all(isinstance(each, int) and not isinstance(each, bool) for each in arguments)
    if not whole or not 3 <= len(arguments) <= 7:
        raise WrongFilter(
            "datetime takes year, month, day, and as many of hour, minute, second as are wanted"
        )
    try:
        return dt.datetime(*arguments)
    except (ValueError, OverflowError) as error:
        raise WrongFilter(f"datetime{tuple(arguments)}: {error}") from None


def _advice(text: str) -> str:
    if "&&" in text or "||" in text:
        return "write and, or in place of &&, ||"
    if "!" in text.replace("!=", ""):
        return "write not in place of !"
    if " = " in text.replace("==", ""):
        return "write == to compare"
    return 'a column whose name has a space in it is written col("FBI Code")' if " " in text.strip() else ""


def _said(node: ast.AST) -> str:
    names = {
        ast.Subscript: "[...]",
        ast.Attribute: "a dot",
        ast.List: "a list",
        ast.IfExp: "if",
        ast.Lambda: "lambda",
    }
    return names.get(type(node), type(node).__name__) if not isinstance(node, ast.Name) else node.id
