"""Measurements beside peers; run by `make bench`, never by `make test`."""
