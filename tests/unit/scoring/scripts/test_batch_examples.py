"""Scripts in the manner of those that people have for Azure ML, unchanged, each with what it should give."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import batch_script_bench
import pytest
from batch_script_bench import opened, texts, untouched

from penstock.scoring.scripts import batch_tables

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")


pytestmark = pytest.mark.filterwarnings("ignore")  # users' scripts do what newer libraries warn of


@pytest.fixture(autouse=True)
def _process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with untouched():
        output = tmp_path / "score"
        output.mkdir()
        monkeypatch.setenv("AZUREML_BI_OUTPUT_PATH", str(output))
        yield


def rows(scored) -> list[dict]:
    return batch_tables.to_table(scored.content).to_pylist()


@pytest.fixture(scope="module")
def heart(tmp_path_factory) -> Path:
    linear_model = pytest.importorskip("sklearn.linear_model")
    joblib = pytest.importorskip("joblib")
    frame = pd.DataFrame({"age": [30, 40, 60, 70], "chol": [180, 200, 260, 300], "thal_normal": [1, 1, 0, 0]})
    model = linear_model.LogisticRegression(max_iter=5000).fit(frame, [0, 0, 1, 1])
    path = tmp_path_factory.mktemp("heart") / "model" / "heart.pkl"
    path.parent.mkdir()
    joblib.dump({"model": model, "columns": list(frame.columns)}, path)
    return path


HEARTS = pa.table({"age": [35, 65, 50], "chol": [190, 280, 240], "thal_normal": [1, 0, 1]})


def test_every_example_is_tested():
    source = Path(__file__).read_text() + Path(__file__).with_name("test_batch_contract.py").read_text()
    names = {
        path.name for path in batch_script_bench.SCRIPTS.iterdir() if path.is_dir() and path.name[0] != "."
    }
    assert {name for name in names if name not in source} == set()
    assert len(names) >= 45


# Scripts that take files


def test_images(tmp_path):
    np.savez(tmp_path / "digits.npz", weights=np.eye(4))
    paths = []
    for bright in (2, 0):
        path = tmp_path / f"{bright}.pgm"
        path.write_bytes(b"P5\n2 2\n255\n" + bytes(200 if at == bright else 0 for at in range(4)))
        paths.append(str(path))
    scored = opened("digits", model=tmp_path / "digits.npz").score(paths)
    assert scored.content == ["2.pgm: 2", "0.pgm: 0"]
    assert scored.successes == 2


def test_csv_files_and_a_model_found_by_its_ending(tmp_path, heart):
    paths = texts(
        tmp_path,
        "age,chol,thal\n35,190,normal\n65,280,fixed\n",
        "age,chol,thal\n66,290,reversible\n",
        suffix=".csv",
    )
    scored = opened("heart", model=heart.parent).score(paths)
    assert rows(scored) == [
        {"prediction": 0, "file": "1.csv"},
        {"prediction": 1, "file": "1.csv"},
        {"prediction": 1, "file": "2.csv"},
    ]
    assert scored.successes == 3


def test_parquet_files_and_an_index_that_repeats(tmp_path):
    for name in ("x", "y"):
        pd.DataFrame({"a": [1, 2], "b": [0.5, None]}).to_parquet(tmp_path / f"{name}.parquet")
    scored = opened("parquet_scores").score([str(tmp_path / "x.parquet"), str(tmp_path / "y.parquet")])
    table = batch_tables.to_table(scored.content)
    assert table.column_names == ["b", "score", "source"]
    assert [str(field.type) for field in table.schema] == ["double", "float", "string"]
    assert table.to_pylist()[1:3] == [
        {"b": None, "score": None, "source": "x"},
        {"b": 0.5, "score": 2.5, "source": "y"},
    ]


@pytest.mark.slow
def test_an_mlflow_model_and_rows_of_mixed_arrays(tmp_path):
    mlflow = pytest.importorskip("mlflow")

    class Doubles(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return (model_input["a"] * 2).to_numpy()

    mlflow.pyfunc.save_model(str(tmp_path / "model"), python_model=Doubles(), pip_requirements=["numpy"])
    paths = texts(tmp_path / "in", "a\n1\n2\n", "a\n3\n", suffix=".csv")
    scored = opened("mlflow_rows", model=tmp_path / "model").score(paths)
    assert [list(row.values()) for row in rows(scored)] == [[2, "1.csv"], [4, "1.csv"], [6, "2.csv"]]


@pytest.mark.slow
def test_a_torch_module(tmp_path):
    torch = pytest.importorskip("torch")
    net = torch.jit.trace(torch.nn.Softplus(), torch.ones(1, 3))
    torch.jit.save(net, tmp_path / "net.pt")
    paths = []
    for number in (1, 2):
        np.save(tmp_path / f"{number}.npy", np.eye(3, dtype="float32")[number] * 9)
        paths.append(str(tmp_path / f"{number}.npy"))
    found = rows(opened("torch_module", model=tmp_path / "net.pt").score(paths))
    assert [(row["file"], row["class"], row["probability"] > 0.9) for row in found] == [
        ("1.npy", 1, True),
        ("2.npy", 2, True),
    ]


def test_parquet_written_by_the_script(tmp_path):
    paths = texts(tmp_path, "a\n1\n2\n", suffix=".csv")
    assert opened("summary_parquet").score(paths).content == paths
    assert pd.read_parquet(tmp_path / "score" / "1.parquet")["prediction"].tolist() == [False, True]


def test_lines_written_by_the_script(tmp_path):
    paths = texts(tmp_path, '{"text": "abc"}\n', "", suffix=".jsonl")
    scorer = opened("summary_lines")
    assert [scorer.score(paths).successes for _ in range(2)] == [2, 2]
    assert (tmp_path / "score" / f"part-{os.getpid()}.jsonl").read_text() == '{"length": 3}\n' * 2


@pytest.mark.parametrize("called", ["threshold-model", "model"])
def test_a_model_by_its_registered_name(tmp_path, called):
    """The script may call it by the name that it has in a workspace, which is not here."""
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "other.txt").write_text("")
    path = tmp_path / "m" / "model.pkl"
    path.write_bytes(pickle.dumps({"threshold": 2.0}))
    scorer = opened("model_name", model=path, program_arguments=("--model_name", called, "--misspelled", "x"))
    assert scorer.score(texts(tmp_path, "1", "3")).content == [("1.txt", "?", False), ("2.txt", "?", True)]


def test_a_script_that_refuses_unknown_arguments():
    arguments = ("--json_setting", '{"name": "John", "age": 21}')
    scorer = opened("strict_arguments", program_arguments=arguments, logging_level="debug")
    assert scorer.score(["/a"]).content == ["John DEBUG /a"]


def test_a_class_in_a_global(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "factor.txt").write_text("2")
    scorer = opened("predictor_class", model=tmp_path / "m" / "factor.txt")
    assert rows(scorer.score(texts(tmp_path, "abc", ""))) == [
        {"file": "1.txt", "size": 6.0},
        {"file": "2.txt", "size": 0.0},
    ]


def test_entry_script(tmp_path, capsys):
    scorer = opened("entry_script")
    assert scorer.score(texts(tmp_path, "1")).content == [f"{tmp_path}/1.txt changed"]
    scorer.close()
    said = capsys.readouterr().err
    assert re.findall(r"\|(INFO|WARNING|DEBUG)\|.*\|(.*)", said) == [
        ("INFO", "init() started."),
        ("WARNING", "run() is called with 1 files."),
        ("INFO", "shutdown is called."),
    ]
    assert [path.name for path in (tmp_path / "score").iterdir()] == [f"1.process{os.getpid()}.done"]


def test_texts_with_all_that_a_text_can_hold(tmp_path):
    (tmp_path / "1.csv").write_text('text\n"say ""hi"", twice\nplease"\n"ünï, ☃"\n')
    assert rows(opened("summaries").score([str(tmp_path / "1.csv")])) == [
        {"file": "1.csv", "summary_text": 'say "hi", twice\nplease'},
        {"file": "1.csv", "summary_text": "ünï, ☃"},
    ]


def test_a_script_deep_in_its_folder():
    assert opened("nested").score(["/a", "/bc"]).content == ["even!", "even!"]


def test_files_beside_the_script_by_relative_paths():
    assert opened("relative_files").score(["/a"]).content == [">1"]


def test_metrics_of_an_offline_run(capsys):
    assert opened("metrics").score(["/a", "/b"]).successes == 2
    assert "metric files: 2" in capsys.readouterr().out


def test_a_pool_of_its_own(tmp_path):
    assert opened("pool").score(texts(tmp_path, "a", "bc")).content == [("1.txt", 1), ("2.txt", 2)]


@pytest.mark.slow
def test_a_spawned_helper_finds_the_script():
    code, script = batch_script_bench.folder("spawn")
    program = f"""
