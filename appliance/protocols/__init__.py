"""Protocol decoders: they turn bytes into words and are never needed to detect.

What decoders share (`shape`) is imported here, as it is what the rest of the program speaks of; the decoders themselves
(`decoders`) are for the words worker.
"""

from appliance.protocols.shape import Intent, Words

__all__ = ["Intent", "Words"]
