"""The data plane's document and the dashboard's make one: neither hides a part of the other."""

from tokenmill.control.documentation.dashboard_routes import dashboard_schemas
from tokenmill.control.documentation.endpoints import whole_document
from tokenmill.protocol.openapi import document


def test_a_name_of_a_schema_means_one_thing() -> None:
    one, other = document()["components"]["schemas"], dashboard_schemas()
    assert {name for name in one.keys() & other.keys() if one[name] != other[name]} == set()


def test_tags_are_listed_once() -> None:
    names = [tag["name"] for tag in whole_document()["tags"]]
    assert len(names) == len(set(names))
