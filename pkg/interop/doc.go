// Package interop owns the proof that what we did not write works with zabd. Clients: ZooKeeper's Java shell and Java
// client, its C library, kazoo and go-zookeeper/zk, each as a process of its own against the built binary. Servers:
// ensembles mixed from zabd and ZooKeeper's own server, which live through what happens to ensembles while guests write
// through every member, and the replacement of the one by the other, a server at a time. Recipes: those of package recipe share
// their nodes with Curator's and kazoo's, and go on while servers of either make are killed. The tests stand behind the build
// tag interop, for they need those programs installed; `make interop` runs them.
//
// ZABD_INTEROP_SERVER=java runs the same suite against ZooKeeper's own server alone, which shows that an expectation is
// ZooKeeper's and not ours. -interop.logs keeps what the members of an ensemble said whose test failed.
package interop
