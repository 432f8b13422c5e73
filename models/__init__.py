"""The tables."""

from models.app import App, ConfigVar, Domain, Formation
from models.base import Base
from models.event import AuditEntry
from models.release import Build, Deployment, Job, Release
from models.session import Database
from models.user import SSHKey, Token, User

__all__ = [
    "App",
    "AuditEntry",
    "Base",
    "Build",
    "ConfigVar",
    "Database",
    "Deployment",
    "Domain",
    "Formation",
    "Job",
    "Release",
    "SSHKey",
    "Token",
    "User",
]
