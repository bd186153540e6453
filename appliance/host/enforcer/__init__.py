"""The kernel refuses what a policy or a lease says, and no longer than that.

enforcer, with its ledger of who said what; nft is the kernel's rules, shadow what the kernel has counted.
"""
