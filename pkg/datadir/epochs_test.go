package datadir

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/vfs"
)

func TestEpochsAtTheStart(t *testing.T) {
	for _, c := range []struct {
		name                    string
		log                     []proto.Zxid
		accepted, current, temp string // "" = no file
		want                    string // both epochs, or the file that the refusal names
	}{
		{"a new server", nil, "", "", "", "0 0"},
		{"files of before there were any", []proto.Zxid{e3 + 1}, "", "", "", "3 3"},
		{"a server that has promised more than it has", []proto.Zxid{e3 + 1}, "7", "4", "", "7 4"},
		{"lines that end", []proto.Zxid{e1 + 1}, "2\n", "1\r\n", "", "2 1"},
		{"logged before the epoch was current", []proto.Zxid{e1 + 1, e2 + 1}, "2", "1", "", "2 2"},
		{"logged beyond both", []proto.Zxid{e1 + 1, e3 + 1}, "2", "1", "", "3 3"},
		{"left over, and possible", []proto.Zxid{e2 + 1}, "5", "1", "4", "5 4"},
		{"left over, and not needed", []proto.Zxid{e1 + 1}, "5", "1", "4", "5 1"},
		{"left over, and too low", []proto.Zxid{e2 + 1}, "5", "1", "1", "5 2"},
		{"left over, and too high", []proto.Zxid{e2 + 1}, "5", "1", "6", "5 2"},
		{"left over, and unfinished", []proto.Zxid{e2 + 1}, "5", "1", "x", "5 2"},
		{"of a ZooKeeper server without data", nil, "-1", "-1", "", "0 0"},
		{"no current epoch", []proto.Zxid{e2 + 1}, "5", "", "", "5 2"},
		{"no accepted epoch", []proto.Zxid{e2 + 1}, "", "2", "", "2 2"},
		{"no accepted epoch, and the log does not tell it", []proto.Zxid{e2 + 1}, "", "4", "", acceptedName},
		{"accepted below current", []proto.Zxid{e1 + 1}, "1", "2", "", acceptedName},
		{"garbage in one", []proto.Zxid{e1 + 1}, "one", "1", "", acceptedName},
		{"nothing in the other", []proto.Zxid{e1 + 1}, "1", " ", "", currentName},
		{"more than an epoch can be", []proto.Zxid{e1 + 1}, "4294967296", "1", "", acceptedName},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := memberDisk(t)
			if c.log != nil {
				writeLog(t, disk, c.log...)
			}
			for name, text := range map[string]string{acceptedName: c.accepted, currentName: c.current, currentName + javaTemp: c.temp} {
				if text != "" {
					put(t, disk, memberDir+name, []byte(text))
				}
			}
			d, err := Open(disk, memberOptions())
			if err != nil {
				t.Fatal(err)
			}
			rec, err := d.Load()
			if strings.HasSuffix(c.want, "Epoch") {
				var bad *DamageError
				if !errors.As(err, &bad) || bad.Path != memberDir+c.want {
					t.Errorf("Load() = %v, want a DamageError with %s", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			left := disk.Crash() // a vote may have been cast
			got := slurp(t, left, memberDir+acceptedName) + " " + slurp(t, left, memberDir+currentName)
			if got = strings.ReplaceAll(strings.ReplaceAll(got, "\r", ""), "\n", ""); got != c.want && c.accepted != "-1" {
				t.Errorf("the files hold %s, want %s", got, c.want)
			}
			if got := fmt.Sprint(rec.AcceptedEpoch, rec.CurrentEpoch); got != c.want {
				t.Errorf("Load() gives the epochs %s, want %s", got, c.want)
			}
			if got := slurp(t, left, memberDir+currentName+javaTemp); got != "none" {
				t.Errorf("%q is still left over", got)
			}
		})
	}
}

func TestEpochsAreWrittenWhereTheyChange(t *testing.T) {
	disk := vfs.NewMem(1)
	d, _ := openLoad(t, disk, memberOptions())
	var written []string
	disk.SetFault(func(o vfs.Op) error {
		if o.Kind == "rename" {
			written = append(written, filepath.Base(o.Path))
		}
		return nil
	})
	for _, e := range [][2]uint32{{1, 0}, {1, 1}, {1, 1}, {3, 2}} {
		if err := d.SaveEpochs(e[0], e[1]); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := fmt.Sprint(written), "[acceptedEpoch currentEpoch acceptedEpoch currentEpoch]"; got != want {
		t.Errorf("written were %s, want %s", got, want)
	}
	if _, rec := openLoad(t, disk.Crash(), memberOptions()); rec.AcceptedEpoch != 3 || rec.CurrentEpoch != 2 {
		t.Errorf("after a crash: epochs %d and %d, want 3 and 2", rec.AcceptedEpoch, rec.CurrentEpoch)
	}
}

func TestServerAloneHasNoEpochs(t *testing.T) {
	disk := memberDisk(t, []proto.Zxid{e2 + 1})
	put(t, disk, memberDir+currentName, []byte("not looked at"))
	d, rec := openLoad(t, disk, memOptions())
	if rec.AcceptedEpoch != 0 || rec.CurrentEpoch != 0 || slurp(t, disk, memberDir+currentName) != "not looked at" ||
		slurp(t, disk, memberDir+acceptedName) != "none" {
		t.Error("a server alone reads or writes epoch files")
	}
	if err := d.SaveEpochs(1, 1); err == nil {
		t.Error("SaveEpochs() = nil, want an error")
	}
}
