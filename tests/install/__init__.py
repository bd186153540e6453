"""The package on a real Debian 12: installed by apt on a booted system between a client and a device, lived with, removed.

tree   a Debian tree by debootstrap, kept between runs outside the repository; the mirror is the one of this machine's apt
box    such a tree booted by systemd-nspawn in the middle of the lab's gate
deb    what is inside a package, and the same package under another version
"""
