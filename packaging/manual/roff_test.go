package main

import "testing"

func TestRoff(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"heading":   {"# Title\n## Exit codes\n", ".SH EXIT CODES\n"},
		"marks":     {"`a-b` and [this](x.md), **B** *C*\n", "\\fBa\\-b\\fR and this, \\fBB\\fR \\fIC\\fR\n"},
		"list":      {"* one\n  two\n\nthree\n", ".IP \\(bu 2\none\ntwo\n.PP\nthree\n"},
		"fence":     {"```\n.x\n```\n", ".nf\n.RS 4\n\\&.x\n.RE\n.fi\n"},
		"flags":     {"text\n  -o, --x   y\n      --z\n", "text\n.nf\n.RS 4\n\\-o, \\-\\-x   y\n    \\-\\-z\n"},
		"table":     {"| key | default | shown by |\n| --- | --- | --- |\n| a\\|b | 1 | T |\n| c | | T |\n", ".TP\n.B a|b\ndefault: 1\n.TP\n.B c\n"},
		"a command": {"'tis\n", "\\&'tis\n"},
	} {
		const head = ".TH \"X\" \"1\" \"d\" \"s\"\n"
		if got := roff(title{"x", "1", "d", "s"}, c.in); got != head+c.want {
			t.Errorf("%s: %q, want %q", name, got, head+c.want)
		}
	}
}
