# SPDX-License-Identifier: GPL-3.0-or-later
"""A callback that keeps what tasks of the collection returned, one line each, for tests of what modules declare."""

import json
import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: kept_results
type: notification
short_description: Keep what tasks of the collection returned
description: One line of JSON per result, in the file that an environment variable names.
options: {}
"""
PREFIX = "madctl.multinode."


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "kept_results"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_ok(self, result):
        self._keep(result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._keep(result)

    @staticmethod
    def _keep(result):
        action = result._task.action
        if action.startswith(PREFIX):
            kept = {"module": action[len(PREFIX) :], "result": result._result}
            with open(os.environ["MADCTL_TEST_RESULTS"], "a") as file:
                file.write(json.dumps(kept, default=str) + "\n")
