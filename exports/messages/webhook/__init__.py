"""Messages to addresses that people name, by Standard Webhooks."""
