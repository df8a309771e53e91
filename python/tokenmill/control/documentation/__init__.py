"""GET /openapi.json and GET /docs: the API described, readable without a network."""
