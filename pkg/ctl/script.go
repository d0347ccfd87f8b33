package ctl

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/exit"
	"github.com/zabd/zabd/pkg/overview"
)

const (
	startScript = "zkServer.sh"
	unit        = "zabd.service"
	usualServer = "/usr/bin/zabd"
	zooKeeper   = "3.9.5" // the version whose behaviour is served
)

// script is a call of zkServer.sh: ZooKeeper's words, and systemd's deeds where it runs zabd.service with the file that is
// meant. Elsewhere the server is a process in the background, as ZooKeeper's script has it.
type script struct {
	Surroundings
	config string
}

// zkServer is the program by the name zkServer.sh: [--config DIR] COMMAND [FILE]. As there, a file is looked for in the
// directory, and ZOOCFGDIR and ZOOCFG name both.
func zkServer(args []string, s Surroundings) int {
	dir := cmp.Or(variable(s.Env, "ZOOCFGDIR"), filepath.Dir(defaultConfig))
	if len(args) > 1 && args[0] == "--config" {
		dir, args = args[1], args[2:]
	}
	file := cmp.Or(variable(s.Env, "ZOOCFG"), filepath.Base(defaultConfig))
	if len(args) == 2 {
		file, args = args[1], args[:1]
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(dir, file)
	}
	x := script{s, file}
	commands := map[string]func() int{
		"start": x.start, "start-foreground": x.foreground, "stop": x.stop, "restart": x.restart, "status": x.status,
		"version": x.version, "print-cmd": x.printCmd, "help": x.help,
	}
	command := commands[strings.Join(args, " ")]
	if command == nil {
		_, _ = fmt.Fprint(s.Err, scriptUsage)
		return exit.Usage
	}
	_, _ = fmt.Fprintln(s.Err, "Using config:", x.config)
	return command()
}

const scriptUsage = "Usage: " + startScript +
	" [--config <conf-dir>] {start|start-foreground|stop|version|restart|status|print-cmd|help} [file]\n"

func (x script) help() int {
	x.say("%s", scriptUsage)
	return exit.OK
}

func variable(env []string, name string) (value string) {
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			value = v
		}
	}
	return value
}

func (x script) say(format string, values ...any) { _, _ = fmt.Fprintf(x.Out, format, values...) }

// fail says what is wrong.
func (x script) fail(err error) int {
	_, _ = fmt.Fprintln(x.Err, err)
	return exit.NotThere
}

// systemctl has the service manager do something; the error has what it says.
func (x script) systemctl(args ...string) error {
	out, err := x.Run("systemctl", args...)
	if err != nil {
		return fmt.Errorf("systemctl %s: %w\n%s", strings.Join(args, " "), err, strings.TrimSpace(out))
	}
	return nil
}

// pid returns the process of the service, 0 if it does not run.
func (x script) pid() int {
	out, err := x.Run("systemctl", "show", "--property=MainPID", "--value", unit)
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(out))
	return n
}

// byUnit tells whether the service manager runs the server: the unit has one configuration file.
func (x script) byUnit() bool { return x.Booted() && x.config == defaultConfig }

// inBackground has a server that no unit runs do something.
func (x script) inBackground(what string, do func(*background) int) int {
	b, err := x.background()
	if err != nil {
		x.say("FAILED TO %s\n", what)
		return x.fail(err)
	}
	return do(b)
}

func (x script) start() int {
	x.say("Starting zookeeper ... ")
	if !x.byUnit() {
		return x.inBackground("START", (*background).start)
	}
	if n := x.pid(); n != 0 {
		x.say("already running as process %d.\n", n)
		return exit.NotThere
	}
	if err := x.systemctl("start", unit); err != nil {
		x.say("FAILED TO START\n")
		return x.fail(err)
	}
	x.say("STARTED\n")
	return exit.OK
}

func (x script) stop() int {
	x.say("Stopping zookeeper ... ")
	if !x.byUnit() {
		return x.inBackground("STOP", (*background).stop)
	}
	if x.pid() == 0 {
		x.say("no zookeeper to stop (%s does not run)\n", unit)
		return exit.OK
	}
	if err := x.systemctl("stop", unit); err != nil {
		x.say("FAILED TO STOP\n")
		return x.fail(err)
	}
	x.say("STOPPED\n")
	return exit.OK
}

// restart of the unit is not a stop and a start: systemd keeps the client port open in between.
func (x script) restart() int {
	if !x.byUnit() {
		if code := x.stop(); code != exit.OK {
			return code
		}
		return x.start()
	}
	x.say("Restarting zookeeper ... ")
	if err := x.systemctl("restart", unit); err != nil {
		x.say("FAILED TO START\n")
		return x.fail(err)
	}
	x.say("STARTED\n")
	return exit.OK
}

func (x script) status() int {
	cfg, err := config.Survey(x.config, x.Env)
	if err != nil {
		return x.fail(err)
	}
	if cfg.ClientPort == 0 {
		x.say("The client port is in this server's line of the dynamic config file, and which that is, the file myid in dataDir does not tell here.\n")
		return exit.NotThere
	}
	if cfg.DynamicConfigFile != "" && !x.isSet("clientPort") {
		x.say("Client port not found in static config file. Looking in dynamic config file.\n")
	}
	host := cfg.ClientPortAddress
	x.say("Client port found: %d. Client address: %s. Client SSL: false.\n", cfg.ClientPort, cmp.Or(host, "localhost"))
	address := net.JoinHostPort(cmp.Or(host, "127.0.0.1"), strconv.Itoa(cfg.ClientPort))
	e := overview.Ask(context.Background(), []overview.Target{{Address: address, SrvrOnly: true}})
	if role := e.Servers[0].Role; role != overview.Down && role != overview.Looking {
		x.say("Mode: %s\n", role)
		return exit.OK
	}
	x.say("Error contacting service. It is probably not running.\n")
	return exit.NotThere
}

// isSet tells whether the file, or the environment, has a key.
func (x script) isSet(key string) bool {
	settings, _ := config.Show(x.config, x.Env, nil, false)
	return slices.ContainsFunc(settings, func(s config.Setting) bool { return s.Key == key })
}

func (x script) version() int {
	x.say("zabd %s, compatible with Apache ZooKeeper, version %s\n", x.Version, zooKeeper)
	return exit.OK
}

func (x script) printCmd() int {
	x.say("%q --config %q\n", x.program(), x.config)
	return exit.OK
}

func (x script) foreground() int {
	err := x.Become(x.program(), []string{x.program(), "--config", x.config}, x.Env)
	return x.fail(fmt.Errorf("%s: %w", x.program(), err))
}

// program is the server's.
func (x script) program() string { return cmp.Or(x.Server, usualServer) }

// booted tells whether systemd runs this host (sd_booted(3)).
func booted() bool {
	st, err := os.Lstat("/run/systemd/system")
	return err == nil && st.IsDir()
}

// run runs a program.
func run(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	return string(out), err
}

// become runs a program in the place of this one.
func become(name string, args, env []string) error {
	return syscall.Exec(name, args, env)
}
