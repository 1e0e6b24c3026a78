"""From a claimed delivery to the message that is handed over: scope, links, headers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from engine.consent.addresses import address_hash
from engine.delivery.gate import Passage
from engine.delivery.message import Message
from engine.delivery.model import Delivery
from engine.expressions.evaluate import resolve
from engine.expressions.facts import Facts
from engine.plan.notices import CONFIRMING
from engine.project import Channel, Project, Topic
from engine.rendering import links
from engine.rendering.attachments import Attachments
from engine.rendering.document import with_pixel
from engine.rendering.renderer import Rendered, Renderer
from engine.rendering.sms_parts import sms_size
from engine.rendering.tracking import Lead, plain_url, with_parameters
from engine.store import LinkRecord

#: How long the link of a confirmation serves.
_CONFIRM_WITHIN = timedelta(hours=72)
#: What a test begins with: its subject, or its text where it has none.
_TEST = "[Test] "


class Mailing:
    """Composes messages of one project."""

    def __init__(self, project: Project, project_key: bytes, public_url: str, renderer: Renderer) -> None:
        self._project = project
        self._key = project_key
        self._public_url = public_url
        self._renderer = renderer
        self._attachments = Attachments(project.root)

    def has(self, channel: Channel, template: str) -> bool:
        """Whether a channel has a template of this name, in any language."""
        return self._renderer.has(channel, template)

    def compose(
        self, passage: Passage, delivery: Delivery, channel: Channel, topic: Topic, *, keeps_links: bool = True
    ) -> tuple[Message, Rendered]:
        """The rendered message, its links stored. Raises RenderError.

        Without `keeps_links` it is only for looking at: nothing is stored, and a page's links lead straight to their
        targets.
        """
        facts, step = passage.facts, passage.step
        locale = passage.profile.locale or self._project.locale
        minter = _Minter(self._key, self._public_url, passage, delivery, channel, is_keeping=keeps_links)
        unsubscribe = minter.link("unsubscribe", topic.name)
        found = {"unsubscribe": unsubscribe, "preferences": minter.link("preferences", topic.name)}
        if topic.name == CONFIRMING:
            # It confirms the topic that was asked for, not the notice's own.
            asked = str(facts.trigger.get("topic"))
            found["confirm"] = minter.link("confirm", asked, expires_at=passage.now + _CONFIRM_WITHIN)
        rendered = self._renderer.render(
            channel,
            step.template,
            locale,
            scope_of(self._project, facts, resolve(step.values, facts), found),
            self._lead(minter, delivery, channel, topic),
        )
        html = rendered.html
        if html is not None and self._project.tracking_of(topic).opens:
            html = with_pixel(html, minter.link("open", topic.name))
        passage.unit.access.add_links(minter.made.values())
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
            html=html,
            text=rendered.text,
            blocks=tuple(rendered.blocks),
            headers=headers,
            attachments=self._attachments.load(step.attachments, (locale, self._project.locale)),
            metadata={"journey": delivery.journey, "step": delivery.step_id},
            is_test=delivery.is_test,
        )
        return _marked(message) if delivery.is_test else message, rendered

    def _lead(self, minter: _Minter, delivery: Delivery, channel: Channel, topic: Topic) -> Lead | None:
        """Where each of the message's links is to lead; None leaves all of them as they are."""
        tracking = self._project.tracking_of(topic)
        if not tracking.clicks and (tracking.utm is None or channel.kind == "sms"):
            # A text message is paid for by its length: what makes its links longer is left to short ones.
            return None
        derived = {
            "source": self._project.name,
            "medium": channel.kind,
            "campaign": delivery.journey,
            "content": delivery.step_id,
        }
        parameters = {} if tracking.utm is None else {f"utm_{k}": v for k, v in {**derived, **tracking.utm}.items()}

        def lead(url: str) -> str:
            # What a person says no with is nobody's click.
            if links.is_own(self._public_url, url):
                return url
            target = with_parameters(plain_url(url), parameters)
            return minter.link("click", topic.name, url=target) if tracking.clicks else target

        return lead


class _Minter:
    """Makes the links of one message, and keeps what each stands for."""

    def __init__(
        self,
        key: bytes,
        public_url: str,
        passage: Passage,
        delivery: Delivery,
        channel: Channel,
        *,
        is_keeping: bool,
    ) -> None:
        self._is_keeping = is_keeping
        self._key = key
        self._public_url = public_url
        self._now = passage.now
        self._delivery = delivery
        self._kind = channel.kind
        self._address_hash = address_hash(key, channel.kind, delivery.to)
        #: By token.
        self.made: dict[str, LinkRecord] = {}

    def link(
        self, kind: links.LinkKind, topic: str, *, expires_at: datetime | None = None, url: str | None = None
    ) -> str:
        """The link's own URL; `url` is where a click leads."""
        token = links.token(self._key, kind, self._delivery.delivery_id, url or "")
        if not self._is_keeping:
            # In a page links are tried out; in a text message what they take of its length is looked at.
            target = None if self._kind == "sms" else url
            return target or links.link_url(self._public_url, kind, token)
        # Whoever reads a test is not the person: none of its links may act, or show, for them.
        is_void = self._delivery.is_test and kind not in ("click", "open")
        self.made[token] = LinkRecord(
            token_hash=links.token_hash(token),
            kind=links.VOID if is_void else kind,
            profile_id=self._delivery.profile_id,
            delivery_id=self._delivery.delivery_id,
            channel=self._delivery.channel,
            topic=topic,
            address_hash=self._address_hash,
            url=url,
            created_at=self._now,
            expires_at=expires_at,
        )
        return links.link_url(self._public_url, kind, token)


def _marked(message: Message) -> Message:
    """The message, recognisable as a test to its reader and to programs."""
    return replace(
        message,
        subject=None if message.subject is None else _TEST + message.subject,
        text=message.text if message.kind == "email" else _TEST + message.text,
        headers={**message.headers, "X-Sojourn-Test": "yes"},
    )


def scope_of(project: Project, facts: Facts, values: Mapping[str, Any], found: Mapping[str, str]) -> dict[str, Any]:
    """What a template sees: the person, what began the journey, the step's own `values`, and the links `found`."""
    return {
        "profile": facts.profile,
        "trigger": facts.trigger,
        "event": facts.trigger,
        "steps": facts.steps,
        **values,
        "links": found,
        "project": {"name": project.name, "timezone": project.timezone, "locale": project.locale},
    }


def made_of(message: Message, rendered: Rendered) -> dict[str, Any]:
    """What the record says of a message: its template, by whom it goes, and the parts that a text message takes."""
    versions = {"template": rendered.source, "template_digest": rendered.digest, "via": message.channel}
    return versions | {"parts": sms_size(message.text).parts} if message.kind == "sms" else versions
