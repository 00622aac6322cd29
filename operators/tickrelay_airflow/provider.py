# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
What Airflow learns about Tickrelay without importing the rest of it: loaded in every Airflow process, so it
is light.
"""

from __future__ import annotations

from typing import Any

_INTEGRATION = "Tickrelay"


def get_provider_info() -> dict[str, Any]:
    """The provider's description, as `airflow/provider_info.schema.json` wants it."""
    return {
        # Must be the distribution's own name, or Airflow's discovery of every provider fails.
        "package-name": "tickrelay",
        "name": _INTEGRATION,
        "description": "Airflow schedules turned into work done elsewhere: one tick, one effect.",
        "integrations": [{"integration-name": _INTEGRATION, "tags": ["software"]}],
        "operators": [_modules("tickrelay_airflow.publish")],
        "sensors": [_modules("tickrelay_airflow.sensor")],
        "hooks": [_modules("tickrelay_airflow.hook")],
        "triggers": [_modules("tickrelay_airflow.triggers.queue", "tickrelay_airflow.triggers.events")],
        "queues": ["tickrelay_airflow.triggers.events.TickrelayMessageQueueProvider"],
        "connection-types": [_tickrelay(), _amqp()],
        "extra-links": ["tickrelay_airflow.links.MessagesLink"],
        "task-decorators": [{"name": "publish", "class-name": "tickrelay_airflow.decorators.publish_task"}],
        "cli": ["tickrelay_airflow.cli.get_commands"],
        "config": _config(),
    }


def _modules(*names: str) -> dict[str, Any]:
    return {"integration-name": _INTEGRATION, "python-modules": list(names)}


def _tickrelay() -> dict[str, Any]:
    return {
        "connection-type": "tickrelay",
        "hook-class-name": "tickrelay_airflow.hook.QueueHook",
        "hook-name": _INTEGRATION,
        "ui-field-behaviour": {
            "hidden-fields": ["host", "port", "login", "password", "schema"],
            "relabeling": {},
            "placeholders": {},
        },
        "conn-fields": {
            "broker": _field(
                "Broker URL",
                "Where messages go: sqlite:////var/lib/tickrelay/queue.db, amqp://, kafka://, redis://.",
                secret=True,
            ),
            "broker_conn_id": _field(
                "Broker connection",
                "Instead of the URL: the id of a connection of type amqp, kafka, redis or sqlite.",
            ),
            "ledger": _field(
                "Ledger URL",
                "Where their lives are kept: sqlite:////var/lib/tickrelay/ledger.db, postgresql://. "
                "Without one, publishing works and sensors don't.",
                secret=True,
            ),
            "deployment": _field(
                "Deployment name",
                "Part of every message id: keep it when the deployment moves; two deployments need two names.",
                default="airflow",
            ),
        },
    }


def _amqp() -> dict[str, Any]:
    return {
        "connection-type": "amqp",
        "hook-class-name": "tickrelay_airflow.hook.AmqpHook",
        "hook-name": "RabbitMQ (AMQP)",
        "ui-field-behaviour": {
            "hidden-fields": [],
            "relabeling": {"schema": "Virtual host"},
            "placeholders": {"port": "5672, with TLS 5671", "schema": "/"},
        },
        "conn-fields": {
            "tls": {
                "label": "TLS",
                "description": "Whether the server speaks TLS; its certificate is verified.",
                "schema": {"type": ["boolean", "null"], "default": False},
            },
            "cafile": _field("CA certificates", "File of the certificates to trust instead of the system's."),
            "certfile": _field("Client certificate", "PEM file, for mutual TLS."),
            "keyfile": _field("Client key", "PEM file of its private key."),
            "auth": _field("Login by", "plain (login and password), or external (the client certificate)."),
            "management": _field(
                "Management API",
                "http://host:15672 or with https; without it queues of others and their figures can't be seen.",
                secret=True,
            ),
        },
    }


def _field(
    label: str, description: str, *, secret: bool = False, default: str | None = None
) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": ["string", "null"]}
    if secret:  # the URL may hold a password
        schema["format"] = "password"
    if default is not None:
        schema["default"] = default
    return {"label": label, "description": description, "schema": schema}


def _config() -> dict[str, Any]:
    return {
        "tickrelay": {
            "description": "Settings of Tickrelay inside Airflow.",
            "options": {
                "conn_id": {
                    "description": "The connection whose ledger the pages read.",
                    "version_added": "0.1.0",
                    "type": "string",
                    "example": "tickrelay_production",
                    "default": "tickrelay_default",
                },
                "mailbox_days": {
                    "description": "Days for which the ledger keeps messages for sensors, taken or not.",
                    "version_added": "0.1.0",
                    "type": "integer",
                    "example": "90",
                    "default": "30",
                },
            },
        }
    }
