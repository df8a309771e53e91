"""Which addresses an engine may register itself under, and when its lease is over. Pure.

A gateway sends requests, with its accounts' prompts in them, to whoever registers, and looks at any
address that it is told. So an address has to lie in a network that the operator named: as a rule
private ones; never a link-local one, where clouds keep their credentials.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from tokenmill.engines.address import Address, parse_address

IpAddress = IPv4Address | IPv6Address

RENEWALS_A_LEASE = 3
"""One that is lost, or late, costs nothing."""


def joining_address(url: str) -> Address:
    """The address in `url`.

    A name can stand for another machine tomorrow; behind https its certificate says that it is the
    same one. Raises: ValueError, for a name without that, and for what no other machine can reach.
    """
    address = parse_address(url)
    if address.path:
        raise ValueError("an engine registers under http://IP:port or https://host:port")
    if not address.is_encrypted:
        try:
            ip_address(address.host)
        except ValueError:
            raise ValueError("a host name needs https; else give an IP address") from None
    return address


def parse_networks(texts: Iterable[str]) -> list[str]:
    """The networks, in one spelling. Raises: ValueError naming the one that is none."""
    return [str(ip_network(text, strict=True)) for text in texts]


def check_addresses(found: Sequence[str], networks: Iterable[str]) -> None:
    """All addresses that a host name stands for lie in the networks. Raises: ValueError."""
    allowed = [ip_network(text) for text in networks]
    if not found:
        raise ValueError("the host name stands for no address")
    for text in found:
        one = _plain(ip_address(text))
        if one.is_multicast or one.is_unspecified or one.is_link_local:
            raise ValueError(f"{one} is no address of an engine")
        if not any(one in network for network in allowed):
            raise ValueError(f"{one} is in no network of join.networks")


def _plain(address: IpAddress) -> IpAddress:
    """An IPv4 address that is written as an IPv6 one is what it is."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def renew_ms(lease_ms: int) -> int:
    """How often a lease is renewed."""
    return lease_ms // RENEWALS_A_LEASE
