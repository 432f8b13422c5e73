"""The same tables and the same rules on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError

from core.errors import Unavailable
from core.states import DeploymentState
from migrations.apply import downgrade, upgrade
from models import App, Base, Database, Deployment, Domain, Formation, Release, User
from server import admin
from tests.postgres import Cluster

pytestmark = pytest.mark.real


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/paas.db"
    cluster: Cluster = request.getfixturevalue("postgres")
    return cluster.database()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    upgrade(url)
    made = Database(url)
    yield made
    made.close()


def test_migrations_go_up_down_and_up_again(url: str) -> None:
    upgrade(url)
    downgrade(url, "base")
    made = Database(url)
    assert inspect(made.engine).get_table_names() == ["alembic_version"]
    upgrade(url)
    assert set(Base.metadata.tables) <= set(inspect(made.engine).get_table_names())
    made.close()


def test_the_migrations_make_just_the_tables_of_the_models(database: Database) -> None:
    with database.engine.connect() as connection:
        changes: list[Any] = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    assert changes == []


def test_rows_survive_going_down_to_the_first_tables_and_up_again(url: str, database: Database) -> None:
    with database.begin() as session:
        session.add(owner := User(name="ann", admin=False))
        session.flush()
        app = App(name="hello", owner_id=owner.id, subnet="10.0.0.0/26", data_key=b"sealed", locked="why")
        session.add(app)
        session.flush()
        session.add(Formation(app_id=app.id, process="web", count=2, memory=5 << 30, cpus=0.5))
        session.add(Domain(app_id=app.id, host="www.example.com"))
    database.close()
    downgrade(url, "0001")
    upgrade(url)
    with database.begin() as session:
        web = session.get_one(Formation, (app.id, "web"))
        assert (web.count, web.memory) == (2, None)
        found = session.get_one(App, app.id)
        assert ([one.host for one in found.domains], found.locked) == (["www.example.com"], None)


def test_only_one_deployment_of_an_app_is_in_flight(database: Database) -> None:
    with database.begin() as session:
        owner = User(name="ann", admin=False)
        session.add(owner)
        session.flush()
        app = App(name="hello", owner_id=owner.id, subnet="10.0.0.0/26", data_key=b"sealed")
        session.add(app)
        session.flush()
        release = Release(
            app_id=app.id,
            number=1,
            commit="0" * 40,
            image="sha256:1",
            processes={},
            sealed_config=b"sealed",
            description="first",
        )
        session.add(release)
        session.flush()
        session.add(in_flight(app.id, release.id))
        place = app.id, release.id
    with pytest.raises(IntegrityError), database.begin() as session:
        session.add(in_flight(*place))


def in_flight(app: str, release: str) -> Deployment:
    return Deployment(app_id=app, release_id=release, generation=1, state=DeploymentState.DEPLOYING.value)


def test_times_come_back_in_utc(database: Database) -> None:
    with database.begin() as session:
        user = User(name="ann", admin=False)
        session.add(user)
        session.flush()
        number = user.id
    with database.begin() as session:
        read = session.get(User, number)
        assert read is not None
        assert read.created_at.utcoffset() is not None


def test_connections_cut_by_a_restart_are_made_anew(postgres: Cluster) -> None:
    database = Database(postgres.database())
    with database.begin() as session:
        session.execute(text("SELECT 1"))
    postgres.restart()
    with database.begin() as session:
        assert session.scalar(text("SELECT 1")) == 1
    database.close()


def test_a_database_that_does_not_answer_is_told_in_words() -> None:
    with pytest.raises(Unavailable, match="cannot be migrated") as told:
        admin.migrate("postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    assert "PAAS_DATABASE_URL" in told.value.hint
