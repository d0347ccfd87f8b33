package recipe

import (
	"strings"
	"testing"
)

func TestAhead(t *testing.T) {
	for name, c := range map[string]struct {
		children, me, want string
		gone               bool
	}{
		"alone":                 {"_c_g-lock-0000000003", "_c_g-lock-0000000003", "", false},
		"the one before":        {"_c_b-lock-0000000002 _c_a-lock-0000000001 _c_c-lock-0000000003", "_c_c-lock-0000000003", "_c_b-lock-0000000002", false},
		"Curator's and kazoo's": {"_c_b-lock-0000000002 0ab__lock__0000000003 _c_c-latch-0000000004", "_c_c-latch-0000000004", "0ab__lock__0000000003", false},
		"what is no contender":  {"_c_b-lease-0000000001 notes lock-1 lock-00000000x1 _c_c-lock-0000000004", "_c_c-lock-0000000004", "", false},
		"readers pass readers":  {"_c_a-__READ__0000000001 0ab__rlock__0000000002", "0ab__rlock__0000000002", "", false},
		"a reader waits for the last writer": {
			"_c_a-__WRIT__0000000001 _c_b-__WRIT__0000000002 _c_c-__READ__0000000003 _c_d-__READ__0000000004",
			"_c_d-__READ__0000000004", "_c_b-__WRIT__0000000002", false,
		},
		"a writer waits for the last reader": {"_c_a-__READ__0000000001 _c_b-__READ__0000000002 _c_c-__WRIT__0000000003", "_c_c-__WRIT__0000000003", "_c_b-__READ__0000000002", false},
		"numbers go on below zero":           {"_c_a-lock-2147483647 _c_b-lock--2147483648", "_c_b-lock--2147483648", "_c_a-lock-2147483647", false},
		"and further":                        {"_c_a-lock--000000002 _c_b-lock--000000001", "_c_b-lock--000000001", "_c_a-lock--000000002", false},
		"no longer there":                    {"_c_a-lock-0000000001", "_c_b-lock-0000000002", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			got, found := ahead(line(strings.Fields(c.children)), c.me)
			if got != c.want || found == c.gone {
				t.Fatalf("ahead(%s) = %q, %v, want %q, %v", c.me, got, found, c.want, !c.gone)
			}
		})
	}
}

// TestPrefixesAreRecognised: what a layout writes is found by its GUID and takes its part in the line.
func TestPrefixesAreRecognised(t *testing.T) {
	for _, l := range []Layout{Curator, Kazoo, Latch} {
		for _, r := range []role{exclusive, writer, reader} {
			guid := newGUID()
			name := l.prefix(r, guid) + "0000000007"
			p, ok := parse(name)
			if !ok || p.seq != 7 || p.shared != (r == reader && l != Latch) || !carries(name, guid) || carries(name, newGUID()) {
				t.Errorf("layout %d, role %d: %s reads as %+v, %v", l, r, name, p, ok)
			}
		}
	}
}
