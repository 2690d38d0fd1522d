"""MQTT: the only door to aiomqtt, paho and amqtt."""