import sys
sys.path[:0] = {[str(Path(batch_script_bench.__file__).parent)]!r}
import batch_script_bench
if __name__ == "__main__":
    print(batch_script_bench.opened("spawn").score(["/a", "/bc"]).content)
"""
    main = code.parent / "spawn" / script
    assert main.is_file()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100)
    assert done.stdout.strip() == "[(2, 'spawning_driver'), (3, 'spawning_driver')]", done.stderr


def test_threads(tmp_path):
    assert opened("threads").score(texts(tmp_path, "a", "bcd")).content == [1, 3]


def test_a_command(tmp_path):
    scored = opened("subprocesses").score(texts(tmp_path, "a", "bcd"))
    assert batch_tables.to_table(scored.content).column(0).to_pylist() == [b"1\n", b"3\n"]


def test_a_lot_of_output(capfd):
    assert opened("chatty").score(["/a"]).content == ["/a"]
    out, err = capfd.readouterr()
    assert (len(out) > 2_000_000, err.count("\n")) == (True, 2000)


def test_a_list_that_is_emptied():
    given = ["/a", "/b"]
    assert opened("greedy").score(given).content == ["/b", "/a"]
    assert given == ["/a", "/b"]


def test_a_script_that_goes_elsewhere():
    assert opened("wanderer").score(["/a"]).successes == 1


def test_a_bad_file_that_the_script_catches(tmp_path):
    paths = texts(tmp_path, "a\n1\n2\n", "", suffix=".csv")
    assert rows(opened("tolerant").score(paths)) == [
        {"file": "1.csv", "sum": 3, "error": None},
        {"file": "2.csv", "sum": None, "error": "EmptyDataError"},
    ]


def test_a_frame_for_each_file(tmp_path):
    scored = opened("frames_list").score(texts(tmp_path, "a\n1\n2\n", "a\n3\n", suffix=".csv"))
    assert (scored.successes, rows(scored)) == (2, [{"a": 1}, {"a": 2}, {"a": 3}])


def test_a_run_that_is_an_object():
    assert opened("callable_run").score(["/a", "/b"]).content == [3, 3]


def test_a_class_of_a_module_beside_the_script(tmp_path):
    (tmp_path / "mine.pkl").write_bytes(b"cmy_model\nMine\n)\x81.")
    assert opened("pickled", model=tmp_path / "mine.pkl").score(["/a"]).content == [9]


def test_each_element_of_another_type():
    scored = opened("mixed").score(["/a"] * 5)
    assert batch_tables.to_table(scored.content).column(0).to_pylist() == [
        "1",
        "two",
        "3.5",
        None,
        "{'four': 4}",
    ]


# Scripts that take data frames


def frame_scorer(name: str, table: pa.Table = HEARTS, **more):
    return opened(name, takes="frame", schema=table.schema, **more)


def test_a_frame_with_its_predictions(heart):
    scored = frame_scorer("frame_scores", model=heart).score(HEARTS)
    table = batch_tables.to_table(scored.content)
    assert table.column_names == ["age", "prediction", "probability"]
    assert table.column("prediction").to_pylist()[:2] == [0, 1]


def test_row_by_row():
    assert rows(frame_scorer("frame_rows").score(HEARTS)) == [
        {"age": 35, "risk": "low"},
        {"age": 65, "risk": "high"},
        {"age": 50, "risk": "low"},
    ]


def test_a_series_keeps_its_precision():
    scored = frame_scorer("series").score(HEARTS)
    assert str(scored.content[0]) == "0.18421052"
    assert str(batch_tables.to_table(scored.content).schema.field("prediction").type) == "float"


def test_an_array_of_two_dimensions():
    scored = frame_scorer("array").score(HEARTS)
    assert scored.successes == 3
    assert rows(scored)[0] == {"prediction_0": 0.35, "prediction_1": 0.65}


def test_a_tuple():
    assert frame_scorer("tuple_result").score(HEARTS).content == [35, 65, 50]


def test_a_frame_with_repeated_columns_and_a_wild_index():
    assert rows(frame_scorer("odd_frames").score(HEARTS))[1] == {"age": 65, "age_1": 65}


def test_a_partition():
    table = pa.table(
        {"Date": ["2020-01-02", "2020-01-01"], "Store": ["7", "7"], "Quantity": [4, 2], "Revenue": [1.0, 2.0]}
    )
    scorer = frame_scorer("partitioned", table, program_arguments=("--drop_cols", "Revenue,Store"))
    scorer.begin(12, 0, {"Store": "7"})
    found = rows(scorer.score(table))
    assert [(str(row["Date"])[:10], row["forecast"], row["model"]) for row in found] == [
        ("2020-01-01", 2.0, "7_12"),
        ("2020-01-02", 3.0, "7_12"),
    ]


def test_lineage_is_not_the_scripts_affair(heart):
    travelling = HEARTS.append_column("_file", pa.array(["x"] * 3)).append_column("_row", pa.array(range(3)))
    scorer = opened(batch_script_bench.SCRIPTS / "frame_changer", takes="frame", schema=HEARTS.schema)
    with pytest.raises(Exception, match="busy"):
        scorer.score(travelling)
    assert scorer.score(travelling).content.columns.tolist() == ["age", "chol"]


def test_what_a_failed_run_changed_is_not_there_at_its_repetition():
    for data in (HEARTS, HEARTS.slice(1), HEARTS.to_pandas(split_blocks=True).iloc[1:]):
        scorer = frame_scorer("frame_changer")
        with pytest.raises(Exception, match="TimeoutError: the service was busy"):
            scorer.score(data)
        ages = [row["age"] for row in rows(scorer.score(data))]
        assert ages == ([36, 65, 51] if len(data) == 3 else [66, 51])
    assert HEARTS.column("chol").to_pylist() == [190, 280, 240]
    sys.modules.pop("driver", None)


def test_a_frame_made_from_arrow_may_be_written_to():
    """Where pyarrow splits blocks, a column shares its memory, which cannot be written to."""
    table = pa.table({"age": [1.5, 2.5], "chol": [1, 2], "thal_normal": [True, False]})
    scorer = frame_scorer("frame_changer", table)
    with pytest.raises(Exception, match="TimeoutError"):
        scorer.score(table)
    assert rows(scorer.score(table)) == [{"age": 2.5, "chol": 2}, {"age": 3.5, "chol": 4}]
    assert table.column("age").to_pylist() == [1.5, 2.5]


def test_pandas_own_notes_in_a_parquet_file_make_no_index():
    table = pa.Table.from_pandas(pd.DataFrame({"age": [5, 1, 3], "chol": [1, 2, 3]}).set_index("age"))
    scorer = frame_scorer("tuple_result", table)
    assert scorer.score(table).content == [5, 1, 3]


def test_contexts_name_files_that_never_collide(tmp_path):
    scorer = opened("context_files")
    for number, start in ((0, 0), (0, 10), (1, 0)):
        scorer.begin(number, start)
        scorer.score(["/a"])
    assert sorted(path.name for path in (tmp_path / "score").iterdir()) == ["0.txt", "0_10.txt", "1.txt"]


def test_a_context_by_keyword():
    scorer = opened("context_keyword")
    scorer.begin(5)
    assert scorer.score(["/a"]).content == [9]


def test_results_are_json_where_scripts_write_json(tmp_path):
    """A script's own text passes as it is."""
    scored = opened(batch_script_bench.SCRIPTS / "returns_too_many").score(['{"a": "\\u00fc"}'])
    assert json.loads(rows(scored)[1]["prediction"]) == {"a": "ü"}
