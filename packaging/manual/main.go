// Command manual writes what the packages have for readers: the man pages, made of docs/ and of zabctl's own help, and the
// completions of zabctl. It takes the directory to write into, the version and the date (seconds since 1970).
package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/zabd/zabd/pkg/ctl"
)

// pages are the manual's sources: a head of their own, and a file of docs/.
var pages = []struct{ name, section, head, file string }{
	{"zabd", "8", serverHead, "docs/operations.md"},
	{"zoo.cfg", "5", settingsHead, "docs/config.md"},
}

const serverHead = `## NAME

zabd - coordination service that speaks ZooKeeper's protocol

## SYNOPSIS

**zabd** [**--config** *FILE*] [**--set** *KEY=VALUE*]... [**--log-format** **text**|**json**|**journal**|**auto**] [**--version**]

## DESCRIPTION

zabd serves ZooKeeper's clients from ZooKeeper's files, alone or as a member of an ensemble. **systemctl start zabd** runs it with
/etc/zabd/zoo.cfg. See also zoo.cfg(5) and zabctl(1).
`

const settingsHead = `## NAME

zoo.cfg - settings of zabd

## DESCRIPTION

/etc/zabd/zoo.cfg is a Java properties file: a line for each key=value, # begins a comment, a backslash at the end continues a line.
**zabctl config check** says whether zabd would start with it. See also zabd(8) and zabctl(1).
`

func main() {
	log.SetFlags(0)
	if len(os.Args) != 4 {
		log.Fatal("manual: DIRECTORY VERSION SECONDS")
	}
	seconds, err := strconv.ParseInt(os.Args[3], 10, 64)
	if err != nil {
		log.Fatal("manual: ", err)
	}
	if err := write(os.Args[1], os.Args[2], time.Unix(seconds, 0).UTC()); err != nil {
		log.Fatal("manual: ", err)
	}
}

func write(dir, version string, at time.Time) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root := ctl.Command(ctl.Surroundings{Version: version})
	title := func(name, section string) title {
		return title{name, section, at.Format("2006-01-02"), "zabd " + version}
	}
	for _, p := range pages {
		text, err := os.ReadFile(p.file)
		if err != nil {
			return err
		}
		if err := compress(filepath.Join(dir, p.name+"."+p.section+".gz"), roff(title(p.name, p.section), p.head+"\n"+string(text))); err != nil {
			return err
		}
	}
	return errors.Join(
		compress(filepath.Join(dir, "zabctl.1.gz"), roff(title("zabctl", "1"), commandPage(root))),
		completions(dir, root),
	)
}

func completions(dir string, root *cobra.Command) error {
	for name, generate := range map[string]func(*bytes.Buffer) error{
		"zabctl.bash": func(b *bytes.Buffer) error { return root.GenBashCompletionV2(b, true) },
		"zabctl.zsh":  func(b *bytes.Buffer) error { return root.GenZshCompletion(b) },
		"zabctl.fish": func(b *bytes.Buffer) error { return root.GenFishCompletion(b, true) },
	} {
		var b bytes.Buffer
		if err := generate(&b); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// compress writes a file that is the same each time.
func compress(path, text string) error {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte(text)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
