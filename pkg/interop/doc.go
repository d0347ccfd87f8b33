// Package interop owns the proof that clients we did not write work against zabd: ZooKeeper's Java shell and Java
// client, its C library, kazoo and go-zookeeper/zk, each as a process of its own against the built binary. The tests
// stand behind the build tag interop, for they need those clients installed; `make interop` runs them.
//
// ZABD_INTEROP_SERVER=java runs the same suite against ZooKeeper's own server, which shows that an expectation is
// ZooKeeper's and not ours.
package interop
