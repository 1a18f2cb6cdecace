# SPDX-License-Identifier: Apache-2.0
"""
Post how a run ended to a web address, as JSON with a ``text`` that Slack and others show.

The address may hold a token, so messages show no more of it than the host.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from madctl.result import Result, to_json
from madctl.version import version

SECONDS = 10.0
_LOOK_SECONDS = 0.1


def post(url: str, text: str, result: Result, leaving: threading.Event, seconds: float = SECONDS) -> str | None:
    """
    Post a result, and return what went wrong, if anything.

    Args:
        text: How the run ended, in one line.
        leaving: Set to stop waiting.
        seconds: How long the whole request may take.
    """
    said: list[str | None] = []
    body = f'{{"text": {json.dumps(_for_slack(text))}, "result": {to_json(result)}}}'.encode()
    # Socket timeouts do not cover a resolver that hangs, or a server that sends a byte now and then.
    thread = threading.Thread(target=lambda: said.append(_sent(url, body, seconds)), daemon=True)
    thread.start()
    deadline = time.monotonic() + seconds
    while thread.is_alive() and not leaving.is_set() and time.monotonic() < deadline:
        thread.join(_LOOK_SECONDS)
    late = "interrupted" if leaving.is_set() else f"no answer within {seconds:.0f} s"
    wrong = said[0] if said else late
    return f"{_host(url)}: {wrong}" if wrong else None


class _Direct(urllib.request.HTTPRedirectHandler):
    """Follows no redirects: a POST would become a GET, and its body might go to an unknown server."""

    def redirect_request(self, *_: Any) -> None:
        """Refuse the redirect."""


def _sent(url: str, body: bytes, seconds: float) -> str | None:
    """Send the request; of the response, only the status is read."""
    if not url.startswith(("http://", "https://")):
        return "it is not an http or https address"
    try:
        headers = {"Content-Type": "application/json", "User-Agent": f"madctl/{version()}"}
        request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310  see above
        with urllib.request.build_opener(_Direct).open(request, timeout=seconds):
            return None
    except urllib.error.HTTPError as answer:
        answer.close()
        is_elsewhere = 300 <= answer.code < 400
        return f"it answered {answer.code}" + (", a redirect, which is not followed" if is_elsewhere else "")
    except urllib.error.URLError as error:
        return reason(error.reason) if isinstance(error.reason, OSError) else "it cannot be reached"
    except TimeoutError:
        return f"no answer within {seconds:.0f} s"
    except OSError as error:
        return reason(error)
    except http.client.HTTPException:
        return "its answer is not HTTP"
    except Exception as error:  # noqa: BLE001  its message may contain the address
        return f"it could not be sent: {type(error).__name__}"


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "the address"
    except ValueError:
        return "the address"


def _for_slack(text: str) -> str:
    """Escape what Slack would interpret as a link, or as a mention of everybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
