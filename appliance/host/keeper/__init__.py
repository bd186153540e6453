"""Incidents are on disk, asked for, and answered.

process, keeper   the one loop; store and store_file are the incidents on disk
told of           metrics answers Prometheus, reported reads how the reporter stands
answered          response asks the enforcer, by what site_files and policies read
"""
