"""verify, retention and quarantine as an operator types them."""

import json
import os
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from sqlalchemy import select, update

from node.commitment.holdings import Wanted
from node.part10 import file_prefix
from node.running_node import LOCK_FILE, is_running
from storage import quarantine
from storage.new_quarantined import NewQuarantined
from storage.schema import DeliveryRow, InstanceRow
from tests.node.case_images import PATIENT_ID, PATIENT_NAME, mr_image, write_dataset_to
from tests.node.conftest import Clock
from tests.node.typed_node import PACS, TypedNode

DAY_S = 86_400.0


SETTINGS = f"""{PACS}
[receiver]
minimum_free_bytes = 0
[[callers]]
ae_title = "SCANNER"
addresses = ["127.0.0.1"]
[[routes]]
name = "forward"
pipeline = "none"
forward_originals_to = ["pacs"]
"""


class Operator(TypedNode):
    """Types commands on a node that only forwards."""

    def receive(self, *numbers: int) -> None:
        self.take_in(*map(mr_image, numbers))

    def refuse(self, content: bytes, sop_instance_uid: str = "2.25.10001") -> None:
        """Keep an object in quarantine, as the receiver does."""
        digest = sha256(content).hexdigest()
        prefix = file_prefix(
            sop_class_uid=MRImageStorage,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=ExplicitVRLittleEndian,
            source_ae_title="SCANNER",
        )
        new = NewQuarantined(
            file=self.files.write("quarantine", f"{digest[:32]}.dcm", [prefix, content]),
            content_sha256=digest,
            byte_count=len(content),
            calling_ae_title="SCANNER",
            sop_class_uid=MRImageStorage,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=ExplicitVRLittleEndian,
            status=0xC000,
            reason="the data set cannot be parsed (ValueError); repair the object at its source",
            received_at=self.clock(),
        )
        quarantine.add(self.database, self.files, new, limit_bytes=10**9)

    def instances(self) -> list[InstanceRow]:
        with self.database.reading() as session:
            return list(session.scalars(select(InstanceRow)))

    def delivered(self) -> None:
        """Everything arrived; the command's clock is the real one, so it arrived long ago."""
        long_ago = self.clock()
        with self.database.transaction() as session:
            session.execute(update(DeliveryRow).values(state="sent", sent_at=long_ago))

    def make_files_old(self) -> None:
        then = time.time() - 40 * DAY_S
        for path in self.files.root.glob("*/*/*"):
            os.utime(path, (then, then))


@pytest.fixture
def operator(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    no_settings_in_environment: None,
    logging_as_before: None,
) -> Operator:
    from datetime import UTC, datetime, timedelta

    clock = Clock()
    clock.time = datetime.now(UTC) - timedelta(days=60)
    return Operator(tmp_path, capsys, clock, SETTINGS)


def test_verify_of_a_clean_node_says_so_and_succeeds(operator: Operator) -> None:
    operator.receive(1, 2)

    assert operator.types("verify", "--contents") == 0

    assert "clean" in operator.out


def test_verify_fails_with_a_list_that_names_what_to_do_and_no_patient(operator: Operator) -> None:
    operator.receive(1, 2)
    lost = operator.instances()[1]
    operator.files.path(lost.file).unlink()

    assert operator.types("verify", "--json") == 1

    (one,) = json.loads(operator.out)["discrepancies"]
    assert one["kind"] == "file_missing"
    assert one["where"] == f"instance {lost.id} (UID {lost.sop_instance_uid})"
    assert "restore the file" in one["what_to_do"]
    assert operator.types("verify") == 1
    assert PATIENT_NAME not in operator.out
    assert PATIENT_ID not in operator.out


def test_verify_mends_files_without_a_row(operator: Operator) -> None:
    operator.receive(1)
    orphan = operator.files.write("instances", "never-acknowledged.dcm", [b"x"])
    operator.make_files_old()
    assert operator.types("verify") == 1

    assert operator.types("verify", "--mend") == 0

    assert "mended: 1 orphan" in operator.out
    assert not operator.files.path(orphan).exists()


@pytest.mark.parametrize(
    ("holds", "clean", "counts"),
    [
        (True, True, {"held": 1, "missing": 0, "unknown": 0}),
        (False, False, {"held": 0, "missing": 1, "unknown": 0}),
        (None, True, {"held": 0, "missing": 0, "unknown": 1}),
    ],
)
def test_verify_asks_the_destinations_and_tells_what_they_lack(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, holds: bool | None, clean: bool, counts: dict[str, int]
) -> None:
    def held(_destination: object, wanted: Sequence[Wanted], *, calling_ae_title: str) -> dict[str, bool | None]:
        assert calling_ae_title == "SPINENODE"
        return {one.sop_instance_uid: holds for one in wanted}

    monkeypatch.setattr("node.verification.held", held)
    operator.receive(1)
    operator.delivered()

    status = operator.types("verify", "--ask-pacs", "--json")

    answer = json.loads(operator.out)
    assert (status == 0, answer["clean"]) == (clean, clean)
    assert answer["destinations"] == counts


