"""One embedded server with access control, for the tests of roles."""

from collections.abc import Mapping
from typing import Final

from dev import readiness
from dev.endpoints import Endpoints, Keys
from dev.servers import Servers


class LoneDatabase(Servers):
    """The database, with its users."""

    def __init__(self) -> None:
        super().__init__(mongo_users=True)

    def _start(self, chosen: dict[str, int]) -> Endpoints:
        endpoints = Endpoints.of(chosen, Keys.make(), self._passwords(chosen))
        process = self._process("The database", self._mongo(chosen, auth=True))
        self._processes.append(process)
        readiness.wait_until(readiness.mongo, endpoints, process)
        self._endpoints = endpoints
        return endpoints


class LoneStore(Servers):
    """The object store, with users who have policies.

    Args:
        policies: The policies as JSON, by name.
        users: The names of the policies of each user.
    """

    def __init__(self, policies: Mapping[str, str], users: Mapping[str, list[str]]) -> None:
        super().__init__()
        self._policies = policies
        self._users = users
        self.keys: Final = {user: Keys.make() for user in users}

    def _accounts(self, keys: Keys) -> dict[str, object]:
        identities: list[object] = [_identity("dev", keys, actions=["Admin", "Read", "Write"])]
        identities += [
            {**_identity(user, self.keys[user], actions=[]), "policyNames": names}
            for user, names in self._users.items()
        ]
        policies = [{"name": name, "content": text} for name, text in self._policies.items()]
        return {"identities": identities, "policies": policies}

    def _start(self, chosen: dict[str, int]) -> Endpoints:
        keys = self._keys()
        endpoints = Endpoints.of(chosen, keys)
        process = self._process("The object store", self._s3(chosen, keys))
        self._processes.append(process)
        readiness.wait_until(readiness.s3, endpoints, process)
        self._endpoints = endpoints
        return endpoints


def _identity(name: str, keys: Keys, *, actions: list[str]) -> dict[str, object]:
    revealed = keys.revealed()
    credentials = {
        "accessKey": revealed["access_key_id"],
        "secretKey": revealed["secret_access_key"],
    }
    return {"name": name, "credentials": [credentials], "actions": actions}
