"""What several measurements of surfacing share: what is read, the reading itself with its store, and the queue."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()  # for the code of the worker; nothing here asks the database
