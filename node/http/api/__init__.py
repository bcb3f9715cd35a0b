"""The endpoints of docs/http-api.md, one module per resource."""