def test_retention_tells_what_would_go_and_then_takes_it(operator: Operator) -> None:
    operator.receive(1, 2)
    operator.delivered()
    operator.make_files_old()

    told = operator.reads("retention", "--dry-run")
    assert len(operator.instances()) == 2
    taken = operator.reads("retention")

    assert told["by_age"] == taken["by_age"]  # type: ignore[index]
    assert taken["by_age"]["instances"] == 2  # type: ignore[index]
    assert operator.instances() == []
    assert operator.types("verify") == 0


def test_retention_leaves_what_is_not_delivered(operator: Operator) -> None:
    operator.receive(1)
    operator.make_files_old()

    assert operator.types("retention") == 0

    assert len(operator.instances()) == 1


def data_set(number: int) -> bytes:
    from io import BytesIO

    buffer = BytesIO()
    write_dataset_to(buffer, mr_image(number))
    return buffer.getvalue()


def test_quarantine_is_listed_and_shown_without_patient_data(operator: Operator) -> None:
    operator.refuse(b"Musterfrau^Erika is no data set")

    (row,) = operator.reads("quarantine", "list")
    shown = operator.reads("quarantine", "show", "1")

    assert row == shown
    assert shown["status"] == "0xC000"  # type: ignore[index]
    assert operator.types("quarantine", "list") == 0
    assert "cannot be parsed" in operator.out
    assert "Musterfrau" not in operator.out


def test_a_refused_object_can_be_exported(operator: Operator, tmp_path: Path) -> None:
    operator.refuse(b"no data set")

    assert operator.types("quarantine", "export", "1", "--to", str(tmp_path / "out")) == 0

    assert (tmp_path / "out" / "quarantine-1.dcm").read_bytes().endswith(b"no data set")
    assert "cannot be parsed" in (tmp_path / "out" / "quarantine-1.json").read_text()


def test_what_can_be_read_today_leaves_the_quarantine_and_is_an_instance(operator: Operator) -> None:
    operator.refuse(data_set(1))

    (result,) = operator.reads("quarantine", "retry", "1")

    assert result == {"id": 1, "outcome": "new", "reason": ""}
    (instance,) = operator.instances()
    assert (instance.sop_instance_uid, instance.calling_ae_title) == ("2.25.10001", "SCANNER")
    assert operator.reads("quarantine", "list") == []
    assert operator.types("verify", "--contents") == 0


def test_what_cannot_be_read_today_either_stays_and_the_others_leave(operator: Operator) -> None:
    operator.refuse(b"no data set")
    operator.refuse(data_set(1))
    operator.refuse(data_set(2), sop_instance_uid="2.25.9")  # announced as another object

    assert operator.types("quarantine", "retry", "--all", "--json") == 1

    assert [one["outcome"] for one in json.loads(operator.out)] == ["refused", "new", "refused"]
    assert "2 of 3" in operator.err
    assert [row["id"] for row in operator.reads("quarantine", "list")] == [3, 1]
    assert operator.types("verify") == 0


def test_a_refused_object_can_be_removed(operator: Operator) -> None:
    operator.refuse(b"no data set")

    assert operator.types("quarantine", "remove", "1") == 0

    assert operator.reads("quarantine", "list") == []
    assert list(operator.files.root.glob("quarantine/*/*")) == []


@pytest.mark.parametrize(
    "arguments", [("show", "7"), ("remove", "7"), ("retry", "7"), ("export", "7", "--to", "nowhere")]
)
def test_an_object_that_is_not_there_is_said_to_be_none(operator: Operator, arguments: tuple[str, ...]) -> None:
    assert operator.types("quarantine", *arguments) == 1

    assert "there is no refused object 7" in operator.err


def test_retry_wants_one_object_or_all_of_them(operator: Operator) -> None:
    assert operator.types("quarantine", "retry") == 2
    assert operator.types("quarantine", "retry", "1", "--all") == 2


def test_a_node_runs_when_its_lock_is_held(tmp_path: Path) -> None:
    import fcntl

    lock = tmp_path / LOCK_FILE
    assert not is_running(tmp_path)
    lock.write_text("not a number\n")
    assert not is_running(tmp_path)
    lock.write_text(f"{os.getpid()}\n")
    assert not is_running(tmp_path)
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert is_running(tmp_path)
    lock.write_text("999999999\n")
    assert not is_running(tmp_path)
