"""A server that follows a training run: the page of a record that is still being written, on this machine only."""

from __future__ import annotations

import asyncio
import os
import pathlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from .page import as_json, page, policy

POLL_SECONDS = 0.5
BEAT_SECONDS = 15.0
EXTRA = "the live page needs starlette and uvicorn: pip install 'retrograd[serve]'"


def stamp(directory: pathlib.Path) -> tuple[tuple[str, int, int], ...]:
    """Give what changes when a record grows: names, sizes and times of its files."""
    found = []
    for entry in sorted(os.scandir(directory), key=lambda e: e.name):
        if entry.is_file(follow_symlinks=False) and not entry.name.startswith("."):
            status = entry.stat(follow_symlinks=False)
            found.append((entry.name, status.st_size, status.st_mtime_ns))
    return tuple(found)


def application(directory: str | os.PathLike[str], read: Callable[[pathlib.Path], dict[str, Any]]) -> Any:
    """Make the web application: ``/`` is the page, ``/data.json`` what it shows, ``/events`` tells when that has changed.

    It answers GET only, to this machine's own names only, and refuses requests that another site's page makes.

    Parameters
    ----------
    directory : path
        A record's directory.
    read : callable
        Gives the page's data for the directory.

    Returns
    -------
    starlette.applications.Starlette
        The application.

    Raises
    ------
    ImportError
        If starlette is not installed.
    FileNotFoundError
        If there is no such directory.
    """
    try:
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.middleware.trustedhost import TrustedHostMiddleware
        from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
        from starlette.routing import Route
    except ImportError as error:
        raise ImportError(EXTRA) from error
    folder = pathlib.Path(directory)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"glass serve: there is no directory {folder}; record a run first (glass.record, run --glass)"
        )
    own = {
        "Content-Security-Policy": policy(live=True),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }

    def foreign(request: Any) -> bool:
        origin = request.headers.get("origin")
        site = request.headers.get("sec-fetch-site", "same-origin")
        return (origin is not None and origin != f"http://{request.headers.get('host')}") or site not in (
            "same-origin",
            "none",
        )

    def guarded(answer: Callable[[Any], Any]) -> Callable[[Any], Any]:
        async def endpoint(request: Any) -> Any:
            if foreign(request):
                return PlainTextResponse("another site's page may not read this", status_code=403, headers=own)
            return await answer(request)

        return endpoint

    async def index(request: Any) -> Any:
        return HTMLResponse(page(None, title=folder.resolve().name or "retrograd", live=True), headers=own)

    async def data(request: Any) -> Any:
        shown = await asyncio.to_thread(read, folder)
        text = as_json({"title": folder.resolve().name, **shown})
        return Response(text, media_type="application/json", headers=own)

    async def changes(request: Any) -> AsyncIterator[str]:
        seen, waited = await asyncio.to_thread(stamp, folder), 0.0
        yield "event: hello\ndata: 1\n\n"
        while not await request.is_disconnected():
            await asyncio.sleep(POLL_SECONDS)
            waited += POLL_SECONDS
            now = await asyncio.to_thread(stamp, folder) if folder.is_dir() else seen
            if now != seen:
                seen, waited = now, 0.0
                yield "event: changed\ndata: 1\n\n"
            elif waited >= BEAT_SECONDS:
                waited = 0.0
                yield ": still here\n\n"

    async def events(request: Any) -> Any:
        return StreamingResponse(changes(request), media_type="text/event-stream", headers=own)

    routes = [
        Route(path, guarded(answer), methods=["GET"])
        for path, answer in (("/", index), ("/data.json", data), ("/events", events))
    ]
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"], www_redirect=False)
    return Starlette(routes=routes, middleware=[hosts])


def serve(
    directory: str | os.PathLike[str],
    read: Callable[[pathlib.Path], dict[str, Any]],
    port: int = 8765,
    announce: Callable[[str], None] = print,
) -> None:
    """Serve a record on 127.0.0.1 until it is stopped (Ctrl-C).

    Parameters
    ----------
    directory : path
        A record's directory; it may still be written to.
    read : callable
        Gives the page's data for the directory.
    port : int, default 8765
        The port; 0 takes a free one.
    announce : callable, default print
        Told the address.

    Raises
    ------
    ImportError
        If starlette or uvicorn is not installed.
    OSError
        If the port is taken.
    """
    made = application(directory, read)
    try:
        import uvicorn
    except ImportError as error:
        raise ImportError(EXTRA) from error
    import socket

    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        announce(f"http://127.0.0.1:{listener.getsockname()[1]}/ follows {pathlib.Path(directory)}; Ctrl-C stops it")
        config = uvicorn.Config(made, log_level="warning", timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[listener])
