"""Sources that publish on an MQTT broker."""
