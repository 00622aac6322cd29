# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
A Kafka node as a careful administrator sets it up: encrypted, with users, client certificates and access rights.

Its plain listener stays, for the node itself and for the tests' administrator; who comes in there may do everything.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlencode

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from tests.services.certificates import Authority, Certificate
from tests.services.kafka import Kafka
from tests.services.process import free_ports

PASSWORD = "t0p&secret@w/rd"  # has to be escaped in a URL
PLAIN_USER = "plain"
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


class SecureKafka:
    """
    Args:
        folder: takes the node's files, the certificates and keys.

    Attributes:
        authority: whom the node trusts, and who has issued its certificates.
        node: the Kafka.
        sasl: `host:port` that wants a user: SCRAM-SHA-512, or PLAIN for `PLAIN_USER`.
        mutual: `host:port` that wants a certificate, whose common name is the user.
        expired: `host:port` whose own certificate has expired.
        misnamed: `host:port` whose certificate was issued to other hosts.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.authority = Authority(folder / "certificates")
        ports = free_ports(4)
        self.sasl, self.mutual, self.expired = (f"127.0.0.1:{port}" for port in ports[:3])
        self.misnamed = f"127.0.0.2:{ports[3]}"
        listeners = {"SASL": self.sasl, "MUTUAL": self.mutual}
        listeners |= {"EXPIRED": self.expired, "MISNAMED": self.misnamed}
        self.node = Kafka(folder, listeners=listeners, **self._settings())

    def login(self, user: str, password: str = PASSWORD, **options: str) -> str:
        """The URL for a user with a password; options as `ssl_ca_location=...`."""
        asked = {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", **options}
        return self.url(self.sasl, self.user(user, password), **asked)

    def user(self, name: str, password: str = PASSWORD) -> str:
        """A user as it stands in a URL."""
        return f"{quote(name, safe='')}:{quote(password, safe='')}@"

    def certified(self, certificate: Certificate | None, **options: str) -> str:
        """The URL for a client with a certificate, or without."""
        shown = {} if certificate is None else {
            "ssl_certificate_location": str(certificate.certificate),
            "ssl_key_location": str(certificate.key),
        }  # fmt: skip
        return self.url(self.mutual, security_protocol="SSL", **shown, **options)

    def url(self, address: str, user: str = "", **options: str) -> str:
        """A URL that trusts the node's authority unless the options say otherwise."""
        named = {"ssl_ca_location": str(self.authority.file), **options}
        pairs = urlencode({name.replace("_", "."): value for name, value in named.items()})
        return f"kafka://{user}{address}?{pairs}"

    def start(self) -> None:
        """As `Kafka.start`."""
        self.node.start()

    def add_user(self, name: str, rights: Sequence[AclBinding] = ()) -> None:
        """Make a user with a password and these rights, and wait until the node knows."""
        salted = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        change = UserScramCredentialUpsertion(name, salted, PASSWORD.encode())
        admin = self.node.admin()
        for done in admin.alter_user_scram_credentials([change]).values():
            done.result(10)
        self.grant(rights)
        self._until_known(name)

    def grant(self, rights: Sequence[AclBinding]) -> None:
        """Add rights, and wait until the node lists them."""
        if rights:
            admin = self.node.admin()
            for done in admin.create_acls(list(dict.fromkeys(rights))).values():
                done.result(10)

    def _until_known(self, user: str) -> None:
        settings = {
            "bootstrap.servers": self.sasl,
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": PASSWORD,
            "ssl.ca.location": str(self.authority.file),
            "log_level": 0,
        }
        deadline = time.monotonic() + 20
        while True:
            try:
                AdminClient(settings).list_topics(timeout=2)
            except KafkaException:
                assert time.monotonic() < deadline, f"the node never got to know user {user!r}"
            else:
                return

    def _settings(self) -> dict[str, str]:
        good, bad = self._keystore("node"), self._keystore("node", expired=True)
        return {
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL,"
            "MUTUAL:SSL,EXPIRED:SSL,MISNAMED:SSL",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.file),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(good),
            "ssl.principal.mapping.rules": "RULE:^CN=(.*)$/$1/",
            "listener.name.expired.ssl.keystore.type": "PEM",
            "listener.name.expired.ssl.keystore.location": str(bad),
            "listener.name.mutual.ssl.client.auth": "required",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
            "listener.name.sasl.scram-sha-512.sasl.jaas.config": _SCRAM,
            "listener.name.sasl.plain.sasl.jaas.config": f'{_PLAIN} user_{PLAIN_USER}="{PASSWORD}";',
        }

    def _keystore(self, name: str, *, expired: bool = False) -> Path:
        """Key and certificate in one file, as Kafka wants them."""
        files = self.authority.issue(name, expired=expired)
        store = self._folder / f"{name}{'-expired' if expired else ''}.store.pem"
        store.touch(mode=0o600)
        store.write_bytes(files.key.read_bytes() + files.certificate.read_bytes())
        return store
