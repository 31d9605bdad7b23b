"""What to tell the author of a script that failed: their own traceback, and what to try next.

Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import difflib
import importlib.util
import itertools
import os
import re
import sys
import traceback
from typing import Iterator

from penstock.scoring import distributions
from penstock.scoring.scripts import stand_ins

TREE_LINE_LIMIT = 200

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def user_traceback(error: BaseException) -> str:
    """The traceback of `error` and of what caused it, without the frames of this package and of the import
    system. Ends without a newline."""
    report = traceback.TracebackException(type(error), error, error.__traceback__)
    _trim(report, set())
    return "".join(report.format()).rstrip("\n")


def _trim(report: traceback.TracebackException, seen: set[int]) -> None:
    if id(report) in seen:
        return
    seen.add(id(report))
    report.stack = traceback.StackSummary.from_list(
        [frame for frame in report.stack if not _is_ours(frame.filename)]
    )
    for other in (report.__cause__, report.__context__):
        if other is not None:
            _trim(other, seen)


def _is_ours(filename: str) -> bool:
    return filename.startswith((_OURS, "<frozen importlib", "<frozen runpy"))


def last_line(error: BaseException) -> str:
    """``ValueError: what it says``, or the type alone."""
    text = str(error)
    if isinstance(error, SystemExit):
        return "the script called exit({})".format("" if error.code is None else repr(error.code))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def model_tree(directory: str) -> str:
    """What lies under the model directory, one name a line, at most `TREE_LINE_LIMIT` lines."""
    if not os.path.isdir(directory):
        return f"AZUREML_MODEL_DIR is {directory!r}, which is not a folder."
    walk = _walk(directory, 0)
    lines = list(itertools.islice(walk, TREE_LINE_LIMIT))
    if next(walk, None) is not None:
        lines.append(f"... (only the first {TREE_LINE_LIMIT} lines are shown)")
    return "\n".join([f"AZUREML_MODEL_DIR is {directory} and holds:", *lines])


def _walk(path: str, depth: int) -> Iterator[str]:
    yield "{}{}{}".format("    " * depth, os.path.basename(path.rstrip(os.sep)), os.sep)
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError as error:
        yield "{}({})".format("    " * (depth + 1), error.strerror)
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, depth + 1)
        else:
            yield "{}{}".format("    " * (depth + 1), entry.name)


def hint_for(error: BaseException, *, code_directory: str, model_directory: str) -> str:
    """The next step for whoever wrote the script, or an empty string where we know none."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _missing_module(error.name, code_directory)
    if isinstance(error, ImportError):
        return _broken_import(error)
    if isinstance(error, FileNotFoundError) and error.filename:
        return _missing_file(os.fspath(_text(error.filename)), model_directory)
    if isinstance(error, KeyError) and error.args and error.args[0] == "AZUREML_MODEL_DIR":
        return "The script asks for AZUREML_MODEL_DIR, but no model was given. Give the model file or folder."
    if isinstance(error, TypeError) and "NoneType" in str(error) and not model_directory:
        return (
            "No model was given, so os.getenv('AZUREML_MODEL_DIR') is None. Give the model file or folder, "
            "if that is what the script joins to a path."
        )
    return _pickle_hint(error)


def _text(name: object) -> str:
    return os.fsdecode(name) if isinstance(name, (str, bytes, os.PathLike)) else str(name)


def _missing_module(name: str, code_directory: str) -> str:
    top = name.split(".")[0]
    inside = _find_module(top, code_directory)
    if inside:
        return f"{inside} in the code directory is not found: only the code directory itself is on the import path."
    package = _package_of(name)
    if not package and top != name and _installed(top):
        return (
            f"{top} is installed ({_version(top)}), but has no {name}: the script, or a pickle that it loads, was "
            "made with another version. Pin the version that it was made with in the conda file or requirements."
        )
    return (
        f"Add {package or top.replace('_', '-')} to the environment's conda file (under pip:) or requirements; "
        f"it is imported as {name}. The script runs on {sys.executable}."
    )


def _broken_import(error: ImportError) -> str:
    if ".so" in str(error) and "cannot open shared object" in str(error):
        return "A library of the operating system is missing: install it on this machine or in the image."
    own = (error.name or "").rpartition("penstock.scoring.compat.")[2]
    foreign = next((name for name, module in stand_ins.MODULES.items() if module == own), "")
    if not foreign:
        return _compiled_for_another_numpy(str(error)) or _gone_from(error)
    package = _package_of(foreign) or foreign.partition(".")[0].replace("_", "-")
    return f"Penstock stands in for what scoring scripts use of {foreign}; for the rest add {package}."


