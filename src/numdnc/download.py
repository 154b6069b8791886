"""Download a file piece by piece, with limits on its size and on the time."""

import queue
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path

from numdnc.errors import UserError

TIMEOUT_SECONDS = 30.0
"""Longest silence of a server, when connecting and between two pieces of the body."""
START_SECONDS, SLOWEST = 60.0, 4000
"""After this many seconds at least this many bytes per second must have arrived on average; else a server that sends a
byte now and then could go on for ever."""
CHUNK_BYTES = 1 << 18
_AHEAD = 8
"""Pieces that are received in advance."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes received and the bytes expected (None if the server does not say)."""


def download(url: str, most: int, folder: Path, progress: Progress) -> Generator[bytes, None, None]:
    """The body of `url`, at most `most` bytes, piece by piece; `folder` is only named in the advice of an error."""
    pieces = queue.Queue[tuple[int | None, bytes] | Exception](_AHEAD)
    stopped = threading.Event()
    # In a thread, since looking up the name, connecting, encryption and headers may all take for ever.
    threading.Thread(target=_receive, args=(url, pieces, stopped), daemon=True).start()
    begun, received, expected, problem = time.monotonic(), 0, None, ""
    try:
        while not problem:
            left = begun + START_SECONDS + received / SLOWEST - time.monotonic()
            try:
                came = pieces.get(timeout=max(0.0, left))
            except queue.Empty:
                problem = f"only {received:,} bytes in {time.monotonic() - begun:.0f} seconds"
                break
            if isinstance(came, Exception):
                problem = reason(came)
                break
            expected, piece = came
            if not piece:
                # http.client treats a connection that broke off as the end of the body.
                problem = "" if expected in (None, received) else f"only {received} of {expected} bytes"
                break
            received += len(piece)
            if max(received, expected or 0) > most:
                problem = (
                    f"{max(received, expected or 0):,} bytes or more, where at most {most:,} can be right"
                )
                break
            progress(received, expected)
            yield piece
    finally:
        stopped.set()
        while not pieces.empty():  # else the thread might wait for ever to put its next piece
            pieces.get_nowait()
    if problem:
        raise UserError(
            f"{url} must be downloadable in full, got: {problem}. Check the network and try again, "
            f"or fetch it elsewhere and put it into {folder}."
        )


def _receive(
    url: str, pieces: "queue.Queue[tuple[int | None, bytes] | Exception]", stopped: threading.Event
) -> None:
    """Put the body of `url` into the queue, piece by piece with the announced length, and an empty piece at the end."""
    import http.client
    import urllib.error
    import urllib.request

    request = urllib.request.Request(url, headers={"User-Agent": "numdnc"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            length = response.headers.get("Content-Length", "")
            expected = int(length) if length.isdecimal() and len(length) < 20 else None
            while not stopped.is_set():
                piece = response.read1(CHUNK_BYTES)  # what has arrived; `read` would wait for all of it
                pieces.put((expected, piece))
                if not piece:
                    break
    except urllib.error.HTTPError as error:
        error.close()
        pieces.put(OSError(f"HTTP status {error.code}"))
    except (OSError, http.client.HTTPException, ValueError) as error:
        pieces.put(error)


def reason(error: BaseException) -> str:
    """The cause of an error, in a few words on one line."""
    cause = getattr(error, "reason", error)  # a URLError wraps the real error
    text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return " ".join(text.split())
