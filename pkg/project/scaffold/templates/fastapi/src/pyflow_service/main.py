"""The server runs `pyflow_service.main:app`.

Importing this module reads the environment and sets up logging. Tests create their own
application with `create_app`.
"""

from .app import create_app
from .logs import configure_logging
from .settings import Settings

settings = Settings()
configure_logging(settings.log_level)
app = create_app(settings)
