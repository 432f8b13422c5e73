import os

from flask import Flask

VERSION = "1"

app = Flask(__name__)


@app.get("/")
def index() -> str:
    return f"flask sample, version {VERSION}\n"


@app.get("/env/<name>")
def variable(name: str) -> tuple[str, int]:
    return (os.environ[name], 200) if name in os.environ else ("not set", 404)
