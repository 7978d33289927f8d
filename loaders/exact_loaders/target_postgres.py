"""The command `target-postgres-exact` and its settings."""

from __future__ import annotations

from typing_extensions import override

from exact_loaders.postgres_database import Postgres
from exact_loaders.target import SCHEMA, ExactTarget, main, settings

_TEXT = {"type": "string"}


class TargetPostgres(ExactTarget):
    """Singer target for PostgreSQL."""

    name = "target-postgres-exact"
    package_name = "singer-exact-loaders"
    config_jsonschema = settings(
        {
            "host": {
                **_TEXT,
                "title": "Host",
                "description": "Name or address of the server, such as `localhost`",
            },
            "port": {
                "type": "integer",
                "title": "Port",
                "default": 5432,
                "description": "Port of the server",
            },
            "user": {
                **_TEXT,
                "title": "User",
                "description": "Name of the user, such as `kafinea`",
            },
            "password": {
                **_TEXT,
                "title": "Password",
                "secret": True,
                "description": "Password of the user. If not set: that of the file .pgpass",
            },
            "database": {
                **_TEXT,
                "title": "Database",
                "description": "Name of the database, such as `warehouse`",
            },
            "ssl_enable": {
                "type": "boolean",
                "title": "TLS",
                "default": False,
                "description": "Whether the connection must be encrypted",
            },
            "ssl_mode": {
                **_TEXT,
                "title": "TLS mode",
                "enum": ["require", "verify-ca", "verify-full"],
                "default": "verify-full",
                "description": "How the server is verified with `ssl_enable`: `require`, "
                "`verify-ca` or `verify-full`",
            },
            "ssl_certificate_authority": {
                **_TEXT,
                "title": "Certificate authority",
                "description": "File with the certificates that are trusted, such as "
                "/etc/ssl/company.pem. If not set: those of this machine",
            },
        },
        required=["host", "user", "database"],
        default_schema="public",
    )

    @override
    def open_database(self) -> Postgres:
        config = self.config
        connection = {
            "host": config["host"],
            "port": config["port"],
            "user": config["user"],
            "password": config.get("password"),
            "dbname": config["database"],
            "application_name": self.name,
        }
        if config["ssl_enable"]:
            connection["sslmode"] = config["ssl_mode"]
            connection["sslrootcert"] = config.get("ssl_certificate_authority") or "system"
        return Postgres(connection, config[SCHEMA])


def run() -> None:
    """Run the command."""
    main(TargetPostgres)
