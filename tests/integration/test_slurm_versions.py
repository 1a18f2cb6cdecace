# SPDX-License-Identifier: Apache-2.0
"""Runs in jobs of another version of Slurm than the installed one: what matters most of ``test_slurm``."""

import os
import shutil

import pytest

from tests.integration import other_slurm, slurm_site, test_slurm
from tests.integration.test_slurm import detached, nothing_left  # noqa: F401  they use the site of this file

pytestmark = [
    pytest.mark.lab,
    pytest.mark.long,
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root"),
    pytest.mark.skipif(shutil.which("munged") is None, reason="there is no munge here"),
]

test_a_run_in_a_job_is_a_run = test_slurm.test_a_run_in_a_job_is_a_run
test_a_step_of_slurm_is_not_theirs = test_slurm.test_ranks_meet_in_a_job_and_a_step_of_slurm_is_not_theirs
test_a_failure_has_its_node_and_its_code = test_slurm.test_a_failure_in_a_job_has_its_node_and_its_code
test_a_launch_that_the_checks_refuse = test_slurm.test_a_launch_that_the_checks_refuse_starts_nothing
test_secrets = test_slurm.test_secrets_are_in_no_place_that_others_read
test_what_slurm_refuses = test_slurm.test_what_slurm_refuses_is_told_in_its_words_and_leaves_nothing
test_a_dry_run = test_slurm.test_a_dry_run_shows_the_command_and_asks_slurm
test_a_directory_that_nodes_do_not_see = test_slurm.test_a_directory_that_nodes_do_not_see_is_what_failed
test_a_run_that_was_left = test_slurm.test_a_run_that_was_left_in_its_job_is_known_and_stopped_by_any_later_command
test_a_job_that_slurm_cancels = test_slurm.test_a_job_that_slurm_cancels_ends_in_order_and_says_who_did_it
test_two_signals_at_once = test_slurm.test_two_signals_at_once_are_one_order
test_a_launch_that_waits = test_slurm.test_a_launch_that_waits_says_why_and_ctrl_c_takes_it_out_of_the_queue
test_a_node_that_loses_its_power = test_slurm.test_a_node_that_loses_its_power_is_named


@pytest.fixture(scope="module")
def site():
    try:
        programs = other_slurm.programs()
    except other_slurm.UnavailableError as error:
        pytest.skip(f"NOT TESTED: Slurm of Debian 13 cannot be had: {error}")
    before = os.environ["PATH"]
    # A job inherits it, so that its own programs are of that version, too.
    os.environ["PATH"] = f"{programs}:{before}"
    try:
        with slurm_site.running(more=[f"PluginDir={other_slurm.PLUGINS}"], path=os.environ["PATH"]) as found:
            yield found
    finally:
        os.environ["PATH"] = before


@pytest.fixture(autouse=True, scope="module")
def the_other_version(site):
    """Hold that it is another one, on both sides and in jobs."""
    said = site.slurm("srun", "-N1", "sh", "-c", "scontrol show config; slurmd -V")
    assert "SLURM_VERSION           = 24.11" in said and "slurm-wlm 24.11" in said, said
