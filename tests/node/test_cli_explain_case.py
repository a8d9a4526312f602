"""`spinenode explain CASE` as an operator types it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydicom import dcmread
from sqlalchemy import select

from inference.bundle import DEMO_BUNDLE
from inference.findings import Findings
from inference.findings_json import to_json
from inference.runtime import Device, Runtime
from node.explanation import question
from storage.schema import InstanceRow
from tests.node.conftest import Clock
from tests.node.explained import numbers, seen
from tests.node.typed_node import ANSWERS_PACS, TypedNode

torch.set_num_threads(1)
WORKER_OF_NOW = '[worker]\ndevice = "cpu"\nthreads = 1\nimage_size = 320\nproposals = 7'


class Node(TypedNode):
    """A node with one phantom patient."""

    def answer(self, findings: Findings) -> None:
        """As the worker answers a case."""
        self.report(self.claim(), to_json(findings), [])


@pytest.fixture
def node(
    tmp_path: Path,
    voting_bundle: Path,
    spine_study: Path,
    clock: Clock,
    capsys: pytest.CaptureFixture[str],
    no_settings_in_environment: None,
    logging_as_before: None,
) -> Node:
    node = Node(tmp_path, capsys, clock, f'[worker]\nbundle = "{voting_bundle}"\n{ANSWERS_PACS}')
    node.take_in(*(dcmread(file) for file in sorted(spine_study.rglob("*")) if file.is_file()))
    return node


def test_an_answered_case_is_explained_as_it_was_answered(node: Node, spine_findings: Findings, tmp_path: Path) -> None:
    node.answer(spine_findings)

    assert node.types("explain", "1", "--out", tmp_path / "out") == 0

    assert spine_findings.decision is not None
    told = numbers(tmp_path / "out")["decision"]
    assert told["probability"] == pytest.approx(spine_findings.decision.probability_malignant)
    page = seen(tmp_path / "out").text
    assert "Explained: case 1, revision 1." in page
    assert "This is not the answer that was sent" not in page


def test_an_answer_that_does_not_come_out_again_is_told_on_the_page(
    node: Node, spine_findings: Findings, tmp_path: Path
) -> None:
    assert spine_findings.decision is not None
    node.answer(replace(spine_findings, decision=replace(spine_findings.decision, probability_malignant=0.07)))

    assert node.types("explain", "1", "--out", tmp_path / "out") == 0

    page = seen(tmp_path / "out").text
    assert "This is not the answer that was sent" in page
    assert "7.0 %" in page


def test_a_case_is_explained_at_the_size_that_answered_it_and_on_the_workers_device(
    node: Node, spine_findings: Findings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settings name another size by now."""
    loaded: list[Runtime] = []
    node.config.write_text(node.config.read_text().replace("[worker]", WORKER_OF_NOW))
    monkeypatch.setattr(question, "load_pipeline", lambda _bundle, runtime: loaded.append(runtime) or _stop())
    node.answer(replace(spine_findings, parameters={**spine_findings.parameters, "image_size": 64.0}))

    with pytest.raises(_Stopped):
        node.types("explain", "1", "--out", tmp_path / "out")

    assert loaded == [Runtime(device=Device.CPU, threads=1, image_size=64, proposals=None)]


class _Stopped(Exception):
    pass


def _stop() -> None:
    raise _Stopped


def test_a_case_without_an_answer_is_refused_in_one_line(node: Node, tmp_path: Path) -> None:
    assert node.types("explain", "1", "--out", tmp_path / "out") == 1

    assert "case 1 has no answer yet" in node.err
    assert not (tmp_path / "out").exists()


def test_other_weights_than_those_that_answered_do_not_explain_the_answer(
    node: Node, spine_findings: Findings, tmp_path: Path
) -> None:
    node.answer(spine_findings)

    assert node.types("explain", "1", "--bundle", DEMO_BUNDLE, "--out", tmp_path / "out") == 1

    told = node.err
    assert spine_findings.bundle.sha256[:12] in told
    assert "--bundle" in told


def test_a_case_whose_images_are_gone_says_so(node: Node, spine_findings: Findings, tmp_path: Path) -> None:
    node.answer(spine_findings)
    with node.database.reading() as session:
        for row in session.scalars(select(InstanceRow)):
            node.files.path(row.file).unlink()

    assert node.types("explain", "1", "--out", tmp_path / "out") == 1

    assert "images of case 1 are gone" in node.err
