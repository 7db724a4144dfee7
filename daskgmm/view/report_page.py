"""A report as one page of HTML that needs nothing else: no network, no other file."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from daskgmm.errors import ParameterError
from daskgmm.view.report import Report

__all__ = ["check_extra", "page"]

TEMPLATE, STYLE, SCRIPT = "report.html.jinja", "report.css", "report.js"


def check_extra() -> None:
    """Raise ParameterError unless what the extra `plot` brings is installed."""
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ParameterError(
            f"reports need what the extra 'plot' brings, and {error.name} is not installed: pip install 'daskgmm[plot]'"
        ) from None


def page(report: Report) -> str:
    """Return a report as a page of HTML, the same text for the same report.

    Every text is escaped; figures alone are taken as they are. The page itself forbids the browser to run any script
    but its own, whose digest it names, and to load anything from anywhere.

    Raises
    ------
    ParameterError
        If jinja2 is not installed.
    """
    check_extra()
    from jinja2 import Environment, StrictUndefined

    script = _text(SCRIPT)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    text = environment.from_string(_text(TEMPLATE)).render(
        report=report, style=_text(STYLE), script=script, script_digest=_digest(script)
    )
    return f"{text.rstrip()}\n"


def _text(name: str) -> str:
    return (files("daskgmm.view") / name).read_text("utf-8")


def _digest(script: str) -> str:
    """Return the digest of a script as a content security policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
