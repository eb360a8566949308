"""The radio gateway: Bluetooth Low Energy devices in, frames through the gateway client and its
spool out.
"""
