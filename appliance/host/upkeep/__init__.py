"""What people do about the machine.

before it runs     doctor and ports look at the machine
kept elsewhere     backup and restore, by backup_format; identity is who a gateway is
the next version   update, with update_keys, bundle and dpkg
"""
