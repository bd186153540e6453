"""Incidents go out to whoever is to know of them.

process, reporter   the one loop; outbox holds what waits, a courier serves each destination through senders
"""
