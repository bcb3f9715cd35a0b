"""Forms that are not written twice: of an act by its signature, of a message type by its model."""
