"""Files become values with lines; what is no such file is said with file, line and key."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import SpecError
from penstock.spec import documents, json_positions

KEYS = st.text(alphabet="abcxyz_é$ -", min_size=1, max_size=8).filter(lambda key: key.strip() == key)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@pytest.fixture
def write(tmp_path: Path):
    def written(text: str | bytes, name: str = "f.yml") -> str:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return written


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 0, "empty"),
        ("# only a comment\n", 0, "empty"),
        ("- a\n- b\n", 1, "a list"),
        ("just text\n", 1, "'just text'"),
        ("a: 1\nb: 2\na: 3\n", 3, "stood on line 1"),
        ("a:\n  b: 1\n  c:\n    d: 1\n    d: 2\n", 5, "a.c.d"),
        ("a:\n\tb: 1\n", 2, "tab"),
        ("a: 1\n---\nb: 2\n", 3, "second document"),
        ("a: [1,\n", 2, "not YAML"),
        ("a: b: c\n", 1, "not YAML"),
        ("name: {{NAME}}\n", 1, "key should"),
        ("a: 1\nb: !secret x\n", 2, "!secret"),
        ("a: &x\n  b: *x\n", 1, "endless"),
        (b"a: 1\nb: \xff\n", 2, "0xff"),
        ("a: *nope\n", 1, "not YAML"),
        ("a: 1\nb: \x07\n", 2, "U+0007"),
        ("a: 1\nb: !secret {x: 1}\n", 2, "!secret"),
        ("a: !!set {x}\n", 1, "means nothing here"),
        ("a: !!binary aGk=\n", 1, "means nothing here"),
        ("a: !!python/object:os.system x\n", 1, "means nothing here"),
        ("a: !!int x\n", 1, "cannot be read"),
        ("a: " + "[" * 3000 + "]" * 3000 + "\n", 0, "too deeply nested"),
    ],
)
def test_what_is_wrong_is_placed(write, text, line, words):
    file = write(text)
    with pytest.raises(SpecError) as caught:
        documents.read_yaml(file)
    assert caught.value.line == line
    assert caught.value.file == file
    assert words in str(caught.value)


def test_aliases_cannot_blow_up(write):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(SpecError, match="endless"):
        documents.read_yaml(write("\n".join(lines)))


def test_anchors_and_merge_keys_keep_lines(write):
    file = write("base: &base\n  a: 1\n  b: 2\nuse:\n  <<: *base\n  b: 3\nboth:\n  <<: [{a: 7}, *base]\n")
    document = documents.read_yaml(file)
    assert document.data["use"] == {"a": 1, "b": 3}
    assert document.data["both"] == {"a": 7, "b": 2}
    assert document.line_of(("use", "b")) == 6
    assert document.line_of(("use", "a")) == 2


def test_keys_stay_text_and_dates_too(write):
    document = documents.read_yaml(write("on: yes\n1: 2\nwhen: 2024-01-31\n~: x\n"))
    assert document.data == {"on": True, "1": 2, "when": "2024-01-31", "~": "x"}
    assert document.texts["on",] == "yes"


def test_a_byte_order_mark_and_document_markers_are_fine(write):
    assert documents.read_yaml(write("\ufeff---\na: 1\n...\n")).data == {"a": 1}
    assert documents.read_yaml(write("a: |\n  one\n  \ttwo\n")).data == {"a": "one\n\ttwo\n"}


def test_a_file_that_is_not_there_names_its_neighbour(write):
    file = write("a: 1\n", "blue.yml")
    with pytest.raises(SpecError) as caught:
        documents.read_yaml(file.replace("blue", "bleu"))
    assert "blue.yml" in caught.value.hint


@settings(max_examples=40)
@given(data=st.dictionaries(KEYS, VALUES, max_size=4))
def test_yaml_agrees_with_the_safe_loader(data, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / "given.yml"
    file.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    if data:
        assert documents.read_yaml(str(file)).data == yaml.safe_load(file.read_text(encoding="utf-8"))


@settings(max_examples=60)
@given(
    raw=st.binary(max_size=60)
    | st.text(alphabet="ab:-[]{}&*!'\"#|>\n\t ?%@,<~1", max_size=60).map(str.encode)
)
def test_any_bytes_give_a_value_or_a_spec_error(raw, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / "any.yml"
    file.write_bytes(raw)
    for read in (documents.read_yaml, documents.read_json):
        with contextlib.suppress(SpecError):
            assert isinstance(read(str(file)).data, dict)


@settings(max_examples=40)
@given(data=VALUES, indent=st.sampled_from([None, 2, "\t"]))
def test_json_is_read_whole_and_every_key_has_its_line(data, indent):
    text = json.dumps(data, indent=indent)
    found = json_positions.parse(text)
    assert found.value == data
    lines = text.splitlines()
    for path, line in found.lines.items():
        if path and isinstance(path[-1], str):
            assert json.dumps(path[-1]) in lines[line - 1]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"a": 1,\n "a": 2}', 2),
        ('{"a": 1,\n}', 2),
        ("{", 1),
        ('{"a": NaN}', 1),
        ("[" * 99999, 1),
        ("[" * 500 + "]" * 500, 1),
    ],
)
def test_what_is_not_json_is_placed(text, line):
    with pytest.raises(json_positions.NotJson) as caught:
        json_positions.parse(text)
    assert caught.value.line == line
