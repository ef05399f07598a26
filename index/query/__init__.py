"""Clinical words, read: from a line of text to statements, and from statements to sentences.

Words only: nothing here knows a store, an encoder or a vector.
"""
