"""Where (bytes), what (words), why (cause), ATT&CK technique and advice, in English and Japanese.

Works on findings and words alone: incidents import this room, not the other way round. Everything that decides is an
ordered table (`cause.RULES`, `advice.STEPS`, `technique.TECHNIQUES`); everything that is said is a text with a key.
"""
