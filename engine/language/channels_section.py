"""The `channels:` of `sojourn.yml`: each an adapter with its settings, of a kind, perhaps with a backup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast, get_args

from engine.language.adapters import AdapterInfo
from engine.language.diagnostics import Problems, suggest
from engine.language.environment import Environment
from engine.language.fields import Fields, as_mapping, as_name, written
from engine.language.sends import IN_DOUBT
from engine.language.source import ListNode, MapNode, plain
from engine.plan.model import InDoubt
from engine.project import Channel, ChannelKind

_KEYS = ("use", "kind", "from", "rate", "backup", "in_doubt", "templates", "settings")
_KINDS: tuple[ChannelKind, ...] = get_args(ChannelKind)


class ChannelsReader:
    """Reads the channels; `names` are those authored, usable or not: a send on one names nothing unknown."""

    def __init__(
        self,
        section: MapNode | None,
        problems: Problems,
        environment: Environment,
        adapters: Mapping[str, AdapterInfo],
    ) -> None:
        self._section = section
        self._problems = problems
        self._environment = environment
        self._adapters = adapters
        self.names = tuple(section.pairs) if section else ()

    def read(self) -> dict[str, Channel]:
        """The usable channels, by name."""
        channels: dict[str, Channel] = {}
        places: dict[str, MapNode] = {}
        for name, pair in self._section.pairs.items() if self._section else ():
            mapping = as_mapping(pair.value, self._problems, f"the channel `{name}`", "such as `{use: smtp}`")
            if mapping is None or as_name(pair.key, self._problems, "a channel") is None:
                continue
            channel = self._channel(name, mapping)
            if channel:
                channels[name], places[name] = channel, mapping
        for name, channel in channels.items():
            self._check_backup(channel, places[name], channels)
        return channels

    def names_in(self, fields: Fields, key: str) -> tuple[str, ...]:
        """The names of channels under a key; empty where none is given: all. Reports those that do not exist."""
        good: list[str] = []
        given = fields.get(key)
        if isinstance(given, ListNode) and not given.items:
            self._problems.error("SJ203", given, f"`{key}` names no channel", "leave it out, or name one")
        for node in fields.texts(key):
            if node.value in self.names:
                good.append(str(node.value))
            else:
                hint = suggest(str(node.value), self.names)
                self._problems.error("SJ101", node, f"there is no channel {written(node)}", hint)
        return tuple(good)

    def _channel(self, name: str, node: MapNode) -> Channel | None:
        fields = Fields(node, self._problems, f"the channel `{name}`", _KEYS)
        use = fields.text("use") if fields.need("use") else None
        templates = fields.text("templates") or name
        settings = self._settings(fields)
        backup = fields.text("backup")
        channel_kind = self._kind(name, use, templates, fields)
        rate = fields.rate("rate")
        in_doubt = cast("InDoubt | None", fields.word("in_doubt", IN_DOUBT))
        from_ = fields.text("from")
        if use is not None:
            self._check_adapter(use, settings, from_, fields)
        if use is None or channel_kind is None:
            return None
        return Channel(
            name=name,
            use=use,
            kind=channel_kind,
            from_=from_,
            rate_per_second=rate,
            backup=backup,
            in_doubt=in_doubt,
            templates=templates,
            settings=plain(settings) if settings else {},
        )

    def _settings(self, fields: Fields) -> MapNode | None:
        node = fields.get("settings")
        if node is None or isinstance(node, MapNode):
            return node
        # Whatever stands here may be a secret: it is not quoted.
        self._problems.error("SJ203", node, "`settings` is a mapping", "such as `{host: 127.0.0.1, port: 1025}`")
        return None

    def _kind(self, name: str, use: str | None, templates: str, fields: Fields) -> ChannelKind | None:
        said = cast("ChannelKind | None", fields.word("kind", _KINDS))
        info = self._adapters.get(use or "")
        if info and info.kind:
            if said and said != info.kind:
                message = f"the adapter `{use}` serves {info.kind}, and the channel `{name}` says {said}"
                self._problems.error("SJ703", fields.place("kind"), message, "leave `kind` out")
            return info.kind
        by_name = next((each for each in (name, templates) if each in _KINDS), None)
        kind = said or by_name
        if kind is None and use in self._adapters and "kind" not in fields:
            message = f"the channel `{name}` does not say what it carries"
            self._problems.error("SJ703", fields.node, message, "give it `kind: email`, `kind: sms` or `kind: chat`")
        return kind

    def _check_adapter(self, use: str, settings: MapNode | None, from_: str | None, fields: Fields) -> None:
        info = self._adapters.get(use)
        if info is None:
            node = fields.node.pairs["use"].value
            self._problems.error("SJ108", node, f"no adapter is called {written(node)}", suggest(use, self._adapters))
            return
        if settings is not None and not self._environment.is_complete(settings):
            return
        said = plain(settings) if settings else {}
        # The channel's own `from` stands for an adapter's setting of that name, where it has one.
        tries = [said, {"from": from_, **said}] if from_ else [said]
        for problem in min((info.check_settings(each) for each in tries), key=len):
            self._problems.error("SJ702", fields.place("settings"), f"the settings of `{use}`: {problem}")

    def _check_backup(self, channel: Channel, place: MapNode, channels: Mapping[str, Channel]) -> None:
        if channel.backup is None:
            return
        node = place.pairs["backup"].value
        backup = channels.get(channel.backup)
        if channel.backup not in self.names:
            hint = suggest(channel.backup, [each for each in self.names if each != channel.name])
            self._problems.error("SJ101", node, f"there is no channel {written(node)}", hint)
        elif channel.backup == channel.name:
            self._problems.error("SJ704", node, f"the channel `{channel.name}` is its own backup", "name another one")
        elif backup and backup.kind != channel.kind:
            message = f"`{backup.name}` carries {backup.kind}, and `{channel.name}` carries {channel.kind}"
            self._problems.error("SJ704", node, message, "a backup is of the same kind")
