// Package recipe has what programs do together through a ZooKeeper-compatible service: locks, elections, barriers, queues,
// counters, ids, groups, a registry of services, configuration that follows a node, and a cache of a tree. It works on
// package client alone and with every server that speaks the protocol.
//
//	Mutex, RWMutex, Semaphore    who holds it has a Hold, with a fencing token and a context that ends with it
//	Election                     the same, of which the holder is the leader
//	Barrier, DoubleBarrier       wait for each other
//	Queue, PriorityQueue         hand over items
//	Counter, Sequence, Blocks    numbers and ids
//	Group, Registry              who is there; which instances a service has, by name
//	Config, Tree                 a node's value, a tree's nodes, kept up to date
//
// # Holding
//
// A lock is held by an ephemeral node, for as long as the session lives. A program cannot know that it still does: it may be
// cut off, or paused between a look and a write. So a [Hold] gives two things.
//
// Its Context ends, with a [LostError] that says why, as soon as the client knows of a loss, and when it has heard of no
// server for five sixths of the session's timeout. Work under the lock is to be done with that context.
//
// Its Token orders the holders: it is the zxid by which the node was created, and who holds after another was created later,
// so the token is higher. A store that remembers the highest token it has seen and refuses lower ones (or a [client.Txn] that
// begins with a Check of the Hold's Path) is safe even from a holder that does not know yet that it holds no more.
//
// # Losing connections
//
// A create whose answer is lost may have happened. Nodes of contenders carry a GUID in their names, as Curator's do, so that
// their maker finds them again after a reconnect and never waits behind himself; queues keep receipts. What cannot be told
// apart is told: Counter.Add and Update return the client's UncertainError then, and do not try again on their own.
//
// Nobody is woken in vain: each waits for one other node, and a release of a lock notifies one waiter, however many there
// are. A caller that gives up (its context ends) returns at once; its node is removed in the background.
//
// # Other libraries
//
// Mutex, RWMutex, Election, Semaphore, DoubleBarrier, Queue, Group and Registry use the nodes of Curator's
// InterProcessMutex, InterProcessReadWriteLock, LeaderSelector (or LeaderLatch), InterProcessSemaphoreV2,
// DistributedDoubleBarrier, SimpleDistributedQueue, GroupMember and ServiceDiscovery; PriorityQueue and Counter those of
// kazoo's Queue and Counter. With [Kazoo] as the Layout, Mutex, RWMutex and Election are kazoo's. docs/recipes.md draws
// the nodes.
package recipe
