"""`call` steps that name a private address outright: at run time they are refused, so they are refused here."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from engine.language.authored import Authored
from engine.language.diagnostics import Problems
from engine.language.source import find_node
from engine.plan.model import Call


def check(authored: Authored, problems: Problems) -> None:
    """Reports calls to hosts that the project does not allow."""
    allowed = {host.lower() for host in authored.project.allowed_hosts}
    for journey in authored.journeys.values():
        for step_id, step in journey.plan.steps.items():
            if not isinstance(step, Call) or str(step.url).startswith("="):
                continue
            host = _host(str(step.url))
            if host in allowed or not _is_private(host):
                continue
            place = find_node(journey.places[step_id], ["call", "url"]) or journey.places[step_id]
            message = "the call goes to an address of our own network"
            problems.error("SJ706", place, message, "where that is meant, name the host under `allowed_hosts:`")


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").lower()


def _is_private(host: str) -> bool:
    """What can be told without asking anybody: names are looked up only when the call is made."""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
