"""An association of ours gets the answers to its requests, whenever its threads run."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pynetdicom.association import Association

from node.errors import SUCCESS
from tests.node.network.objects import EXPLICIT, MR, dicom_file, encoded, mr_image
from tests.node.network.peers import DEADLINE_S, peer_that, request_association


class LateReactor:
    """Holds the library's reactor where it last saw that it may run, until an answer has come; then lets it look first.

    That is what happens now and then when a machine is busy.
    """

    def __init__(self, association: Association, patched: pytest.MonkeyPatch) -> None:
        self._held, self._arrived, self._looked = threading.Event(), threading.Event(), threading.Event()
        dimse, checkpoint = association.dimse, association._reactor_checkpoint
        self._wait, self._receive, self._get = checkpoint.wait, dimse.receive_primitive, dimse.get_msg
        self._reactor: Callable[[], bool] = lambda: threading.current_thread() is association
        patched.setattr(checkpoint, "wait", self._held_back)
        patched.setattr(dimse, "receive_primitive", self._received)
        patched.setattr(dimse, "get_msg", self._taken)

    def wait_until_held(self) -> None:
        assert self._held.wait(DEADLINE_S)

    def _held_back(self, timeout: float | None = None) -> bool:
        may_run = self._wait(timeout)
        if self._reactor():
            self._held.set()
            assert self._arrived.wait(DEADLINE_S)
        return may_run

    def _received(self, primitive: Any) -> None:
        self._receive(primitive)
        self._arrived.set()

    def _taken(self, block: bool = False) -> Any:
        if block:
            assert self._looked.wait(DEADLINE_S)
            return self._get(block)
        taken = self._get(block)
        if self._arrived.is_set():
            self._looked.set()
        return taken


def test_an_answer_goes_to_who_asked_also_when_the_reactor_is_late_to_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = dicom_file(tmp_path / "image.dcm", encoded(mr_image(SOPInstanceUID="2.25.7")), sop_instance_uid="2.25.7")
    with peer_that(lambda _: SUCCESS) as port:
        association = request_association(port, [(MR, EXPLICIT)])
        association.dimse_timeout = 1.0
        reactor = LateReactor(association, monkeypatch)
        reactor.wait_until_held()

        answer = association.send_c_store(image)

        monkeypatch.undo()
        association.release()
    assert answer.Status == SUCCESS
