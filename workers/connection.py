"""The connection to Temporal: where it is, what it is told of us, and how payloads are encrypted on the way."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from functools import cache
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client
from temporalio.converter import DataConverter, PayloadCodec
from temporalio.envconfig import ClientConfigProfile
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError, RPCStatusCode

SEARCH_ATTRIBUTES = ("SojournJourney", "SojournVersion", "SojournProfile")


@cache
def quiet_runtime() -> Runtime:
    """Temporal's core, which tells only errors: steps, loops and servers have loggers of their own."""
    logging = LoggingConfig(filter="temporalio_sdk_core=ERROR,temporalio_client=ERROR")
    return Runtime(telemetry=TelemetryConfig(logging=logging))


class EncryptingCodec(PayloadCodec):
    """AES-256-GCM over every payload. Whoever operates the Temporal server sees sizes and no contents."""

    _ENCODING = b"binary/sojourn-aesgcm"

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(hashlib.sha256(b"sojourn payloads\x00" + key).digest())

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._seal(each) for each in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._open(each) for each in payloads]

    def _seal(self, payload: Payload) -> Payload:
        nonce = os.urandom(12)
        sealed = nonce + self._cipher.encrypt(nonce, payload.SerializeToString(), self._ENCODING)
        return Payload(metadata={"encoding": self._ENCODING}, data=sealed)

    def _open(self, payload: Payload) -> Payload:
        # What was written before a key was set stays readable.
        if payload.metadata.get("encoding") != self._ENCODING:
            return payload
        try:
            opened = self._cipher.decrypt(payload.data[:12], payload.data[12:], self._ENCODING)
        except InvalidTag:
            raise ValueError(
                "a payload was encrypted with another key: SOJOURN_PAYLOAD_KEY is not what it was"
            ) from None
        return Payload.FromString(opened)


def data_converter(payload_key: bytes | None) -> DataConverter:
    """The default one, with encryption where there is a key."""
    if payload_key is None:
        return DataConverter.default
    return dataclasses.replace(DataConverter.default, payload_codec=EncryptingCodec(payload_key))


def target(address: str | None = None) -> str:
    """Where `connect` looks for Temporal."""
    return address or ClientConfigProfile.load().address or "127.0.0.1:7233"


async def connect(address: str | None = None, *, payload_key: bytes | None = None) -> Client:
    """A client. Without an address, wherever the standard `TEMPORAL_*` variables and config file say.

    Raises RuntimeError where nothing answers there.
    """
    config: dict[str, Any] = {}
    if address is None:
        config.update(ClientConfigProfile.load().to_client_connect_config())
    config["target_host"] = target(address)
    return await Client.connect(**config, data_converter=data_converter(payload_key), runtime=quiet_runtime())


async def register_search_attributes(client: Client) -> None:
    """Makes our search attributes known to the namespace. A namespace that has them is left as it is.

    Raises RPCError where the server does not let us (Temporal Cloud: add them as keywords in its own UI).
    """
    request = AddSearchAttributesRequest(
        namespace=client.namespace,
        search_attributes=dict.fromkeys(SEARCH_ATTRIBUTES, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD),
    )
    try:
        await client.operator_service.add_search_attributes(request)
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise
