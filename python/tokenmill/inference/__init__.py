"""The data plane's endpoints, as raw ASGI: key, body, decoding, route, one native call, relay.

They know neither processes nor databases; `gateway/app.py` calls them and hands them what they
share.
"""
