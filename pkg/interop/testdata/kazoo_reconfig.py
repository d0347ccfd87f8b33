"""kazoo asks for a change of the members: ADDRESS JOINING LEAVING, of which - is none. Prints the new list."""

import sys

from kazoo.client import KazooClient
from kazoo.exceptions import ConnectionLoss

address, joining, leaving = ("" if a == "-" else a for a in sys.argv[1:])
c = KazooClient(hosts=address, auth_data=[("digest", "super:pw")])
c.start(timeout=60)
try:
    data, stat = c.reconfig(joining=joining or None, leaving=leaving or None, new_members=None, from_config=-1)
    assert stat.version == -1, stat
except ConnectionLoss:  # where the leader goes, its followers may hang up before they have answered
    pass
print(c.retry(c.get, "/zookeeper/config")[0].decode())
c.stop()
