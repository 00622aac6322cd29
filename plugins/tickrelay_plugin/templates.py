# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Pages out of templates: everything escaped, nothing undefined, styles by nonce."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from tickrelay_plugin import formats

_templates = Environment(
    loader=PackageLoader("tickrelay_plugin", "pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
)
_templates.filters |= formats.FILTERS


def render(request: Request, name: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A template as the answer to a request."""
    text = _templates.get_template(name).render(nonce=request.state.nonce, **values)
    return HTMLResponse(text, status_code=status)
