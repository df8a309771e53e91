"""The wire: request and answer types as msgspec Structs, one file an endpoint family.

It knows shapes, ranges and words, and no sockets, keys or engines. `decoding.py` turns bytes into
Structs, `errors.py` turns errors into bytes; the endpoints in `inference/` call both.
"""
