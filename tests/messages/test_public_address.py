"""No way inside: which addresses a webhook may have, and which not."""

import re
from collections.abc import Sequence

import pytest

from exports.errors import ExportError, WebhookAddressError
from exports.messages.webhook.public_address import destination, is_public

PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "93.184.216.34"),
    *("100.63.255.255", "100.128.0.0", "128.0.0.1", "172.15.255.255", "172.32.0.0"),
    *("192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0"),
    "223.255.255.255",
    *("2001:200::1", "2001:4860:4860::8888", "2400:3200::1", "2606:4700:4700::1111"),
    "2a00:1450:4001:81b::200e",
]
NOT_PUBLIC = {
    "this network": ["0.0.0.0", "0.0.0.1", "0.255.255.255"],  # noqa: S104 -- refused
    "private": [
        *("10.0.0.0", "10.0.0.1", "10.255.255.255", "172.16.0.0", "172.31.255.255"),
        *("192.168.0.0", "192.168.1.1", "192.168.255.255"),
    ],
    "shared by the customers of a provider": ["100.64.0.0", "100.127.255.255"],
    "loopback": ["127.0.0.0", "127.0.0.1", "127.0.1.1", "127.255.255.255", "::1"],
    "link-local": ["169.254.0.0", "169.254.255.255", "fe80::1", "febf::1", "fe80::1%eth0"],
    "metadata of clouds": [
        *("169.254.169.254", "fd00:ec2::254", "169.254.170.2"),  # AWS and others
        *("100.100.100.200", "169.254.0.23", "192.0.0.192"),  # Alibaba, Tencent, Oracle
        *("168.63.129.16", "fd20:ce::254"),  # Azure, Google
    ],
    "protocol assignments": ["192.0.0.0", "192.0.0.8", "192.0.0.170", "2001::", "2001:1::1"],
    "documentation": [
        *("192.0.2.1", "198.51.100.1", "203.0.113.255", "2001:db8::1", "3fff::1"),
    ],
    "benchmarking": ["198.18.0.0", "198.19.255.255", "2001:2::1"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "reserved": ["240.0.0.1", "255.255.255.254", "4000::1", "5f00::1", "::2:0:0:0:0"],
    "broadcast": ["255.255.255.255"],
    "unspecified": ["::"],
    "relays of 6to4": ["192.88.99.1"],
    "v4-mapped": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::ffff:a9fe:a9fe"],
    "v4-compatible": ["::127.0.0.1", "::8.8.8.8", "::a00:1"],
    "v4-translated": ["::ffff:0:127.0.0.1", "::ffff:0:8.8.8.8"],
    "6to4": ["2002:7f00:1::1", "2002:a00:1::1", "2002:808:808::1"],
    "Teredo": ["2001:0:53aa:64c:0:fbff:f5ff:fffe", "2001::1"],
    "NAT64": [
        *("64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::8.8.8.8"),
        *("64:ff9b:1::10.0.0.1", "64:ff9b:1:ffff::1"),
    ],
    "ISATAP": ["2a00:1450:4001:81b:0:5efe:10.0.0.1", "2a00:1450:4001:81b:200:5efe:8.8.8.8"],
    "discard only": ["100::1", "100:0:0:1::1"],
    "unique local": ["fc00::1", "fdff:ffff::1"],
    "site-local": ["fec0::1", "feff::1"],
    "with a zone": ["2606:4700:4700::1111%eth0"],
    "no address": ["", "localhost", "1.1.1", "0x7f000001"],
}


async def _public(_: str, __: int) -> Sequence[str]:
    return ["93.184.216.34"]


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address", [item for items in NOT_PUBLIC.values() for item in items], ids=lambda item: item
)
async def test_no_name_leads_to_an_address_that_is_not_public(address: str) -> None:
    async def resolve(_: str, __: int) -> Sequence[str]:
        return ["93.184.216.34", address, "1.1.1.1"]

    assert not is_public(address)
    with pytest.raises(WebhookAddressError, match="not public"):
        await destination("https://hooks.example/", loopback=False, resolve=resolve)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "10.1.2.3", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]"),
        *("[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[fe80::1%25lo]", "[fd00:ec2::254]"),
        *("2130706433", "017700000001", "0x7f000001", "0x7F.0.0.1", "127.1", "127.0.1"),
        *("0177.0.0.1", "0x7f.0x0.0x0.0x1", "127.0.0.0x1", "0", "00.0.0.0", "3232235777"),
        *("127.0.0.1.", "127。0。0。1", "①②⑦.⓪.⓪.①", "１２７.0.0.1", "%31%32%37.0.0.1"),
        *("localhost", "LOCALHOST", "localhost.", "metadata", "ip6-loopback", "db_1.example.com"),
        *("hooks.example.org.", "-a.example.com", "a..example.com", "a b.example.com", ""),
        *("127.0.0.1\\@hooks.example.com", "hooks.example.com\\@127.0.0.1", "[1.1.1.1]"),
        *("hooks.example.com\t", "hooks\r\n.example.com", "a" * 64 + ".example.com"),
        *(f"{'abc.' * 70}com", "xn--.com\x00", "[::1", "::1", "\ud800.example.com"),
    ],
)
async def test_no_spelling_of_a_host_leads_inside(host: str) -> None:
    async def resolve(name: str, _: int) -> Sequence[str]:
        is_address = ":" in name or re.fullmatch(r"(\d+\.){3}\d+", name)
        return [name] if is_address else ["93.184.216.34"]

    with pytest.raises(ExportError) as refused:
        await destination(f"https://{host}/hook", loopback=False, resolve=resolve)
    assert refused.value.code in {"E_WEBHOOK_ADDRESS", "E_REQUEST"}
    assert not host or host not in refused.value.msg


