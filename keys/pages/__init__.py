"""Pages that a program shows in a browser: templates, assets, who may reach them, and the headers of each answer.

It never knows what a desk or a node is, and no page of it fetches anything from elsewhere.
"""
