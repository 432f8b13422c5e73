"""The flow of a push once more, its rows in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from control.context import Context
from tests.factories import context
from tests.postgres import Cluster
from tests.unit import test_control_lease as leases
from tests.unit import test_control_push as flow
from tests.unit import test_control_watch as watched

ada = flow.ada
remote = flow.remote
pytestmark = pytest.mark.real


@pytest.fixture
def ctx(tmp_path: Path, postgres: Cluster, request: pytest.FixtureRequest) -> Iterator[Context]:
    made = context(tmp_path, postgres.database(), watch=120 if "watched" in request.node.name else 0)
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
test_a_takeover = leases.test_a_dead_servers_job_is_taken_over_when_its_beat_stands_still
test_a_fenced_server = leases.test_a_fenced_server_in_mid_deploy_does_no_more
test_cancelling_elsewhere = leases.test_somebody_on_another_server_cancels_with_the_next_beat
test_a_watched_release = watched.test_a_rollback_starts_what_is_kept_again
