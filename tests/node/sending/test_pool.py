"""Associations are kept between batches, not longer than needed, and never used when the peer has ended them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage
from pynetdicom import AE, evt
from pynetdicom.events import Event

from node.embedded_archive import EmbeddedArchive
from node.errors import PeerUnavailable
from node.sending.association import Peer
from node.sending.pool import AssociationPool
from tests.node.network.objects import EXPLICIT, MR
from tests.node.network.peers import LOOPBACK, wait_until
from tests.postgresql import free_port

MR_CONTEXT = (MR, EXPLICIT)
CT_CONTEXT = (str(CTImageStorage), EXPLICIT)
IDLE_S = 4.0


def peer_at(port: int) -> Peer:
    return Peer(host=LOOPBACK, port=port, called_ae_title="ARCHIVE", calling_ae_title="SPINENODE", timeout_s=5.0)


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[EmbeddedArchive]:
    archive = EmbeddedArchive(tmp_path / "archive")
    archive.start()
    yield archive
    archive.stop()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def pool(archive: EmbeddedArchive, time: Time) -> Iterator[AssociationPool]:
    pool = AssociationPool(lambda: peer_at(archive.port), idle_s=IDLE_S, clock=time)
    yield pool
    pool.close()


def test_the_next_borrower_gets_the_association_of_the_one_before(pool: AssociationPool) -> None:
    with pool.borrowed([MR_CONTEXT]) as first:
        pass
    with pool.borrowed([MR_CONTEXT]) as second:
        pass

    assert second is first


def test_two_borrowers_at_once_get_two_associations(pool: AssociationPool) -> None:
    with pool.borrowed([MR_CONTEXT]) as first, pool.borrowed([MR_CONTEXT]) as second:
        assert second is not first


def test_other_contexts_need_another_association_that_then_serves_both(pool: AssociationPool) -> None:
    with pool.borrowed([MR_CONTEXT]) as first:
        pass
    with pool.borrowed([CT_CONTEXT]) as second:
        pass
    with pool.borrowed([MR_CONTEXT]) as third:
        pass

    assert not first.is_open
    assert third is second
    assert second.accepted.keys() == {MR_CONTEXT, CT_CONTEXT}


def test_an_association_that_was_ended_in_the_block_is_not_kept(pool: AssociationPool) -> None:
    with pool.borrowed([MR_CONTEXT]) as first:
        first.abort()
    with pool.borrowed([MR_CONTEXT]) as second:
        assert second.is_open


def test_what_was_idle_for_long_enough_is_released(pool: AssociationPool, time: Time) -> None:
    with pool.borrowed([MR_CONTEXT]) as association:
        pass

    time.now += IDLE_S - 0.1
    pool.close_idle()
    kept = association.is_open
    time.now += 0.1
    pool.close_idle()

    assert (kept, association.is_open) == (True, False)


def test_an_association_that_the_peer_ended_meanwhile_is_not_used(archive: EmbeddedArchive, tmp_path: Path) -> None:
    port = archive.port
    pool = AssociationPool(lambda: peer_at(port))
    with pool.borrowed([MR_CONTEXT]) as first:
        pass
    archive.stop()
    again = EmbeddedArchive(tmp_path / "again", port=port)
    wait_until(lambda: not first.is_usable, what="the end of the association is seen")
    again.start()

    with pool.borrowed([MR_CONTEXT]) as second:
        pass
    pool.close()
    again.stop()

    assert second is not first


def test_a_peer_that_is_away_is_told_by_name() -> None:
    pool = AssociationPool(lambda: peer_at(free_port()))

    with pytest.raises(PeerUnavailable, match=r"ARCHIVE at 127\.0\.0\.1.*refused"), pool.borrowed([MR_CONTEXT]):
        pass


def test_an_association_is_released_in_agreement_with_the_peer() -> None:
    ended: list[str] = []
    entity = AE(ae_title="ARCHIVE")
    entity.add_supported_context(MR, [EXPLICIT])

    def note(event: Event) -> None:
        ended.append(event.event.name)

    handlers = [(evt.EVT_RELEASED, note), (evt.EVT_ABORTED, note)]
    server = entity.start_server((LOOPBACK, 0), block=False, evt_handlers=handlers)  # type: ignore[arg-type]
    assert server is not None
    pool = AssociationPool(lambda: peer_at(server.server_address[1]))
    with pool.borrowed([MR_CONTEXT]):
        pass

    pool.close()

    wait_until(lambda: ended, what="the association ends")
    entity.shutdown()
    assert ended == ["EVT_RELEASED"]
