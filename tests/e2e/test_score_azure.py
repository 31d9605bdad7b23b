"""Azure ML's batch files through ``penstock score``, as they stand: deployments, parallel steps, their scripts."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from PIL import Image
from sklearn.linear_model import LinearRegression

from penstock.bundle import interpreters
from support import batch_jobs

pytestmark = pytest.mark.slow

OTHERS = sorted(
    {each.version[:2] for each in interpreters.find() if each.version >= interpreters.OLDEST}
    - {(3, 11), (3, 12), (3, 13)}
)
"""Older Pythons of this machine, on which workers can read rows."""

SCRIPT = """\
import argparse, glob, os, sys
import pandas as pd


def init():
    global arguments, seen
    parser = argparse.ArgumentParser()
    parser.add_argument("--logging_level")
    parser.add_argument("--threshold", default="none")
    arguments = parser.parse_args()
    model = glob.glob(os.environ["AZUREML_MODEL_DIR"] + "/*")
    seen = (os.path.basename(model[0]), os.environ.get("FLAVOUR", ""))


def run(mini_batch):
    results = []
    for path in mini_batch:
        if "bad" in path:
            raise ValueError("bad file " + os.path.basename(path))
        said = [arguments.logging_level, arguments.threshold]
        results.append([os.path.basename(path), len(mini_batch), *seen, *said, "two words", 0.1])
    return pd.DataFrame(results)
"""


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[batch_jobs.Jobs]:
    made = batch_jobs.Jobs(tmp_path, {"PENSTOCK_CACHE": str(tmp_path / "cache")})
    yield made
    made.close()


def files(folder: Path, *names: str) -> Path:
    """A folder ``in`` of files with these names."""
    (folder / "in").mkdir(exist_ok=True)
    for name in names:
        (folder / "in" / name).write_text(name)
    return folder / "in"


def deployment(folder: Path, text: str, script: str = SCRIPT, name: str = "deployment.yml") -> None:
    """A deployment file, beside the folders ``code`` and ``models/classifier`` that it speaks of."""
    batch_jobs.script(folder, script)
    (folder / "models" / "classifier").mkdir(parents=True, exist_ok=True)
    (folder / "models" / "classifier" / "weights.txt").write_text("1")
    (folder / name).write_text(text)


COMMON = """\
$schema: https://azuremlschemas.azureedge.net/latest/modelBatchDeployment.schema.json
name: heart
endpoint_name: heart-batch
model: {path: models/classifier}
code_configuration: {code: code, scoring_script: score.py}
compute: azureml:cpu-cluster
"""
MODERN = (
    COMMON
    + """\
type: model
resources: {instance_count: 2}
settings:
  max_concurrency_per_instance: 1
  mini_batch_size: 2
  output_action: append_row
  output_file_name: scores.txt
  logging_level: debug
  error_threshold: -1
  retry_settings: {max_retries: 1, timeout: 30}
  environment_variables: {FLAVOUR: modern}
"""
)
LEGACY = (
    COMMON
    + """\
