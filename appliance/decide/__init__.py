"""What may be: policy files, the rules compiled from them, and which step answers an incident.

Pure data and functions; `enforce/` turns rules into kernel text, `host/` applies it.
"""
