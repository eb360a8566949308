"""The radio gateway: sends frames of Bluetooth Low Energy devices through the gateway client."""
