"""The server of the page, for this machine alone."""

import logging
import socket

from fastapi import Request, Response
from nicegui import app, background_tasks, ui
from starlette.formparsers import MultiPartParser
from starlette.middleware.base import RequestResponseEndpoint
from starlette.middleware.trustedhost import TrustedHostMiddleware

from contrastive_age.app.page import MOST_BYTES, AgePage, warm_up
from contrastive_age.errors import DataError
from contrastive_age.inference.estimator import AgeEstimator

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"

POLICY = (
    # NiceGUI's page holds its own scripts and styles, and Vue compiles its templates.
    "default-src 'self' 'unsafe-inline' 'unsafe-eval'; img-src 'self' data: blob:; "
    "frame-ancestors 'none'; form-action 'self'; base-uri 'none'"
)
"""The browser's own guard that nothing is fetched from, or sent to, another host."""


FAVICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
    '<rect x="3" y="3" width="26" height="26" rx="5" fill="none" stroke="#005caa" '
    'stroke-width="4"/><circle cx="16" cy="16" r="6" fill="#d55e00"/></svg>'
)


def serve(estimator: AgeEstimator, port: int) -> None:
    """Serve the page to this machine until Control-C.

    Args:
        estimator: What finds the faces and estimates the ages.
        port: Where to listen, on 127.0.0.1 only.

    Raises:
        DataError: Something listens there already.
    """
    require_free(port)
    # Uploads of more would be put into a temporary file.
    MultiPartParser.spool_max_size = MOST_BYTES + 1
    app.middleware("http")(_guarded)
    # Else a page of the net whose name leads to 127.0.0.1 could read this one.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    app.on_startup(lambda: background_tasks.create(warm_up(estimator)))
    address = f"http://{HOST}:{port}"
    app.on_startup(lambda: print(f"Open {address} (Control-C ends it)", flush=True))  # noqa: T201
    try:
        ui.run(
            lambda: AgePage(estimator),
            host=HOST,
            port=port,
            title="Age from a face",
            favicon=FAVICON,
            language="en-US",
            show=False,
            reload=False,
            show_welcome_message=False,
            # What was sent before a connection broke is kept to be sent again: photos, too.
            message_history_length=50,
        )
    except KeyboardInterrupt:
        logger.debug("Ended by Control-C")


def require_free(port: int) -> None:
    """Check that the page can listen on a port.

    Raises:
        DataError: It cannot.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise DataError(
                f"port {port} of {HOST} cannot be used ({error.strerror}); name another by --port"
            ) from error


async def _guarded(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    response.headers.update(
        {
            "Content-Security-Policy": POLICY,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
    )
    return response
