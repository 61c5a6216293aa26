"""Users of the embedded database: one for the tasks, one who can only read the data of reports.

They are the same as in `compose/mongo-users.js`, with two differences: the embedded server grants
the actions of a role on the whole database, MongoDB on the collection that is named; and it lets
only those kill their own cursors who have an action for it.
"""

import secrets
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, SecretStr
from pymongo import MongoClient

from exports.doctor.rights import ACTIONS

ADMIN: Final = "root"
TASKS: Final = "exports"
READER: Final = "exports-reader"
SOURCE_DATABASE: Final = "shop"
TASKS_ROLE: Final = "exportsTasks"
TASKS_ACTIONS: Final = {name: list(actions) for name, actions in ACTIONS.items()}


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
        """Return the passwords in plain text, for a file that only its owner can read."""
        return {
            "admin": self.admin.get_secret_value(),
            "tasks": self.tasks.get_secret_value(),
            "reader": self.reader.get_secret_value(),
        }


def provision(uri: str, passwords: Passwords, *, tasks_database: str) -> None:
    """Create the role and the users, on a server that still has no access control.

    Args:
        uri: The server.
        passwords: Their passwords; users that exist already get them, too.
        tasks_database: The database of `ExportTasks`.
    """
    users = {
        ADMIN: {"role": "root", "db": "admin"},
        TASKS: {"role": TASKS_ROLE, "db": "admin"},
        READER: {"role": "read", "db": SOURCE_DATABASE},
    }
    with MongoClient[dict[str, Any]](uri) as client:
        admin = client["admin"]
        if not admin.command("rolesInfo", TASKS_ROLE)["roles"]:
            admin.command("createRole", TASKS_ROLE, privileges=[], roles=[])
        for name, role in users.items():
            if admin.command("usersInfo", name)["users"]:
                admin.command("dropUser", name)
            password = passwords.of(name).get_secret_value()
            admin.command("createUser", name, pwd=password, roles=[role])
    allow(uri, tasks_database=tasks_database)


def allow(uri: str, *, tasks_database: str) -> None:
    """Give the role exactly the rights that the service needs now, also on data of an older one.

    Args:
        uri: The server; with access control, for the administrator.
        tasks_database: The database of `ExportTasks`.
    """
    privileges = [
        {
            "resource": {"db": tasks_database, "collection": collection},
            "actions": [*actions, "killCursors"],
        }
        for collection, actions in TASKS_ACTIONS.items()
    ]
    with MongoClient[dict[str, Any]](uri) as client:
        client["admin"].command("updateRole", TASKS_ROLE, privileges=privileges)
