# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Changes are asked for by Airflow's own pages or with a token, never by a stranger's page with one's cookie."""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow.configuration import conf
from fastapi import HTTPException, Request


def same_origin(request: Request) -> None:
    """
    Refuse what another site may have made a browser send; Airflow itself checks nothing of the kind.

    A request with a token in its header isn't a browser's doing. Others must say where they come from: in
    `Sec-Fetch-Site`, or where a browser doesn't send that (plain http), in `Origin`.
    """
    if request.headers.get("authorization", "").lower().startswith("bearer "):
        return
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site == "same-origin":
            return
    elif _place(request.headers.get("origin", "")) in _ours(request):
        return
    raise HTTPException(403, "Changes are accepted from Airflow's own pages only, or with a bearer token.")


def _ours(request: Request) -> set[str]:
    """Where this server is: as the request has it, and as the configuration does, behind a proxy that renames hosts."""
    configured = _place(conf.get("api", "base_url", fallback=""))
    return {request.headers.get("host", "").lower(), configured} - {""}


def _place(address: str) -> str:
    """Host and port."""
    return urlsplit(address).netloc.lower()
