"""The notifier: sends alerts to their receivers, from the stream of the alerts table."""
