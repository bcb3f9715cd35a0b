"""The node's listeners and their connections: who may connect, for how long, which one ends, who asks.

It never reads a body before its sender is known; what a request asks for is the business of the endpoints.
"""
