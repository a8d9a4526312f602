"""The receive buffer gives back what came, in order, and grows no faster than it is filled."""

from hypothesis import given, settings
from hypothesis import strategies as st

from node.receiving.receive_buffer import ReceiveBuffer


@given(st.lists(st.tuples(st.integers(1, 9000), st.integers(0, 9000)), max_size=30), st.booleans())
@settings(max_examples=100, deadline=None)
def test_what_was_received_is_read_in_its_order(steps: list[tuple[int, int]], enlarges: bool) -> None:
    buffer, sent, read = ReceiveBuffer(), b"", b""
    for turn, (come, wanted) in enumerate(steps):
        room = buffer.room(1 << 18)
        count = min(come, len(room))
        room[:count] = bytes((turn,)) * count
        buffer.filled(count)
        sent += bytes((turn,)) * count
        if enlarges and turn == 5:
            buffer.enlarge()
        taken = bytes(buffer.unread[:wanted])
        buffer.take(len(taken))
        read += taken

    assert read + bytes(buffer.unread) == sent
    assert len(buffer) == len(sent) - len(read)


def test_the_buffer_grows_with_what_has_come_up_to_what_is_awaited() -> None:
    buffer, sizes = ReceiveBuffer(), []
    while len(buffer) < 100_000:
        room = buffer.room(100_000)
        sizes.append(len(buffer) + len(room))
        buffer.filled(len(room))

    assert sizes == [16_384, 32_768, 65_536, 100_000]


def test_a_forgotten_buffer_holds_nothing() -> None:
    buffer = ReceiveBuffer()
    buffer.filled(100)

    buffer.forget()

    assert (len(buffer), len(buffer.room(0))) == (0, 0)
