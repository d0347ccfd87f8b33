package shell

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// An Option is one of a command's, written with one dash. zkCli's options are letters, but for those of reconfig.
type Option struct {
	Name  string
	Long  string // in zabctl, with two dashes; "" if it is not there
	Value string // what it takes, for a reader; "" if it takes nothing
	Text  string // what it does
}

// A Call is a command with its options and words.
type Call struct {
	*Command
	Args   []string // without the command's name
	values map[string]string
	notice string // about words of old in it
}

// Has tells whether the option was given.
func (c Call) Has(name string) bool {
	_, ok := c.values[name]
	return ok
}

// number returns the value of an option that takes a number, and def without the option.
func (c Call) number(name string, bits int, def int64, fault string) (int64, error) {
	text, ok := c.values[name]
	if !ok {
		return def, nil
	}
	n, err := strconv.ParseInt(text, 10, bits)
	if err != nil {
		return 0, fail("%s", fault)
	}
	return n, nil
}

// version returns the value of -v: the version that the node must have, -1 for any.
func (c Call) version() (int32, error) {
	n, err := c.number("v", 32, -1, "-v argument must be an int value")
	return int32(n), err
}

// Parse reads the words of a command, of which the first is its name. Options stand anywhere, and may be joined (-sw, -v3);
// behind -- there are none.
func Parse(words []string) (Call, error) {
	if len(words) == 0 {
		return Call{}, usageError("No command entered")
	}
	cmd := commandNamed(words[0])
	if cmd == nil {
		return Call{}, &Error{Text: "Command not found: Command not found " + words[0], Code: codeNoCommand, Usage: true}
	}
	c, err := cmd.parse(words[1:])
	if err != nil || cmd.watchWord == "" || len(c.Args) < 2 {
		return c, err
	}
	// Of old, a word behind the path asked for a watch.
	again := slices.Clone(words)
	if cmd.Name != "delete" {
		again[2] = "-w"
	}
	c, err = cmd.parse(again[1:])
	c.notice = cmd.watchWord
	return c, err
}

// parse reads what follows the name.
func (cmd *Command) parse(words []string) (Call, error) {
	p := parser{Call: Call{Command: cmd, values: map[string]string{}}}
	if cmd.verbatim {
		p.Args = words
		return p.Call, nil
	}
	for i, w := range words {
		if w == "--" && p.open == nil {
			p.Args = append(p.Args, words[i+1:]...)
			break
		}
		if err := p.take(w); err != nil {
			return Call{}, err
		}
	}
	if err := p.complete(); err != nil {
		return Call{}, err
	}
	if cmd.group == required && len(p.values) == 0 {
		return Call{}, usageError("Missing required option: [" + cmd.optionList() + "]")
	}
	if n := len(p.Args) + 1; n < cmd.least || cmd.most > 0 && n > cmd.most {
		return Call{}, usageError(cmd.help())
	}
	return p.Call, nil
}

func (cmd *Command) optionList() string {
	list := make([]string, len(cmd.Options))
	for i, o := range cmd.Options {
		list[i] = "-" + o.Name + " " + o.Text
	}
	return strings.Join(list, ", ")
}

func (cmd *Command) option(name string) *Option {
	i := slices.IndexFunc(cmd.Options, func(o Option) bool { return o.Name == name })
	if i < 0 {
		return nil
	}
	return &cmd.Options[i]
}

// parser is a call in the making.
type parser struct {
	Call
	open *Option // waits for its value
}

// take reads one word.
func (p *parser) take(w string) error {
	body := strings.TrimLeft(w, "-")
	switch isOption := p.begins(w); {
	case p.open != nil && !isOption:
		p.put(p.open, unquote(w))
		return nil
	case !strings.HasPrefix(w, "-") || w == "-":
		p.Args = append(p.Args, w)
		return nil
	case strings.HasPrefix(w, "--"):
		return unknown(w)
	}
	if o := p.option(body); o != nil {
		return p.set(o)
	}
	if name, value, ok := strings.Cut(body, "="); ok {
		if o := p.option(name); o != nil && o.Value != "" {
			if err := p.set(o); err != nil {
				return err
			}
			p.put(o, value)
			return nil
		}
		return unknown(w)
	}
	return p.joined(w)
}

// begins tells whether a word begins with an option of the command, and so cannot be a value.
func (p *parser) begins(w string) bool {
	if !strings.HasPrefix(w, "-") || len(w) == 1 {
		return false
	}
	name, _, _ := strings.Cut(strings.TrimLeft(w, "-"), "=")
	return name != "" && (p.option(name) != nil || p.option(name[:1]) != nil)
}

// joined reads letters behind one dash: options, of which the first that takes a value has the rest for it.
func (p *parser) joined(w string) error {
	for i := 1; i < len(w); i++ {
		o := p.option(w[i : i+1])
		if o == nil {
			return unknown(w)
		}
		if err := p.set(o); err != nil {
			return err
		}
		if p.open != nil && i+1 < len(w) {
			p.put(o, unquote(w[i+1:]))
			return nil
		}
	}
	return nil
}

// set notes that an option is there.
func (p *parser) set(o *Option) error {
	if err := p.complete(); err != nil {
		return err
	}
	for other := range p.values {
		if p.group != free && other != o.Name {
			return usageError(fmt.Sprintf("The option '%s' was specified but an option from this group has already been selected: '%s'", o.Name, other))
		}
	}
	if o.Value != "" {
		p.open = o
		return nil
	}
	p.values[o.Name] = ""
	return nil
}

// put gives an option its value; the first counts.
func (p *parser) put(o *Option, value string) {
	p.open = nil
	if !p.Has(o.Name) {
		p.values[o.Name] = value
	}
}

func (p *parser) complete() error {
	if p.open != nil {
		return usageError("Missing argument for option: " + p.open.Name)
	}
	return nil
}

func unknown(w string) error { return usageError("Unrecognized option: " + w) }

func unquote(s string) string {
	if len(s) > 1 && s[0] == '"' && s[len(s)-1] == '"' && !strings.Contains(s[1:len(s)-1], `"`) {
		return s[1 : len(s)-1]
	}
	return s
}
