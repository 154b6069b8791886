"""The browser tests tested: mistakes in the JavaScript of the page, one by one, turn them red."""

from pathlib import Path

import pytest

from browser import test_edits, test_own_input, test_training
from browser.chromium import Page
from browser.test_compute import SPECS, assert_computed, traced
from mutations.test_mutations import Mutation, read_mutations
from numdnc.inspection.viewer import export

MUTATIONS = list(read_mutations((Path(__file__).parent / "mutations.txt").read_text("utf-8")))
TESTS = {
    name: test
    for module in (test_edits, test_own_input, test_training)
    for name, test in vars(module).items()
    if name.startswith("test_")
}
for_each_mutation = pytest.mark.parametrize(
    "mutation", MUTATIONS, ids=lambda mutation: mutation.name.replace(" ", "-")
)


@for_each_mutation
def test_mutation_can_be_planted(mutation: Mutation) -> None:
    assert mutation.changed()
    assert mutation.tests in SPECS or mutation.tests in TESTS


@pytest.mark.thorough
@for_each_mutation
def test_mutation_is_caught(
    browser: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mutation: Mutation
) -> None:
    source = export._source
    name = mutation.source.removeprefix("inspection/viewer/")
    monkeypatch.setattr(
        export, "_source", lambda other: mutation.changed() if other == name else source(other)
    )
    with pytest.raises(AssertionError):
        if mutation.tests in SPECS:
            trace, params = traced(SPECS[mutation.tests])
            assert_computed(browser, tmp_path / "trace.html", trace, params)
        else:
            TESTS[mutation.tests](browser, tmp_path)
