"""The flow of a push once more, its rows in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from control.context import Context
from tests.factories import context
from tests.postgres import Cluster
from tests.unit import test_control_push as flow

ada = flow.ada
remote = flow.remote
pytestmark = pytest.mark.real


@pytest.fixture
def ctx(tmp_path: Path, postgres: Cluster) -> Iterator[Context]:
    made = context(tmp_path, postgres.database())
    yield made
    made.db.close()


test_a_first_push = flow.test_a_first_push_creates_the_app_and_goes_live
test_a_second_push = flow.test_a_second_push_replaces_the_first
test_a_broken_push = flow.test_a_broken_push_changes_nothing
test_superseding = flow.test_waiting_pushes_are_superseded_by_the_newest
test_order = flow.test_release_order_is_push_order_with_other_work_between
test_rollback = flow.test_a_rollback_brings_back_image_and_config_as_a_new_release
test_scaling = flow.test_scaling_starts_and_stops_instances
test_destroying = flow.test_destroying_an_app_leaves_nothing_of_it
test_a_dead_server = flow.test_a_job_whose_server_died_is_done_once_more_and_then_given_up
test_nothing_changed = flow.test_the_same_tree_makes_no_build_and_no_release
