"""A process that a test kills: records instances in several threads and prints the UID of each acknowledged one."""

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count
from pathlib import Path

from storage.database import Database
from storage.files import FileStore, name_for
from storage.instances import InstanceRecorder, NewInstance

THREADS = 4


def content_of(uid: str) -> bytes:
    return sha256(uid.encode()).digest() * 2000


def main(url: str, root: str, run: str) -> None:
    files, recorder = FileStore(Path(root)), InstanceRecorder(Database(url))

    def receive(thread: int) -> None:
        for number in count():
            uid = f"2.25.{run}.{thread}.{number}"
            content = content_of(uid)
            digest = sha256(content).hexdigest()
            file = files.write("instances", name_for(uid, digest), (content[:1000], content[1000:]))
            recorder.record(
                NewInstance(
                    sop_instance_uid=uid,
                    sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
                    series_instance_uid="2.25.2",
                    study_instance_uid="2.25.3",
                    transfer_syntax_uid="1.2.840.10008.1.2.1",
                    content_sha256=digest,
                    byte_count=len(content),
                    file=file,
                    calling_ae_title="SCANNER",
                    received_at=datetime.now(UTC),
                )
            )
            sys.stdout.write(f"{uid}\n")  # one write per line, so that lines of threads do not mix
            sys.stdout.flush()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(receive, range(THREADS)))


if __name__ == "__main__":
    main(*sys.argv[1:])
