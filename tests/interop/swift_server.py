"""OpenStack Swift in one process: account, container, object and proxy server, and the rings that they need.

Run by Debian's Python with the unpacked packages: ``swift_server.py FOLDER PORT PORT PORT PORT``. It prints a line when
it serves.
"""

import sys

import eventlet

eventlet.monkey_patch()

from eventlet import wsgi  # noqa: E402
from swift.common import storage_policy, utils  # noqa: E402

FOLDER, KINDS = sys.argv[1], ("account", "container", "object", "proxy")
PORTS = dict(zip(KINDS, map(int, sys.argv[2:]), strict=True))
# The path of this file is a constant of Swift.
utils.SWIFT_CONF_FILE = storage_policy.SWIFT_CONF_FILE = f"{FOLDER}/swift.conf"
storage_policy.reload_storage_policies()

from swift.common.http_protocol import SwiftHttpProtocol  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.wsgi import loadapp  # noqa: E402

for kind in KINDS[:3]:
    builder = RingBuilder(2, 1, 0)
    place = {"region": 1, "zone": 1, "ip": "127.0.0.1", "port": PORTS[kind], "device": "one", "weight": 1, "meta": ""}
    builder.add_dev({**place, "replication_ip": "127.0.0.1", "replication_port": PORTS[kind]})
    builder.rebalance()
    builder.get_ring().save(f"{FOLDER}/{kind}.ring.gz")

for kind, port in PORTS.items():
    app = loadapp(f"{FOLDER}/{kind}.conf", global_conf={"log_name": kind})
    listening = eventlet.listen(("127.0.0.1", port))
    eventlet.spawn(wsgi.server, listening, app, log_output=False, protocol=SwiftHttpProtocol)
print("serves", flush=True)
eventlet.Event().wait() if hasattr(eventlet, "Event") else eventlet.event.Event().wait()
