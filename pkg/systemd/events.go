package systemd

// An Event is something that the message catalogue (packaging/systemd/zabd.catalog) explains to whoever asks
// `journalctl -x`. A record is of an event if it has the attribute EventKey.
type Event string

// EventKey is the attribute that names a record's event.
const EventKey = "event"

// The events.
const (
	Election     Event = "election"      // clients are served, by a new leader
	LostQuorum   Event = "lost-quorum"   // clients are not served any more
	SlowDisk     Event = "slow-disk"     // writes wait for the disk
	FailedDisk   Event = "failed-disk"   // a write or a sync has failed
	Damage       Event = "damage"        // the files make no tree that can be vouched for
	LostIdentity Event = "lost-identity" // it is not known which server this is, or it has lost what it has voted for
	LostHistory  Event = "lost-history"  // a leader lacks what was committed here
)

// messageIDs are the ids in the catalogue. They never change.
var messageIDs = map[Event]string{
	Election:     "7b1f4e0c52f94d5b9a3e8d60c7a2f115",
	LostQuorum:   "c0a6d3f7e1b84f2a8d95b4e6127c9a3f",
	SlowDisk:     "3e9d7a51b6c04c78a2f0e1d4895b6c27",
	FailedDisk:   "98f2c4b07d1e4a6fb35c0e9a7d264183",
	Damage:       "5ad08e31f7b24b9c9e6217c4f3a05d8e",
	LostIdentity: "e47b9c1026df4f0ab8c53a91d07e6f24",
	LostHistory:  "1c85f6e2a90b4d37b4e0d92f8a7c5361",
}
