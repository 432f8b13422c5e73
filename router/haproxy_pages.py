"""What the proxy says itself when nobody else can: whole HTTP responses, as HAProxy's `errorfile` wants them."""

from __future__ import annotations

from http import HTTPStatus

SORRY = {
    404: ("There is no app at this address", "Check the spelling of the host name."),
    502: (
        "The app gave no proper answer",
        "It closed the connection in the middle, or spoke something else than HTTP.",
    ),
    503: ("The app is not running", "It is stopped, starting, or has crashed. Try again in a moment."),
    504: ("The app took too long to answer", "The request was given up."),
}
API_DOWN = ("The platform's server is not running", "Apps are not affected. It is started again by itself.")

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:20vh auto;padding:0 1em;color:#333}}</style>
<h1>{title}</h1>
<p>{text}</p>
</html>
"""


def pages() -> dict[str, str]:
    """File name to content, for every page."""
    return {f"{status}.http": page(status, *words) for status, words in SORRY.items()} | {
        "503-api.http": page(503, *API_DOWN)
    }


def page(status: int, title: str, text: str) -> str:
    body = PAGE.format(title=title, text=text)
    head = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Content-Type: text/html; charset=utf-8",
        "Cache-Control: no-store",
        f"Content-Length: {len(body.encode())}",
    ]
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        head.append("Retry-After: 5")
    return "\r\n".join(head) + "\r\n\r\n" + body
