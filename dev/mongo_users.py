"""Users of the embedded database: one keeps the tasks, one can only read what reports are made of.

The same as in `compose/mongo-users.js`, as far as the embedded server knows: it grants a role's
actions on a whole database, where MongoDB grants them on the one collection that is named.
"""

import secrets
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, SecretStr
from pymongo import MongoClient

from exports.names import TASKS_COLLECTION

ADMIN: Final = "root"
TASKS: Final = "exports"
READER: Final = "exports-reader"
SOURCE_DATABASE: Final = "shop"
TASKS_ROLE: Final = "exportsTasks"
TASKS_ACTIONS: Final = ["find", "insert", "update", "createIndex"]
"""Everything that this service does to `ExportTasks`: it never removes a task."""


class Passwords(BaseModel):
    """Throw-away passwords of the three users."""

    model_config = ConfigDict(frozen=True)

    admin: SecretStr
    tasks: SecretStr
    reader: SecretStr

    @classmethod
    def make(cls) -> Self:
        """Return new random passwords."""
        admin, tasks, reader = (SecretStr(secrets.token_hex(16)) for _ in range(3))
        return cls(admin=admin, tasks=tasks, reader=reader)

    def of(self, user: str) -> SecretStr:
        """Return the password of a user."""
        return {ADMIN: self.admin, TASKS: self.tasks, READER: self.reader}[user]

    def revealed(self) -> dict[str, str]:
        """Return the passwords in plain text, to be written where only their owner can read."""
        return {
            "admin": self.admin.get_secret_value(),
            "tasks": self.tasks.get_secret_value(),
            "reader": self.reader.get_secret_value(),
        }


def provision(uri: str, passwords: Passwords, *, tasks_database: str) -> None:
    """Make the role and the users, on a server that does not ask who comes yet.

    Args:
        uri: The server.
        passwords: Those of the users; users that are there get them.
        tasks_database: Where `ExportTasks` is.
    """
    resource = {"db": tasks_database, "collection": TASKS_COLLECTION}
    users = {
        ADMIN: {"role": "root", "db": "admin"},
        TASKS: {"role": TASKS_ROLE, "db": "admin"},
        READER: {"role": "read", "db": SOURCE_DATABASE},
    }
    with MongoClient[dict[str, Any]](uri) as client:
        admin = client["admin"]
        if not admin.command("rolesInfo", TASKS_ROLE)["roles"]:
            admin.command(
                "createRole",
                TASKS_ROLE,
                privileges=[{"resource": resource, "actions": TASKS_ACTIONS}],
                roles=[],
            )
        for name, role in users.items():
            if admin.command("usersInfo", name)["users"]:
                admin.command("dropUser", name)
            password = passwords.of(name).get_secret_value()
            admin.command("createUser", name, pwd=password, roles=[role])
