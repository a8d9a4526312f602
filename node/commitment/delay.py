"""How long storage commitment waits between attempts."""

from datetime import timedelta
from typing import Final

from config.settings import SenderSettings

_LARGEST_EXPONENT: Final = 32  # beyond every cap


def delay_s(attempt: int, settings: SenderSettings) -> float:
    """Seconds to wait after the `attempt`-th try (from 1): base * 2^attempt up to the cap.

    Without jitter: one peer is asked by one thread, there is no crowd to spread.
    """
    return min(settings.retry_cap_s, settings.retry_base_s * 2.0 ** min(attempt, _LARGEST_EXPONENT))


def commitment_patience(settings: SenderSettings) -> timedelta:
    """How long an archive may leave a delivery uncommitted before a person is told: so many askings as attempts."""
    return settings.maximum_attempts * timedelta(seconds=settings.commitment_wait_s)
