from django.apps import AppConfig


class ConstitutionConfig(AppConfig):
    name = "constitution"
    default_auto_field = "django.db.models.BigAutoField"
