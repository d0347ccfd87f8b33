package ctl

import "github.com/spf13/cobra"

// exitCodes is the topic of zabctl help exit-codes, and the manual's EXIT STATUS. The codes are those of package exit.
const exitCodes = `Every command ends with one of these:

* 0: all is well
* 1: what was asked for is not so: a server does not serve, does not answer or has refused; a node is not there; the time is up; doctor has found something; snapshots differ
* 64: the command line is wrong, or a file that it names is not there
* 65: a log or a snapshot is damaged
* 73: a server runs in the directory
* 74: a disk has failed
* 78: a setting is wrong, or its file cannot be read

What went wrong is said on stderr, in one line; answers go to stdout.`

// exitCodesTopic is a text to read, and no command.
func exitCodesTopic() *cobra.Command {
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: exitCodes}
}