mini_batch_size: 2
output_action: append_row
output_file_name: scores.txt
logging_level: debug
error_threshold: -1
retry_settings: {max_retries: 1, timeout: 30}
environment_variables: {FLAVOUR: legacy}
"""
)


@pytest.mark.parametrize(("text", "flavour"), [(MODERN, "modern"), (LEGACY, "legacy")])
def test_a_deployment_with_and_without_type(
    jobs: batch_jobs.Jobs, tmp_path: Path, text: str, flavour: str
) -> None:
    deployment(tmp_path, text)
    files(tmp_path, "a.txt", "b b.txt", "c.txt", "d.txt", "ü.txt")
    done = jobs.run("deployment.yml", "-i", "in", "--output", "results")
    lines = (tmp_path / "results" / "scores.txt").read_text().splitlines()
    rest = f'classifier {flavour} DEBUG none "two words" 0.1'
    assert lines == [
        f"a.txt 2 {rest}",
        f'"b b.txt" 2 {rest}',
        f"c.txt 2 {rest}",
        f"d.txt 2 {rest}",
        f"ü.txt 1 {rest}",
    ]
    assert done.summary["items"] == 5
    kept = jobs.run("deployment.yml", "-i", "in", "--output", "results", report="text")
    assert "left as it was" in kept.out


def test_failures_are_ignored_until_nothing_succeeds(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    deployment(tmp_path, MODERN)
    folder = files(tmp_path, "a.txt", "b.txt", "bad.txt", "c.txt")
    done = jobs.run("deployment.yml", "-i", "in", "--output", "results")
    names = [line.split()[0] for line in (tmp_path / "results/scores.txt").read_text().splitlines()]
    assert names == ["a.txt", "b.txt"]
    assert (done.summary["items"], done.summary["failed"]) == (4, 2)
    assert "bad file" in done.summary["error"]
    for name in ("a.txt", "b.txt", "c.txt"):
        (folder / name).unlink()
    failed = jobs.run("deployment.yml", "-i", "in", "--output", "none", report="text", code=5)
    assert "No succeeded mini batch" in failed.err
    assert "ValueError: bad file bad.txt" in failed.err
    assert not (tmp_path / "none" / "scores.txt").exists()
    (tmp_path / "strict.yml").write_text(MODERN.replace("error_threshold: -1", "error_threshold: 0"))
    files(tmp_path, "a.txt", "c.txt")
    strict = jobs.run("strict.yml", "-i", "in", "--output", "none", report="text", code=5)
    assert "error_threshold" in strict.err


def test_a_mini_batch_is_tried_again_as_the_file_says(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    script = (
        "import os, time\n\n\ndef init():\n    pass\n\n\ndef run(mini_batch):\n"
        "    with open({!r}, 'a') as log:\n        log.write('x')\n"
        "    if 'slow' in mini_batch[0]:\n        time.sleep(100)\n    return mini_batch\n"
    ).format(str(tmp_path / "calls"))
    text = MODERN.replace("timeout: 30", "timeout: 3").replace("mini_batch_size: 2", "mini_batch_size: 1")
    deployment(tmp_path, text, script)
    files(tmp_path, "a.txt", "slow.txt")
    done = jobs.run("deployment.yml", "-i", "in", "--output", "results")
    assert (tmp_path / "calls").read_text() == "xxx"
    assert done.summary["failed"] == 1
    given = ("deployment.yml", "-i", "in", "--output", "other", "--job", "late", "--fail-on-timeout")
    failed = jobs.run(*given, report="text", code=5)
    assert "every attempt at mini-batch 1 ran out of time: one call took longer than 3 s" in failed.err
    resumed = jobs.run("--resume", "late", "--no-fail-on-timeout")
    assert resumed.summary["failed"] == 1


def mlflow_model(folder: Path) -> None:
    """A model as ``mlflow.sklearn.save_model`` leaves it, by hand."""
    data = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 2)), columns=["x", "y"])
    model = LinearRegression().fit(data, data @ [1.0, 2.0])
    (folder / "model").mkdir()
    (folder / "model" / "model.pkl").write_bytes(pickle.dumps(model))
    (folder / "model" / "MLmodel").write_text(
        "flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n    model_path: model.pkl\n"
        "    predict_fn: predict\n  sklearn:\n    pickled_model: model.pkl\n    serialization_format: pickle\n"
    )


NO_CODE = """\
name: linear
endpoint_name: linear
type: model
model: {path: model, type: mlflow_model}
compute: azureml:cpu-cluster
"""


def test_an_mlflow_model_without_code(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    mlflow_model(tmp_path)
    (tmp_path / "d.yml").write_text(NO_CODE)
    folder = files(tmp_path)
    (folder / "first one.csv").write_text("x,y\n1,2\n3,4\n0.5,0.25\n")
    pq.write_table(pa.table({"x": [10.0], "y": [0.0]}), folder / "second.parquet")
    (folder / "within").mkdir()
    (folder / "within" / "unread.csv").write_text("x,y\n1,2\n")
    jobs.run("d.yml", "-i", "in", "--output", "results", "--environment", "current")
    lines = [line.split(",") for line in (tmp_path / "results" / "predictions.csv").read_text().splitlines()]
    assert [(line[0], line[2]) for line in lines] == [
        ("0", "first one.csv"), ("1", "first one.csv"), ("2", "first one.csv"), ("0", "second.parquet"),
    ]  # fmt: skip
    np.testing.assert_allclose([float(line[1]) for line in lines], [5, 11, 1, 10], atol=1e-9)


def test_failures_of_a_model_without_code_are_counted_in_files(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    mlflow_model(tmp_path)
    (tmp_path / "d.yml").write_text(NO_CODE + "settings: {mini_batch_size: 1, error_threshold: 2}\n")
    folder = files(tmp_path, "a.txt", "b.json")
    for name in ("c.csv", "d.csv"):
        (folder / name).write_text("x,y\n" + "1,2\n" * 100)
    given = ("d.yml", "-i", "in", "--output", "results", "--environment", "current")
    done = jobs.run(*given)
    assert (done.summary["items"], done.summary["failed"]) == (4, 2)
    lines = (tmp_path / "results" / "predictions.csv").read_text().splitlines()
    assert len(lines) == 200
    (folder / "e.csv").write_text("z\n1\n")
    failed = jobs.run(*given[:4], "more", *given[5:], report="text", code=5)
    assert "files of this kind" in failed.err or "e.csv" in failed.err
    refused = jobs.run(*given, "--delimiter", ";", report="text", code=2)
    assert "--output results.csv scores rows" in refused.err
    jobs.run("d.yml", "-i", "in/[cd].csv", "--output", "scores.csv", *given[5:])
    assert len(pd.read_csv(tmp_path / "scores.csv")) == 200


def test_an_mlflow_model_of_images(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    class Redness(mlflow.pyfunc.PythonModel):
        """How red each image is, of any size."""

        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            assert model_input.dtype == np.uint8
            return model_input[..., 0].mean(axis=(1, 2))

    signature = ModelSignature(inputs=Schema([TensorSpec(np.dtype(np.uint8), (-1, -1, -1, 3))]))
    mlflow.pyfunc.save_model(
        str(tmp_path / "model"), python_model=Redness(), signature=signature, pip_requirements=["numpy"]
    )
    (tmp_path / "d.yml").write_text(NO_CODE)
    folder = files(tmp_path)
    for red in (3, 200):
        Image.new("RGB", (red, 7), (red, 0, 255)).save(folder / f"{red}.png")
    Image.new("L", (5, 5), 77).save(folder / "grey.bmp")
    jobs.run("d.yml", "-i", "in", "--output", "results", "--environment", "current", "--workers", "2")
    lines = (tmp_path / "results" / "predictions.csv").read_text().splitlines()
    assert lines == ["0,200,200.png", "0,3,3.png", "0,77,grey.bmp"]


def test_scripts_that_write_for_themselves(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    script = (
        "import os\nimport pandas as pd\n\n\ndef init():\n    pass\n\n\ndef run(mini_batch):\n"
        "    for path in mini_batch:\n        name = os.path.basename(path) + '.parquet'\n"
        "        folder = os.environ['AZUREML_BI_OUTPUT_PATH']\n"
        "        pd.DataFrame({'name': [name]}).to_parquet(os.path.join(folder, name))\n"
        "    return mini_batch\n"
    )
    deployment(tmp_path, MODERN.replace("append_row", "summary_only"), script)
    files(tmp_path, *(f"{number}.txt" for number in range(7)))
    jobs.run("deployment.yml", "-i", "in", "--output", "results")
    found = sorted(path.name for path in (tmp_path / "results").iterdir())
    assert found == [*(f"{number}.txt.parquet" for number in range(7)), "scores.txt"]
    processed = (tmp_path / "results" / "scores.txt").read_text().splitlines()
    assert processed == [str(tmp_path / "in" / f"{number}.txt") for number in range(7)]
    assert pd.read_parquet(tmp_path / "results" / "3.txt.parquet")["name"][0] == "3.txt.parquet"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_script_finds_the_model_and_nothing_else(jobs: batch_jobs.Jobs, tmp_path: Path, kind: str) -> None:
    """As drivers that take the first thing in AZUREML_MODEL_DIR rely on."""
    script = (
        "import glob, os\nfrom pathlib import Path\n\n\ndef init():\n    global found\n"
        "    top = os.environ['AZUREML_MODEL_DIR']\n"
        "    assert sorted(glob.glob(top + '/**', recursive=True))[1:] == sorted(map(str, Path(top).rglob('*')))\n"
        "    found = [f'{p.relative_to(top)}={p.read_text()}' for p in sorted(Path(top).rglob('*.txt'))]\n\n\n"
        "def run(mini_batch):\n    return [' '.join(found)] * len(mini_batch)\n"
    )
    text = MODERN.replace("append_row", "summary_only")
    deployment(tmp_path, text, script)
    (tmp_path / "many").mkdir()
    (tmp_path / "many" / "not-this.txt").write_text("no")
    if kind == "file":
        (tmp_path / "many" / "model.txt").write_text("a")
        expected = "model.txt=a"
    else:
        (tmp_path / "many" / "model" / "deep").mkdir(parents=True)
        (tmp_path / "many" / "model" / "a.txt").write_text("a")
        (tmp_path / "many" / "model" / "deep" / "b.txt").write_text("b")
        expected = "model/a.txt=a model/deep/b.txt=b"
    files(tmp_path, "1.bin")
    model = "many/model.txt" if kind == "file" else "many/model"
    jobs.run("deployment.yml", "--model", model, "-i", "in", "--output", "out.csv")
    assert pd.read_csv(tmp_path / "out.csv")["prediction"].tolist() == [expected]


STEP = """\
$schema: https://azuremlschemas.azureedge.net/latest/parallelComponent.schema.json
type: parallel
name: scoring
inputs:
  images: {type: uri_folder}
  threshold: {type: number, default: 0.5}
