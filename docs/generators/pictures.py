# SPDX-License-Identifier: Apache-2.0
"""The pictures of the explanations: the life of a run, and what runs where for each way to nodes."""

from docs.generators.drawing import Arrow, Box, Label, picture


def life_of_a_run() -> str:
    """Return the picture of the states of a run on one node."""
    return picture(
        "The states of a node's part of a run",
        "Armed becomes running on go, or disarmed if the start is refused or the follower is gone. Running becomes"
        " sweeping when the runner ended, or stopping on a stop, a time limit, silence or the failure of another node."
        " Stopping becomes sweeping when the runner ended or 35 seconds passed. Sweeping becomes exited.",
        (640, 336),
        (
            Box(24, 24, 140, 54, "armed", ("waits for go",)),
            Box(476, 24, 140, 54, "disarmed", ("start_failed",), "end"),
            Box(24, 140, 140, 54, "running", ("ranks work",), "key"),
            Box(24, 256, 140, 54, "stopping", ("SIGTERM, SIGKILL",)),
            Box(290, 140, 140, 54, "sweeping", ("ends what is left",)),
            Box(476, 140, 140, 54, "exited", ("exit record",), "end"),
            Arrow(((164, 51), (476, 51))),
            Label(320, 40, ("start refused, or follower gone",), "middle"),
            Arrow(((94, 78), (94, 140))),
            Label(104, 114, ("go",)),
            Arrow(((164, 167), (290, 167))),
            Label(227, 156, ("runner ended",), "middle"),
            Arrow(((430, 167), (476, 167))),
            Arrow(((94, 194), (94, 256))),
            Label(104, 220, ("stop, --timeout, silence,", "another node failed")),
            Arrow(((164, 283), (360, 283), (360, 194))),
            Label(372, 278, ("it ended, or 35 s passed",)),
        ),
    )


def mpirun() -> str:
    """Return the picture of how an MPI daemon is started without trust between nodes."""
    return picture(
        "How mpirun's daemons are started without keys on nodes",
        "1: on gpu01, mpirun calls an agent, which asks the supervisor. 2: the request goes, sealed, to the follower on"
        " the login node. 3: the follower passes it to the supervisor of gpu02. 4: that supervisor starts the daemon of"
        " MPI. 5: the daemon connects back to mpirun on the network of the job.",
        (640, 520),
        (
            Box(200, 24, 240, 62, "login node: follower", ("passes it on, cannot change it",)),
            Box(24, 156, 272, 300, "gpu01", kind="area"),
            Box(344, 156, 272, 300, "gpu02", kind="area"),
            Box(40, 196, 240, 54, "supervisor", ("seals the request",), "key"),
            Box(40, 306, 96, 50, "agent", ("not ssh",)),
            Box(184, 306, 96, 50, "mpirun"),
            Box(40, 396, 96, 44, "ranks"),
            Box(360, 196, 240, 54, "supervisor", ("opens the seal",), "key"),
            Box(360, 306, 240, 50, "daemon of MPI"),
            Box(360, 396, 96, 44, "ranks"),
            Arrow(((184, 331), (136, 331))),
            Label(160, 320, ("1",), "middle"),
            Arrow(((88, 306), (88, 250))),
            Label(98, 283, ("1 asks for a daemon",)),
            Arrow(((160, 196), (160, 55), (200, 55))),
            Label(148, 116, ("2 the request,", "sealed"), "end"),
            Arrow(((440, 55), (480, 55), (480, 196))),
            Label(492, 116, ("3 the same,", "to gpu02")),
            Label(320, 104, ("over the SSH", "connections of", "the launch"), "middle", kind=""),
            Arrow(((480, 250), (480, 306))),
            Label(492, 283, ("4 starts it",)),
            Arrow(((550, 356), (550, 488), (254, 488), (254, 356))),
            Label(402, 480, ("5 connects back, on the job's network",), "middle"),
            Arrow(((210, 356), (210, 418), (136, 418))),
            Arrow(((408, 356), (408, 396))),
        ),
    )


