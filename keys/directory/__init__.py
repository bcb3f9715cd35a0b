"""The signed directory: who is a member, which contact points and keys each nation runs (TUF)."""
