"""From a claimed delivery to the message that is handed over: scope, links, headers."""

from __future__ import annotations

from datetime import datetime, timedelta

from engine.consent.addresses import address_hash
from engine.delivery.gate import Passage
from engine.delivery.message import Message
from engine.delivery.model import Delivery
from engine.expressions.evaluate import resolve
from engine.plan.notices import CONFIRMING
from engine.project import Channel, Project, Topic
from engine.rendering import links
from engine.rendering.renderer import Rendered, Renderer
from engine.store import LinkRecord, Unit

#: How long the link of a confirmation serves.
_CONFIRM_WITHIN = timedelta(hours=72)


class Mailing:
    """Composes messages of one project."""

    def __init__(self, project: Project, project_key: bytes, public_url: str, renderer: Renderer) -> None:
        self._project = project
        self._key = project_key
        self._public_url = public_url
        self._renderer = renderer

    def compose(self, passage: Passage, delivery: Delivery, channel: Channel, topic: Topic) -> tuple[Message, Rendered]:
        """The rendered message, its links stored. Raises RenderError."""
        unit, facts, step, now = passage.unit, passage.facts, passage.step, passage.now
        hashed = address_hash(self._key, channel.kind, delivery.to)
        unsubscribe = self._link(unit, "unsubscribe", delivery, hashed, topic.name, now)
        found = {
            "unsubscribe": unsubscribe,
            "preferences": self._link(unit, "preferences", delivery, hashed, topic.name, now),
        }
        if topic.name == CONFIRMING:
            # It confirms the topic that was asked for, not the notice's own.
            asked = str(facts.trigger.get("topic"))
            found["confirm"] = self._link(unit, "confirm", delivery, hashed, asked, now, now + _CONFIRM_WITHIN)
        scope = {
            "profile": facts.profile,
            "trigger": facts.trigger,
            "event": facts.trigger,
            "steps": facts.steps,
            **resolve(step.values, facts),
            "links": found,
            "project": {"name": self._project.name, "timezone": self._project.timezone, "locale": self._project.locale},
        }
        rendered = self._renderer.render(channel, step.template, passage.profile.locale or self._project.locale, scope)
        headers = {}
        if channel.kind == "email" and delivery.is_marketing:
            headers = links.unsubscribe_headers(unsubscribe)
        message = Message(
            delivery_id=delivery.delivery_id,
            channel=delivery.via,
            kind=channel.kind,
            to=delivery.to,
            from_=rendered.from_ or self._project.channels[delivery.via].from_ or channel.from_,
            subject=rendered.subject,
            html=rendered.html,
            text=rendered.text,
            blocks=tuple(rendered.blocks),
            headers=headers,
            metadata={"journey": delivery.journey, "step": delivery.step_id},
            is_test=delivery.is_test,
        )
        return message, rendered

    def _link(
        self,
        unit: Unit,
        kind: links.LinkKind,
        delivery: Delivery,
        hashed: str,
        topic: str,
        now: datetime,
        expires_at: datetime | None = None,
    ) -> str:
        token = links.token(self._key, kind, delivery.delivery_id)
        unit.access.add_link(
            LinkRecord(
                token_hash=links.token_hash(token),
                kind=kind,
                profile_id=delivery.profile_id,
                delivery_id=delivery.delivery_id,
                channel=delivery.channel,
                topic=topic,
                address_hash=hashed,
                url=None,
                created_at=now,
                expires_at=expires_at,
            )
        )
        return links.link_url(self._public_url, kind, token)
