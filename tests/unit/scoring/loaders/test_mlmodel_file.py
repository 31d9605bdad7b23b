"""The MLmodel reader reads what PyYAML writes, as PyYAML reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import ModelError
from penstock.scoring.loaders import mlmodel_file

_AWKWARD = st.sampled_from(list(" '\":-#\n\\,[]{}&*!|>%@`?\t"))
_CHARACTERS = st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Co", "Cn"])
_SCALARS = (
    st.text(_CHARACTERS | _AWKWARD, max_size=120)
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
)
_KEYS = st.text(st.sampled_from("abcdefgh_ :-.#'\"01"), min_size=1, max_size=20)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(_KEYS, _VALUES, max_size=5), st.booleans())
def test_reads_as_pyyaml_does(data: dict[str, object], allow_unicode: bool) -> None:
    text = yaml.safe_dump(data, default_flow_style=False, allow_unicode=allow_unicode)
    assert mlmodel_file.parse(text) == yaml.safe_load(text)


def test_what_it_does_not_read_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors:\n  sklearn: &anchor\n    x: 1\n")
    with pytest.raises(ModelError, match="MLmodel:2: cannot be understood"):
        mlmodel_file.read(str(tmp_path / "MLmodel"))
    (tmp_path / "MLmodel").write_text("- a\n")
    with pytest.raises(ModelError, match="holds no mapping"):
        mlmodel_file.read(str(tmp_path / "MLmodel"))
