package main

import (
	"fmt"
	"regexp"
	"strings"
)

// title is a manual page's first line.
type title struct{ name, section, date, source string }

// roff turns Markdown, as far as docs/ uses it, into a manual page: headings, paragraphs, lists, fenced text, flags, and
// tables, of which each row is a paragraph that begins with the first column.
func roff(t title, markdown string) string {
	p := &page{}
	fmt.Fprintf(&p.out, ".TH %q %q %q %q\n", strings.ToUpper(t.name), t.section, t.date, t.source)
	for line := range strings.Lines(markdown) {
		p.line(strings.TrimSuffix(line, "\n"))
	}
	return p.out.String()
}

// page is one that is being written.
type page struct {
	out     strings.Builder
	fenced  bool
	verbose bool     // in text that stands as it is
	heads   []string // of the table that is being read
}

var (
	listItem = regexp.MustCompile(`^\* `)
	flag     = regexp.MustCompile(`^ {2,6}-`) // as the help of a command describes it
)

func (p *page) line(line string) {
	if strings.HasPrefix(line, "```") {
		p.fenced = !p.fenced
		p.asItStands(p.fenced)
		return
	}
	if p.fenced {
		p.put(escape(line))
		return
	}
	p.asItStands(flag.MatchString(line))
	switch {
	case p.verbose:
		p.put(escape(strings.TrimPrefix(line, "  ")))
	case strings.HasPrefix(line, "|"):
		p.row(cells(line))
		return
	case strings.HasPrefix(line, "### "):
		p.put(".SS " + inline(line[4:]))
	case strings.HasPrefix(line, "## "):
		p.put(".SH " + inline(strings.ToUpper(line[3:])))
	case strings.HasPrefix(line, "# "):
	case line == "":
		p.put(".PP")
	case listItem.MatchString(line):
		p.put(".IP \\(bu 2")
		p.put(inline(line[2:]))
	default:
		p.put(inline(strings.TrimSpace(line)))
	}
	p.heads = nil
}

func (p *page) asItStands(on bool) {
	if on == p.verbose {
		return
	}
	p.verbose = on
	if on {
		p.put(".nf\n.RS 4")
	} else {
		p.put(".RE\n.fi")
	}
}

func (p *page) put(line string) { p.out.WriteString(line + "\n") }

// row writes a table's row: the first cell is what the others are about.
func (p *page) row(row []string) {
	switch {
	case p.heads == nil:
		p.heads = row
		return
	case strings.Trim(strings.Join(row, ""), "-: ") == "":
		return
	}
	p.put(".TP\n.B " + inline(row[0]))
	for i, cell := range row[1:] {
		if cell == "" || p.heads[i+1] == "shown by" { // tests are for those who have the source
			continue
		}
		if i > 0 {
			p.put(".br")
		}
		p.put(inline(p.heads[i+1] + ": " + cell))
	}
}

// cells cuts a row; a bar that is escaped is text.
func cells(line string) (out []string) {
	const bar = "\x00"
	line = strings.ReplaceAll(strings.Trim(strings.TrimSpace(line), "|"), `\|`, bar)
	for cell := range strings.SplitSeq(line, "|") {
		out = append(out, strings.TrimSpace(strings.ReplaceAll(strings.ReplaceAll(cell, bar, "|"), "<br>", "; ")))
	}
	return out
}

var (
	link = regexp.MustCompile(`\[([^\]]+)\]\([^)]*\)`)
	code = regexp.MustCompile("`([^`]*)`")
	bold = regexp.MustCompile(`\*\*([^*]+)\*\*`)
	slim = regexp.MustCompile(`\*([A-Z][^*]*)\*`)
)

// inline turns the marks within a line.
func inline(s string) string {
	s = escape(link.ReplaceAllString(s, "$1"))
	for _, mark := range []*regexp.Regexp{code, bold} {
		s = mark.ReplaceAllString(s, `\fB$1\fR`)
	}
	return slim.ReplaceAllString(s, `\fI$1\fR`)
}

// escape keeps roff from taking text for its own.
func escape(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
