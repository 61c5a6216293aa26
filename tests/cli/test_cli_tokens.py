"""`exports token`: an operator makes, lists and revokes tokens of the HTTP API."""

import re

from exports.settings import Settings
from exports.tokens import TokenStore
from tests.support.command_line import CommandLine, environment_of
from tests.support.service import Service


async def test_an_operator_makes_lists_and_revokes_tokens(
    idle_service: Service, settings: Settings, temporal_address: str
) -> None:
    exports = CommandLine(environment_of(settings, temporal_address))
    made = await exports.run(
        "token", "create", "u1", "--expires", "30d", "--email", "u1@example.com"
    )
    token = made.out.strip()
    assert re.fullmatch(r"exp_[0-9a-f]{16}_[\w-]{43}", token), "alone, for $(...)"
    assert token not in made.err
    as_json = await exports.run("token", "create", "o1", "--operator", "--json")
    assert as_json.json["operator"] is True
    assert as_json.json["expiresAt"] is None

    store = TokenStore(idle_service.database)
    found = await store.find(token)
    assert found is not None
    assert (found.uid, found.operator, found.email) == ("u1", False, "u1@example.com")
    listed = await exports.run("token", "list", "--json")
    assert [item["uid"] for item in listed.json] == ["u1", "o1"]
    assert token not in listed.out
    assert token not in (await exports.run("token", "list")).out

    assert (await exports.run("token", "revoke", found.id)).code == 0
    assert await TokenStore(idle_service.database).find(token) is None
    no_mail = ["create", "u1", "--email", "a@example.com, b@example.com"]
    for wrong in (["revoke", token], ["create", " "], ["create", "u1", "--expires", "1y"], no_mail):
        refused = await exports.run("token", *wrong)
        assert (refused.code, refused.err[:10]) == (2, "E_REQUEST:")
        assert token not in refused.err
