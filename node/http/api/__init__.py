"""The endpoints of docs/http-api.md, one module a resource.

None decides who may connect, and none answers before what it accepts is durable.
"""
