// Package exit is the table of exit codes of all commands, after sysexits.h. docs/operations.md has the same table, and
// the unit's RestartPreventExitStatus names those that a restart cannot mend.
package exit

// The codes.
const (
	OK       = 0
	NotThere = 1  // zabctl: what was asked for is not so; the server does not serve
	Usage    = 64 // the command line
	Damage   = 65 // files that make no tree that can be vouched for
	Internal = 70 // anything else
	Port     = 71 // a port cannot be opened
	Foreign  = 72 // the directories belong to somebody else, or cannot be entered
	Locked   = 73 // another server is in the directories
	Disk     = 74 // a write or sync has failed
	History  = 75 // the leader's history lacks what was committed here
	Config   = 78 // a setting
)

// Final are the codes of a server that a restart cannot mend.
func Final() []int { return []int{Usage, Damage, Foreign, Locked, Config} }
