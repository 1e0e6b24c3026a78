"""What each registered adapter can do, as rows: for `sojourn channels` and for docs/channels.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from channels.base import ChannelAdapter
from channels.registry import known_adapters


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingRow:
    name: str
    is_required: bool
    is_secret: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterRow:
    """One adapter."""

    name: str
    #: `email`, `sms`, `chat`, or `any`.
    kind: str
    idempotency: bool
    receipts: bool
    look_up: bool
    attachments: bool
    media: bool
    settings: tuple[SettingRow, ...]
    #: `sojourn`, or the package that registers it.
    package: str


def adapter_rows() -> list[AdapterRow]:
    """A row for each registered adapter, by name."""
    return [describe(adapter) for adapter in known_adapters().values()]


def describe(adapter: type[ChannelAdapter[Any]]) -> AdapterRow:
    """The adapter's row."""
    able = adapter.capabilities
    top = adapter.__module__.partition(".")[0]
    return AdapterRow(
        name=adapter.name,
        kind="any" if adapter.serves_any_kind else able.kind,
        idempotency=able.has_idempotency,
        receipts=able.has_receipts,
        look_up=able.has_look_up,
        attachments=able.has_attachments,
        media=able.has_media,
        settings=tuple(sorted(_settings(adapter), key=lambda row: (not row.is_required, row.name == "base_url"))),
        package="sojourn" if top == "channels" else top,
    )


def _settings(adapter: type[ChannelAdapter[Any]]) -> Iterator[SettingRow]:
    for name, field in adapter.Settings.model_fields.items():
        is_secret = "SecretStr" in str(field.annotation)
        yield SettingRow(name=field.alias or name, is_required=field.is_required(), is_secret=is_secret)


def settings_words(row: AdapterRow) -> str:
    """The settings on one line, optional ones in brackets."""
    return " ".join(setting.name if setting.is_required else f"[{setting.name}]" for setting in row.settings)


def abilities(row: AdapterRow) -> dict[str, bool]:
    """What the adapter can and cannot do, in words."""
    return {
        "idempotency": row.idempotency,
        "receipts": row.receipts,
        "look-up": row.look_up,
        "attachments": row.attachments,
        "media": row.media,
    }


def markdown(rows: Iterable[AdapterRow]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| `use:` | kind | idempotency | receipts | look-up | attachments | media | settings ([optional]) |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        marks = " | ".join("yes" if can else "–" for can in abilities(row).values())
        settings = f"`{settings_words(row)}`" if row.settings else "none"
        lines.append(f"| `{row.name}` | {row.kind} | {marks} | {settings} |")
    return "\n".join(lines)