def containers() -> str:
    """Return the picture of how an MPI daemon is started in a container on another node."""
    return picture(
        "How mpirun's daemons are started in containers of madengine",
        "In the container on gpu01, mpirun calls an agent, which leaves its request as a file. The wrapper of madengine"
        " takes it to the supervisor, and it goes, sealed, through the follower to the supervisor of gpu02. There the"
        " wrapper leaves the order as a file, and the waiting runner starts the daemon of MPI.",
        (640, 410),
        (
            Box(240, 16, 160, 44, "follower"),
            Box(24, 84, 272, 310, "gpu01", kind="area"),
            Box(344, 84, 272, 310, "gpu02", kind="area"),
            Box(40, 120, 240, 44, "supervisor", kind="key"),
            Box(40, 192, 240, 44, "wrapper of madengine"),
            Box(40, 272, 240, 106, "container", kind="area"),
            Box(52, 310, 90, 54, "mpirun"),
            Box(178, 310, 90, 54, "agent", ("not ssh",)),
            Box(360, 120, 240, 44, "supervisor", kind="key"),
            Box(360, 192, 240, 44, "wrapper of madengine"),
            Box(360, 272, 240, 106, "container", kind="area"),
            Box(504, 310, 84, 54, "runner", ("waits",)),
            Box(372, 310, 104, 54, "daemon", ("starts ranks",)),
            Arrow(((142, 337), (178, 337))),
            Arrow(((223, 310), (223, 236))),
            Label(213, 258, ("request, a file",), "end"),
            Arrow(((160, 192), (160, 164))),
            Arrow(((160, 120), (160, 38), (240, 38))),
            Label(150, 62, ("sealed",), "end"),
            Arrow(((400, 38), (480, 38), (480, 120))),
            Label(490, 62, ("sealed",)),
            Arrow(((480, 164), (480, 192))),
            Arrow(((546, 236), (546, 310))),
            Label(536, 258, ("order, a file",), "end"),
            Arrow(((504, 337), (476, 337))),
        ),
    )


def slurm() -> str:
    """Return the picture of what runs where in a Slurm job."""
    return picture(
        "What runs where in a job of Slurm",
        "The login node submits a job with sbatch. On the first node of the job the conductor starts one agent per node"
        " with one srun; agents dial in. Follower and conductor meet in files on shared storage: the follower writes"
        " orders, the conductor writes story, state and result.",
        (640, 480),
        (
            Box(24, 24, 200, 90, "login node", ("launch, attach", "= follower")),
            Box(340, 24, 276, 90, "job's first node: conductor", ("probe, plan, prove,", "arm, go, follow"), "key"),
            Box(412, 186, 204, 128, "every node: agent", ("starts, on request:", "probe, proof, supervisor,", "ranks")),
            Box(
                24,
                394,
                592,
                62,
                "RUN_ROOT/RUN on shared storage",
                ("request, key, submit.json, story, state, result, logs",),
                "end",
            ),
            Arrow(((224, 69), (340, 69))),
            Label(282, 58, ("sbatch",), "middle"),
            Label(282, 90, ("queue",), "middle"),
            Arrow(((450, 114), (450, 186))),
            Label(460, 155, ("one srun",)),
            Arrow(((556, 186), (556, 114))),
            Label(566, 155, ("dials in",)),
            Arrow(((60, 394), (60, 114))),
            Label(70, 220, ("story,", "state.json,", "result.json")),
            Arrow(((180, 114), (180, 394))),
            Label(190, 330, ("order,", "and a bell")),
            Arrow(((360, 114), (360, 394))),
            Label(350, 220, ("story,", "state.json,", "result.json"), "end"),
            Arrow(((388, 394), (388, 114))),
            Label(398, 354, ("order",)),
        ),
    )


def kubernetes() -> str:
    """Return the picture of what runs where in Kubernetes pods."""
    return picture(
        "What runs where in pods of Kubernetes",
        "On this machine, the follower creates the Job and reads states and logs from the API server. In pod 0, the"
        " first process starts conductor, agent and printer; in every other pod, agent and printer. Agents dial in to"
        " the conductor. Printers write to the logs of their pods. An order to stop reaches the conductor as an"
        " annotation of pod 0.",
        (640, 498),
        (
            Box(24, 24, 164, 90, "this machine", ("launch, attach", "= follower")),
            Box(260, 24, 356, 186, "pod 0: first process", kind="area"),
            Box(276, 62, 324, 58, "conductor", ("probe, plan, prove, arm, go, follow",), "key"),
            Box(276, 136, 180, 58, "agent", ("supervisor, ranks",)),
            Box(472, 136, 128, 58, "printer", ("events, output",)),
            Box(260, 256, 356, 112, "pod 1, 2, …: first process", kind="area"),
            Box(276, 294, 180, 58, "agent", ("supervisor, ranks",)),
            Box(472, 294, 128, 58, "printer", ("output",)),
            Box(24, 412, 592, 62, "API server and kubelets", ("Secret, ConfigMap, Service, Job; logs of pods",), "end"),
            Arrow(((56, 114), (56, 412))),
            Label(66, 190, ("objects,", "order")),
            Arrow(((140, 412), (140, 114))),
            Label(150, 300, ("states,", "logs")),
            Arrow(((276, 323), (244, 323), (244, 104), (276, 104))),
            Label(254, 238, ("dials in",)),
            Arrow(((220, 412), (220, 80), (276, 80))),
            Label(210, 380, ("order",), "end"),
            Arrow(((536, 352), (536, 412))),
            Label(546, 396, ("log",)),
            Arrow(((600, 165), (628, 165), (628, 443), (616, 443))),
            Label(616, 238, ("log: events, output, result",), "end"),
        ),
    )
