from django.apps import AppConfig


class GroundConfig(AppConfig):
    name = "config"
    label = "ground"

    def ready(self) -> None:
        from config import celery

        celery.app.set_default()  # so that @shared_task in the web process publishes to our broker
