"""Simulated processes, their traffic, and what forges their values: the process relations put to the test."""
