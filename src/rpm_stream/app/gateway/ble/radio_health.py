"""Whether an adapter still works, judged by what it hears and whom it reaches.

An adapter that hangs reports no error: it hears nothing, or every connection fails. This module is
pure. All times are in seconds of one clock.
"""

from __future__ import annotations

from rpm_stream.app.gateway.ble.options import HubOptions

LONGEST_PATIENCE = 6 * 3600.0


class RadioHealth:
    """The signs of one adapter."""

    def __init__(self, options: HubOptions) -> None:
        self.in_vain = 0  # resets since the last advertisement
        self._options = options
        self._seen_at = 0.0  # time of the last advertisement of any device
        self._rescanned_at = 0.0
        self._failed = 0  # failed connections in a row

    def opened(self, now: float) -> None:
        """Note that the adapter was opened."""
        self._seen_at = self._rescanned_at = now

    def heard(self, now: float) -> None:
        """Note an advertisement."""
        self._seen_at = now
        self.in_vain = 0

    def reached(self) -> None:
        """Note that a device was connected to."""
        self._failed = 0

    def missed(self) -> None:
        """Note that a device could not be connected to."""
        self._failed += 1

    def reset(self, now: float) -> None:
        """Note that the adapter is about to be reset."""
        self._seen_at = now
        self._failed = 0
        self.in_vain += 1

    def rescanned(self, now: float) -> None:
        """Note that the scan is about to be restarted."""
        self._rescanned_at = now

    def is_stuck(self, now: float, connected: int, devices: int) -> bool:
        """Whether to reset the adapter, while ``connected`` of its ``devices`` are connected.

        It is reset if nothing was seen for long, or if connecting keeps failing.
        """
        if connected >= devices:
            return False  # all devices are connected
        if self._failed >= self._options.failures_to_reset:
            return True
        after = self._options.reset_anyway_after if connected else self._options.reset_after
        patience = min(after * (1 << min(self.in_vain, 16)), LONGEST_PATIENCE)
        return now - self._seen_at > patience

    def is_silent(self, now: float) -> bool:
        """Whether to restart the scan."""
        return now - max(self._seen_at, self._rescanned_at) > self._options.rescan_after
