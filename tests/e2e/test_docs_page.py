"""The page at /docs in a real browser, served by the real server: it loads clean, and its form scores."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import joblib
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from support import browser
from support.browser import Page
from support.servers import Server, serving
from support.waiting import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not browser.COMMAND, reason="there is no Chromium here"),
]

SUBMITTED = """
new Promise(done => {
  new MutationObserver(() => done([
    document.querySelector('#status').textContent,
    document.querySelector('#answer').textContent,
    document.querySelector('#time').textContent,
  ])).observe(document.querySelector('#answer'), {childList: true});
  document.querySelector('button.send').click();
})
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = tmp_path_factory.mktemp("model") / "iris.pkl"
    features, labels = load_iris(return_X_y=True, as_frame=True)
    joblib.dump(LogisticRegression(max_iter=500).fit(features, labels), path)
    with serving(str(path)) as server:
        yield server


@pytest.fixture
def page(server: Server, tmp_path: Path) -> Iterator[Page]:
    with browser.browsing(tmp_path) as page:
        page.open(f"http://127.0.0.1:{server.port}/docs")
        yield page


def test_it_loads_clean_and_scores_its_sample(page: Page, server: Server) -> None:
    assert page.run("document.title") == "iris"
    address = f"http://127.0.0.1:{server.port}/score"
    assert address in page.run("document.querySelector('.curl pre').textContent")
    status, answer, seconds = page.run(SUBMITTED)
    assert status == "200 OK"
    assert json.loads(answer)[0] in (0, 1, 2)
    assert " ms · request " in seconds
    page.run("document.querySelector('textarea').value = '{\"data\": [[1]]}'")
    status, answer, _ = page.run(SUBMITTED)
    assert status == "400 Bad Request"
    assert "message" in json.loads(answer)
    until(
        lambda: page.run("document.querySelector('#state').textContent") == "ready", "the state to be shown"
    )
    page.run("document.querySelector('label[for=tab-python]').click()")
    assert page.run("getComputedStyle(document.querySelector('.python')).display") == "block"
    # The refused request is the only thing that the console may speak of.
    assert [text for text in page.complaints if "400" not in text] == []
