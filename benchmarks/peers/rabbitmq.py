"""RabbitMQ as a peer: durable messages of 2 KB, published with confirms and acknowledged by a consumer.

    python -m benchmarks.peers.rabbitmq [--count 5000] [--json]

It hands messages over durably and proves nothing of them: no seal, no signature, no log. It is the least that anybody
asks of a way between two offices.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks._figures import Figure
from benchmarks.peers._peer import (
    CONTENT_BYTES,
    NotInstalledError,
    debian_folder,
    environment,
    free_port,
    main,
    python_environment,
    wait_for,
)
from benchmarks.throughput import LEGS

PACKAGES = (
    *(
        f"erlang-{part}"
        for part in [
            "base",
            "asn1",
            "crypto",
            "public-key",
            "mnesia",
            "runtime-tools",
            "ssl",
            "eldap",
            "ftp",
            "tftp",
            "inets",
            "snmp",
            "os-mon",
            "parsetools",
            "syntax-tools",
            "tools",
            "xmerl",
        ]
    ),
    "rabbitmq-server",
)
CHILD = Path(__file__).parent / "children" / "rabbitmq_exchange.py"


def measure(count: int) -> Sequence[Figure]:
    """Messages a second, each confirmed to the publisher and acknowledged by the consumer."""
    python = python_environment("rabbitmq")
    root = debian_folder("rabbitmq-server", PACKAGES)
    programs = sorted((root / "usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))
    if not programs:
        raise NotInstalledError("the package has no rabbitmq-server where it is looked for")
    with tempfile.TemporaryDirectory(prefix="comity-peer-") as folder:
        port, epmd = free_port(), free_port()
        erlang = root / "usr/lib/erlang"
        # Debian's start script knows one place alone.
        start = erlang / "bin" / "erl"
        start.write_text(start.read_text().replace("ROOTDIR=/usr/lib/erlang", f"ROOTDIR={erlang}"))
        variables = environment(
            HOME=folder,
            PATH=f"{erlang}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            ERL_ROOTDIR=str(erlang),
            ERL_EPMD_PORT=str(epmd),
            ERL_EPMD_ADDRESS="127.0.0.1",
            RABBITMQ_NODENAME="bench@localhost",
            RABBITMQ_NODE_IP_ADDRESS="127.0.0.1",
            RABBITMQ_NODE_PORT=str(port),
            RABBITMQ_DIST_PORT=str(free_port()),
            RABBITMQ_MNESIA_BASE=f"{folder}/mnesia",
            RABBITMQ_LOG_BASE=f"{folder}/log",
            RABBITMQ_ENABLED_PLUGINS_FILE=f"{folder}/plugins",
            RABBITMQ_CONFIG_FILES=f"{folder}/conf.d",
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}",
        )
        quiet: dict[str, Any] = {
            "env": variables,
            "cwd": folder,
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
        }
        names = subprocess.Popen([str(erlang / "bin" / "epmd"), "-address", "127.0.0.1"], **quiet)
        server = None
        try:
            wait_for(epmd, names)
            server = subprocess.Popen([str(programs[0])], **quiet)
            wait_for(port, server)
            done = subprocess.run(
                [str(python), str(CHILD), str(port), str(count), str(CONTENT_BYTES)],
                env=environment(),
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
            if done.returncode:
                raise NotInstalledError(f"its client failed: {(done.stderr.strip() or 'silently').splitlines()[-1]}")
            return [Figure(LEGS, json.loads(done.stdout)["per_s"], "/s", more_is_better=True)]
        finally:
            for process in (server, names):
                if process is not None:
                    process.terminate()
                    process.wait(60)


if __name__ == "__main__":
    main("RabbitMQ", __doc__ or "", 5000, 200, measure)