@pytest.mark.parametrize(
    "url",
    [
        *("http://hooks.example.com/", "ftp://hooks.example.com/", "//hooks.example.com/", ""),
        *("hooks.example.com", "file:///etc/passwd", "javascript:alert(1)", "https://"),
        *("gopher://hooks.example.com:70/", "https:hooks.example.com", "https:///hook"),
        *("https://user:password@hooks.example.com/", "https://user@hooks.example.com/"),
        *("https://:password@hooks.example.com/", "https://hooks.example.com/#part"),
        *("https://hooks.example.com:0/", "https://hooks.example.com:25/"),
        *("https://hooks.example.com:80/", "https://hooks.example.com:1023/"),
        *("https://hooks.example.com:65536/", "https://hooks.example.com:-1/"),
        *("https://hooks.example.com:x/", f"https://hooks.example.com/{'a' * 2048}"),
        "https://hooks.example.com/\x00",
    ],
)
async def test_an_address_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(WebhookAddressError) as refused:
        await destination(url, loopback=False, resolve=_public)
    assert "user:password" not in refused.value.msg


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://hooks.example.com", "hooks.example.com"),
        ("HTTPS://Hooks.Example.COM:443/a?b=c", "hooks.example.com"),
        ("https://hooks.example.com:8443/hook", "hooks.example.com"),
        ("https://hooks.example.com:65535/", "hooks.example.com"),
        ("https://bücher.example/", "xn--bcher-kva.example"),
        ("https://例子.测试/钩", "xn--fsqu00a.xn--0zwm56d"),
        ("https://xn--fsqu00a.xn--0zwm56d/", "xn--fsqu00a.xn--0zwm56d"),
        ("https://93.184.216.34/", "93.184.216.34"),
        ("https://[2606:4700:4700::1111]:8443/", "2606:4700:4700::1111"),
    ],
)
async def test_an_address_of_the_internet_is_looked_up_once(url: str, host: str) -> None:
    asked: list[tuple[str, int]] = []

    async def resolve(name: str, port: int) -> Sequence[str]:
        asked.append((name, port))
        return ["93.184.216.34", "2606:4700:4700::1111", "93.184.216.34"]

    found = await destination(url, loopback=False, resolve=resolve)
    assert [name for name, _ in asked] == [host]
    assert found.addresses == ["93.184.216.34", "2606:4700:4700::1111"]
    assert found.url.raw_host.decode() == host


async def test_a_name_inside_can_not_be_told_from_one_that_does_not_exist() -> None:
    async def nothing(_: str, __: int) -> Sequence[str]:
        raise OSError("Name or service not known")

    async def inside(_: str, __: int) -> Sequence[str]:
        return ["10.0.0.1"]

    said: list[str] = []
    for resolve in (nothing, inside):
        with pytest.raises(WebhookAddressError) as refused:
            await destination("https://db.corp.example/", loopback=False, resolve=resolve)
        said.append(refused.value.msg)
    assert said[0] == said[1]


@pytest.mark.parametrize("url", ["http://localhost:8080/", "http://127.0.0.1:80/", "http://[::1]/"])
async def test_a_developer_may_have_webhooks_on_the_own_machine_and_nobody_else(url: str) -> None:
    assert (await destination(url, loopback=True)).addresses
    with pytest.raises(WebhookAddressError):
        await destination(url, loopback=False)


@pytest.mark.parametrize(
    "addresses", [["10.0.0.1"], ["127.0.0.1", "10.0.0.1"], ["127.0.0.1", "1.1.1.1"], ["0.1.2.3"]]
)
async def test_a_developer_may_not_reach_other_machines_inside(addresses: list[str]) -> None:
    async def resolve(_: str, __: int) -> Sequence[str]:
        return addresses

    for scheme in ("http", "https"):
        with pytest.raises(WebhookAddressError):
            await destination(f"{scheme}://hooks.example/", loopback=True, resolve=resolve)
    with pytest.raises(WebhookAddressError):
        await destination("http://hooks.example/", loopback=True, resolve=_public)
