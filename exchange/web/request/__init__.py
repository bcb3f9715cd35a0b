"""A new request, from the nations it goes to until it is sent."""
