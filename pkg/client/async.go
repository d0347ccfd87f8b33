package client

import (
	"time"

	"github.com/zabd/zabd/pkg/proto"
)

// Async has the calls that do not wait: each returns a Future at once, and all that are under way travel on one connection,
// in the order in which they were made. The data of a call may not be changed before it has ended.
type Async struct{ c *Client }

// Async returns the calls that do not wait.
func (c *Client) Async() Async { return Async{c} }

// Create is Client.Create.
func (a Async) Create(path string, data []byte, m Mode, acl ...ACL) *Future[Created] {
	return a.c.create(path, data, m, acl).begin()
}

// CreateTTL is Client.CreateTTL.
func (a Async) CreateTTL(path string, data []byte, m Mode, ttl time.Duration, acl ...ACL) *Future[Created] {
	return a.c.createTTL(path, data, m, ttl, acl).begin()
}

// Delete is Client.Delete.
func (a Async) Delete(path string, version int32) *Future[struct{}] {
	return a.c.delete(path, version).begin()
}

// Set is Client.Set.
func (a Async) Set(path string, data []byte, version int32) *Future[Stat] {
	return a.c.set(path, data, version).begin()
}

// Get is Client.Get.
func (a Async) Get(path string) *Future[Node] { return a.c.get(path, nil).begin() }

// GetW is Client.GetW. Unless the read fails, the channel tells once.
func (a Async) GetW(path string) (*Future[Node], <-chan Event) {
	w, ch := once()
	return a.c.get(path, w).begin(), ch
}

// Exists is Client.Exists.
func (a Async) Exists(path string) *Future[Existence] { return a.c.exists(path, nil).begin() }

// ExistsW is Client.ExistsW. Unless the call fails, the channel tells once.
func (a Async) ExistsW(path string) (*Future[Existence], <-chan Event) {
	w, ch := once()
	return a.c.exists(path, w).begin(), ch
}

// Children is Client.Children; the names are not sorted.
func (a Async) Children(path string) *Future[Children] { return a.c.children(path, nil).begin() }

// ChildrenW is Client.ChildrenW; the names are not sorted. Unless the read fails, the channel tells once.
func (a Async) ChildrenW(path string) (*Future[Children], <-chan Event) {
	w, ch := once()
	return a.c.children(path, w).begin(), ch
}

// ACL is Client.ACL.
func (a Async) ACL(path string) *Future[Access] { return a.c.acl(path).begin() }

// SetACL is Client.SetACL.
func (a Async) SetACL(path string, acl []ACL, version int32) *Future[Stat] {
	return a.c.setACL(path, acl, version).begin()
}

// Sync is Client.Sync: reads that follow it, without waiting, see all that was committed before.
func (a Async) Sync(path string) *Future[struct{}] { return a.c.sync(path).begin() }

// Ephemerals is Client.Ephemerals.
func (a Async) Ephemerals(prefix string) *Future[[]string] { return a.c.ephemerals(prefix).begin() }

// AllChildrenNumber is Client.AllChildrenNumber.
func (a Async) AllChildrenNumber(path string) *Future[int] { return a.c.countAll(path).begin() }

// WhoAmI is Client.WhoAmI.
func (a Async) WhoAmI() *Future[[]proto.ID] { return a.c.whoAmI().begin() }
