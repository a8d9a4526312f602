"""How long storage commitment waits between attempts."""

from typing import Final

from config.settings import SenderSettings

_LARGEST_EXPONENT: Final = 32  # beyond every cap


def delay_s(attempt: int, settings: SenderSettings) -> float:
    """Seconds to wait after the `attempt`-th try (from 1): base * 2^attempt up to the cap.

    Without jitter: one peer is asked by one thread, there is no crowd to spread.
    """
    return min(settings.retry_cap_s, settings.retry_base_s * 2.0 ** min(attempt, _LARGEST_EXPONENT))
