"""Amazon on this machine: moto's server, with its signature check on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import httpx

from channels.aws import AwsSettings, SigV4
from tests.ports import free_ports
from tests.waiting import PATIENCE

REGION = "eu-west-1"
#: Calls that moto takes before it looks at signatures: those that make the user who signs.
_FREE_CALLS = 3
_POLICY = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'


@dataclass(frozen=True, kw_only=True, slots=True)
class Amazon:
    """A running server, and a user of it who may do everything."""

    url: str
    access_key_id: str
    secret_access_key: str

    @property
    def settings(self) -> dict[str, str]:
        """Of an adapter of Amazon's."""
        return {
            "base_url": self.url,
            "region": REGION,
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
        }

    def call(self, service: str, path: str, body: Mapping[str, Any]) -> httpx.Response:
        """A signed JSON call to one of its services."""
        auth = SigV4(AwsSettings.model_validate(self.settings), service)
        return httpx.post(f"{self.url}{path}", json=dict(body), auth=auth, timeout=PATIENCE).raise_for_status()

    def kept(self, service: str, model: str) -> list[dict[str, Any]]:
        """What the server keeps of a service, in moto's own words."""
        everything = httpx.get(f"{self.url}/moto-api/data.json", timeout=PATIENCE).json()
        found: list[dict[str, Any]] = everything[service][model]
        return found


@contextmanager
def amazon() -> Iterator[Amazon]:
    """A server of its own, ended with the block."""
    [port] = free_ports(1)
    environment = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(_FREE_CALLS)}
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url)
        key, secret = _user(url)
        yield Amazon(url=url, access_key_id=key, secret_access_key=secret)
    finally:
        process.terminate()
        process.wait()


def _wait(url: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            httpx.get(f"{url}/moto-api/data.json", timeout=PATIENCE)
            return
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _user(url: str) -> tuple[str, str]:
    nobody = AwsSettings.model_validate({"region": REGION, "access_key_id": "none", "secret_access_key": "none"})
    answer = httpx.Response(200)
    for action in (
        {"Action": "CreateUser"},
        {"Action": "PutUserPolicy", "PolicyName": "all", "PolicyDocument": _POLICY},
        {"Action": "CreateAccessKey"},
    ):
        form = {**action, "UserName": "sojourn", "Version": "2010-05-08"}
        answer = httpx.post(url, data=form, auth=SigV4(nobody, "iam"), timeout=PATIENCE).raise_for_status()
    found = {element.tag.rpartition("}")[2]: element.text or "" for element in ET.fromstring(answer.text).iter()}
    return found["AccessKeyId"], found["SecretAccessKey"]
