"""The twin for subscribers of an MQTT broker: values, alarms, events."""
