"""What the tests' web services share."""

import sys
from http.server import ThreadingHTTPServer
from typing import Any


class HttpService(ThreadingHTTPServer):
    """A web service of a test, a thread per connection; clients may leave in the middle of a request."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left is no fault of the service; every other fault is told as usual."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)