def _gone_from(error: ImportError) -> str:
    """``from x import y``, where the installed x has no y."""
    missing = re.match(r"cannot import name '(\w+)' from '([\w.]+)' \(.*-packages", str(error))
    if missing is None:
        return ""
    name, module = missing.groups()
    if (module, name) == ("sklearn.externals", "joblib"):
        return (
            "joblib is a package of its own since scikit-learn 0.23: write `import joblib`, and list joblib in the "
            "conda file or requirements."
        )
    top = module.split(".")[0]
    package = _package_of(module) or top
    return (
        f"{package} is installed ({_version(top)}), but its {module} has no {name}: what imports it was written "
        f"for another version. Pin the {package} that it was written for in the conda file or requirements."
    )


def _compiled_for_another_numpy(text: str) -> str:
    signs = ("numpy.dtype size changed", "compiled using NumPy 1.x", "numpy.core.multiarray failed to import")
    if not any(sign in text for sign in signs):
        return ""
    return (
        f"A library was compiled for another NumPy than the installed {_version('numpy')}: pin numpy<2 in the "
        "conda file or requirements, or take a newer release of the library."
    )


def _package_of(name: str) -> str:
    """The PyPI name for an import name or the longest part of it that the table has; empty: none."""
    parts = name.split(".")
    prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    known = distributions.BY_MODULE
    return next((known[prefix] for prefix in prefixes if prefix in known), "")


def _find_module(top: str, code_directory: str) -> str:
    for folder, folders, files in itertools.islice(os.walk(code_directory), 1000):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        if top + ".py" in files:
            return os.path.relpath(os.path.join(folder, top + ".py"), code_directory)
        if top in folders:
            return os.path.relpath(os.path.join(folder, top), code_directory)
    return ""


def _installed(top: str) -> bool:
    """Whether `top` is a package of its own, not a name that several packages share."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    return spec is not None and bool(spec.origin)


def _version(top: str) -> str:
    module = sys.modules.get(top)
    return str(getattr(module, "__version__", "version unknown"))


def _missing_file(path: str, model_directory: str) -> str:
    if not model_directory:
        return f"No model directory was given, and the working directory is {os.getcwd()}."
    names = _files_under(model_directory)
    wanted = os.path.basename(path.rstrip(os.sep))
    same = [name for name in names if os.path.basename(name) == wanted]
    near = same or [
        name
        for match in difflib.get_close_matches(
            wanted, sorted({os.path.basename(name) for name in names}), n=3
        )
        for name in names
        if os.path.basename(name) == match
    ]
    if not near:
        return f"Nothing in the model directory is called like {wanted}; see the listing."
    return f"In the model directory there is {', '.join(near[:3])}: join that to AZUREML_MODEL_DIR."


def _files_under(directory: str) -> list[str]:
    found: list[str] = []
    for folder, _, files in os.walk(directory):
        found.extend(os.path.relpath(os.path.join(folder, name), directory) for name in files)
        if len(found) > 10_000:
            break
    return found


def _raised_in(error: BaseException) -> str:
    """The file of the innermost frame of `error`, or empty."""
    frames = traceback.extract_tb(error.__traceback__)
    return frames[-1].filename if frames else ""


def _pickle_hint(error: BaseException) -> str:
    text = str(error)
    if isinstance(error, AttributeError) and "Can't get attribute" in text:
        if "__main__" in text:
            return (
                "The pickle refers to a class or function that lived in the training script (__main__). Put it "
                "in a module of its own, import it from there in both places, and pickle again."
            )
        return (
            "The pickle was written with another version of that library. Pin the version that it was written "
            "with in the conda file or requirements."
        )
    if (
        isinstance(error, KeyError)
        and "joblib" in sys.modules
        and _raised_in(error).endswith(os.sep + "pickle.py")
    ):
        return (
            f"If the model's file is not damaged, a newer joblib than the installed {_version('joblib')} wrote it: "
            "pin that one in the conda file or requirements."
        )
    if isinstance(error, ValueError) and _compiled_for_another_numpy(text):
        return _compiled_for_another_numpy(text)
    if isinstance(error, ValueError) and "unsupported pickle protocol" in text:
        ours = sys.version.split()[0]
        return f"The pickle was written by a newer Python than {ours}: choose that Python in the environment."
    if type(error).__name__ == "UnpicklingError":
        return (
            "The file is not a pickle, or is cut short. A model saved by joblib is read by joblib.load; a Git LFS "
            "pointer is a small text file that stands for the real one."
        )
    if isinstance(error, (ValueError, AttributeError)) and ("dtype" in text and "incompatible" in text):
        return (
            "The pickle was written with another version of its library. Pin the version that it was written "
            "with in the conda file or requirements."
        )
    return ""
