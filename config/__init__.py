"""The ground: settings, services, server, and the lowest layer that views share."""
