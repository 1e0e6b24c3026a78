"""Which adapters there are, and those of a project opened: the entry-point group is the one door, for ours, too."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from channels.base import AdapterContext, ChannelAdapter
from engine.errors import BadInput, NotFound
from engine.language.adapters import AdapterInfo
from engine.project import Project

if TYPE_CHECKING:
    from channels.inbox import Inbox

GROUP = "sojourn.channels"


def known_adapters() -> Mapping[str, type[ChannelAdapter[Any]]]:
    """Every registered adapter by name, sorted; raises BadInput where a package's registration is unusable."""
    return load_adapters(tuple(entry_points(group=GROUP)))


def load_adapters(points: tuple[EntryPoint, ...]) -> Mapping[str, type[ChannelAdapter[Any]]]:
    """The adapters behind these entry points, by name, sorted; two of one name are an error."""
    found: dict[str, tuple[str, type[ChannelAdapter[Any]]]] = {}
    for point in sorted(points, key=lambda point: point.name):
        origin = point.dist.name if point.dist is not None else point.value
        if point.name in found:
            raise BadInput(
                f"two packages register the channel adapter `{point.name}`: {found[point.name][0]} and {origin}; "
                "uninstall one, or register it under another name"
            )
        found[point.name] = (origin, _load(point, origin))
    return {name: adapter for name, (_, adapter) in found.items()}


def _load(point: EntryPoint, origin: str) -> type[ChannelAdapter[Any]]:
    try:
        adapter = point.load()
    except (ImportError, AttributeError) as error:
        raise BadInput(f"the channel adapter `{point.name}` of {origin} does not load: {error}") from error
    if not (isinstance(adapter, type) and issubclass(adapter, ChannelAdapter)):
        raise BadInput(f"the channel adapter `{point.name}` of {origin} is no subclass of channels.base.ChannelAdapter")
    if adapter.name != point.name:
        raise BadInput(f"the channel adapter `{point.name}` of {origin} calls itself `{adapter.name}`: use one name")
    return adapter


def adapter_infos() -> Mapping[str, AdapterInfo]:
    """What the compiler needs of each registered adapter, by name."""
    return {
        name: AdapterInfo(
            kind=None if adapter.serves_any_kind else adapter.capabilities.kind,
            check_settings=adapter.check_settings,
            has_attachments=adapter.capabilities.has_attachments,
            check_blocks=adapter.check_blocks,
        )
        for name, adapter in known_adapters().items()
    }


def open_adapters(
    project: Project, inbox: Inbox | None = None, *, public_url: str = ""
) -> dict[str, ChannelAdapter[Any]]:
    """The project's adapters by channel name; the caller closes them.

    `inbox`: where `use: inbox` keeps its messages, `.sojourn/inbox` of the project unless given. `public_url`: where
    providers reach us; empty: they are asked for no receipts. Raises ChannelConfigError for unusable settings.
    """
    adapters = known_adapters()
    folder = inbox.folder if inbox is not None else project.root / ".sojourn" / "inbox"
    opened: dict[str, ChannelAdapter[Any]] = {}
    for channel in project.channels.values():
        if channel.use not in adapters:
            raise NotFound(
                f"channel `{channel.name}` uses the adapter `{channel.use}`, which is not registered: "
                f"there are {', '.join(adapters)}"
            )
        context = AdapterContext(
            channel=channel.name,
            kind=channel.kind,
            webhook_url=f"{public_url.rstrip('/')}/v1/receipts/{channel.name}" if public_url else "",
            inbox_folder=folder,
        )
        adapter = adapters[channel.use]
        settings = dict(channel.settings)
        if channel.from_ and "from" in adapter.setting_names():
            settings.setdefault("from", channel.from_)
        opened[channel.name] = adapter.open(settings, context)
    return opened
