package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

const startScript = `
## ZKSERVER.SH

Called as **zkServer.sh**, it is ZooKeeper's start script: [--config DIR] start|stop|restart|status|start-foreground|version|print-cmd|help
[FILE]. start, stop and restart act upon zabd.service where systemd runs and the file is /etc/zabd/zoo.cfg. Elsewhere the server runs in the
background, with its process id in dataDir/zookeeper_server.pid (ZOOPIDFILE) and what it says in ZOO_LOG_DIR. status prints what
ZooKeeper's prints.

## ZKCLI.SH

Called as **zkCli.sh**, it is ZooKeeper's shell: [-server HOSTS] [-timeout MILLISECONDS] [-r] [-waitforconnection] [-client-configuration FILE] [COMMAND].
Without a command it is **zabctl shell**. It exits with 1 if the command fails, and with 127 if there is no such command.

## ZKTXNLOGTOOLKIT.SH AND OTHERS

Called as **zkTxnLogToolkit.sh**, **zkSnapShotToolkit.sh**, **zkSnapshotComparer.sh**, **zkSnapshotRecursiveSummaryToolkit.sh**, **zkCleanup.sh** or
**zkServer-initialize.sh**, it is ZooKeeper's script of that name: its flags, output and exit codes. /usr/share/doc/zabd/offline.md says where they differ.

## FILES

/etc/zabd/zoo.cfg names the control socket (controlSocket), /run/zabd/control.sock unless it does.

## SEE ALSO

zabd(8), zoo.cfg(5)
`

// commandPage describes all commands as Markdown.
func commandPage(root *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## NAME\n\n%s - %s\n\n## SYNOPSIS\n\n**%s** *COMMAND* [*OPTIONS*]\n", root.Name(), lower(root.Short), root.Name())
	b.WriteString("\n## COMMANDS\n")
	topics := "" // texts to read
	each(root, func(c *cobra.Command) {
		if !c.Runnable() {
			topics += fmt.Sprintf("\n## %s\n\n%s\n", strings.ToUpper(strings.Replace(c.Name(), "exit-codes", "exit status", 1)), c.Long)
			return
		}
		text := c.Long
		if text == "" {
			text = c.Short + "."
		}
		fmt.Fprintf(&b, "\n### %s\n\n%s\n", strings.TrimPrefix(strings.TrimSuffix(c.UseLine(), " [flags]"), "zabctl "), text)
		b.WriteString(c.LocalNonPersistentFlags().FlagUsages())
	})
	b.WriteString("\n## OPTIONS OF ALL COMMANDS\n\n" + root.PersistentFlags().FlagUsages())
	b.WriteString(topics)
	b.WriteString(startScript)
	return b.String()
}

func lower(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// each visits the commands that do something, and the topics.
func each(c *cobra.Command, visit func(*cobra.Command)) {
	for _, sub := range c.Commands() {
		if sub.HasSubCommands() {
			each(sub, visit)
		} else if !sub.Hidden {
			visit(sub)
		}
	}
}