outputs:
  scores: {type: uri_file}
input_data: ${{inputs.images}}
mini_batch_size: "2"
max_concurrency_per_instance: 1
task:
  type: run_function
  code: code
  entry_script: score.py
  program_arguments: >-
    --threshold ${{inputs.threshold}}
    --append_row_dataframe_header True
    --allowed_failed_percent 60
  append_row_to: ${{outputs.scores}}
"""


def test_a_parallel_component(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    script = (
        "import sys, os\nimport pandas as pd\n\n\ndef init():\n    pass\n\n\ndef run(mini_batch):\n"
        "    names = [os.path.basename(path) for path in mini_batch]\n"
        "    return pd.DataFrame({'name': names, 'arguments': ' '.join(sys.argv[1:])})\n"
    )
    deployment(tmp_path, STEP, script, "step.yml")
    files(tmp_path, "a.png", "b.png", "c.png")
    jobs.run("step.yml", "--input", "images=in", "--input", "threshold=0.75", "--output", "results")
    assert (tmp_path / "results" / "scores").read_text().splitlines() == [
        "name arguments", *(f'{name}.png "--threshold 0.75 --logging_level INFO"' for name in "abc"),
    ]  # fmt: skip
    own = STEP.replace("outputs:", "outputs:\n  mine: {type: uri_folder}").replace(
        "--threshold", "--to ${{outputs.mine}} --threshold"
    )
    (tmp_path / "own.yml").write_text(own)
    (tmp_path / "code" / "score.py").write_text(
        "import sys, os\n\n\ndef init():\n    pass\n\n\ndef run(mini_batch):\n"
        "    for path in mini_batch:\n"
        "        open(os.path.join(sys.argv[2], os.path.basename(path) + '.txt'), 'w').close()\n"
        "    return mini_batch\n"
    )
    jobs.run("own.yml", "--input", "images=in", "--output", "more")
    assert sorted(path.name for path in (tmp_path / "more" / "mine").iterdir()) == [
        f"{name}.png.txt" for name in "abc"
    ]
    wrong = jobs.run("step.yml", "--input", "pictures=in", "--output", "x", report="text", code=2)
    assert "images" in wrong.err


@pytest.mark.parametrize("version", OTHERS[:2], ids=interpreters.dotted)
def test_the_environment_of_the_file_is_built_and_reads_rows(
    jobs: batch_jobs.Jobs, tmp_path: Path, version: tuple[int, int]
) -> None:
    script = (
        "import sys\nimport numpy\nimport pandas as pd\n\n\ndef init():\n    pass\n\n\ndef run(frame):\n"
        "    return pd.DataFrame({'twice': frame['x'] * 2, 'python': '%d.%d' % sys.version_info[:2]})\n"
    )
    conda = f"dependencies: [python={interpreters.dotted(version)}, pip, {{pip: [numpy, pandas]}}]"
    deployment(tmp_path, MODERN + f"environment:\n  image: ubuntu\n  conda_file:\n    {conda}\n", script)
    folder = files(tmp_path)
    (folder / "a.csv").write_text("x,name\n1,one\n2,two\n")
    (folder / "b.csv").write_text("x,name\n3,three\n")
    pq.write_table(pa.table({"x": [4, 5], "name": ["four", "five"]}), tmp_path / "more.parquet")
    jobs.run("deployment.yml", "-i", "in", "-i", "more.parquet", "--pass", "dataframe", "--output", "out.csv",
             "--keep-columns", "name")  # fmt: skip
    found = pd.read_csv(tmp_path / "out.csv", dtype={"python": str})
    assert list(found["twice"]) == [2, 4, 6, 8, 10]
    assert list(found["name"]) == ["one", "two", "three", "four", "five"]
    assert set(found["python"]) == {interpreters.dotted(version)}


def test_each_command_knows_the_others_files(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    import subprocess

    from support.servers import PENSTOCK

    deployment(tmp_path, MODERN)
    served = subprocess.run(
        [PENSTOCK, "serve", "deployment.yml"],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert served.returncode == 2
    assert "penstock score deployment.yml" in served.stderr
    online = COMMON.replace(
        "compute: azureml:cpu-cluster\n", "instance_type: Standard_DS3_v2\ninstance_count: 1\n"
    )
    online = online.replace("modelBatchDeployment", "managedOnlineDeployment")
    deployment(tmp_path, online, name="online.yml")
    files(tmp_path, "a.txt")
    scored = jobs.run("online.yml", "-i", "in", "--output", "out", report="text", code=2)
    assert "penstock serve online.yml" in scored.err or "answers requests" in scored.err
    assert json.dumps(scored.err).count("Traceback") == 0
