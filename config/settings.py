"""All settings, for every place Ratify runs in; what differs between places comes from `config.env`."""

from datetime import timedelta

from csp.constants import NONE, SELF

from config import env, logs

VAR = env.VAR
MODEL = env.MODEL
ENGINE_DEVICE = env.ENGINE_DEVICE
ROUND_PRESET = env.ROUND_PRESET
ROUND_DEBOUNCE = env.ROUND_DEBOUNCE
SIGNING_KEY = env.SIGNING_KEY
UNDO_SECONDS = env.UNDO_SECONDS
SITE = env.SITE.rstrip("/")
WEBHOOKS_TO_PRIVATE = env.WEBHOOKS_TO_PRIVATE
FREE_DISK_MB = env.FREE_DISK_MB
FREE_MEMORY_MB = env.FREE_MEMORY_MB
FREE_GPU_MEMORY_MB = env.FREE_GPU_MEMORY_MB
KEEP_MODELS = env.KEEP_MODELS
ARTEFACTS_URL = env.ARTEFACTS_URL
SURFACING_SCENARIOS = env.SURFACING_SCENARIOS
READING_EVERY = env.READING_EVERY
PRODUCER = env.PRODUCER
PRODUCER_MODEL = env.PRODUCER_MODEL
# By what is judged; a comparison of a round with its previews has the judge of those.
JUDGES = {"readings": env.JUDGE_READINGS, "previews": env.JUDGE_PREVIEWS, "rounds": env.JUDGE_ROUNDS}
JUDGE_MODEL = env.JUDGE_MODEL
ENGINE_URL = env.ENGINE_URL
ENGINE_KEY = env.ENGINE_KEY
ENGINE_TIMEOUT = env.ENGINE_TIMEOUT
ENGINE_TRIES = env.ENGINE_TRIES
BROKER_URL = env.broker_url()

DEBUG = env.DEBUG
SECRET_KEY = env.secret_key()
ALLOWED_HOSTS = env.ALLOWED_HOSTS
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

INSTALLED_APPS = [
    "config",
    "training",
    "amendments",
    "constitution",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "axes",
    "csp",
    "django_htmx",
    "django_structlog",
    "pgtrigger",
    "template_partials",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",  # every page, unless it says login_not_required
    "constitution.access.RoleRequiredMiddleware",  # and nothing of ours for people without a role
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",  # last: it turns a lockout into its answer
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [env.BASE / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "amendments.views.undo.context",
                "training.activity.context",
            ],
        },
    }
]

DATABASES = {"default": env.database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# A profile has one field for each thing that a clause says: some thousands of them are a large one, not an attack.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True

# Files. Hashed names need a `collectstatic` first, which `manage.py dev` runs; without it files are served as found.
STATIC_URL = "/static/"
STATICFILES_DIRS = [env.BASE / "static"]
STATIC_ROOT = VAR / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
WHITENOISE_USE_FINDERS = not env.HASHED_STATIC
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if env.HASHED_STATIC
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# Who gets in: with a password (and a second factor, where set), or once with a link made on the server.
AUTH_USER_MODEL = "constitution.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # first: refuses before anyone looks at a password
    "allauth.account.auth_backends.AuthenticationBackend",
    "sesame.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_ADAPTER = "config.accounts.ClosedAccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_REDIRECT_URL = LOGOUT_REDIRECT_URL
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_RATE_LIMITS = {"login_failed": ""}  # axes counts guesses, for all processes together
SESAME_MAX_AGE = timedelta(days=1)
SESAME_ONE_TIME = True
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_USERNAME_CALLABLE = "config.accounts.name_in"
AXES_LOCKOUT_TEMPLATE = "account/lockout.html"
AXES_VERBOSE = False
vars().update(env.ENV.email_url("EMAIL_URL", default="consolemail://"))  # EMAIL_BACKEND, EMAIL_HOST and so on

EMAIL_TIMEOUT = 10  # a mail server that does not answer keeps no worker from its work

# What a browser may do with our pages.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],  # small images inside style sheets, and the second factor's QR code
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = env.HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if env.HTTPS else 0
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]  # monitors ask from inside
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.HTTPS else None
X_FRAME_OPTIONS = "DENY"
# HSTS for the host's other names, and for browsers' built-in lists: whoever owns the domain decides that.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

LOGGING = logs.configuration(json=env.LOG_JSON, level="DEBUG" if DEBUG else "INFO")
DJANGO_STRUCTLOG_CELERY_ENABLED = True
DJANGO_STRUCTLOG_STATUS_2XX_LOG_LEVEL = DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = 10  # quiet: debug only
DJANGO_STRUCTLOG_CELERY_DEFAULT_LOG_LEVEL = 10
