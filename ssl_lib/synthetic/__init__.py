"""The built-in world: wordings, quantities and entities from which documents and evaluation items are made."""
